//! Unlinks that have overtaken the submits that they name: Linux' `vhci_tx` sends unlinks first.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::{Duration, Instant},
};

use tracing::debug;

/// How long an unlink waits for the submit that it has overtaken. A submit that never comes leaves it to be answered.
pub(super) const WAIT: Duration = Duration::from_secs(1);
/// Unlinks that may wait for their submits.
pub(super) const MOST: usize = 1024;

/// Unlinks whose submit has not come, by the submit's number.
#[derive(Debug, Default)]
pub(super) struct EarlyUnlinks(HashMap<u32, Waiting>);

#[derive(Debug)]
struct Waiting {
    unlink: u32,
    until: Instant,
}

impl EarlyUnlinks {
    /// Has an unlink wait for its submit; `false` where it is to be answered at once, as too many wait, or one for the same submit.
    pub(super) fn add(&mut self, unlink: u32, target: u32, now: Instant) -> bool {
        if self.0.len() >= MOST {
            return false;
        }
        match self.0.entry(target) {
            Entry::Vacant(entry) => {
                let until = now + WAIT;
                entry.insert(Waiting { unlink, until });
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// The number of the unlink that a submit was overtaken by, if it was.
    #[inline]
    pub(super) fn take(&mut self, submit: u32) -> Option<u32> {
        if self.0.is_empty() {
            return None;
        }
        self.0.remove(&submit).map(|waiting| waiting.unlink)
    }

    /// Takes those out that have waited long enough, to be answered.
    pub(super) fn expire(&mut self, now: Instant, mut answer: impl FnMut(u32)) {
        self.0.retain(|target, waiting| {
            let waits = now < waiting.until;
            if !waits {
                debug!(target, "unlink of a transfer that never came");
                answer(waiting.unlink);
            }
            waits
        });
    }

    /// When the first of them has waited long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|waiting| waiting.until).min()
    }
}
