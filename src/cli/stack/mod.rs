//! `usbwright stack`: driver packages, and the driver manager that runs them.

mod check;
mod control;
mod events;
mod io;
mod kill_host;
mod run;
mod view;

use std::process::ExitCode;

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
    }
}
