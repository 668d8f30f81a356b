//! A thread that blocks, and how it is woken: by whatever it waits for, or to wait outside for others.

use std::{
    sync::{Arc, PoisonError},
    task::Wake,
};

use usbwright_protocol::Outside;

use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering, Thread, thread};

/// Wakes a thread from its blocking call.
pub(super) struct Sleeper {
    thread: Thread,
    woken: AtomicBool,
    /// It is to drive the engine that it waits for, as nobody else does so any more.
    promoted: AtomicBool,
    /// What the thread waits for instead of for this.
    outside: Mutex<Option<Arc<dyn Outside>>>,
}

impl Sleeper {
    /// This thread's.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            thread: thread::current(),
            woken: AtomicBool::new(false),
            promoted: AtomicBool::new(false),
            outside: Mutex::default(),
        })
    }

    /// From now on, to be woken counts.
    pub(super) fn begin(&self) {
        self.woken.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
    }

    /// Sleeps until this is woken.
    pub(super) fn sleep(&self) {
        while !self.is_woken() {
            thread::park();
        }
    }

    /// Sleeps until this is woken or promoted.
    pub(super) fn sleep_or_follow(&self) {
        while !self.is_woken() && !self.promoted.load(Ordering::SeqCst) {
            thread::park();
        }
    }

    /// Has the thread drive the engine that it waits for.
    pub(super) fn promote(&self) {
        // Swapped, as on the other side: one of them comes second, and knows of the first.
        self.promoted.swap(true, Ordering::SeqCst);
        self.thread.unpark();
    }

    /// Whether it was promoted, which it is not any more.
    pub(super) fn take_promotion(&self) -> bool {
        self.promoted.swap(false, Ordering::SeqCst)
    }

    /// Calls `wait`, which ends soon when this is woken.
    pub(super) fn sleep_outside(&self, outside: &Arc<dyn Outside>, wait: impl FnOnce()) {
        *self.outside() = Some(Arc::clone(outside));
        if !self.is_woken() {
            wait();
        }
        *self.outside() = None;
    }

    fn outside(&self) -> MutexGuard<'_, Option<Arc<dyn Outside>>> {
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
