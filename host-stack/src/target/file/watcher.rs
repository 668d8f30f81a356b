//! A thread that tells when something can be done with a descriptor.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    io::Errno,
};

use super::stream::Shared;

/// How long it rests where the system can't wait for the descriptor.
const REST: Duration = Duration::from_millis(100);

/// Tells when something can be done with a descriptor. Dropped, it ends its thread.
pub(super) struct Watcher(Arc<Watched>);

struct Watched {
    /// Has the thread look what is wanted.
    event: OwnedFd,
    /// What is waited for; `None` for no more.
    wanted: Mutex<Option<PollFlags>>,
}

impl Watcher {
    pub(super) fn start(descriptor: &Arc<OwnedFd>, tells: &Arc<Shared>) -> io::Result<Self> {
        let watched = Arc::new(Watched {
            event: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            wanted: Mutex::new(Some(PollFlags::empty())),
        });
        let (own, descriptor) = (Arc::clone(&watched), Arc::clone(descriptor));
        let tells = Arc::downgrade(tells);
        thread::Builder::new()
            .name("host-stack watch".to_owned())
            .spawn(move || own.work(&descriptor, &tells))?;
        Ok(Self(watched))
    }

    /// Has it told, once, when one of these can be done, or the descriptor has failed.
    pub(super) fn want(&self, wanted: PollFlags) {
        let before = self.0.wanted().replace(wanted);
        if before != Some(wanted) {
            self.0.interrupt();
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        *self.0.wanted() = None;
        self.0.interrupt();
    }
}

impl Watched {
    fn wanted(&self) -> MutexGuard<'_, Option<PollFlags>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interrupt(&self) {
        // It fails only where the counter is full, and then the wait ends all the same.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }

    /// What the thread does, until nobody wants anything any more.
    fn work(&self, descriptor: &OwnedFd, tells: &Weak<Shared>) {
        loop {
            let Some(wanted) = *self.wanted() else {
                return;
            };
            if !self.wait(descriptor, wanted) {
                continue;
            }
            let mut still = self.wanted();
            if still.is_none() {
                return;
            }
            *still = Some(PollFlags::empty());
            drop(still);
            match tells.upgrade() {
                Some(tells) => tells.is_ready(),
                None => return,
            }
        }
    }

    /// Waits until something can be done, which it tells, or is wanted.
    fn wait(&self, descriptor: &OwnedFd, wanted: PollFlags) -> bool {
        let mut events = [
            PollFd::new(&self.event, PollFlags::IN),
            PollFd::new(descriptor, wanted),
        ];
        // Where nothing is wanted, a descriptor that has failed is no reason to wake.
        let count = if wanted.is_empty() { 1 } else { 2 };
        match poll(&mut events[..count], None) {
            Ok(_) => {}
            Err(Errno::INTR) => return false,
            Err(error) => {
                tracing::warn!("a descriptor can't be waited for: {error}");
                thread::park_timeout(REST);
                return true;
            }
        }
        let [event, descriptor] = events.map(|it| it.revents());
        if !event.is_empty() {
            let _ = rustix::io::read(&self.event, &mut [0; 8]);
        }
        !descriptor.is_empty()
    }
}
