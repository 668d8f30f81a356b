//! What runs a stack's callbacks: a list of what is to be done, worked off by whoever waits for the stack, or by a thread of its own.
//!
//! No callback runs within a call of the framework: what a driver's call brings about is put on the list. So a driver may hold a lock of its own
//! while it completes a request, and nothing recurses. Whoever waits (an application, a driver that sends synchronously) works the list off meanwhile; where
//! nobody does, a worker thread is woken. With [`Threads::None`] there is no such thread, and a test says when what is to be done is done.

mod across;
mod alone;
#[cfg(test)]
mod interleavings;
mod list;
#[cfg(test)]
mod tests;
mod wait;
mod waiters;
mod work;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tracing::error;
use usbwright_target::{Clock, Timed};

use self::across::Lent;
pub(crate) use self::list::{DeviceLock, TimerId};
pub(crate) use self::work::{holds, is_within, serves};
use self::{
    list::{Entry, State},
    waiters::Waiters,
    work::{Calls, Work, Working},
};

/// What [`waiters`] is made of, for which its tests have something else.
mod sync {
    pub(super) use std::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    };
}

/// Whether a stack has a thread of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threads {
    /// One, which begins when it is first needed.
    #[default]
    Worker,
    /// None: what nobody waits for is done when [`Stack::run`](crate::Stack::run) is called.
    None,
    /// None, and a seed decides in which order things are done, and how much of it within an application's call. For tests.
    Seeded(u64),
}

/// Something to be done.
pub(crate) trait Job: Send + Sync {
    /// Does it. It is called once for each time that it was put on the list.
    fn run(self: Arc<Self>);

    /// Whether it calls a driver back for a request, who is not to wait for others then.
    fn is_callback(&self) -> bool {
        true
    }

    /// The driver that is called, and the callback; for what is told of a panic.
    fn calls(&self) -> Calls {
        None
    }
}

/// What is told of a panic: the driver and the callback, as far as they are known, and what it said.
type OnPanic = dyn Fn(Calls, String) + Send + Sync;

/// The most things that an application's call does for others, before it leaves the rest to the worker.
const TURN: usize = 64;

pub(crate) struct Scheduler {
    state: Mutex<State>,
    /// Threads that wait within, and work the list off when they are woken.
    waiters: Waiters,
    /// Nothing is done any more.
    ended: AtomicBool,
    clock: Clock,
    threads: Threads,
    /// What becomes of a panic: it is told, and the stack fails.
    panicked: Mutex<Option<Arc<OnPanic>>>,
    lent: Lent,
    this: Weak<Self>,
}

impl Scheduler {
    pub(crate) fn new(clock: Clock, threads: Threads) -> Arc<Self> {
        let scheduler = Arc::new_cyclic(|this| Self {
            state: Mutex::new(State {
                seed: match threads {
                    Threads::Seeded(seed) => Some(seed),
                    _ => None,
                },
                ..State::default()
            }),
            waiters: Waiters::default(),
            ended: AtomicBool::new(false),
            clock,
            threads,
            panicked: Mutex::default(),
            lent: Lent::default(),
            this: Weak::clone(this),
        });
        if let Clock::Manual(clock) = &scheduler.clock {
            let this: Weak<Self> = Weak::clone(&scheduler.this);
            clock.register(this);
        }
        scheduler
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present time.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Says what becomes of a callback's panic.
    pub(crate) fn on_panic(&self, action: impl Fn(Calls, String) + Send + Sync + 'static) {
        let mut panicked = self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
        *panicked = Some(Arc::new(action));
    }

    /// Has a job done.
    pub(crate) fn post(&self, lock: Option<&Arc<DeviceLock>>, job: Arc<dyn Job>) {
        let entry = Entry {
            lock: lock.cloned(),
            job,
            alone: false,
        };
        let mut state = self.state();
        if self.has_ended() {
            drop(state);
            return drop(entry);
        }
        state.ready.push_back(entry);
        drop(state);
        if !self.is_here() || wait::is_asleep() {
            self.notify();
        }
    }

    /// Has a job done once a time has come.
    pub(crate) fn at(&self, time: Instant, job: Arc<dyn Job>) -> TimerId {
        let mut state = self.state();
        state.timers_set += 1;
        let id = (time, state.timers_set);
        if self.has_ended() {
            drop(state);
            drop(job);
            return id;
        }
        state.timers.insert(id, job);
        let first = state
            .timers
            .first_key_value()
            .is_some_and(|(it, _)| *it == id);
        drop(state);
        if first && matches!(self.clock, Clock::System) {
            self.alarm(&mut self.state());
        }
        id
    }

    /// Unsets a timer.
    pub(crate) fn unset(&self, id: TimerId) {
        let job = self.state().timers.remove(&id);
        drop(job);
    }

    /// Wakes who works the list off.
    fn notify(&self) {
        if !self.waiters.wake() {
            self.alarm(&mut self.state());
            self.lend();
        }
    }

    /// Wakes the worker.
    fn alarm(&self, state: &mut State) {
        match &state.worker {
            Some(worker) => worker.unpark(),
            None if self.threads == Threads::Worker && !self.has_ended() => self.begin(state),
            None => {}
        }
    }

    fn begin(&self, state: &mut State) {
        let this = Weak::clone(&self.this);
        let builder = thread::Builder::new().name("host-stack".to_owned());
        match builder.spawn(move || work(&this)) {
            Ok(thread) => state.worker = Some(thread.thread().clone()),
            Err(error) => error!("callbacks may be late, as no thread can be made: {error}"),
        }
    }

    /// Does something that belongs to the stack, and then what is to be done because of it.
    pub(crate) fn enter<T>(&self, action: impl FnOnce() -> T) -> T {
        if self.is_here() {
            return action();
        }
        let result = {
            let _working = Working::begin(self);
            action()
        };
        self.go_on();
        result
    }

    /// Does what is to be done: all of it, as much as the seed says, or what may be asked of this thread where there is a worker.
    pub(crate) fn go_on(&self) {
        match self.threads {
            Threads::Seeded(_) => while self.draw(4) != 0 && self.pump_one() {},
            Threads::None => while self.pump_one() {},
            Threads::Worker => {
                let done = (0..TURN).take_while(|_| self.pump_one()).count();
                if done == TURN {
                    self.notify();
                }
            }
        }
    }

    /// Does what is to be done until `ready` tells something, or nothing is left.
    fn pump_until<T>(&self, ready: &mut impl FnMut() -> Option<T>) -> Option<T> {
        while self.pump_one() {
            if self.threads == Threads::Worker
                && let Some(value) = ready()
            {
                return Some(value);
            }
        }
        ready()
    }

    /// A number below `count`, as the seed says; 0 without a seed.
    fn draw(&self, count: usize) -> usize {
        self.state().draw(count)
    }

    /// Does what is to be done, as far as devices are not busy with something else. Tells whether there was anything.
    pub(crate) fn pump(&self) -> bool {
        let mut any = false;
        while self.pump_one() {
            any = true;
        }
        any
    }

    fn pump_one(&self) -> bool {
        let entry = self.take();
        entry.map(|entry| self.call(entry)).is_some()
    }

    fn call(&self, entry: Entry) {
        let Entry { lock, job, .. } = entry;
        let gives_way = lock.as_ref().is_some_and(|it| it.gives_way);
        let again = gives_way.then(|| Arc::clone(&job));
        let working = Working::enter(Work {
            scheduler: self,
            in_callback: job.is_callback(),
            lock,
            job: again,
            serves: Arc::as_ptr(&job).cast(),
            calls: job.calls(),
        });
        let ended = catch_unwind(AssertUnwindSafe(|| job.run()));
        let calls = working.end();
        if let Err(panic) = ended {
            self.state().failed = true;
            let message = crate::verifier::message_of(&*panic);
            let panicked = self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
            let action = panicked.clone();
            drop(panicked);
            if let Some(action) = action {
                action(calls, message);
            }
        }
    }

    /// What is to be done next, what has become due included, if its device is not busy, which it is from now on.
    fn take(&self) -> Option<Entry> {
        let mut state = self.state();
        if !state.timers.is_empty() {
            self.expire(&mut state);
        }
        if state.failed {
            let dropped = std::mem::take(&mut state.ready);
            state.alone = 0;
            drop(state);
            dropped.into_iter().for_each(forget);
            return None;
        }
        let within = state.alone > 0 && self.is_here();
        let place = match state.seed {
            None => state.ready.iter().position(|it| it.is_free(within)),
            Some(_) => {
                let is_free = |it: &Entry| it.is_free(within);
                let count = state.ready.iter().filter(|it| is_free(it)).count();
                let drawn = state.draw(count);
                let mut free = (0..state.ready.len()).filter(|it| is_free(&state.ready[*it]));
                free.nth(drawn)
            }
        }?;
        let entry = match place {
            0 => state.ready.pop_front(),
            _ => state.ready.remove(place),
        }?;
        if let Some(lock) = &entry.lock {
            lock.set_busy(true);
        }
        state.alone -= usize::from(entry.alone);
        Some(entry)
    }

    /// Puts what is due on the list.
    fn expire(&self, state: &mut State) {
        let now = self.now();
        while let Some(first) = state.timers.first_entry()
            && first.key().0 <= now
        {
            let job = first.remove();
            state.ready.push_back(Entry {
                lock: None,
                job,
                alone: false,
            });
        }
    }

    /// Ends the thread, and forgets what was to be done. Nothing is done any more.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let mut state = self.state();
        let forgotten = (
            std::mem::take(&mut state.ready),
            std::mem::take(&mut state.timers),
        );
        if let Some(worker) = &state.worker {
            worker.unpark();
        }
        drop(state);
        let (ready, timers) = forgotten;
        ready.into_iter().for_each(forget);
        timers.into_values().for_each(forget);
        self.waiters.wake_all();
    }

    /// Whether nothing is done any more: who waits for a driver waits in vain.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// Drops what is not done any more, with what drivers have put into it. Its panic is nobody's any more.
fn forget(dropped: impl Sized) {
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(dropped)));
    if let Err(panic) = dropped {
        let message = crate::verifier::message_of(&*panic);
        error!("a driver panicked as what it had asked for was dropped: {message}");
    }
}

impl Timed for Scheduler {
    fn deadline(&self) -> Option<Instant> {
        self.state().timers.keys().next().map(|(time, _)| *time)
    }

    fn tick(&self) {
        let mut state = self.state();
        self.expire(&mut state);
        drop(state);
        match self.threads {
            Threads::Worker => self.notify(),
            Threads::None | Threads::Seeded(_) => self.go_on(),
        }
    }
}

/// What the worker does: what is to be done, until the stack has gone.
fn work(scheduler: &Weak<Scheduler>) {
    loop {
        let Some(alive) = scheduler.upgrade() else {
            return;
        };
        if alive.has_ended() {
            return;
        }
        alive.pump();
        let due = match alive.clock {
            Clock::System => alive.deadline(),
            Clock::Manual(_) => None,
        };
        drop(alive);
        match due {
            None => thread::park(),
            Some(due) => thread::park_timeout(
                due.saturating_duration_since(Instant::now())
                    .max(Duration::from_micros(50)),
            ),
        }
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").finish_non_exhaustive()
    }
}
