//! Waiting within a stack: the thread works the list off meanwhile.

use std::{cell::Cell, future::poll_fn, task::Poll};

use usbwright_target::Wait;

use super::{Scheduler, across::along, work::WORKS_FOR};

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
        let along = along();
        let mut listed = None;
        let mut listed_along = Vec::new();
        let value = poll_fn(|cx| {
            ASLEEP.set(false);
            loop {
                if let Some(id) = listed.take() {
                    self.waiters.strike(id);
                }
                for (other, id) in along.iter().zip(listed_along.drain(..)) {
                    other.waiters.strike(id);
                }
                if let Some(value) = self.pump_until(&mut ready) {
                    return Poll::Ready(value);
                }
                for other in &along {
                    other.pump();
                }
                // What was put on the list before this thread was on the other is to be done here.
                let id = self.waiters.enlist(cx.waker());
                listed_along.extend(along.iter().map(|it| it.waiters.enlist(cx.waker())));
                if let Some(value) = ready() {
                    self.waiters.strike(id);
                    for (other, id) in along.iter().zip(&listed_along) {
                        other.waiters.strike(*id);
                    }
                    return Poll::Ready(value);
                }
                listed = Some(id);
                if !self.has_work() && !along.iter().any(|it| it.has_work()) {
                    ASLEEP.set(true);
                    return Poll::Pending;
                }
            }
        })
        .wait();
        // Something may be left to be done, and whoever left it may have woken this thread, and no other.
        self.notify_of_work();
        along.iter().for_each(|it| it.notify_of_work());
        value
    }

    /// Has those that wait look whether it has come.
    pub(crate) fn nudge(&self) {
        self.waiters.wake();
    }

    /// Wakes who works the list off, if there is anything.
    pub(super) fn notify_of_work(&self) {
        if self.has_work() {
            self.notify();
        }
    }

    pub(super) fn has_work(&self) -> bool {
        let state = self.state();
        let within = state.alone > 0 && self.is_here();
        !state.failed && state.ready.iter().any(|it| it.is_free(within))
    }
}
