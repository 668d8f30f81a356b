//! What wakes the thread of a serial line besides its file descriptors.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
};

use rustix::event::{EventfdFlags, eventfd};

/// Rings where the device has something for the thread, or where the thread is to end.
#[derive(Debug)]
pub(super) struct Bell {
    rung: AtomicBool,
    ends: AtomicBool,
    event: OwnedFd,
}

impl Bell {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Arc::new(Self {
            rung: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            event,
        }))
    }

    /// Tells the thread to end.
    pub(super) fn end(self: &Arc<Self>) {
        self.ends.store(true, Ordering::Release);
        self.wake_by_ref();
    }

    /// Whether the thread is to end.
    pub(super) fn ends(&self) -> bool {
        self.ends.load(Ordering::Acquire)
    }

    /// Ends the ringing, before one looks for what it was about.
    pub(super) fn silence(&self) {
        if self.rung.swap(false, Ordering::AcqRel) {
            // Where the event is still to come, it ends a wait in vain.
            let _ = rustix::io::read(&self.event, &mut [0; 8]);
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // It fails only where the counter is full, and then the thread is woken all the same.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }
}
