//! Starting and stopping a continuous reader, from anywhere.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    task::Waker,
};

use crate::pipe::{Pipe, PipeCore};

/// Starts and stops a [`ContinuousReader`](super::ContinuousReader), from anywhere. Clones are handles of the same reader. Once
/// the reader is dropped, they do nothing.
#[derive(Clone)]
pub struct ReaderHandle {
    pub(super) pipe: Pipe,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
pub(super) struct Shared {
    /// Whether reads are to be pending.
    pub(super) runs: bool,
    /// Whoever waits for the next message.
    waker: Option<Waker>,
    /// The reader was dropped.
    ended: bool,
}

impl ReaderHandle {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self {
            pipe,
            shared: Arc::default(),
        }
    }

    pub(super) fn core(&self) -> &PipeCore {
        self.pipe.core()
    }

    pub(super) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `waker` woken when the reader is started.
    pub(super) fn listen(&self, waker: &Waker) {
        // The one before is dropped when the lock is free: that may be the end of a task, which may have a handle.
        let _before = self.shared().waker.replace(waker.clone());
    }

    /// Has reads pending from now on, as soon as the reader is waited for. Until it stops, other reads of the pipe are refused.
    pub fn start(&self) {
        let mut shared = self.shared();
        if shared.ended {
            return;
        }
        shared.runs = true;
        self.core().reading.store(true, Ordering::Release);
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the pending reads back, and returns when they have ended. What had come can still be taken from the reader: whole
    /// messages, and what a read that was taken back had brought. Other reads of the pipe get what comes after that.
    pub async fn stop(&self) {
        if !self.halt() {
            return;
        }
        let core = self.core();
        core.engine().cancel_all(core.address());
        core.engine().idle(core.address()).await;
    }

    /// Has no more reads submitted. Tells whether there is a reader still.
    pub(super) fn halt(&self) -> bool {
        let mut shared = self.shared();
        if !shared.ended {
            shared.runs = false;
            self.core().reading.store(false, Ordering::Release);
        }
        !shared.ended
    }

    /// The reader is dropped: from now on the pipe is another's.
    pub(super) fn end(&self) {
        self.halt();
        self.shared().ended = true;
    }

    /// Whether reads are to be pending.
    pub fn is_running(&self) -> bool {
        self.shared().runs
    }
}

impl fmt::Debug for ReaderHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderHandle")
            .field("pipe", &self.pipe)
            .field("runs", &self.is_running())
            .finish()
    }
}
