//! That no thread of an engine sleeps on which is to be awake, in whatever order threads come: the code of `bell` and `sleeper`, on loom's locks and atomics.

use std::{
    sync::Arc,
    task::{Wake, Waker},
    time::Duration,
};

use loom::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};
use usbwright_protocol::Outside;

use self::{bell::Bell, sleeper::Sleeper};

mod sync {
    pub(super) use loom::{
        sync::{
            Mutex, MutexGuard,
            atomic::{AtomicBool, Ordering},
        },
        thread::{self, Thread},
    };

    /// Loom has none.
    #[derive(Debug)]
    pub(super) struct OnceLock<T>(Mutex<Option<T>>);

    impl<T> Default for OnceLock<T> {
        fn default() -> Self {
            Self(Mutex::new(None))
        }
    }

    impl<T: Clone> OnceLock<T> {
        pub(super) fn get(&self) -> Option<T> {
            self.0.lock().unwrap().clone()
        }

        pub(super) fn set(&self, value: T) -> Result<(), T> {
            let mut inner = self.0.lock().unwrap();
            match *inner {
                Some(_) => Err(value),
                None => {
                    *inner = Some(value);
                    Ok(())
                }
            }
        }
    }
}

#[allow(clippy::duplicate_mod, reason = "it is made of other locks here")]
#[path = "bell.rs"]
mod bell;
#[allow(
    clippy::duplicate_mod,
    dead_code,
    reason = "it is made of other locks here"
)]
#[path = "sleeper.rs"]
mod sleeper;

/// Tries all orders with so many changes of thread where none has to be.
fn check(changes: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(changes);
    builder.check(model);
}

/// Runs a thread that others may unpark, and then waits for those. It joins nobody itself: loom takes an unpark for the end of whatever a thread waits in.
fn unparked<T: 'static>(run: impl FnOnce() -> (T, Vec<JoinHandle<()>>) + 'static) -> T {
    let (it, others) = thread::spawn(run).join().unwrap();
    others.into_iter().for_each(|other| other.join().unwrap());
    it
}

/// What an engine's thread does, until it has seen so much of what has come.
fn drive(bell: &Bell, come: &AtomicUsize, all: usize) {
    bell.wakes(thread::current());
    loop {
        // What has come is guarded by nothing else.
        if bell.take() && come.load(Ordering::Relaxed) == all {
            return;
        }
        thread::park();
    }
}

/// Has something come, and rings for it, so many times.
fn ring(bell: &Arc<Bell>, come: &Arc<AtomicUsize>, times: usize) -> JoinHandle<()> {
    let (bell, come) = (Arc::clone(bell), Arc::clone(come));
    thread::spawn(move || {
        for _ in 0..times {
            come.fetch_add(1, Ordering::Relaxed);
            bell.wake_by_ref();
        }
    })
}

#[test]
fn an_engine_s_thread_sees_what_has_come_before_it_was_rung_for() {
    check(3, || {
        unparked(|| {
            let (bell, come) = (Arc::<Bell>::default(), Arc::new(AtomicUsize::new(0)));
            let others = vec![ring(&bell, &come, 2)];
            (drive(&bell, &come, 2), others)
        });
    });
}

#[test]
fn an_engine_s_thread_sees_what_two_others_have_rung_for() {
    check(2, || {
        unparked(|| {
            let (bell, come) = (Arc::<Bell>::default(), Arc::new(AtomicUsize::new(0)));
            let others = vec![ring(&bell, &come, 1), ring(&bell, &come, 1)];
            (drive(&bell, &come, 2), others)
        });
    });
}

#[test]
fn an_engine_s_thread_ends_when_it_is_to_end() {
    check(3, || {
        unparked(|| {
            let bell = Arc::<Bell>::default();
            let ends = Arc::clone(&bell);
            let other = thread::spawn(move || {
                ends.wake_by_ref();
                ends.end();
            });
            bell.wakes(thread::current());
            while !bell.has_ended() {
                bell.take();
                thread::park();
            }
            assert!(bell.has_thread());
            ((), vec![other])
        });
    });
}

/// Something that a thread waits for, of which it is told by a waker.
#[derive(Default)]
struct Awaited(Mutex<(bool, Option<Waker>)>);

impl Awaited {
    /// Another thread, in which it comes.
    fn comes(self: &Arc<Self>) -> JoinHandle<()> {
        let awaited = Arc::clone(self);
        thread::spawn(move || {
            let mut state = awaited.0.lock().unwrap();
            state.0 = true;
            let waker = state.1.take();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        })
    }

    /// As a future is polled.
    fn has_come(&self, sleeper: &Arc<Sleeper>) -> bool {
        let mut state = self.0.lock().unwrap();
        state.1 = Some(Waker::from(Arc::clone(sleeper)));
        state.0
    }
}

/// Blocks as a thread does for a future, and does something whenever that has not ended.
fn block(sleeper: &Arc<Sleeper>, awaited: &Awaited, mut sleep: impl FnMut()) {
    loop {
        sleeper.begin();
        if awaited.has_come(sleeper) {
            return;
        }
        sleep();
    }
}

#[test]
fn a_thread_that_blocks_learns_of_what_it_waits_for() {
    check(3, || {
        unparked(|| {
            let (awaited, sleeper) = (Arc::<Awaited>::default(), Sleeper::new());
            let other = awaited.comes();
            block(&sleeper, &awaited, || sleeper.sleep());
            ((), vec![other])
        });
    });
}

/// A way to wait that only an interruption ends.
#[derive(Default)]
struct Quiet(AtomicBool);

impl Outside for Quiet {
    fn wait(&self, _: Option<Duration>) {
        while !self.0.swap(false, Ordering::AcqRel) {
            thread::yield_now();
        }
    }

    fn interrupt(&self) {
        self.0.swap(true, Ordering::AcqRel);
    }

    fn watch(&self, _: Waker) {}
}

#[test]
fn a_thread_that_waits_outside_is_interrupted_when_what_it_waits_for_has_come() {
    check(2, || {
        unparked(|| {
            let (awaited, sleeper) = (Arc::<Awaited>::default(), Sleeper::new());
            let other = awaited.comes();
            let outside: Arc<dyn Outside> = Arc::<Quiet>::default();
            block(&sleeper, &awaited, || {
                while !sleeper.is_woken() {
                    sleeper.sleep_outside(&outside, || outside.wait(None));
                }
            });
            ((), vec![other])
        });
    });
}

/// Another thread, which promotes one that sleeps.
fn promotes(sleeper: &Arc<Sleeper>) -> JoinHandle<()> {
    let sleeper = Arc::clone(sleeper);
    thread::spawn(move || sleeper.promote())
}

#[test]
fn a_thread_that_follows_leads_once_for_each_time_that_it_is_promoted() {
    check(3, || {
        unparked(|| {
            let sleeper = Sleeper::new();
            let other = promotes(&sleeper);
            sleeper.sleep_or_follow();
            assert!(sleeper.take_promotion());
            assert!(!sleeper.take_promotion());
            ((), vec![other])
        });
    });
}

#[test]
fn a_thread_that_is_promoted_and_woken_at_once_knows_of_both() {
    check(2, || {
        let (leads, sleeper) = unparked(|| {
            let (awaited, sleeper) = (Arc::<Awaited>::default(), Sleeper::new());
            let others = vec![awaited.comes(), promotes(&sleeper)];
            let mut leads = 0;
            block(&sleeper, &awaited, || {
                sleeper.sleep_or_follow();
                leads += usize::from(sleeper.take_promotion());
            });
            ((leads, sleeper), others)
        });
        let late = usize::from(sleeper.take_promotion());
        assert_eq!(leads + late, 1, "whoever passes the lead on finds somebody");
    });
}
