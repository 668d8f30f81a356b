//! The `usbwright` command: see [`cli`].

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match usbwright::lab::internal_command(std::env::args_os()) {
        Some(code) => code.into(),
        None => cli::main(),
    }
}
