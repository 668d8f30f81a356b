//! That nobody sleeps on whose wait is over, in whatever order threads come: the code of `waiters`, on loom's locks and atomics.

use std::{
    sync::Arc,
    task::{Wake, Waker},
};

use loom::{
    sync::Mutex,
    thread::{self, Thread},
};

use self::waiters::Waiters;

mod sync {
    pub(super) use loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    };
}

#[allow(clippy::duplicate_mod, reason = "it is made of other locks here")]
#[path = "waiters.rs"]
mod waiters;

struct Unparks(Thread);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Something that threads wait for, and its lock.
#[derive(Default)]
struct Awaited {
    has_come: Mutex<bool>,
    waiters: Waiters,
}

impl Awaited {
    fn has_come(&self) -> bool {
        *self.has_come.lock().unwrap()
    }

    /// As [`Scheduler::wait_for`](super::Scheduler::wait_for) waits.
    fn wait(&self) {
        let waker = Waker::from(Arc::new(Unparks(thread::current())));
        loop {
            let id = self.waiters.enlist(&waker);
            if self.has_come() {
                return self.waiters.strike(id);
            }
            thread::park();
            self.waiters.strike(id);
        }
    }

    fn come(&self) {
        *self.has_come.lock().unwrap() = true;
        self.waiters.wake();
    }
}

#[test]
fn a_thread_that_waits_learns_of_what_it_waits_for() {
    loom::model(|| {
        let awaited = Arc::<Awaited>::default();
        let comes = Arc::clone(&awaited);
        let other = thread::spawn(move || comes.come());
        awaited.wait();
        other.join().unwrap();
    });
}

#[test]
fn two_threads_that_wait_learn_of_it_both() {
    let mut model = loom::model::Builder::new();
    // All orders are some hundred thousand.
    model.preemption_bound = Some(2);
    model.check(|| {
        let awaited = Arc::<Awaited>::default();
        let waits = Arc::clone(&awaited);
        let other = thread::spawn(move || waits.wait());
        let comes = Arc::clone(&awaited);
        let third = thread::spawn(move || comes.come());
        awaited.wait();
        other.join().unwrap();
        third.join().unwrap();
    });
}

#[test]
fn a_thread_that_is_woken_for_nothing_waits_on() {
    loom::model(|| {
        let awaited = Arc::<Awaited>::default();
        let comes = Arc::clone(&awaited);
        let other = thread::spawn(move || {
            comes.waiters.wake();
            comes.come();
        });
        awaited.wait();
        other.join().unwrap();
    });
}
