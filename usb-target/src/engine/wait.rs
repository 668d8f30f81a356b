//! Blocking for a future: the thread drives the device that it waits for itself, where it can.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use usbwright_protocol::Outside;

use super::Engine;

/// The blocking form of every future here, and of any other that needs no runtime.
pub trait Wait: Future + Sized {
    /// Waits for the future in this thread. Not for use within a task, as its runtime's other tasks would wait as well.
    fn wait(self) -> Self::Output {
        let sleeper = SLEEPER.take().unwrap_or_else(Sleeper::new);
        let outer = AWAITED.replace(Some(None));
        let restored = Restored(outer);
        let output = Blocking {
            sleeper: &sleeper,
            led: None,
        }
        .run(pin!(self));
        drop(restored);
        SLEEPER.set(Some(sleeper));
        output
    }
}

impl<F: Future> Wait for F {}

thread_local! {
    /// Whether this thread polls within a blocking call, and the engine that the call waits for.
    static AWAITED: RefCell<Option<Option<Arc<Engine>>>> = const { RefCell::new(None) };
    /// This thread's sleeper, between blocking calls.
    static SLEEPER: Cell<Option<Arc<Sleeper>>> = const { Cell::new(None) };
}

/// Notes that this thread's blocking call waits for an engine. Tells whether there is such a call, and it can drive that
/// engine: it waits for no other one.
pub(super) fn note(engine: &Engine) -> bool {
    AWAITED.with_borrow_mut(|awaited| match awaited {
        None => false,
        Some(Some(other)) => std::ptr::eq(Arc::as_ptr(other), engine),
        Some(none) => {
            *none = engine.this.upgrade();
            true
        }
    })
}

/// Puts back what a blocking call around this one waits for, on every way out.
struct Restored(Option<Option<Arc<Engine>>>);

impl Drop for Restored {
    fn drop(&mut self) {
        AWAITED.set(self.0.take());
    }
}

/// A blocking call.
struct Blocking<'a> {
    sleeper: &'a Arc<Sleeper>,
    /// The engine that it has driven of late.
    led: Option<Arc<Engine>>,
}

impl Blocking<'_> {
    fn run<F: Future>(&mut self, mut future: Pin<&mut F>) -> F::Output {
        let waker = Waker::from(Arc::clone(self.sleeper));
        let mut cx = Context::from_waker(&waker);
        loop {
            self.sleeper.woken.store(false, Ordering::SeqCst);
            AWAITED.set(Some(None));
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            match AWAITED.replace(Some(None)).flatten() {
                Some(engine) if engine.outside.is_some() => {
                    engine.lead(self.sleeper, &waker);
                    self.led = Some(engine);
                }
                _ => {
                    self.leave();
                    self.sleeper.sleep();
                }
            }
        }
    }

    /// Has another thread drive the engine.
    fn leave(&mut self) {
        if let Some(engine) = self.led.take() {
            engine.with(|state| engine.pass_lead(state));
        }
    }
}

impl Drop for Blocking<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Engine {
    /// Waits outside until something has come, or where another thread does so, until that wakes this one.
    fn lead(&self, sleeper: &Arc<Sleeper>, waker: &Waker) {
        let Some(outside) = &self.outside else {
            return;
        };
        let (leads, due) = self.with(|state| {
            let leads = !std::mem::replace(&mut state.led, true);
            if !leads {
                state.followers.push_back(waker.clone());
            }
            (leads, state.deadline())
        });
        if leads {
            let due = due.filter(|_| !self.clock.is_manual());
            let timeout = due.map(|due| due.saturating_duration_since(self.now()));
            sleeper.sleep_outside(outside, || outside.wait(timeout));
            self.end_lead();
        } else {
            sleeper.sleep();
            let mut state = self.state();
            state.followers.retain(|it| !it.will_wake(waker));
        }
    }
}

/// Wakes a thread from its blocking call.
struct Sleeper {
    thread: Thread,
    woken: AtomicBool,
    /// What the thread waits for instead of for this.
    outside: Mutex<Option<Arc<dyn Outside>>>,
}

impl Sleeper {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            thread: thread::current(),
            woken: AtomicBool::new(false),
            outside: Mutex::default(),
        })
    }

    fn sleep(&self) {
        while !self.woken.load(Ordering::SeqCst) {
            thread::park();
        }
    }

    /// Calls `wait`, which ends soon when this is woken.
    fn sleep_outside(&self, outside: &Arc<dyn Outside>, wait: impl FnOnce()) {
        *self.outside() = Some(Arc::clone(outside));
        if !self.woken.load(Ordering::SeqCst) {
            wait();
        }
        *self.outside() = None;
    }

    fn outside(&self) -> std::sync::MutexGuard<'_, Option<Arc<dyn Outside>>> {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if let Some(outside) = &*self.outside() {
            outside.interrupt();
        }
        self.thread.unpark();
    }
}
