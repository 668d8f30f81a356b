//! How a queue is stopped, drained and purged, and when it has become so.

use std::sync::{Arc, MutexGuard};

use super::{
    Queue, QueueShared,
    state::{State, Then, Wanted},
};
use crate::{
    request::irp::{Irp, Location},
    scheduler::{holds, serves},
    status::NtStatus,
};

impl QueueShared {
    /// A request does not wait here any more. Tells whether the driver is told, who ends it then.
    pub(super) fn withdraw(&self, state: &mut State, irp: &Arc<Irp>) -> bool {
        let mut body = irp.body();
        if state.handlers.canceled.is_none() || !body.top().was_delivered {
            body.place(Location::Driver);
            return false;
        }
        drop(body);
        if Self::hand_out(state, irp).is_some() {
            state.canceled.push_back(Arc::clone(irp));
        }
        true
    }

    pub(super) fn start(self: &Arc<Self>) {
        let mut state = self.lock();
        state.accepts = true;
        state.dispatches = true;
        state.purges = false;
        state.filled |= !state.waiting.is_empty();
        self.post(state);
    }

    /// Whether the queue will become idle; it does not where it is waited for already.
    pub(super) fn make_idle(self: &Arc<Self>, wanted: Wanted, then: Option<Then>) -> bool {
        let mut state = self.lock();
        if state.idle.is_some() {
            return false;
        }
        state.idle = Some((wanted, then));
        state.dispatches = wanted != Wanted::Stopped;
        state.accepts = wanted == Wanted::Stopped;
        state.purges = wanted == Wanted::Purged;
        state.filled |= wanted == Wanted::Drained && !state.waiting.is_empty();
        match wanted {
            Wanted::Purged => self.purge(state),
            Wanted::Stopped | Wanted::Drained => self.post(state),
        }
        true
    }

    /// Cancels requests that wait, and those that the driver has marked.
    pub(super) fn purge(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let mut waiting = std::mem::take(&mut state.waiting);
        let driver = state.driver.clone();
        waiting.retain(|irp| !self.withdraw(&mut state, irp));
        self.post(state);
        for irp in waiting {
            irp.complete(NtStatus::CANCELLED.into());
        }
        for irp in driver {
            irp.purge(self);
        }
    }

    /// Whether what waits here comes to the driver only when a callback returns that this thread is within.
    pub(crate) fn is_stuck_here(&self) -> bool {
        let state = self.lock();
        let (with_driver, held) = (!state.driver.is_empty(), state.held);
        drop(state);
        let in_order = self.is_sequential() && with_driver && serves::<Self>(self);
        let in_turn = !self.is_manual() && holds(self.order());
        let stack = self.device().and_then(|it| it.stack().upgrade());
        in_order || in_turn || held && stack.is_some_and(|it| it.is_changed_here())
    }

    /// Ends a request that waits, without a word to the driver.
    pub(crate) fn refuse(&self, irp: &Arc<Irp>, status: NtStatus) {
        let mut state = self.lock();
        let Some(place) = state.waiting.iter().position(|it| Arc::ptr_eq(it, irp)) else {
            return;
        };
        state.waiting.remove(place);
        drop(state);
        irp.body().place(Location::Driver);
        irp.complete(status.into());
    }

    /// The stack has failed: nobody waits any more for what is here.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.accepts = false;
        let dropped = (
            std::mem::take(&mut state.waiting),
            std::mem::take(&mut state.driver),
        );
        drop(state);
        drop(dropped);
        self.nudge();
    }

    /// Whether the queue has become as it was wanted, as nobody but a thread waits for.
    pub(super) fn take_idle(&self) -> Option<()> {
        let mut state = self.lock();
        match is_idle(&state) {
            true => {
                state.idle = None;
                Some(())
            }
            false => None,
        }
    }

    pub(super) fn tell_idle(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if !is_idle(&state) || state.idle.as_ref().is_some_and(|(_, then)| then.is_none()) {
            return;
        }
        let then = state.idle.take().and_then(|(_, then)| then);
        drop(state);
        if let Some(then) = then {
            then(&Queue::of(self));
        }
    }
}

fn is_idle(state: &State) -> bool {
    state.idle.as_ref().is_some_and(|(wanted, _)| {
        state.driver.is_empty() && (*wanted == Wanted::Stopped || state.waiting.is_empty())
    })
}
