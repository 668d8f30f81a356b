//! What wakes a link's thread besides its socket's data.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    net::{Shutdown, shutdown},
};

/// Wakes a link's thread while it waits: the device has something to do.
#[derive(Debug)]
pub(super) struct Bell {
    rung: AtomicBool,
    event: OwnedFd,
}

impl Bell {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Arc::new(Self {
            rung: AtomicBool::new(false),
            event,
        }))
    }

    /// Whether it has rung since this was last asked. Its event, which may come later than this, is left for the next wait.
    pub(super) fn take(&self) -> bool {
        self.is_rung() && self.rung.swap(false, Ordering::AcqRel)
    }

    /// Whether it has rung and nobody has taken that.
    pub(super) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Relaxed)
    }

    /// Takes the event away that has ended a wait.
    pub(super) fn silence(&self) {
        // There is none where two waits have ended by one event.
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
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

/// Shuts a link's socket down, which ends any wait for it: the device was unplugged.
#[derive(Debug)]
pub(super) struct HangUp(Arc<OwnedFd>);

impl HangUp {
    pub(super) fn new(socket: &Arc<OwnedFd>) -> Arc<Self> {
        Arc::new(Self(Arc::clone(socket)))
    }
}

impl Wake for HangUp {
    fn wake(self: Arc<Self>) {
        // It fails where the client has left, which ends the wait as well.
        let _ = shutdown(&*self.0, Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    /// Whether a wait ends before its time.
    fn ends_waits(bell: &Bell) -> bool {
        let mut events = [PollFd::new(bell, PollFlags::IN)];
        poll(&mut events, Some(&Timespec::default())).unwrap() > 0
    }

    #[test]
    fn a_ring_that_is_seen_before_its_event_comes_does_not_keep_the_thread_spinning() {
        let bell = Bell::new().unwrap();
        let waker = Waker::from(Arc::clone(&bell));
        waker.wake_by_ref();
        assert!(bell.take());
        assert!(ends_waits(&bell));
        bell.silence();
        bell.silence();
        assert!(!ends_waits(&bell) && !bell.take());
        // A ring that nobody has seen still ends the next wait.
        waker.wake_by_ref();
        assert!(ends_waits(&bell));
    }
}
