//! How the command ends: its exit codes, and what it says of an error.

use std::process::ExitCode;

use usbwright::{control::ControlError, source::OpenError};

use super::output;

/// The exit code where what was typed can't be meant, as `clap` has it.
const COMMAND_LINE_IS_WRONG: u8 = 2;

/// The exit codes, for `--help`.
pub(super) const HELP: &str = "\
Exit codes: 0 done; 1 failed, and stderr says why and what to do; 2 the command line is wrong.
`usbwright lab` returns its command's own code: see `usbwright lab --help`.";

/// Tells of an error on stderr, and gives the exit code.
pub(super) fn report(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("usbwright: error: {}", told(&error));
            match is_in_spec(&error) {
                true => COMMAND_LINE_IS_WRONG.into(),
                false => ExitCode::FAILURE,
            }
        }
    }
}

/// Whether a SPEC asks for what no model can make.
fn is_in_spec(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let open = match cause.downcast_ref() {
            Some(ControlError::Open { cause, .. }) => Some(cause),
            _ => cause.downcast_ref(),
        };
        matches!(open, Some(OpenError::Build(error)) if error.is_in_spec())
    })
}

/// An error and its causes in one line. Many an error tells its cause itself: it is not told again.
pub(super) fn told(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the image is gone: {0}")]
    struct Telling(#[source] io::Error);

    #[test]
    fn a_cause_is_told_once() {
        let cause = || io::Error::other("no such file");
        let telling = anyhow::Error::new(Telling(cause())).context("can't have it");
        assert_eq!(
            told(&telling),
            "can't have it: the image is gone: no such file"
        );
        let silent = Err::<(), _>(cause()).context("can't have it");
        assert_eq!(told(&silent.unwrap_err()), "can't have it: no such file");
    }
}
