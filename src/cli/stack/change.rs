//! `usbwright stack suspend`, `resume`, `stop`, `reset` and `restart`: changes of stacks that their devices survive.

use std::process::ExitCode;

use anyhow::bail;
use usbwright_driver_manager::manager::{Change, ChangeOutcome};

use super::control::Control;

/// Which stacks the system's sleep is about.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It waits until the drivers have done it, or could not; that takes no longer than their packages' deadlines. A stack that starts \
meanwhile starts awake.

A unit that goes along with the system's sleep (systemd), /etc/systemd/system/usbwright-sleep.service:
  [Unit]
  Before=sleep.target
  StopWhenUnneeded=yes
  [Service]
  Type=oneshot
  RemainAfterExit=yes
  ExecStart=/usr/bin/usbwright stack suspend
  ExecStop=/usr/bin/usbwright stack resume
  [Install]
  WantedBy=sleep.target")]
pub(super) struct PowerArguments {
    /// The devices, as `usbwright stack list` tells them; without one, all whose stacks run.
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    #[command(flatten)]
    control: Control,
}

/// Which stacks are meant.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A stack that is stopped has its files open and its requests waiting, but its drivers have let go of their hardware. Then its device can be \
reset, and the stack started again.")]
pub(super) struct PnpArguments {
    /// The devices, as `usbwright stack list` tells them.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    #[command(flatten)]
    control: Control,
}

pub(super) fn power(arguments: &PowerArguments, change: Change) -> anyhow::Result<ExitCode> {
    run(&arguments.control, &arguments.names, change)
}

pub(super) fn pnp(arguments: &PnpArguments, change: Change) -> anyhow::Result<ExitCode> {
    run(&arguments.control, &arguments.names, change)
}

/// Changes stacks in their order, or all at once, and tells at the end which could not be.
fn run(control: &Control, names: &[String], change: Change) -> anyhow::Result<ExitCode> {
    let mut client = control.connect()?;
    let outcomes = match names {
        [] => client.change(None, change)?,
        names => {
            let mut outcomes = Vec::new();
            for name in names {
                outcomes.extend(client.change(Some(name), change)?);
            }
            outcomes
        }
    };
    let failed = |it: ChangeOutcome| Some(format!("can't {change} {}: {}", it.device, it.error?));
    let failures: Vec<String> = outcomes.into_iter().filter_map(failed).collect();
    match failures[..] {
        [] => Ok(ExitCode::SUCCESS),
        _ => bail!("{}", failures.join("\n")),
    }
}
