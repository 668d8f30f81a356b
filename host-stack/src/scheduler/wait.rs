//! Waiting within a stack: the thread works the list off meanwhile.

use std::{
    cell::Cell,
    future::poll_fn,
    task::{Poll, Waker},
};

use usbwright_target::Wait;

use super::{Scheduler, WORKS_FOR, list::Entry};

thread_local! {
    /// This thread waits within a stack, and does nothing else: what it is told meanwhile, as it drives a device, wakes it.
    static ASLEEP: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread waits within a stack, and has to be woken to work its list off.
pub(super) fn is_asleep() -> bool {
    ASLEEP.get()
}

impl Scheduler {
    /// Lets others go on with what this thread's callbacks keep in order, as it waits.
    fn give_way(&self) {
        let given = WORKS_FOR.with_borrow_mut(|all| {
            let mine = all.iter_mut().filter(|it| std::ptr::eq(it.scheduler, self));
            let given = mine.filter_map(|it| Some((it.job.take()?, it.lock.take()?)));
            given.collect::<Vec<_>>()
        });
        for (job, lock) in given {
            lock.set_busy(false);
            self.post(Some(&lock), job);
            self.notify();
        }
    }

    /// Waits in this thread until `ready` tells something, and does what is to be done meanwhile.
    pub(crate) fn wait_for<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        self.give_way();
        let mut listed = None;
        let value = poll_fn(|cx| {
            ASLEEP.set(false);
            loop {
                if let Some(id) = listed.take() {
                    self.strike(id);
                }
                if let Some(value) = self.pump_until(&mut ready) {
                    return Poll::Ready(value);
                }
                // What was put on the list before this thread was on the other is to be done here.
                let id = self.enlist(cx.waker());
                if let Some(value) = ready() {
                    self.strike(id);
                    return Poll::Ready(value);
                }
                listed = Some(id);
                if !self.has_work() {
                    ASLEEP.set(true);
                    return Poll::Pending;
                }
            }
        })
        .wait();
        // Something may be left to be done, and whoever left it may have woken this thread, and no other.
        if self.has_work() {
            self.notify();
        }
        value
    }

    /// Has those that wait look whether it has come.
    pub(crate) fn nudge(&self) {
        let waiters = std::mem::take(&mut self.state().waiters);
        waiters.into_iter().for_each(|(_, waker)| waker.wake());
    }

    fn enlist(&self, waker: &Waker) -> u64 {
        let mut state = self.state();
        state.waiters_seen += 1;
        let id = state.waiters_seen;
        state.waiters.push((id, waker.clone()));
        id
    }

    fn strike(&self, id: u64) {
        self.state().waiters.retain(|(it, _)| *it != id);
    }

    fn has_work(&self) -> bool {
        let state = self.state();
        !state.failed && state.ready.iter().any(Entry::is_free)
    }
}
