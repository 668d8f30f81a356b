//! What wakes a thread that waits for descriptors.

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

/// Wakes a thread while it waits: its descriptor becomes readable. One ring writes to it, however many follow before it is
/// [taken](Self::take).
#[derive(Debug)]
pub struct Bell {
    rung: AtomicBool,
    event: OwnedFd,
}

impl Bell {
    /// A bell that has not rung.
    ///
    /// # Errors
    /// Where there are no more descriptors.
    pub fn new() -> io::Result<Arc<Self>> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Arc::new(Self {
            rung: AtomicBool::new(false),
            event,
        }))
    }

    /// Whether it has rung since this was last asked. Its event, which may come later than this, is left for the next wait.
    pub fn take(&self) -> bool {
        self.is_rung() && self.rung.swap(false, Ordering::AcqRel)
    }

    /// Whether it has rung and nobody has taken that.
    pub fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Relaxed)
    }

    /// Takes the event away that has ended a wait. It has to come before [`take`](Self::take): between the two another ring has no event.
    pub fn silence(&self) {
        // There is none where two waits have ended by one event.
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
    }

    /// After a wait, before one looks for what the ring was about.
    pub fn answer(&self) {
        self.silence();
        self.take();
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

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicU32, task::Waker, thread};

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

    #[test]
    fn a_ring_while_another_one_is_answered_is_not_lost() {
        const RINGS: u32 = 300_000;
        let bell = Bell::new().unwrap();
        let count = AtomicU32::new(0);
        let limit = Timespec {
            tv_sec: 60,
            tv_nsec: 0,
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..RINGS {
                    count.fetch_add(1, Ordering::Relaxed);
                    bell.wake_by_ref();
                }
            });
            while count.load(Ordering::Relaxed) < RINGS {
                let mut events = [PollFd::new(&bell, PollFlags::IN)];
                assert_eq!(poll(&mut events, Some(&limit)), Ok(1), "nobody has rung");
                bell.answer();
            }
        });
    }
}
