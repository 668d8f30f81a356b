//! The time that transfers, policies and devices go by: the system's, or a test's.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use usbwright_protocol::Now;

/// The time that a device's host goes by.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's monotonic clock.
    #[default]
    System,
    /// A clock that stands still until it is told to go on.
    Manual(ManualClock),
}

impl Clock {
    /// The present time.
    pub fn now(&self) -> Instant {
        self.read().instant()
    }

    /// The present time, to be read when it is looked at.
    pub(crate) fn read(&self) -> Now {
        match self {
            Self::System => Now::SYSTEM,
            Self::Manual(clock) => clock.now().into(),
        }
    }

    pub(crate) fn is_manual(&self) -> bool {
        matches!(self, Self::Manual(_))
    }
}

impl From<ManualClock> for Clock {
    fn from(clock: ManualClock) -> Self {
        Self::Manual(clock)
    }
}

/// Something that has to do when a time comes.
pub trait Timed: Send + Sync {
    /// When it has something to do next.
    fn deadline(&self) -> Option<Instant>;

    /// Does what is due.
    fn tick(&self);
}

/// A clock for tests: it stands still until it is [advanced](Self::advance). Clones are handles of the same clock.
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<State>>);

struct State {
    now: Instant,
    listeners: Vec<Weak<dyn Timed>>,
}

impl ManualClock {
    /// A clock that tells the time at which it was made.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            now: Instant::now(),
            listeners: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it tells.
    pub fn now(&self) -> Instant {
        self.state().now
    }

    /// Has `timed` ticked whenever the clock passes its deadline, for as long as it lives.
    pub fn register(&self, timed: Weak<dyn Timed>) {
        self.state().listeners.push(timed);
    }

    /// Lets the time pass. Whatever becomes due meanwhile is done at its time and in the order of time, before this returns.
    pub fn advance(&self, by: Duration) {
        let until = self.now() + by;
        loop {
            let listeners = self.listeners();
            let due = listeners
                .iter()
                .filter_map(|it| it.deadline())
                .min()
                .filter(|due| *due <= until);
            let Some(due) = due else {
                break;
            };
            let mut state = self.state();
            state.now = state.now.max(due);
            drop(state);
            for timed in listeners {
                if timed.deadline().is_some_and(|deadline| deadline <= due) {
                    timed.tick();
                }
            }
        }
        let mut state = self.state();
        state.now = state.now.max(until);
    }

    fn listeners(&self) -> Vec<Arc<dyn Timed>> {
        let mut state = self.state();
        state.listeners.retain(|it| it.strong_count() > 0);
        state.listeners.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ticks {
        clock: ManualClock,
        due: Mutex<Vec<Instant>>,
        seen: Mutex<Vec<Instant>>,
    }

    impl Timed for Ticks {
        fn deadline(&self) -> Option<Instant> {
            self.due.lock().unwrap().last().copied()
        }

        fn tick(&self) {
            self.due.lock().unwrap().pop();
            self.seen.lock().unwrap().push(self.clock.now());
        }
    }

    #[test]
    fn what_is_due_is_done_at_its_time_and_in_order() {
        let clock = ManualClock::new();
        let start = clock.now();
        let at = |ms| start + Duration::from_millis(ms);
        let ticks = Arc::new(Ticks {
            clock: clock.clone(),
            due: Mutex::new(vec![at(20), at(7), at(3)]),
            seen: Mutex::default(),
        });
        let listener: Weak<dyn Timed> = Arc::downgrade(&(ticks.clone() as Arc<dyn Timed>));
        clock.register(listener);
        clock.advance(Duration::from_millis(10));
        assert_eq!(*ticks.seen.lock().unwrap(), [at(3), at(7)]);
        assert_eq!(clock.now(), at(10));
        drop(ticks);
        clock.advance(Duration::from_millis(100));
        assert_eq!(clock.now(), at(110));
    }
}
