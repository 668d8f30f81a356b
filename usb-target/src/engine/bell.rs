//! What wakes an engine's thread: rung, it has the port look at what has come.

use std::{sync::Arc, task::Wake};

use super::sync::{AtomicBool, OnceLock, Ordering, Thread};

#[derive(Debug, Default)]
pub(super) struct Bell {
    thread: OnceLock<Thread>,
    /// The port has something to do.
    rung: AtomicBool,
    ended: AtomicBool,
}

impl Bell {
    /// The thread that it wakes from now on; the first one stays.
    pub(super) fn wakes(&self, thread: Thread) {
        let _ = self.thread.set(thread);
    }

    /// Whether there is a thread that it wakes.
    pub(super) fn has_thread(&self) -> bool {
        self.thread.get().is_some()
    }

    /// Wakes the thread, if there is one.
    pub(super) fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Whether it was rung since this was last asked. What was done before it was rung is seen then.
    pub(super) fn take(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }

    /// Has the thread end.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.unpark();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Swapped, as on the other side: whoever comes second sees what the first has done.
        self.rung.swap(true, Ordering::AcqRel);
        self.unpark();
    }
}
