//! Futures of drivers, which the stack's scheduler runs.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Wake, Waker},
};

use crate::{
    device::{DeviceShared, Ends},
    scheduler::Job,
};

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    state: Mutex<State>,
    device: Weak<DeviceShared>,
}

#[derive(Default)]
struct State {
    /// `None` while it is polled, and once it has ended.
    future: Option<Running>,
    /// It is being polled. A driver that waits within its future may have it woken meanwhile, in the same thread.
    is_polled: bool,
    /// It was woken meanwhile.
    again: bool,
    /// Its device has gone.
    dropped: bool,
}

/// Has a future of a device's driver run to its end, or until the device goes, or until it is ended by what this returns.
pub(crate) fn spawn(
    device: &Arc<DeviceShared>,
    future: impl Future<Output = ()> + Send + 'static,
) -> Weak<dyn Ends> {
    let task = Arc::new(Task {
        state: Mutex::new(State {
            future: Some(Box::pin(future)),
            ..State::default()
        }),
        device: Arc::downgrade(device),
    });
    let ends: Arc<dyn Ends> = Arc::clone(&task) as Arc<dyn Ends>;
    device.add_child(&ends);
    device.scheduler().post(None, task);
    Arc::downgrade(&ends)
}

/// Lets others go on, where a future may never have to wait.
pub(crate) fn give_way() -> impl Future<Output = ()> {
    let mut given = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

impl Task {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Running> {
        let mut state = self.state();
        state.again = state.is_polled;
        let future = state.future.take()?;
        state.is_polled = true;
        Some(future)
    }

    /// Keeps the future until it is woken. Tells whether it has been.
    fn put_back(&self, future: Running) -> bool {
        let mut state = self.state();
        state.is_polled = false;
        if state.dropped {
            drop(state);
            drop(future);
            return false;
        }
        state.future = Some(future);
        state.again
    }
}

impl Job for Task {
    fn run(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        let Some(mut future) = self.take() else {
            return;
        };
        let ended = future.as_mut().poll(&mut Context::from_waker(&waker));
        if ended == Poll::Pending && self.put_back(future) {
            self.wake();
        }
    }

    fn calls(&self) -> Option<(Arc<str>, &'static str)> {
        let device = self.device.upgrade()?;
        Some((Arc::clone(device.driver()), "a future"))
    }
}

impl Ends for Task {
    fn end(&self) {
        let mut state = self.state();
        state.dropped = true;
        let future = state.future.take();
        drop(state);
        drop(future);
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if let Some(device) = self.device.upgrade() {
            device.scheduler().post(None, self);
        }
    }
}
