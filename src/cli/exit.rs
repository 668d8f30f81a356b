//! How the command ends: its exit codes, and what it says of an error.

use std::{io, process::ExitCode};

/// The exit codes, for `--help`.
pub(super) const HELP: &str = "\
Exit codes: 0 done; 1 failed, and stderr says why and what to do; 2 the command line is wrong.
`usbwright lab` returns its command's own code: see `usbwright lab --help`.";

/// Tells of an error on stderr, and gives the exit code.
pub(super) fn report(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("usbwright: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether whoever read our output has had enough of it.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
