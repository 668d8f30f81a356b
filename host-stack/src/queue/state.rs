//! A queue's state: what waits, what the driver has, and what it is to do next.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{Dispatch, Handled, Handlers, Queue, QueueState};
use crate::{
    context::Context,
    device::DeviceShared,
    file::File,
    request::{
        Parameters, Request, RequestType,
        irp::{Irp, Location},
    },
    scheduler::{DeviceLock, Job, Scheduler},
    stack::Idle,
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
    driver: Arc<str>,
    scheduler: Arc<Scheduler>,
    /// Who has the power policy, if the queue is power-managed.
    idle: Option<Arc<Idle>>,
    dispatch: Dispatch,
    /// Has requests delivered in their order.
    lock: Arc<DeviceLock>,
    allows_empty: bool,
    /// What it has handlers for.
    handled: Handled,
    context: Context,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) handlers: Arc<Handlers>,
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
        Arc::new(Self {
            device: Arc::downgrade(device),
            driver: Arc::clone(device.driver()),
            scheduler: Arc::clone(device.scheduler()),
            idle: power_managed.then(|| Arc::clone(device.idle())),
            dispatch,
            lock: device.lock().cloned().unwrap_or_else(DeviceLock::for_order),
            allows_empty,
            handled: Handled::by(&handlers),
            context: Context::default(),
            state: Mutex::new(State {
                handlers: Arc::new(handlers),
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
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn device(&self) -> Option<Arc<DeviceShared>> {
        self.device.upgrade()
    }

    pub(super) fn handlers(&self) -> Arc<Handlers> {
        Arc::clone(&self.lock().handlers)
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Calls the driver as the queue is about to be deleted.
    pub(crate) fn tell_cleanup(self: &Arc<Self>) {
        if let Some(cleanup) = &self.handlers().cleanup {
            cleanup(&Queue::of(self));
        }
    }

    /// Drops what the driver has put into the queue.
    pub(crate) fn delete(&self) {
        self.context.end();
        let before = std::mem::take(&mut self.lock().handlers);
        drop(before);
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.dispatch == Dispatch::Manual
    }

    pub(super) fn is_sequential(&self) -> bool {
        self.dispatch == Dispatch::Sequential
    }

    /// What has its callbacks run in their order.
    pub(super) fn order(&self) -> &Arc<DeviceLock> {
        &self.lock
    }

    pub(crate) fn driver(&self) -> &Arc<str> {
        &self.driver
    }

    pub(crate) fn is_power_managed(&self) -> bool {
        self.idle.is_some()
    }

    pub(super) fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }

    /// Whether a request of this kind gets to the driver. Those that open the device do where a queue is made for them, and not where it is the default one by
    /// chance: a manual one gets them only if it is `meant` for them.
    pub(crate) fn handles(&self, kind: RequestType, meant: bool) -> bool {
        let handled = &self.handled;
        let special = match kind {
            RequestType::Create => handled.create,
            RequestType::Read => handled.read,
            RequestType::Write => handled.write,
            RequestType::DeviceControl | RequestType::InternalControl => handled.control,
            _ => false,
        };
        special
            || self.is_manual() && (meant || kind != RequestType::Create)
            || handled.default && kind != RequestType::Create
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
        let Some(idle) = self.idle.as_ref().filter(|it| it.is_assigned()) else {
            return;
        };
        let Some(device) = self.device() else {
            return;
        };
        if !device.is_in_d0() {
            idle.look();
        } else if self.is_quiet() {
            idle.worked();
        }
    }

    /// Has the scheduler look at the queue.
    pub(super) fn post(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if std::mem::replace(&mut state.posted, true) {
            return;
        }
        drop(state);
        self.scheduler
            .post(Some(&self.lock), Arc::clone(self) as Arc<dyn Job>);
    }

    /// A request has arrived for the driver; it is `empty` where it is a transfer of nothing.
    pub(crate) fn insert(self: &Arc<Self>, irp: &Arc<Irp>, empty: bool) {
        let mut state = self.lock();
        if !state.accepts {
            drop(state);
            return irp.complete(NtStatus::INVALID_DEVICE_STATE.into());
        }
        if empty && !self.allows_empty {
            drop(state);
            return irp.complete(NtStatus::SUCCESS.into());
        }
        let cancelled = self.take_in(&mut state, irp);
        self.post(state);
        self.tell_power();
        if cancelled {
            self.cancel(irp);
        }
    }

    /// Has a request wait after all others. Tells whether it has been asked back.
    fn take_in(self: &Arc<Self>, state: &mut State, irp: &Arc<Irp>) -> bool {
        state.filled |= state.waiting.is_empty() || std::mem::take(&mut state.put_back);
        state.waiting.push_back(Arc::clone(irp));
        self.settle_in(irp)
    }

    fn settle_in(self: &Arc<Self>, irp: &Arc<Irp>) -> bool {
        let mut body = irp.body();
        let waits = body.place(Location::Queue);
        let level = body.top();
        level.queue = Some(Arc::clone(self));
        level.stopping = false;
        level.stopped = false;
        waits && body.is_canceled()
    }

    /// Takes a request over from another queue of the device.
    pub(crate) fn take_over(
        self: &Arc<Self>,
        from: &Arc<Self>,
        irp: &Arc<Irp>,
    ) -> Result<(), NtStatus> {
        let same_device = Weak::ptr_eq(&self.device, &from.device);
        if !same_device || Arc::ptr_eq(from, self) {
            return Err(NtStatus::INVALID_DEVICE_REQUEST);
        }
        let mut state = self.lock();
        if !state.accepts {
            return Err(NtStatus::WDF_BUSY);
        }
        let cancelled = self.take_in(&mut state, irp);
        self.post(state);
        self.tell_power();
        from.left(irp);
        if cancelled {
            self.cancel(irp);
        }
        Ok(())
    }

    /// Takes a request back, before all others.
    pub(crate) fn requeue(self: &Arc<Self>, irp: &Arc<Irp>) {
        let mut state = self.lock();
        state.put_back = true;
        state.waiting.push_front(Arc::clone(irp));
        forget(&mut state.driver, irp);
        let cancelled = self.settle_in(irp);
        let purges = state.purges;
        self.post(state);
        if cancelled || purges {
            self.cancel(irp);
        }
    }

    /// The driver has a request no more.
    pub(crate) fn left(self: &Arc<Self>, irp: &Arc<Irp>) {
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
        self.scheduler.nudge();
    }

    /// The driver has a request from now on, unless it has been abandoned. Returns what it asks for.
    pub(super) fn hand_out(state: &mut State, irp: &Arc<Irp>) -> Option<Parameters> {
        let mut body = irp.body();
        if !body.place(Location::Driver) {
            return None;
        }
        let level = body.top();
        level.was_delivered = true;
        let parameters = level.parameters.clone();
        drop(body);
        state.driver.push(Arc::clone(irp));
        Some(parameters)
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
            if Self::hand_out(&mut state, &irp).is_some() {
                return Ok(Request::of(irp));
            }
        }
    }

    /// A request that waits was cancelled.
    pub(crate) fn cancel(self: &Arc<Self>, irp: &Arc<Irp>) {
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

    /// What is to be delivered next, and what it asks for; that is of no account where it comes as it was cancelled.
    fn next(&self, state: &mut State) -> Option<(Arc<Irp>, Option<Parameters>)> {
        if self.scheduler.has_ended() {
            return None;
        }
        if let Some(irp) = state.canceled.pop_front() {
            return Some((irp, None));
        }
        let busy = self.dispatch == Dispatch::Sequential && !state.driver.is_empty();
        if self.is_manual() || busy || !state.dispatches || state.held {
            return None;
        }
        loop {
            let irp = state.waiting.pop_front()?;
            if let Some(parameters) = Self::hand_out(state, &irp) {
                return Some((irp, Some(parameters)));
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
        Some((Arc::clone(&self.driver), "a queue's callback"))
    }

    fn run(self: Arc<Self>) {
        // It outlives its callbacks.
        let Some(_device) = self.device() else {
            return;
        };
        let queue = Queue(self);
        let shared = &queue.0;
        let mut state = shared.lock();
        let handlers = Arc::clone(&state.handlers);
        state.posted = false;
        let delivers = state.dispatches && !state.held;
        let filled = delivers && std::mem::take(&mut state.filled) && !state.waiting.is_empty();
        if let Some(on_state) = handlers.state.as_ref().filter(|_| filled) {
            drop(state);
            on_state(&queue);
            state = shared.lock();
        }
        while let Some((irp, parameters)) = shared.next(&mut state) {
            drop(state);
            let request = Request::of(irp);
            match (parameters, &handlers.canceled) {
                (Some(parameters), _) => queue.deliver(&handlers, &parameters, request),
                (None, Some(on_canceled)) => on_canceled(&queue, request),
                (None, None) => request.complete_with_information(NtStatus::CANCELLED, 0),
            }
            state = shared.lock();
        }
        shared.tell_idle(state);
    }
}

impl std::fmt::Debug for QueueShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueueShared")
            .field("dispatch", &self.dispatch)
            .finish_non_exhaustive()
    }
}
