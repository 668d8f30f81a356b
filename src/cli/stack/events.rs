//! `usbwright stack events`: what has happened.

use std::{io::Write as _, process::ExitCode};

use super::control::Control;
use crate::cli::output::output;

/// Tell what has happened to stacks and their hosts, and why hosts have failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The manager keeps the last 4096 events. Their numbers are those of Windows' log of driver frameworks: 1003 a host is started, \
2010 a stack has started, 10110 a host has failed, 10111 a device restarts, 10112 it is offline.")]
pub(super) struct Arguments {
    /// Print a line of JSON for each event.
    #[arg(long)]
    json: bool,

    /// Go on with those that come.
    #[arg(short, long)]
    follow: bool,

    /// Only those after the event of this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,

    #[command(flatten)]
    control: Control,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut client = arguments.control.connect()?;
    client.events(arguments.after, arguments.follow, |entry| {
        let mut out = output();
        match arguments.json {
            true => writeln!(out, "{}", serde_json::to_string(&entry)?)?,
            false => writeln!(out, "{entry}")?,
        }
        out.flush()?;
        anyhow::Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}
