//! Signals: the first ends the measurement after the run that is under way, a second one at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::bail;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

/// Whether a signal has come.
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn watch() -> anyhow::Result<Self> {
        let come = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_conditional_default(signal, Arc::clone(&come))?;
            flag::register(signal, Arc::clone(&come))?;
        }
        Ok(Self(come))
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("ended by a signal, with what was measured until then");
        }
        Ok(())
    }

    /// A signal is the reason of whatever else went wrong: a terminal sends it to the servers, too.
    pub(super) fn or(&self, outcome: anyhow::Result<()>) -> anyhow::Result<()> {
        outcome.or_else(|error| self.check().and(Err(error)))
    }
}
