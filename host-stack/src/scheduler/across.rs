//! Stacks that use one another: what one asks of another is done by that one's thread, or, where it has none, along with the first one's own.

use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Job, Scheduler, Threads, Working};

/// The schedulers that a scheduler without a thread has do its work.
#[derive(Default)]
pub(super) struct Lent {
    to: Mutex<Vec<Weak<Scheduler>>>,
    /// It is on their lists.
    is_listed: AtomicBool,
}

/// Does what is to be done in another stack.
struct Elsewhere {
    there: Weak<Scheduler>,
    /// Who does it.
    by: Weak<Scheduler>,
}

thread_local! {
    /// The schedulers whose list this thread works off further out, as part of which it does another one's work.
    static ALONG: RefCell<Vec<Weak<Scheduler>>> = const { RefCell::new(Vec::new()) };
}

/// The schedulers whose work waits as long as this thread does.
pub(super) fn along() -> Vec<Arc<Scheduler>> {
    ALONG.with_borrow(|all| all.iter().filter_map(Weak::upgrade).collect())
}

/// While it lives, the thread does one scheduler's work as part of another's.
struct Along;

impl Along {
    fn begin(by: &Weak<Scheduler>) -> Self {
        ALONG.with_borrow_mut(|all| all.push(Weak::clone(by)));
        Self
    }
}

impl Drop for Along {
    fn drop(&mut self) {
        ALONG.with_borrow_mut(Vec::pop);
    }
}

impl Scheduler {
    /// Does something that belongs to this stack on behalf of another one. What is to be done because of it is not done here, but by this stack's thread; where there is none,
    /// or it is this thread, by whoever works the other one's list off.
    pub(crate) fn hand_in<T>(&self, from: &Self, action: impl FnOnce() -> T) -> T {
        if self.is_here() {
            let result = action();
            if !std::ptr::eq(self, from) && self.has_work() {
                from.post(None, self.elsewhere(from));
            }
            return result;
        }
        self.lend_to(from);
        let result = {
            let _working = Working::begin(self);
            action()
        };
        self.notify_of_work();
        result
    }

    fn elsewhere(&self, by: &Self) -> Arc<dyn Job> {
        Arc::new(Elsewhere {
            there: Weak::clone(&self.this),
            by: Weak::clone(&by.this),
        })
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

    fn borrowers(&self) -> Vec<Arc<Self>> {
        let to = self.lent.to.lock().unwrap_or_else(PoisonError::into_inner);
        to.iter().filter_map(Weak::upgrade).collect()
    }

    /// Has others do what is to be done here, unless they are about to.
    pub(super) fn lend(&self) {
        if self.threads == Threads::Worker {
            return;
        }
        let others = self.borrowers();
        if others.is_empty() || self.lent.is_listed.swap(true, Ordering::AcqRel) {
            return;
        }
        for other in others {
            other.post(None, self.elsewhere(&other));
        }
    }
}

impl Job for Elsewhere {
    fn run(self: Arc<Self>) {
        if let Some(there) = self.there.upgrade() {
            there.lent.is_listed.store(false, Ordering::Release);
            let _along = Along::begin(&self.by);
            there.pump();
        }
    }

    fn is_callback(&self) -> bool {
        false
    }
}

impl Drop for Elsewhere {
    /// Whoever was to run it may have gone.
    fn drop(&mut self) {
        if let Some(there) = self.there.upgrade() {
            there.lent.is_listed.store(false, Ordering::Release);
        }
    }
}
