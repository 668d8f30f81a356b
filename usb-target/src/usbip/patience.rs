//! How long somebody is waited for by a process that may be stopped itself: time in which it did not run says nothing of the other.

use std::time::{Duration, Instant};

/// What is waited for at once, and the most that a wait counts for.
pub(super) const SLICE: Duration = Duration::from_millis(250);

/// A time that is spent by waiting.
#[derive(Debug)]
pub(super) struct Patience {
    left: Duration,
    /// When it was looked at last.
    seen: Instant,
}

impl Patience {
    /// So much from now on.
    pub(super) fn new(time: Duration, now: Instant) -> Self {
        Self {
            left: time,
            seen: now,
        }
    }

    /// How long to wait before this is asked again; `None` once the time is up.
    pub(super) fn next(&mut self, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.seen);
        self.left = self.left.saturating_sub(passed.min(SLICE));
        self.seen = now;
        let slice = self.left.min(SLICE);
        (!slice.is_zero()).then_some(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Waits as it is told until the time is up: how long that takes.
    fn spend(patience: &mut Patience, begin: Instant) -> Duration {
        let mut now = begin;
        while let Some(slice) = patience.next(now) {
            now += slice;
        }
        now - begin
    }

    #[test]
    fn whoever_runs_waits_as_long_as_was_granted() {
        let now = Instant::now();
        let granted = 10 * SECOND + Duration::from_millis(1);
        assert_eq!(spend(&mut Patience::new(granted, now), now), granted);
    }

    #[test]
    fn whoever_was_stopped_for_longer_than_was_granted_waits_on() {
        let now = Instant::now();
        let mut patience = Patience::new(10 * SECOND, now);
        let later = now + 3600 * SECOND;
        assert_eq!(patience.next(later), Some(SLICE));
        assert_eq!(spend(&mut patience, later), 10 * SECOND - SLICE);
    }

    #[test]
    fn time_that_is_spent_otherwise_than_by_waiting_counts() {
        let mut now = Instant::now();
        let mut patience = Patience::new(SECOND, now);
        for _ in 0..9 {
            now += SECOND / 10;
            assert!(patience.next(now).is_some());
        }
        assert_eq!(patience.next(now + SECOND / 10), None);
    }
}
