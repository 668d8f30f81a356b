//! The `usbwright` command.

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// USB devices out of software.
#[derive(Debug, Parser)]
#[command(version)]
enum Usbwright {
    #[cfg(target_os = "linux")]
    Lab(cli::lab::LabArgs),
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(code) = usbwright::lab::internal_command(std::env::args_os()) {
        return ExitCode::from(code);
    }
    match Usbwright::parse() {
        #[cfg(target_os = "linux")]
        Usbwright::Lab(args) => cli::lab::run(args).map_or_else(
            |error| {
                eprintln!("usbwright lab: {error}");
                ExitCode::from(error.exit_code())
            },
            ExitCode::from,
        ),
    }
}
