//! What a user has done and the host has not read yet.

use std::collections::VecDeque;

/// Reports that wait for the host, at the most.
pub(super) const MOST_WAITING: usize = 1 << 16;

/// How far the host has read what its user has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// Whether a host has configured the device.
    pub configured: bool,
    /// Reports that the host has not read.
    pub waiting: usize,
    /// Reports that no host will read, as it reset the device or configured it anew while they waited.
    pub forgotten: u64,
}

/// Why a device can't do what its user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Nobody would see it.
    #[error("no host uses the device: attach it first")]
    NotConfigured,
    /// The host does not read.
    #[error(
        "{waiting} reports wait for the host to read them, and there is no room for {wanted} more, of {MOST_WAITING} in all"
    )]
    Full {
        /// How many wait.
        waiting: usize,
        /// How many there would be more.
        wanted: usize,
    },
}

impl Delivery {
    /// Whether so many reports may be added.
    pub(super) fn admit(&self, wanted: usize) -> Result<(), InputError> {
        let waiting = self.waiting;
        match self.configured {
            false => Err(InputError::NotConfigured),
            true if wanted > MOST_WAITING.saturating_sub(waiting) => {
                Err(InputError::Full { waiting, wanted })
            }
            true => Ok(()),
        }
    }

    /// The host has configured the device, or has let go of it. What waited is forgotten.
    pub(super) fn connect(&mut self, configured: bool) {
        self.forgotten += self.waiting as u64;
        self.waiting = 0;
        self.configured = configured;
    }
}

/// The states of a device whose every change is a report of its own.
#[derive(Clone, Debug)]
pub(super) struct States<const N: usize> {
    neutral: [u8; N],
    /// What the host was told last.
    told: [u8; N],
    /// What it will have been told once it has read all.
    latest: [u8; N],
    waiting: VecDeque<[u8; N]>,
    delivery: Delivery,
}

impl<const N: usize> States<N> {
    pub(super) fn new(neutral: [u8; N]) -> Self {
        Self {
            neutral,
            told: neutral,
            latest: neutral,
            waiting: VecDeque::new(),
            delivery: Delivery::default(),
        }
    }

    pub(super) fn delivery(&self) -> Delivery {
        self.delivery
    }

    pub(super) fn latest(&self) -> [u8; N] {
        self.latest
    }

    pub(super) fn told(&self) -> [u8; N] {
        self.told
    }

    /// Goes through states, of which those that are no change are left out. It tells whether a report waits that did not before.
    ///
    /// # Errors
    /// Where nobody would see them or there is no room; then nothing is done.
    pub(super) fn pass_through(
        &mut self,
        states: impl IntoIterator<Item = [u8; N]>,
    ) -> Result<bool, InputError> {
        let mut latest = self.latest;
        let changes = states.into_iter().filter(|state| {
            let change = *state != latest;
            latest = *state;
            change
        });
        let changes: Vec<_> = changes.take(MOST_WAITING + 1).collect();
        self.delivery.admit(changes.len())?;
        self.latest = changes.last().copied().unwrap_or(self.latest);
        let before = self.waiting.len();
        self.waiting.extend(changes);
        self.delivery.waiting = self.waiting.len();
        Ok(self.waiting.len() > before)
    }

    /// Changes to a state that lasts. Where no host uses the device, the next one is told.
    ///
    /// # Errors
    /// Where there is no room.
    pub(super) fn set(&mut self, state: [u8; N]) -> Result<bool, InputError> {
        if self.delivery.configured {
            return self.pass_through([state]);
        }
        self.latest = state;
        Ok(false)
    }

    pub(super) fn next(&mut self) -> Option<[u8; N]> {
        let state = self.waiting.pop_front()?;
        self.delivery.waiting = self.waiting.len();
        self.told = state;
        Some(state)
    }

    /// As [`Delivery::connect`]. A host is told what is not neutral.
    pub(super) fn connect(&mut self, configured: bool) {
        self.delivery.connect(configured);
        self.waiting.clear();
        self.told = self.neutral;
        if configured && self.latest != self.neutral {
            self.waiting.push_back(self.latest);
            self.delivery.waiting = 1;
        }
    }
}

/// What [`Held::act`](crate::shared::Held::act) wants to know, of states that were gone through: whether the device has something to send.
pub(super) fn answer(passed: Result<bool, InputError>) -> (bool, Result<(), InputError>) {
    (passed.unwrap_or(false), passed.map(|_| ()))
}
