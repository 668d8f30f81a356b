//! The steps of `usbwright io`, as they are typed.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, Parser, Subcommand, error::ErrorKind};
use usbwright::{bench::parse_size, protocol::EndpointAddress};

use super::{control::Request, words};

/// The most bytes of one read.
pub(super) const MOST: u32 = 64 << 20;

/// Ends a step; the next begins when it has ended.
const THEN: &str = "then";
/// Ends a step; the next runs at the same time.
const AND: &str = "and";

/// What is done in one step.
#[derive(Debug)]
pub(super) struct Step {
    /// As it was typed.
    pub(super) words: String,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Pipe(EndpointAddress, Action),
    Control(Request),
}

#[derive(Debug, Parser)]
#[command(
    no_binary_name = true,
    bin_name = "usbwright io DEVICE PIPE",
    disable_help_subcommand = true,
    max_term_width = 100
)]
struct OnPipe {
    #[command(subcommand)]
    action: Action,
}

/// What is done with a pipe.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    Read(Read),
    Write(Write),
    Packets(Packets),
    /// Clear the endpoint's halt and data toggle.
    Reset,
    /// Take back what is outstanding.
    Abort,
}

/// Read from a bulk or interrupt endpoint.
#[derive(Debug, Args)]
pub(super) struct Read {
    /// The most bytes of a read, which a short packet ends earlier, such as 512, 64k or 1M [default: one packet].
    #[arg(value_parser = parse_size)]
    pub(super) length: Option<u32>,

    /// Read so often; 0 for until Ctrl-C. Several reads are in flight at once where LENGTH is whole packets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) count: u64,

    /// End with the first read that is shorter than LENGTH.
    #[arg(long)]
    pub(super) until_short: bool,

    /// Go on after short packets, until a read has all of its bytes.
    #[arg(long, conflicts_with = "until_short")]
    pub(super) ignore_short: bool,

    #[command(flatten)]
    pub(super) format: Format,
}

/// Write to a bulk or interrupt endpoint. No data at all is a zero-length packet.
///
/// What comes from a file or from the standard input is of any size: whole packets go on their way as they come, several
/// transfers at once.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub(super) struct Write {
    /// Bytes in hexadecimal, such as 00ff7e.
    #[arg(long, value_name = "HEX", group = "what", value_parser = words::hex)]
    pub(super) data: Option<Bytes>,

    /// A text, as it is.
    #[arg(long, group = "what")]
    pub(super) text: Option<String>,

    /// What a file has.
    #[arg(long, group = "what")]
    pub(super) file: Option<PathBuf>,

    /// The standard input.
    #[arg(value_name = "-", group = "what", value_parser = ["-"])]
    pub(super) stdin: Option<String>,

    /// End with a zero-length packet where the last packet is full.
    #[arg(long)]
    pub(super) zero_packet: bool,
}

/// Read packets from an isochronous endpoint, one in each service interval.
#[derive(Debug, Args)]
pub(super) struct Packets {
    /// How many.
    #[arg(value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) count: u16,

    #[command(flatten)]
    pub(super) format: Format,
}

/// What becomes of the data that is read.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = false)]
pub(super) struct Format {
    /// Print the bytes as they are; so it is where the standard output is no terminal.
    #[arg(long)]
    pub(super) raw: bool,

    /// Print a hex dump; so it is on a terminal.
    #[arg(long)]
    pub(super) hex: bool,

    /// Write the bytes to a file.
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

/// The steps in groups: the steps of one run at the same time.
pub(super) fn parse(words: &[String], json: bool) -> Result<Vec<Vec<Step>>, clap::Error> {
    let groups = words.split(|word| word == THEN);
    let groups = groups.map(|group| {
        let steps = group.split(|word| word == AND);
        steps.map(|words| step(words, json)).collect()
    });
    let groups: Vec<Vec<_>> = groups.collect::<Result<_, _>>()?;
    let reads_stdin = |step: &&Step| match &step.what {
        What::Pipe(_, Action::Write(write)) => write.stdin.is_some(),
        _ => false,
    };
    if groups.iter().flatten().filter(reads_stdin).count() > 1 {
        return Err(wrong("one step alone can write the standard input (-)"));
    }
    Ok(groups)
}

fn wrong(text: &str) -> clap::Error {
    clap::Error::raw(
        ErrorKind::InvalidValue,
        format!("{text}\n\nFor more information, try 'usbwright io --help'.\n"),
    )
}

fn step(words: &[String], json: bool) -> Result<Step, clap::Error> {
    let what = match words {
        [] => {
            return Err(wrong(
                "a step is missing: it is PIPE read, PIPE write, PIPE packets, PIPE reset, PIPE abort or control; \
                 `then` and `and` stand between two",
            ));
        }
        [_, rest @ ..] if let Some(option) = rest.iter().find(|it| is_option_of_all(it)) => {
            return Err(wrong(&format!(
                "`{option}` is for all steps: such options stand before the first step"
            )));
        }
        [first, rest @ ..] if first == "control" => What::Control(Request::parse(rest)?),
        [first, ..] if first.starts_with('-') => {
            return Err(wrong(&format!(
                "`{first}` is no step: options stand before the first step, and a step begins with PIPE or `control`"
            )));
        }
        [first, rest @ ..] => {
            let address = words::endpoint(first).map_err(|told| wrong(&told))?;
            What::Pipe(address, OnPipe::try_parse_from(rest)?.action)
        }
    };
    let step = Step {
        words: words.join(" "),
        what,
    };
    if json {
        step.check_json()?;
    }
    Ok(step)
}

/// Whether a word is an option of the command rather than of a step.
fn is_option_of_all(word: &str) -> bool {
    let name = word.split('=').next().and_then(|it| it.strip_prefix("--"));
    let command = super::Arguments::augment_args(clap::Command::new("io"));
    let mut options = command.get_arguments().filter_map(clap::Arg::get_long);
    name.is_some_and(|name| options.any(|it| it == name))
}

impl Step {
    /// What becomes of the data that is read.
    pub(super) fn format(&self) -> Option<&Format> {
        match &self.what {
            What::Pipe(_, Action::Read(read)) => Some(&read.format),
            What::Pipe(_, Action::Packets(packets)) => Some(&packets.format),
            What::Pipe(..) => None,
            What::Control(request) => Some(&request.format),
        }
    }

    /// Its data is a part of the JSON, unless it goes to a file.
    fn check_json(&self) -> Result<(), clap::Error> {
        let format = self.format().cloned().unwrap_or_default();
        if format.raw || format.hex {
            return Err(wrong(
                "with --json, data is hexadecimal digits in the JSON, or goes to a file: use --output FILE rather than \
                 --raw or --hex",
            ));
        }
        let much = match &self.what {
            What::Pipe(_, Action::Read(read)) => {
                let length = read.length.unwrap_or(1024).into();
                read.count == 0 || read.count.saturating_mul(length) > MOST.into()
            }
            _ => false,
        };
        match much && format.output.is_none() {
            true => Err(wrong(
                "with --json, a read of more than 64 MiB goes to a file: use --output FILE",
            )),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Vec<Vec<Step>>, clap::Error> {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words, false)
    }

    #[test]
    fn steps_follow_each_other_or_run_at_once() {
        let groups = parsed("1out write --text then=now and 1in read then control get-status");
        let groups = groups.unwrap();
        let words =
            |group: &Vec<Step>| -> Vec<_> { group.iter().map(|step| step.words.clone()).collect() };
        let words: Vec<_> = groups.iter().map(words).collect();
        assert_eq!(
            words,
            [
                vec!["1out write --text then=now", "1in read"],
                vec!["control get-status"]
            ]
        );
    }

    #[test]
    fn what_is_wrong_with_a_step_is_told() {
        for (line, told) in [
            ("0x81", "Usage: usbwright io DEVICE PIPE <COMMAND>"),
            ("0x81 read then", "a step is missing"),
            ("and 0x81 read", "a step is missing"),
            ("ep1 read", "`ep1` names no endpoint"),
            ("--json 0x81 read", "options stand before the first step"),
            ("0x81 read 0", "`0` is no size"),
            ("0x81 read 1G", "use bytes, or KiB and MiB as 4k and 1M"),
            ("0x81 read 64 --json", "options stand before the first step"),
            (
                "control get-status --timeout=5",
                "options stand before the first step",
            ),
            ("0x81 read --raw --hex", "cannot be used with"),
            ("0x01 write", "required arguments were not provided"),
            ("0x01 write --data 0", "use pairs of hexadecimal digits"),
            ("0x01 write - and 0x02 write -", "one step alone"),
            ("0x81 packets 1025", "1025 is not in 1..=1024"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(told), "{line}: {error}");
        }
    }
}
