//! One port, shared by many futures: whoever submits, waits or has to do at a time drives it.
//!
//! A port is a state machine with one owner; here it is behind a lock. A transfer takes a slot until its future has taken its
//! completion. What ends by itself is noticed
//! * by whoever submits or polls meanwhile;
//! * by a thread that [blocks](wait) for a transfer, where the port lets it wait [outside](Outside), one thread at a time;
//! * by a thread of the engine's own (the [driver]), which exists only where tasks wait, or something is due at a time.

mod clock;
mod driver;
mod flight;
mod slot;
mod state;
mod wait;

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use usbwright_protocol::{
    Completion, DeviceSummary, EndpointAddress, Outside, Port, Status, Transfer, TransferKind,
};

pub(crate) use self::flight::{Flight, Parked};
pub use self::{
    clock::{Clock, ManualClock, Timed},
    wait::Wait,
};
use self::{
    driver::Driver,
    slot::{Phase, SlotId, Slots, Waiting},
    state::State,
};
use crate::pipe::Kept;

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
            state: Mutex::new(State::new(port, outside.is_some())),
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
        self.driver.arrange(self, &mut state);
        if state.woken.is_empty() {
            return result;
        }
        let mut woken = std::mem::take(&mut state.woken);
        drop(state);
        woken.drain(..).for_each(Waker::wake);
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

    pub(crate) fn summary(&self) -> DeviceSummary {
        self.state().port.summary()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state().port.is_connected()
    }

    /// Submits a transfer, with room for so many bytes to come, to be taken back when its time is up. It is on its way at the latest when it is waited for, or
    /// after a [flush](Self::flush).
    pub(crate) fn submit(
        &self,
        endpoint: EndpointAddress,
        kind: TransferKind,
        room: usize,
        until: Option<Instant>,
    ) -> Submitted {
        self.with(|state| {
            let id = state.slots.take(endpoint, room, Phase::Flying);
            let transfer = Transfer {
                id: id.transfer(),
                endpoint,
                kind,
            };
            state.port.submit(transfer, self.clock.read());
            state.unflushed = true;
            state.settle();
            if let Some(ended) = state.take(id) {
                return Submitted::Ended(ended);
            }
            if let Some(until) = until {
                state.set_timer(until, id);
            }
            Submitted::Flying(id)
        })
    }

    /// Has what was submitted go on its way.
    pub(crate) fn flush(&self) {
        self.with(|state| self.send(state));
    }

    fn send(&self, state: &mut State) {
        if std::mem::take(&mut state.unflushed) && self.outside.is_some() {
            state.poll(self.now());
        }
    }

    /// A slot that ends at a time.
    pub(crate) fn timer(&self, until: Instant) -> Submitted {
        self.with(|state| {
            let id = state.slots.take(EndpointAddress::CONTROL, 0, Phase::Timer);
            state.set_timer(until, id);
            Submitted::Flying(id)
        })
    }

    /// The completion of a slot, if it has ended; otherwise its task, or thread, is woken when it has.
    pub(crate) fn poll(&self, id: SlotId, cx: &mut Context<'_>) -> Poll<Completion> {
        self.with(|state| {
            if let Some(ended) = state.take(id) {
                return Poll::Ready(ended);
            }
            let waker = cx.waker().clone();
            let waiting = match wait::note(self) {
                true => Waiting::Thread(waker),
                false => Waiting::Task(waker),
            };
            state.slots.wait(id, waiting);
            self.send(state);
            state.take(id).map_or(Poll::Pending, Poll::Ready)
        })
    }

    /// The completion of a slot, if it has ended.
    pub(crate) fn take(&self, id: SlotId) -> Option<Completion> {
        self.state().take(id)
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

    /// Ends when the port has no transfer on an endpoint any more.
    pub(crate) async fn idle(&self, endpoint: EndpointAddress) {
        self.ended(|slots| slots.flying_on(endpoint).first().copied())
            .await;
    }

    /// Ends when everything that was abandoned on an endpoint has brought what it had to.
    pub(crate) async fn settled(&self, endpoint: EndpointAddress) {
        self.ended(|slots| slots.abandoned_on(endpoint)).await;
    }

    /// Ends when there is no such slot any more.
    async fn ended(&self, last: impl Fn(&Slots) -> Option<SlotId>) {
        poll_fn(|cx| {
            self.with(|state| {
                self.send(state);
                let Some(last) = last(&state.slots) else {
                    return Poll::Ready(());
                };
                let waker = cx.waker().clone();
                let waiting = match wait::note(self) {
                    true => Waiting::Thread(waker),
                    false => Waiting::Task(waker),
                };
                state.slots.wait_for_end(last, waiting);
                Poll::Pending
            })
        })
        .await;
    }

    /// Nobody waits for a slot any more: it is taken back, and what it brings is kept.
    pub(crate) fn abandon(&self, id: SlotId, kept: Option<&Arc<Kept>>) {
        let now = self.now();
        self.with(|state| {
            state.abandon(id, kept, now);
            self.send(state);
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
    fn drive(&self, now: Instant) {
        self.with(|state| state.poll(now));
    }
}

impl Timed for Engine {
    fn deadline(&self) -> Option<Instant> {
        self.state().deadline()
    }

    fn tick(&self) {
        self.drive(self.now());
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
