//! `usbwright io`: transfers by hand.

mod control;
mod read;
mod session;
pub(super) mod sink;
mod step;
mod stop;
pub(super) mod words;
mod write;

use std::{future::Future, pin::Pin, process::ExitCode, task::Poll, time::Duration};

use tokio::select;
use usbwright::target::{Device, Options, Pipe, Wait as _};

use self::{
    control::Request,
    session::{Choice, Session},
    sink::{Cause, Failed, Sink, Tone},
    step::{Action, Step, What},
    stop::Stop,
};
use super::{
    exit,
    open::{self, DeviceName},
    output,
};

/// What a STEP may be, and examples, for `--help`.
const HELP: &str = "\
A STEP is one of
  PIPE read [LENGTH] [--count N] [--until-short | --ignore-short] [--raw | --hex | --output FILE]
  PIPE write (--data HEX | --text TEXT | --file FILE | -) [--zero-packet]
  PIPE packets N [--raw | --hex | --output FILE]
  PIPE reset
  PIPE abort
  control TYPE REQUEST VALUE INDEX [LENGTH | --data HEX | --text TEXT | --file FILE]
  control get-descriptor KIND [INDEX] | get-status [PIPE] | get-configuration | get-interface N
where PIPE is an endpoint's address in hexadecimal (0x81 or 81), or its number and direction (1in, 1out). `PIPE read --help` \
tells of an action.

Steps are done with the same device: after `then` one after another, with `and` at the same time. A step that fails ends them, \
unless --keep-going is given. Data that is read goes to the standard output, as a hex dump on a terminal and as it is elsewhere; \
what is told of steps goes to stderr.

Examples:
  usbwright io gadget-zero 0x81 read 64                   # a Gadget Zero sends zeros,
  usbwright io gadget-zero,pattern=1 1in read 64 --hex    # or a pattern, and stalls where it
  usbwright io gadget-zero 1out write --data 0001         # is sent anything else:
  usbwright io --keep-going gadget-zero 1out write --data 01 then 1out reset then 1in read
  usbwright io gadget-zero control 0x40 0x5b 0 0 --text hello then control 0xc0 0x5c 0 0 5
  usbwright io gadget-zero --alternate 1 0x82 packets 8
  usbwright io pc.example/1-1 control get-descriptor device
Its second configuration is a loopback; the last of these runs until Ctrl-C:
  usbwright io gadget-zero --configuration 2 1out write --text hi then 1in read 64
  usbwright io gadget-zero --configuration 2 1out write - and 1in read 4096 --count 0 <in >out

JSON: with --json, an object in a line for each step: step (its words), status (done, stalled, timed-out, overflow and the like; null where \
it did not get to the bus), error (null or a text), length (bytes moved), data (hexadecimal digits, where it reads and has \
no --output) and packets (each one's length and status).";

/// Do transfers by hand: read, write, control requests.
///
/// The device is opened as a host opens it, in the configuration that is in force or else its first.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "usbwright io [OPTIONS] <DEVICE> <STEP> [(then|and) <STEP>]...",
    after_help = format!("{}\n\n{HELP}", open::HELP)
)]
pub(super) struct Arguments {
    /// The configuration to choose, by its value.
    #[arg(long, value_name = "N")]
    configuration: Option<u8>,

    /// The interface [default: the one that has the pipe].
    #[arg(long, value_name = "N")]
    interface: Option<u8>,

    /// The alternate setting to choose, of each interface that is used [default: the one in force].
    #[arg(long, value_name = "N")]
    alternate: Option<u8>,

    /// End a transfer that takes longer; a pipe has one in flight at a time then [default: 5000 for control, else none].
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,

    /// Go on after a step that failed; the exit code is 1 nevertheless.
    #[arg(long)]
    keep_going: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// The device.
    #[arg(value_name = "DEVICE")]
    device: DeviceName,

    /// What is done with it.
    #[arg(
        value_name = "STEP",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    steps: Vec<String>,
}

/// What a step is run with.
struct Run {
    device: Device,
    timeout: Option<Duration>,
    stop: Stop,
}

impl Run {
    /// Why a step was ended early.
    fn stopped(&self) -> Cause {
        match self.stop.is_signalled() {
            true => Cause::Signal,
            false => Cause::Beside,
        }
    }

    fn failed(&self, pipe: &Pipe, error: Cause, sink: &Sink) -> anyhow::Error {
        let failed = Failed {
            pipe: pipe.address().to_string(),
            error,
            length: sink.length(),
        };
        failed.into()
    }
}

pub(super) fn run(arguments: &Arguments, quiet: bool) -> anyhow::Result<ExitCode> {
    let groups = step::parse(&arguments.steps, arguments.json).unwrap_or_else(|error| error.exit());
    let timeout = arguments.timeout.map(u64::from).map(Duration::from_millis);
    let choice = Choice {
        interface: arguments.interface,
        alternate: arguments.alternate,
        timeout,
    };
    let tone = Tone {
        json: arguments.json,
        quiet,
    };
    let name = &arguments.device;
    let device = match arguments.configuration {
        Some(value) => name.open(Options::new().configuration(value))?,
        // A device that has no pipes in force answers control requests nevertheless.
        None if groups.iter().flatten().all(Step::is_control) => name.open_as_it_is()?,
        None => name.open(Options::new())?,
    };
    let stop = Stop::watch()?;
    let mut session = Session::new(device, choice);
    let mut code = ExitCode::SUCCESS;
    for group in &groups {
        match session.group(group, tone, &stop).wait() {
            Ok(()) => {}
            Err(error) if arguments.keep_going && !output::is_closed(&error) => {
                code = exit::report(Err(error));
            }
            Err(error) => return Err(error),
        }
        if stop.is_signalled() {
            break;
        }
    }
    Ok(code)
}

impl Step {
    fn is_control(&self) -> bool {
        matches!(self.what, What::Control(_))
    }
}

/// A step that is under way.
type Underway<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

impl Session {
    /// Does the steps of a group at the same time. Where one fails, the others are ended; the first failure is told.
    async fn group(&mut self, steps: &[Step], tone: Tone, stop: &Stop) -> anyhow::Result<()> {
        let mut pipes = Vec::new();
        for step in steps {
            pipes.push(match &step.what {
                What::Pipe(address, _) => match self.pipe(*address).await {
                    Ok(pipe) => Some(pipe),
                    Err(error) => return sink::refuse(step, tone, error),
                },
                What::Control(_) => None,
            });
        }
        let run = Run {
            device: self.device.clone(),
            timeout: self.timeout(),
            stop: stop.group(),
        };
        let run = &run;
        let steps = steps.iter().zip(&pipes).map(|(step, pipe)| {
            let step: Underway<'_> = Box::pin(run.step(step, pipe.as_ref(), tone));
            Some(step)
        });
        let mut steps: Vec<_> = steps.collect();
        let mut first = Ok(());
        std::future::poll_fn(|cx| {
            for slot in &mut steps {
                let Some(step) = slot else { continue };
                if let Poll::Ready(ended) = step.as_mut().poll(cx) {
                    *slot = None;
                    if ended.is_err() {
                        run.stop.fail();
                    }
                    first = std::mem::replace(&mut first, Ok(())).and(ended);
                }
            }
            match steps.iter().all(Option::is_none) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        first
    }
}

impl Run {
    /// Does a step, and tells how it has ended.
    async fn step(&self, step: &Step, pipe: Option<&Pipe>, tone: Tone) -> anyhow::Result<()> {
        let mut sink = Sink::open(step, tone)?;
        let ended = match (&step.what, pipe) {
            (What::Pipe(_, action), Some(pipe)) => self.action(action, pipe, &mut sink).await,
            (What::Control(request), _) => self.control(request, &mut sink).await,
            (What::Pipe(..), None) => unreachable!("a step of a pipe has it"),
        };
        sink.end(ended.as_ref().err())?;
        ended
    }

    async fn action(&self, action: &Action, pipe: &Pipe, sink: &mut Sink) -> anyhow::Result<()> {
        match action {
            Action::Read(read) => read::read(self, pipe, read, sink).await,
            Action::Write(write) => write::write(self, pipe, write, sink).await,
            Action::Packets(packets) => read::packets(self, pipe, packets, sink).await,
            Action::Reset => match pipe.reset().await.error {
                None => Ok(()),
                Some(error) => Err(self.failed(pipe, error.into(), sink)),
            },
            Action::Abort => {
                pipe.abort().await;
                Ok(())
            }
        }
    }

    async fn control(&self, request: &Request, sink: &mut Sink) -> anyhow::Result<()> {
        let (setup, data) = request.prepare()?;
        let ended = select! {
            biased;
            ended = self.device.control(setup, data) => Some(ended),
            () = self.stop.come() => None,
        };
        let cause = match ended {
            None => self.stopped(),
            Some(ended) => {
                match request.reads() {
                    true => sink.came(&ended.data)?,
                    false => sink.sent(ended.length),
                }
                match ended.error {
                    None => return Ok(()),
                    Some(error) => error.into(),
                }
            }
        };
        let failed = Failed {
            pipe: "control".to_owned(),
            error: cause,
            length: sink.length(),
        };
        Err(failed.into())
    }
}
