//! A device: what its package grants it, and how often it has failed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Fate, HostKey};
use crate::package::HostPolicy;

/// A device, for as long as it is plugged in. One that is plugged in anew has another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey(pub u64);

/// Devices that may share a host: those with the same name of a pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pool(pub Arc<str>);

/// What a device's package grants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Its pool; without one it has a host of its own.
    pub pool: Option<Pool>,
    /// How often a host of its own is started again.
    pub restarts: u32,
    /// After so long without a failure, failures before are forgotten.
    pub restart_reset: Duration,
    /// How long a critical operation may make no progress.
    pub deadline: Duration,
}

impl Terms {
    /// What a package's policy grants in this pool.
    pub fn new(policy: &HostPolicy, pool: Option<Pool>) -> Self {
        Self {
            pool,
            restarts: policy.restarts,
            restart_reset: policy.restart_reset,
            deadline: policy.deadline,
        }
    }
}

/// What a device does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its host starts.
    Waiting,
    /// Its stack is being built.
    Building,
    /// Its stack is there.
    Running,
    /// Its stack is being taken down.
    Leaving,
    /// Its drivers did not take it.
    Refused,
    /// Its hosts have failed too often.
    Offline,
}

/// How often a device may have failed in its pool before it has a host of its own.
const POOLED_FAILURES: u32 = 1;

#[derive(Debug)]
pub(super) struct Device {
    pub(super) terms: Terms,
    pub(super) stage: Stage,
    pub(super) host: Option<HostKey>,
    /// It has no pool, or was taken out of it.
    pub(super) is_alone: bool,
    /// Failures in its pool.
    pooled_failures: u32,
    /// Times that its own host was started again.
    restarts: u32,
    last_failure: Option<Instant>,
}

impl Device {
    pub(super) fn new(terms: Terms, is_alone: bool) -> Self {
        Self {
            is_alone: is_alone || terms.pool.is_none(),
            terms,
            stage: Stage::Waiting,
            host: None,
            pooled_failures: 0,
            restarts: 0,
            last_failure: None,
        }
    }

    /// Its pooled host has failed, and that counts for this device or not.
    pub(super) fn failed_in_pool(&mut self, counts: bool, now: Instant) -> Fate {
        self.forget(now);
        if counts {
            self.last_failure = Some(now);
            self.is_alone = self.pooled_failures >= POOLED_FAILURES;
            self.pooled_failures += 1;
        }
        let left = self.restarts_left();
        match self.is_alone {
            true => Fate::Alone { left },
            false => Fate::Pooled { left },
        }
    }

    /// Its own host has failed.
    pub(super) fn failed_alone(&mut self, now: Instant) -> Fate {
        self.forget(now);
        self.last_failure = Some(now);
        if self.restarts >= self.terms.restarts {
            return Fate::Offline;
        }
        self.restarts += 1;
        Fate::Alone {
            left: self.restarts_left(),
        }
    }

    /// Failures that were long enough ago are forgotten.
    fn forget(&mut self, now: Instant) {
        let is_old = |at| now.saturating_duration_since(at) >= self.terms.restart_reset;
        if self.last_failure.is_some_and(is_old) {
            self.pooled_failures = 0;
            self.restarts = 0;
        }
    }

    /// How often it can be started again from now on.
    pub(super) fn restarts_left(&self) -> u32 {
        let alone = self.terms.restarts - self.restarts;
        match self.is_alone {
            true => alone,
            // The failures in the pool, and the one that takes it out of there.
            false => alone + (POOLED_FAILURES + 1).saturating_sub(self.pooled_failures),
        }
    }
}
