//! Timers of drivers, by the stack's clock: for callbacks, and to be awaited.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{
    device::{Device, DeviceShared, Ends},
    scheduler::{Job, TimerId},
    status::{HResult, NtStatus},
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
        let scheduler = device.scheduler();
        if let Some(time) = scheduler.now().checked_add(after) {
            let id = scheduler.at(time, Arc::clone(&due) as Arc<dyn Job>);
            due.state().id = Some(id);
        }
        device.add_child(&(Arc::clone(&due) as Arc<dyn Ends>));
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

/// A while that a driver awaits, from [`Device::sleep`]. It runs whether it is awaited or not. Dropped, it is forgotten.
#[must_use = "nobody sleeps who does not await it"]
pub struct Sleep(Arc<Rest>);

/// Wakes a future once a time has come.
struct Rest {
    device: Weak<DeviceShared>,
    state: Mutex<Resting>,
}

#[derive(Default)]
struct Resting {
    ended: Option<Result<(), HResult>>,
    waker: Option<Waker>,
    id: Option<TimerId>,
}

impl Sleep {
    pub(crate) fn new(device: &Arc<DeviceShared>, time: Duration) -> Self {
        let rest = Arc::new(Rest {
            device: Arc::downgrade(device),
            state: Mutex::default(),
        });
        let scheduler = device.scheduler();
        if let Some(time) = scheduler.now().checked_add(time) {
            let id = scheduler.at(time, Arc::clone(&rest) as Arc<dyn Job>);
            rest.state().id = Some(id);
        }
        device.add_child(&(Arc::clone(&rest) as Arc<dyn Ends>));
        Self(rest)
    }
}

impl Rest {
    fn state(&self) -> MutexGuard<'_, Resting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, how: Result<(), HResult>) {
        let mut state = self.state();
        state.ended.get_or_insert(how);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn unset(&self) {
        let id = self.state().id.take();
        if let (Some(id), Some(device)) = (id, self.device.upgrade()) {
            device.scheduler().unset(id);
        }
    }
}

impl Job for Rest {
    fn run(self: Arc<Self>) {
        self.finish(Ok(()));
    }

    fn is_callback(&self) -> bool {
        false
    }
}

impl Ends for Rest {
    fn end(&self) {
        self.unset();
        self.finish(Err(NtStatus::DEVICE_REMOVED.into()));
    }

    fn only_wakes(&self) -> bool {
        true
    }
}

impl Future for Sleep {
    type Output = Result<(), HResult>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state();
        if let Some(how) = state.ended {
            return Poll::Ready(how);
        }
        let before = state.waker.replace(cx.waker().clone());
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.0.unset();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").finish_non_exhaustive()
    }
}
