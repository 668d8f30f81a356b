//! One port, shared by many futures: whoever submits, waits or has to do at a time drives it.
//!
//! A port is a state machine with one owner; here it is behind a lock. A transfer takes a slot until its future has taken its
//! completion. What ends by itself is noticed
//! * by whoever submits or polls meanwhile;
//! * by a thread that [blocks](wait) for a transfer, where the port lets it wait [outside](Outside), one thread at a time;
//! * by a thread of the engine's own (the [driver]), which exists only where tasks wait, or something is due at a time.

mod bell;
mod clock;
mod driver;
mod flight;
mod gone;
#[cfg(test)]
mod interleavings;
mod line;
mod rows;
mod sleeper;
mod slot;
mod state;
#[cfg(test)]
mod tests;
mod wait;

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use usbwright_protocol::{
    Completion, DeviceSummary, EndpointAddress, Outside, Port, Status, TransferKind,
};

pub use self::{
    clock::{Clock, ManualClock, Timed},
    gone::Gone,
    wait::Wait,
};
use self::{
    driver::Driver,
    slot::{Phase, Slot, SlotId, Waiting},
    state::State,
};
pub(crate) use self::{
    flight::{Flight, Parked},
    line::Line,
};
use crate::pipe::Kept;

/// What [`bell`] and [`sleeper`] are made of, for which their tests have something else.
mod sync {
    pub(super) use std::{
        sync::{
            Mutex, MutexGuard, OnceLock,
            atomic::{AtomicBool, Ordering},
        },
        thread::{self, Thread},
    };
}

/// A transfer that was submitted: it has ended already, or is in a slot.
#[derive(Debug)]
pub(crate) enum Submitted {
    Ended(Completion),
    Flying(SlotId),
}

/// Shares a port.
pub(crate) struct Engine {
    state: Mutex<State>,
    outside: Option<Arc<dyn Outside>>,
    clock: Clock,
    driver: Driver,
    /// Itself, for the driver.
    this: Weak<Self>,
}

impl Engine {
    pub(crate) fn new(port: Box<dyn Port>, clock: Clock) -> Arc<Self> {
        let outside = port.outside();
        let driver = Driver::new();
        let engine = Arc::new_cyclic(|this| Self {
            state: Mutex::new(State::new(port, outside.is_some(), clock.now())),
            outside,
            clock,
            driver,
            this: Weak::clone(this),
        });
        if engine.outside.is_none() {
            engine.state().port.set_waker(engine.driver.waker());
        }
        if let Clock::Manual(clock) = &engine.clock {
            let this: Weak<Self> = Weak::clone(&engine.this);
            clock.register(this);
        }
        engine
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the state, and what follows from it: the driver learns of new deadlines, and who waits is woken.
    fn with<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = action(&mut state);
        if !state.drives_itself() {
            self.driver.arrange(self, &mut state);
        }
        let Some(last) = state.woken.pop() else {
            return result;
        };
        if state.woken.is_empty() {
            drop(state);
            last.wake();
            return result;
        }
        let mut woken = std::mem::take(&mut state.woken);
        drop(state);
        woken.drain(..).for_each(Waker::wake);
        last.wake();
        // The room is kept for those who are woken next.
        let mut state = self.state();
        if state.woken.capacity() < woken.capacity() {
            woken.append(&mut state.woken);
            state.woken = woken;
        }
        result
    }

    /// The present time.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// When so much time will have passed; `None` for never, and where no clock gets there.
    pub(crate) fn after(&self, time: Option<Duration>) -> Option<Instant> {
        let time = time?;
        self.now().checked_add(time)
    }

    pub(crate) fn summary(&self) -> DeviceSummary {
        self.state().port.summary()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state().port.is_connected()
    }

    /// Submits a transfer, to be taken back when its time is up. It is on its way at the latest when it is waited for, or after a
    /// [flush](Self::flush).
    pub(crate) fn submit(
        &self,
        endpoint: EndpointAddress,
        kind: TransferKind,
        until: Option<Instant>,
    ) -> Submitted {
        self.with(|state| {
            let id = state.submit(endpoint, kind, until, self.clock.read(), None);
            match state.take(id) {
                Some(ended) => Submitted::Ended(ended),
                None => Submitted::Flying(id),
            }
        })
    }

    /// Has what was submitted go on its way.
    pub(crate) fn flush(&self) {
        self.with(|state| self.send(state));
    }

    fn send(&self, state: &mut State) {
        if std::mem::take(&mut state.unflushed) && self.outside.is_some() {
            state.poll(self.clock.read());
        }
    }

    /// A slot that ends at a time.
    pub(crate) fn timer(&self, until: Instant) -> Submitted {
        self.with(|state| {
            let id = state
                .slots
                .take(EndpointAddress::CONTROL, 0, Phase::Timer, None);
            state.set_timer(until, id);
            Submitted::Flying(id)
        })
    }

    /// The completion of a slot, if it has ended; otherwise its task, or thread, is woken when it has.
    pub(crate) fn poll(&self, id: SlotId, cx: &mut Context<'_>) -> Poll<Completion> {
        self.poll_until(|_| Some(id), cx, |state| state.take(id))
    }

    /// What `take` finds; where that is nothing, the task, or thread, is woken when the slot that is awaited has ended.
    fn poll_until<T>(
        &self,
        awaited: impl Fn(&mut State) -> Option<SlotId>,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut State) -> Option<T>,
    ) -> Poll<T> {
        let waiting = self.waiting(cx);
        // Wakers are dropped when the lock is free: they may be the last of a task, which may have transfers.
        let (polled, _before) = self.with(|state| {
            if let Some(found) = take(state) {
                return (Poll::Ready(found), waiting);
            }
            let before = match awaited(state) {
                Some(id) => state.slots.wait(id, waiting),
                None => waiting,
            };
            self.send(state);
            (take(state).map_or(Poll::Pending, Poll::Ready), before)
        });
        polled
    }

    /// Who polls.
    fn waiting(&self, cx: &Context<'_>) -> Waiting {
        let waker = cx.waker().clone();
        let call = self.outside.as_ref().and_then(|_| wait::note(self));
        match call {
            Some(call) => Waiting::Thread(waker, call),
            None => Waiting::Task(waker),
        }
    }

    /// Takes a transfer back; it ends as cancelled, or as it had ended before.
    pub(crate) fn cancel(&self, id: SlotId) {
        let now = self.now();
        self.with(|state| {
            state.cancel(id, now);
            self.send(state);
        });
    }

    /// Takes every transfer on an endpoint back, the latest first.
    pub(crate) fn cancel_all(&self, endpoint: EndpointAddress) {
        let now = self.now();
        self.with(|state| {
            for id in state.slots.flying_on(endpoint) {
                state.cancel(id, now);
            }
            self.send(state);
        });
    }

    /// Ends when the port has none of the transfers on an endpoint any more that it has now.
    pub(crate) async fn idle(&self, endpoint: EndpointAddress) {
        let last = self.state().slots.taken();
        let is_meant = |slot: &Slot| slot.endpoint == endpoint && slot.order <= last;
        poll_fn(|cx| self.poll_without(is_meant, cx)).await;
    }

    /// Ends when the port has no transfer on an endpoint any more that was taken back as nobody waits for it.
    pub(crate) async fn settled(&self, endpoint: EndpointAddress) {
        let is_meant =
            |slot: &Slot| slot.endpoint == endpoint && matches!(slot.phase, Phase::Abandoned(_));
        poll_fn(|cx| self.poll_without(is_meant, cx)).await;
    }

    /// Whether the port has none of the transfers that are meant.
    fn poll_without(&self, is_meant: impl Fn(&Slot) -> bool, cx: &mut Context<'_>) -> Poll<()> {
        let waiting = self.waiting(cx);
        let (polled, _before) = self.with(|state| {
            self.send(state);
            match state.slots.latest(is_meant) {
                Some(latest) => (Poll::Pending, state.slots.wait_for_end(latest, waiting)),
                None => (Poll::Ready(()), waiting),
            }
        });
        polled
    }

    /// Nobody waits for a slot any more: it is taken back, and what it brings is kept.
    pub(crate) fn abandon(&self, id: SlotId, kept: Option<&Arc<Kept>>) {
        let now = self.now();
        let _before = self.with(|state| {
            let before = state.slots.wait(id, Waiting::Nobody);
            state.abandon(id, kept, now);
            self.send(state);
            before
        });
    }

    /// A bus reset: every transfer ends.
    pub(crate) fn reset(&self) {
        let now = self.now();
        self.with(|state| {
            state.port.reset(now);
            state.unflushed = true;
            state.settle();
            self.send(state);
        });
    }

    /// Lets the port act on the time and on what has come.
    fn drive(&self) {
        let now = self.clock.read();
        self.with(|state| state.poll(now));
    }
}

impl Timed for Engine {
    fn deadline(&self) -> Option<Instant> {
        self.state().deadline()
    }

    fn tick(&self) {
        self.drive();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.driver.end();
        if let Some(outside) = &self.outside {
            outside.interrupt();
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// How long a port may take to give a transfer back that was cancelled, before it is ended without it.
const GRACE: Duration = Duration::from_secs(1);

/// How a transfer ends that the port does not give back.
fn given_up(id: SlotId, timed_out: bool) -> Completion {
    let status = match timed_out {
        true => Status::TimedOut,
        false => Status::Cancelled,
    };
    Completion::empty(id.transfer(), status)
}
