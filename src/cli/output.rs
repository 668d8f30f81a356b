//! The standard output, whose errors say that it is the one that can't be written.

use std::io::{self, IsTerminal, StdoutLock, Write, stdout};

/// The standard output, for as long as this is kept.
pub(super) struct Output(StdoutLock<'static>);

/// What can't be written.
#[derive(Debug, thiserror::Error)]
#[error("can't write to the standard output: {0}")]
struct Unwritten(io::Error);

/// Takes the standard output.
pub(super) fn output() -> Output {
    Output(stdout().lock())
}

/// Whether whoever read the standard output has had enough of it.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        let output = error.get_ref().is_some_and(|it| it.is::<Unwritten>());
        output && error.kind() == io::ErrorKind::BrokenPipe
    })
}

impl Output {
    /// Whether it is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

fn unwritten(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), Unwritten(error))
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(unwritten)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(unwritten)
    }
}
