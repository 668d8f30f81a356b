//! What ends steps early: a signal, or the failure of a step beside them.

use std::thread;

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};
use tokio::sync::watch;

/// Whether steps are to end, as all of them see it.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    signal: watch::Receiver<bool>,
    failure: watch::Sender<bool>,
}

impl Stop {
    /// Watches for signals from now on. The second one ends the process as it would without this.
    pub(super) fn watch() -> anyhow::Result<Self> {
        let (sender, signal) = watch::channel(false);
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        thread::spawn(move || {
            for number in signals.forever() {
                if sender.send_replace(true) {
                    let _ = emulate_default_handler(number);
                }
            }
        });
        let (failure, _) = watch::channel(false);
        Ok(Self { signal, failure })
    }

    /// The same signals, with no failure yet: for the steps that run at once.
    pub(super) fn group(&self) -> Self {
        let (failure, _) = watch::channel(false);
        Self {
            signal: self.signal.clone(),
            failure,
        }
    }

    /// A step has failed.
    pub(super) fn fail(&self) {
        self.failure.send_replace(true);
    }

    pub(super) fn is_signalled(&self) -> bool {
        *self.signal.borrow()
    }

    /// Ends when steps are to end.
    pub(super) async fn come(&self) {
        let (mut signal, mut failure) = (self.signal.clone(), self.failure.subscribe());
        // Neither sender is dropped before.
        tokio::select! {
            _ = signal.wait_for(|it| *it) => {}
            _ = failure.wait_for(|it| *it) => {}
        }
    }
}
