//! `usbwright stack`: driver packages, and the driver manager that runs them.

mod change;
mod check;
mod control;
mod events;
mod io;
mod kill_host;
mod run;
mod trouble;
mod view;

use std::process::ExitCode;

use usbwright_driver_manager::manager::Change;

/// Run stacks of drivers, look after them, and check the packages that say what is in them.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: StackCommand,
}

#[derive(Debug, clap::Subcommand)]
enum StackCommand {
    Check(check::Arguments),
    Run(run::Arguments),
    List(view::ListArguments),
    Tree(view::TreeArguments),
    Events(events::Arguments),
    Io(io::Arguments),
    KillHost(kill_host::Arguments),
    /// Tell drivers that the system goes to sleep: their devices leave D0
    Suspend(change::PowerArguments),
    /// Tell drivers that the system has woken: their devices come back to D0
    Resume(change::PowerArguments),
    /// Have drivers let go of their hardware for a while
    Stop(change::PnpArguments),
    /// Reset the port of a device whose stack is stopped
    Reset(change::PnpArguments),
    /// Start a stopped stack again
    Restart(change::PnpArguments),
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        StackCommand::Check(arguments) => check::run(arguments),
        StackCommand::Run(arguments) => run::run(arguments),
        StackCommand::List(arguments) => view::list(arguments),
        StackCommand::Tree(arguments) => view::tree(arguments),
        StackCommand::Events(arguments) => events::run(arguments),
        StackCommand::Io(arguments) => io::run(arguments),
        StackCommand::KillHost(arguments) => kill_host::run(arguments),
        StackCommand::Suspend(arguments) => change::power(arguments, Change::Suspend),
        StackCommand::Resume(arguments) => change::power(arguments, Change::Resume),
        StackCommand::Stop(arguments) => change::pnp(arguments, Change::Stop),
        StackCommand::Reset(arguments) => change::pnp(arguments, Change::Reset),
        StackCommand::Restart(arguments) => change::pnp(arguments, Change::Restart),
    }
}
