//! A queue's state: what waits, what the driver has, and what it is to do next.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{Dispatch, Handlers, Queue, QueueState};
use crate::{
    context::Context,
    device::DeviceShared,
    file::File,
    request::{
        Request, RequestType,
        irp::{Irp, Location},
    },
    scheduler::{DeviceLock, Job},
    status::{HResult, NtStatus, Win32Error},
};

/// Called when a queue has become idle.
pub(super) type Then = Box<dyn FnOnce(&Queue) + Send>;

/// How a queue is to become idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Stopped,
    Drained,
    Purged,
}

pub(crate) struct QueueShared {
    device: Weak<DeviceShared>,
    dispatch: Dispatch,
    power_managed: bool,
    /// Has requests delivered in their order.
    order: Arc<DeviceLock>,
    allows_empty: bool,
    handlers: Mutex<Arc<Handlers>>,
    context: Context,
    state: Mutex<State>,
    this: Weak<Self>,
}

pub(super) struct State {
    pub(super) waiting: VecDeque<Arc<Irp>>,
    /// Requests that the driver has.
    pub(super) driver: Vec<Arc<Irp>>,
    pub(super) accepts: bool,
    pub(super) dispatches: bool,
    /// What waits is cancelled, and what the driver puts back.
    pub(super) purges: bool,
    pub(super) held: bool,
    /// Waits until the queue is idle.
    pub(super) idle: Option<(Wanted, Option<Then>)>,
    /// Requests cancelled while they waited, of which the driver is to be told.
    pub(super) canceled: VecDeque<Arc<Irp>>,
    /// The driver is to be told that the queue is no longer empty.
    pub(super) filled: bool,
    /// It is to be told so of the next request, as it has put back what there is.
    put_back: bool,
    /// It is on the scheduler's list.
    posted: bool,
}

impl QueueShared {
    pub(super) fn new(
        device: &Arc<DeviceShared>,
        dispatch: Dispatch,
        power_managed: bool,
        allows_empty: bool,
        handlers: Handlers,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            device: Arc::downgrade(device),
            dispatch,
            power_managed,
            order: DeviceLock::for_order(),
            allows_empty,
            handlers: Mutex::new(Arc::new(handlers)),
            context: Context::default(),
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                driver: Vec::new(),
                accepts: true,
                dispatches: true,
                purges: false,
                held: power_managed && !device.is_in_d0(),
                idle: None,
                canceled: VecDeque::new(),
                filled: false,
                put_back: false,
                posted: false,
            }),
            this: Weak::clone(this),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn this(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    pub(super) fn device(&self) -> Option<Arc<DeviceShared>> {
        self.device.upgrade()
    }

    pub(super) fn handlers(&self) -> Arc<Handlers> {
        Arc::clone(&self.handlers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Calls the driver as the queue is about to be deleted.
    pub(crate) fn tell_cleanup(&self) {
        if let (Some(cleanup), Some(this)) = (&self.handlers().cleanup, self.this.upgrade()) {
            cleanup(&Queue::of(&this));
        }
    }

    /// Drops what the driver has put into the queue.
    pub(crate) fn delete(&self) {
        self.context.end();
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *handlers);
        drop(handlers);
        drop(before);
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.dispatch == Dispatch::Manual
    }

    pub(crate) fn is_power_managed(&self) -> bool {
        self.power_managed
    }

    /// Whether a request of this kind gets to the driver. Those that open the device do where a queue is made for them, and not where it is the default one by
    /// chance: a manual one gets them only if it is `meant` for them.
    pub(crate) fn handles(&self, kind: RequestType, meant: bool) -> bool {
        let handlers = self.handlers();
        let special = match kind {
            RequestType::Create => handlers.create.is_some(),
            RequestType::Read => handlers.read.is_some(),
            RequestType::Write => handlers.write.is_some(),
            RequestType::DeviceControl | RequestType::InternalControl => handlers.control.is_some(),
            _ => false,
        };
        special
            || self.is_manual() && (meant || kind != RequestType::Create)
            || handlers.default.is_some() && kind != RequestType::Create
    }

    pub(super) fn state(&self) -> QueueState {
        let state = self.lock();
        QueueState {
            accepts: state.accepts,
            dispatches: state.dispatches,
            is_held: state.held,
            waiting: state.waiting.len(),
            with_driver: state.driver.len(),
        }
    }

    /// Whether there is no request, waiting or with the driver.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && state.driver.is_empty()
    }

    /// A request has come, or one has gone: a stack that sleeps may be to wake, or one that has nothing to do to sleep.
    fn tell_power(&self) {
        let Some(device) = self.device().filter(|_| self.power_managed) else {
            return;
        };
        if !device.idle().is_assigned() {
            return;
        }
        if !device.is_in_d0() {
            device.idle().look();
        } else if self.is_quiet() {
            device.idle().worked();
        }
    }

    /// Has the scheduler look at the queue.
    pub(super) fn post(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::replace(&mut state.posted, true) {
            return;
        }
        drop(state);
        if let (Some(device), Some(this)) = (self.device(), self.this()) {
            device.post_in_order(&self.order, this);
        }
    }

    /// A request has arrived for the driver.
    pub(crate) fn insert(&self, irp: &Arc<Irp>) {
        let Some(this) = self.this() else {
            return irp.complete(NtStatus::DEVICE_REMOVED.into());
        };
        let mut state = self.lock();
        if !state.accepts {
            drop(state);
            return irp.complete(NtStatus::INVALID_DEVICE_STATE.into());
        }
        let empty = irp.body().top().parameters.is_empty_transfer();
        if empty && !self.allows_empty {
            drop(state);
            return irp.complete(NtStatus::SUCCESS.into());
        }
        self.take_in(&mut state, &this, irp);
        self.post(state);
        self.tell_power();
        self.cancel_if_cancelled(irp);
    }

    fn take_in(&self, state: &mut State, this: &Arc<Self>, irp: &Arc<Irp>) {
        state.filled |= state.waiting.is_empty() || std::mem::take(&mut state.put_back);
        state.waiting.push_back(Arc::clone(irp));
        self.settle_in(this, irp);
    }

    fn settle_in(&self, this: &Arc<Self>, irp: &Arc<Irp>) {
        let mut body = irp.body();
        body.place(Location::Queue(Arc::clone(this)));
        let level = body.top();
        level.queue = Some(Arc::clone(this));
        level.stopping = false;
        level.stopped = false;
    }

    fn cancel_if_cancelled(&self, irp: &Arc<Irp>) {
        let body = irp.body();
        let here = matches!(&body.location, Location::Queue(queue) if std::ptr::eq(Arc::as_ptr(queue), self));
        let cancelled = here && body.is_canceled();
        drop(body);
        if cancelled {
            self.cancel(irp);
        }
    }

    /// Takes a request over from another queue of the device.
    pub(crate) fn take_over(&self, from: &Arc<Self>, irp: &Arc<Irp>) -> Result<(), NtStatus> {
        let same_device = Weak::ptr_eq(&self.device, &from.device);
        if !same_device || std::ptr::eq(Arc::as_ptr(from), self) {
            return Err(NtStatus::INVALID_DEVICE_REQUEST);
        }
        let this = self.this().ok_or(NtStatus::WDF_BUSY)?;
        let mut state = self.lock();
        if !state.accepts {
            return Err(NtStatus::WDF_BUSY);
        }
        self.take_in(&mut state, &this, irp);
        self.post(state);
        self.tell_power();
        from.left(irp);
        self.cancel_if_cancelled(irp);
        Ok(())
    }

    /// Takes a request back, before all others.
    pub(crate) fn requeue(&self, irp: &Arc<Irp>) {
        let Some(this) = self.this() else {
            return irp.complete(NtStatus::DEVICE_REMOVED.into());
        };
        let mut state = self.lock();
        state.put_back = true;
        state.waiting.push_front(Arc::clone(irp));
        forget(&mut state.driver, irp);
        self.settle_in(&this, irp);
        let purges = state.purges;
        self.post(state);
        match purges {
            true => self.cancel(irp),
            false => self.cancel_if_cancelled(irp),
        }
    }

    /// The driver has a request no more.
    pub(crate) fn left(&self, irp: &Arc<Irp>) {
        let mut state = self.lock();
        forget(&mut state.driver, irp);
        if !state.waiting.is_empty() || state.idle.is_some() {
            self.post(state);
        } else {
            drop(state);
        }
        self.tell_power();
        self.nudge();
    }

    /// Has those look that wait for the driver to have no requests any more.
    pub(super) fn nudge(&self) {
        if let Some(device) = self.device() {
            device.scheduler().nudge();
        }
    }

    /// The driver has a request from now on, unless it has been abandoned.
    pub(super) fn hand_out(state: &mut State, irp: &Arc<Irp>) -> bool {
        let mut body = irp.body();
        if !body.place(Location::Driver) {
            return false;
        }
        body.top().was_delivered = true;
        drop(body);
        state.driver.push(Arc::clone(irp));
        true
    }

    pub(super) fn retrieve(&self, file: Option<&File>) -> Result<Request, HResult> {
        if self.dispatch == Dispatch::Parallel {
            return Err(NtStatus::INVALID_DEVICE_STATE.into());
        }
        let mut state = self.lock();
        if !state.dispatches || state.held {
            return Err(NtStatus::WDF_PAUSED.into());
        }
        let is_meant =
            |irp: &Arc<Irp>| file.is_none_or(|file| irp.body().file.as_ref() == Some(file));
        loop {
            let place = state.waiting.iter().position(is_meant);
            let irp = place.and_then(|place| state.waiting.remove(place));
            let irp = irp.ok_or(Win32Error::NO_MORE_ITEMS)?;
            if Self::hand_out(&mut state, &irp) {
                return Ok(Request::of(irp));
            }
        }
    }

    /// A request that waits was cancelled.
    pub(crate) fn cancel(&self, irp: &Arc<Irp>) {
        let mut state = self.lock();
        let Some(place) = state.waiting.iter().position(|it| Arc::ptr_eq(it, irp)) else {
            return;
        };
        state.waiting.remove(place);
        let told = self.withdraw(&mut state, irp);
        self.post(state);
        if !told {
            irp.complete(NtStatus::CANCELLED.into());
        }
        self.tell_power();
    }

    /// How deep in the stack this queue's request is.
    pub(super) fn depth_of(&self, irp: &Arc<Irp>) -> Option<usize> {
        let body = irp.body();
        body.levels.iter().position(|level| level.is_of(self))
    }

    /// What is to be delivered next.
    fn next(&self) -> Option<(Arc<Irp>, bool)> {
        if self.device()?.scheduler().has_ended() {
            return None;
        }
        let mut state = self.lock();
        if let Some(irp) = state.canceled.pop_front() {
            return Some((irp, true));
        }
        let busy = self.dispatch == Dispatch::Sequential && !state.driver.is_empty();
        if self.is_manual() || busy || !state.dispatches || state.held {
            return None;
        }
        loop {
            let irp = state.waiting.pop_front()?;
            if Self::hand_out(&mut state, &irp) {
                return Some((irp, false));
            }
        }
    }
}

fn forget(list: &mut Vec<Arc<Irp>>, irp: &Arc<Irp>) {
    if let Some(place) = list.iter().position(|it| Arc::ptr_eq(it, irp)) {
        list.swap_remove(place);
    }
}

impl Job for QueueShared {
    fn calls(&self) -> Option<(Arc<str>, &'static str)> {
        let device = self.device()?;
        Some((Arc::clone(device.driver()), "a queue's callback"))
    }

    fn run(self: Arc<Self>) {
        let filled = {
            let mut state = self.lock();
            state.posted = false;
            let delivers = state.dispatches && !state.held;
            delivers && std::mem::take(&mut state.filled) && !state.waiting.is_empty()
        };
        let queue = Queue::of(&self);
        let handlers = self.handlers();
        if let Some(on_state) = handlers.state.as_ref().filter(|_| filled) {
            on_state(&queue);
        }
        while let Some((irp, canceled)) = self.next() {
            match handlers.canceled.as_ref().filter(|_| canceled) {
                Some(on_canceled) => on_canceled(&queue, Request::of(irp)),
                None => queue.deliver(Request::of(irp)),
            }
        }
        self.tell_idle();
    }
}

impl std::fmt::Debug for QueueShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueueShared")
            .field("dispatch", &self.dispatch)
            .finish_non_exhaustive()
    }
}
