//! Timers of drivers, by the stack's clock.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use crate::{
    device::{Device, DeviceShared, Ends},
    scheduler::{Job, TimerId},
};

type Then = Box<dyn FnOnce(&Device) + Send>;

/// A timer that was set with [`Device::after`]. Dropped, it is unset.
#[doc(alias = "WDFTIMER")]
#[must_use = "a timer that is dropped is unset"]
pub struct Timer(Arc<Due>);

/// Calls a driver once a time has come. It is put on the scheduler's list twice: by the clock, and then as a callback of its device.
struct Due {
    device: Weak<DeviceShared>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    then: Option<Then>,
    id: Option<TimerId>,
    has_come: bool,
}

impl Timer {
    pub(crate) fn set(device: &Arc<DeviceShared>, after: Duration, then: Then) -> Self {
        let due = Arc::new(Due {
            device: Arc::downgrade(device),
            state: Mutex::new(State {
                then: Some(then),
                ..State::default()
            }),
        });
        device.add_child(&(Arc::clone(&due) as Arc<dyn Ends>));
        let scheduler = device.scheduler();
        if let Some(time) = scheduler.now().checked_add(after) {
            let id = scheduler.at(time, Arc::clone(&due) as Arc<dyn Job>);
            due.state().id = Some(id);
        }
        Self(due)
    }
}

impl Due {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job for Due {
    fn run(self: Arc<Self>) {
        let Some(device) = self.device.upgrade() else {
            return;
        };
        let mut state = self.state();
        if !std::mem::replace(&mut state.has_come, true) {
            drop(state);
            return device.post(self);
        }
        let then = state.then.take();
        drop(state);
        if let Some(then) = then {
            then(&Device::of(&device));
        }
    }

    fn calls(&self) -> Option<(Arc<str>, &'static str)> {
        let device = self.device.upgrade()?;
        Some((Arc::clone(device.driver()), "a timer"))
    }
}

impl Ends for Due {
    fn end(&self) {
        let mut state = self.state();
        let (then, id) = (state.then.take(), state.id.take());
        drop(state);
        drop(then);
        if let (Some(id), Some(device)) = (id, self.device.upgrade()) {
            device.scheduler().unset(id);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}
