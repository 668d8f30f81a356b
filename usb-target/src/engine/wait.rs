//! Blocking for a future: the thread drives the device that it waits for itself, where it can.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

use usbwright_protocol::Outside;

use super::{Engine, sleeper::Sleeper, slot::CallId};

/// The blocking form of every future here, and of any other that needs no runtime.
pub trait Wait: Future + Sized {
    /// Waits for the future in this thread. Not for use within a task, as its runtime's other tasks would wait as well.
    fn wait(self) -> Self::Output {
        let sleeper = SLEEPER.take().unwrap_or_else(Sleeper::new);
        let output = Blocking::new(&sleeper).run(pin!(self));
        SLEEPER.set(Some(sleeper));
        output
    }
}

impl<F: Future> Wait for F {}

thread_local! {
    /// The innermost blocking call of this thread.
    static CALL: RefCell<Option<Call>> = const { RefCell::new(None) };
    /// This thread's sleeper, between blocking calls.
    static SLEEPER: Cell<Option<Arc<Sleeper>>> = const { Cell::new(None) };
}

/// A blocking call, as the futures see it that it polls.
struct Call {
    id: CallId,
    /// The engine that the thread drives while it waits.
    engine: Option<Arc<Engine>>,
}

/// Whether this thread polls within a blocking call that drives this engine while it waits: it drives one at a time. Not to be
/// called with an engine's lock held.
pub(super) fn note(engine: &Engine) -> Option<CallId> {
    let (id, other) = CALL.with_borrow_mut(|call| {
        let call = call.as_mut()?;
        match &call.engine {
            Some(other) if !std::ptr::eq(Arc::as_ptr(other), engine) => {
                Some((call.id, Some(Arc::clone(other))))
            }
            Some(_) => Some((call.id, None)),
            None => {
                call.engine = engine.this.upgrade();
                Some((call.id, None))
            }
        }
    })?;
    if let Some(other) = other {
        if other.with(|state| state.slots.awaited_by(id)) {
            return None;
        }
        other.leave(id);
        let entered = engine.this.upgrade();
        CALL.with_borrow_mut(|call| call.as_mut().map(|call| call.engine = entered));
    }
    Some(id)
}

/// A blocking call.
struct Blocking<'a> {
    sleeper: &'a Arc<Sleeper>,
    id: CallId,
    /// The call around this one.
    outer: Option<Call>,
}

impl<'a> Blocking<'a> {
    fn new(sleeper: &'a Arc<Sleeper>) -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let id = CallId(CALLS.fetch_add(1, Ordering::Relaxed));
        Self {
            sleeper,
            id,
            outer: CALL.replace(Some(Call { id, engine: None })),
        }
    }

    fn run<F: Future>(&self, mut future: Pin<&mut F>) -> F::Output {
        let waker = Waker::from(Arc::clone(self.sleeper));
        let mut cx = Context::from_waker(&waker);
        loop {
            self.sleeper.begin();
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            let engine = CALL.with_borrow(|call| call.as_ref()?.engine.clone());
            match engine {
                Some(engine) => engine.drive_until_woken(self.sleeper, self.id),
                None => self.sleeper.sleep(),
            }
        }
    }
}

impl Drop for Blocking<'_> {
    /// Puts back what the call around this one waits for, and has another thread drive the engine, on every way out.
    fn drop(&mut self) {
        let call = CALL.replace(self.outer.take());
        if let Some(engine) = call.and_then(|call| call.engine) {
            engine.leave(self.id);
        }
    }
}

/// What a thread does that waits for an engine.
enum Turn {
    /// It waits outside, until something is due at the latest.
    Lead(Arc<dyn Outside>, Option<Instant>),
    /// Another one does so.
    Follow,
    /// It does not wait for this engine, after all.
    None,
}

impl Engine {
    /// A blocking call does not drive the engine any more: what it has not taken, somebody else sees to.
    fn leave(&self, call: CallId) {
        self.with(|state| {
            state.slots.disown(call);
            state.pass_lead();
        });
    }

    /// Waits outside, or where another thread does so, for its turn; until this thread is woken. Whoever goes to do something
    /// else than to wait passes the lead on: there is no telling how long that takes.
    fn drive_until_woken(&self, sleeper: &Arc<Sleeper>, call: CallId) {
        loop {
            match self.take_turn(sleeper, call) {
                Turn::None => return sleeper.sleep(),
                Turn::Lead(outside, due) => {
                    let due = due.filter(|_| !self.clock.is_manual());
                    let timeout = due.map(|due| due.saturating_duration_since(self.now()));
                    sleeper.sleep_outside(&outside, || outside.wait(timeout));
                    let followed = self.end_lead();
                    if sleeper.is_woken() {
                        if followed {
                            self.with(|state| state.pass_lead());
                        }
                        return;
                    }
                }
                Turn::Follow => {
                    sleeper.sleep_or_follow();
                    let woken = sleeper.is_woken();
                    self.with(|state| {
                        state.followers.retain(|it| !Arc::ptr_eq(it, sleeper));
                        if sleeper.take_promotion() && woken {
                            state.pass_lead();
                        }
                    });
                    if woken {
                        return;
                    }
                }
            }
        }
    }

    fn take_turn(&self, sleeper: &Arc<Sleeper>, call: CallId) -> Turn {
        self.with(|state| {
            let awaited = state.slots.awaited_by(call);
            match &self.outside {
                Some(outside) if awaited && !state.led => {
                    state.led = true;
                    Turn::Lead(Arc::clone(outside), state.deadline())
                }
                Some(_) if awaited => {
                    state.followers.push_back(Arc::clone(sleeper));
                    Turn::Follow
                }
                _ => {
                    state.pass_lead();
                    Turn::None
                }
            }
        })
    }
}
