//! Threads that wait within a stack, and how they learn that what they wait for may have come.
//!
//! What a thread waits for is guarded by a lock of its own: it [enlists](Waiters::enlist), and looks whether it has come; whoever brings it about does so, and
//! [wakes](Waiters::wake). So either the thread finds it, or whoever wakes finds the thread. Mostly nobody waits, which costs no lock to know.

use std::{sync::PoisonError, task::Waker};

use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

#[derive(Default)]
pub(super) struct Waiters {
    any: AtomicBool,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    wakers: Vec<(u64, Waker)>,
    /// How many have enlisted.
    seen: u64,
}

impl Waiters {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, the thread is woken. It has to look once more before it sleeps.
    pub(super) fn enlist(&self, waker: &Waker) -> u64 {
        let mut list = self.list();
        list.seen += 1;
        let id = list.seen;
        list.wakers.push((id, waker.clone()));
        self.any.store(true, Ordering::Relaxed);
        id
    }

    /// The thread waits no more.
    pub(super) fn strike(&self, id: u64) {
        let mut list = self.list();
        list.wakers.retain(|(it, _)| *it != id);
        self.any.store(!list.wakers.is_empty(), Ordering::Relaxed);
    }

    /// Has those that wait look again. Tells whether anybody waited.
    ///
    /// What they wait for was brought about under a lock under which they look. So the order of these locks is that of the looks at `any`, which needs none of its own.
    pub(super) fn wake(&self) -> bool {
        self.any.load(Ordering::Relaxed) && self.wake_all()
    }

    /// As [`wake`](Self::wake), where what they wait for was not brought about under such a lock.
    pub(super) fn wake_all(&self) -> bool {
        let mut list = self.list();
        let woken = std::mem::take(&mut list.wakers);
        self.any.store(false, Ordering::Relaxed);
        drop(list);
        let any = !woken.is_empty();
        woken.into_iter().for_each(|(_, waker)| waker.wake());
        any
    }
}
