//! How a command that runs until it is told to end is told.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The two ways to be told to end.
pub(super) struct Signals {
    interrupted: Signal,
    terminated: Signal,
}

impl Signals {
    /// From here on a signal no longer ends the process by itself.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupted: signal(SignalKind::interrupt())?,
            terminated: signal(SignalKind::terminate())?,
        })
    }

    /// Returns when there is a signal.
    pub(super) async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
    }
}
