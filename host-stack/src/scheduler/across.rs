//! Stacks that use one another: what one asks of another is done by that one's thread, or, where it has none, along with the first one's own.

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicBool, Ordering},
};

use super::{Job, Scheduler, Threads, Working};

/// The schedulers that a scheduler without a thread has do its work.
#[derive(Default)]
pub(super) struct Lent {
    to: Mutex<Vec<Weak<Scheduler>>>,
    /// It is on their lists.
    is_listed: AtomicBool,
}

/// Does what is to be done in a stack that has no thread.
struct Elsewhere(Weak<Scheduler>);

impl Scheduler {
    /// Does something that belongs to this stack on behalf of another one. What is to be done because of it is not done here, but by this stack's thread; where there is none,
    /// by whoever works the other one's list off.
    pub(crate) fn hand_in<T>(&self, from: &Self, action: impl FnOnce() -> T) -> T {
        if self.is_here() {
            return action();
        }
        self.lend_to(from);
        let result = {
            let _working = Working::begin(self);
            action()
        };
        if self.has_work() {
            self.notify();
        }
        result
    }

    fn lend_to(&self, other: &Self) {
        if self.threads == Threads::Worker {
            return;
        }
        let mut to = self.lent.to.lock().unwrap_or_else(PoisonError::into_inner);
        if !to.iter().any(|it| it.ptr_eq(&other.this)) {
            to.retain(|it| it.strong_count() > 0);
            to.push(Weak::clone(&other.this));
        }
    }

    /// Has others do what is to be done here, unless they are about to.
    pub(super) fn lend(&self) {
        if self.threads == Threads::Worker {
            return;
        }
        let to = self.lent.to.lock().unwrap_or_else(PoisonError::into_inner);
        if to.is_empty() || self.lent.is_listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let to: Vec<_> = to.iter().filter_map(Weak::upgrade).collect();
        let elsewhere = Arc::new(Elsewhere(Weak::clone(&self.this)));
        for other in to {
            other.post(None, Arc::clone(&elsewhere) as Arc<dyn Job>);
        }
    }
}

impl Job for Elsewhere {
    fn run(self: Arc<Self>) {
        if let Some(scheduler) = self.0.upgrade() {
            scheduler.lent.is_listed.store(false, Ordering::Release);
            scheduler.pump();
        }
    }

    fn is_callback(&self) -> bool {
        false
    }
}

impl Drop for Elsewhere {
    /// Whoever was to run it may have gone.
    fn drop(&mut self) {
        if let Some(scheduler) = self.0.upgrade() {
            scheduler.lent.is_listed.store(false, Ordering::Release);
        }
    }
}
