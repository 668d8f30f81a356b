//! `usbwright stack kill-host`: to try the recovery.

use std::process::ExitCode;

use super::control::Control;

/// Kill a host process, to see how its devices recover.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It counts as a failure: the host's devices are restarted, as often as their packages say."
)]
pub(super) struct Arguments {
    /// The host's number, as `usbwright stack tree` tells it.
    host: u64,

    #[command(flatten)]
    control: Control,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    arguments.control.connect()?.kill_host(arguments.host)?;
    Ok(ExitCode::SUCCESS)
}
