//! A target's state: what it has been sent, and what waits.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::TargetState;
use crate::{
    context::Context,
    device::DeviceShared,
    file::File,
    request::{
        Parameters,
        format::Format,
        irp::{Asker, Irp, Location, SendId},
    },
    status::NtStatus,
};

/// What does a target's work.
pub(crate) trait Backend: Send + Sync {
    /// What is wrong with a request for it.
    fn refuses(&self, format: &Format) -> Option<NtStatus>;
    /// What is wrong with sending it on a request as it came.
    fn refuses_current(&self, _parameters: &Parameters) -> Option<NtStatus> {
        self.refuses(&Format::Current)
    }
    /// Begins with a request; [`Irp::ended`] is called when it has ended.
    fn start(&self, irp: &Arc<Irp>);
    /// Takes a request back, which ends soon.
    fn cancel(&self, irp: &Arc<Irp>);
    /// Whether a request can be sent to it and forgotten.
    fn takes_forgotten(&self) -> bool;
    /// The target begins to take requests.
    fn started(&self) {}
    /// The target stops to take them.
    fn stopped(&self) {}
    /// The target takes none any more.
    fn closed(&self) {}
    /// The request that is made of one elsewhere, and ends it when it ends.
    fn beyond(&self, _irp: &Arc<Irp>) -> Option<Arc<Irp>> {
        None
    }
    /// What the driver keeps with what goes with the target.
    fn contexts(&self) -> Vec<Arc<Context>> {
        Vec::new()
    }
    /// Whether it goes with the device's hardware.
    fn is_hardware(&self) -> bool {
        false
    }
    /// Whether it reads by itself while it is started.
    fn reads_by_itself(&self) -> bool {
        false
    }
}

pub(crate) struct TargetShared {
    pub(super) backend: Box<dyn Backend>,
    device: Weak<DeviceShared>,
    context: Context,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) state: TargetState,
    /// Waits until it is started.
    pended: VecDeque<Arc<Irp>>,
    /// Is being done.
    sent: Vec<Arc<Irp>>,
    /// What waited is being sent, and what comes waits its turn.
    starting: bool,
}

/// What becomes of a request that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Start,
    Wait,
}

impl TargetShared {
    pub(crate) fn new(device: &Arc<DeviceShared>, backend: Box<dyn Backend>) -> Arc<Self> {
        Arc::new(Self {
            backend,
            device: Arc::downgrade(device),
            context: Context::default(),
            state: Mutex::default(),
        })
    }

    pub(crate) fn device(&self) -> Option<Arc<DeviceShared>> {
        self.device.upgrade()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Drops what the driver keeps with it: it has gone.
    pub(crate) fn end_contexts(&self) {
        self.backend.contexts().iter().for_each(|it| it.end());
        self.context.end();
    }

    pub(crate) fn refuses(&self, format: &Format) -> Option<NtStatus> {
        self.backend.refuses(format)
    }

    pub(crate) fn refuses_current(&self, parameters: &Parameters) -> Option<NtStatus> {
        match parameters {
            // A driver has made it, and it has come as nothing.
            Parameters::NoFormat => Some(NtStatus::INVALID_DEVICE_REQUEST),
            _ => self.backend.refuses_current(parameters),
        }
    }

    /// Whether it takes no requests, and has none.
    pub(crate) fn is_closed(&self) -> bool {
        let state = self.state();
        state.state.is_closed() && state.sent.is_empty()
    }

    /// Takes requests from now on, unless its device has gone.
    pub(super) fn open(&self) -> bool {
        let mut state = self.state();
        let opens = state.state != TargetState::Deleted;
        if opens {
            state.state = TargetState::Started;
        }
        opens
    }

    /// Takes a request, if it takes any.
    pub(crate) fn admit(&self, irp: &Arc<Irp>, whatever: bool) -> Option<Admission> {
        let mut state = self.state();
        let pends = state.state == TargetState::Stopped || state.starting;
        match state.state {
            it if it.is_closed() => None,
            _ if pends && !whatever => {
                state.pended.push_back(Arc::clone(irp));
                Some(Admission::Wait)
            }
            _ => {
                state.sent.push(Arc::clone(irp));
                Some(Admission::Start)
            }
        }
    }

    /// Begins with a request that was admitted.
    pub(crate) fn start(&self, irp: &Arc<Irp>) {
        if self.asked_back(irp).is_none() {
            return self.forget(irp);
        }
        self.backend.start(irp);
        if self.asked_back(irp) == Some(true) {
            self.backend.cancel(irp);
        }
    }

    /// Takes a request back that waits, if that was asked for before it was here.
    pub(crate) fn take_back_if_asked(&self, irp: &Arc<Irp>) {
        match self.asked_back(irp) {
            None => self.forget(irp),
            Some(true) => self.cancel(irp),
            Some(false) => {}
        }
    }

    /// Whether a request was asked back; `None` where this target does not have it.
    fn asked_back(&self, irp: &Arc<Irp>) -> Option<bool> {
        let body = irp.body();
        let sent = body.levels.last()?.sent.as_ref()?;
        let here = matches!(body.location, Location::Target)
            && std::ptr::eq(Arc::as_ptr(&sent.target), self);
        here.then(|| body.is_canceled())
    }

    /// A request has ended.
    pub(crate) fn forget(&self, irp: &Arc<Irp>) {
        let mut state = self.state();
        if let Some(place) = state.sent.iter().rposition(|it| Arc::ptr_eq(it, irp)) {
            state.sent.swap_remove(place);
        } else {
            state.pended.retain(|it| !Arc::ptr_eq(it, irp));
        }
    }

    pub(crate) fn cancel(&self, irp: &Arc<Irp>) {
        let mut state = self.state();
        let pended = state.pended.iter().position(|it| Arc::ptr_eq(it, irp));
        let Some(place) = pended else {
            drop(state);
            return self.backend.cancel(irp);
        };
        state.pended.remove(place);
        drop(state);
        let body = irp.body();
        let sent = body.levels.last().and_then(|it| it.sent.as_ref());
        let status = match sent.is_some_and(|it| it.timed_out) {
            true => NtStatus::WDF_IO_TIMEOUT_NOT_SENT,
            false => NtStatus::CANCELLED,
        };
        drop(body);
        irp.ended(status.into());
    }

    pub(super) fn cancel_all(&self) {
        let sent = self.state().sent.clone();
        sent.iter().for_each(|irp| self.take_back(irp));
    }

    /// Takes back what belongs to a file, whether it waits or was sent.
    pub(super) fn cancel_for(&self, file: &File) {
        let state = self.state();
        let all = state.pended.iter().chain(&state.sent);
        let all: Vec<_> = all.cloned().collect();
        drop(state);
        let is_its = |irp: &&Arc<Irp>| irp.body().file.as_ref() == Some(file);
        all.iter()
            .filter(is_its)
            .for_each(|irp| self.take_back(irp));
    }

    fn take_back(&self, irp: &Arc<Irp>) {
        let id = self.send_of(irp);
        if let Some(id) = id {
            irp.cancel(Asker::Sender(id));
        }
    }

    fn send_of(&self, irp: &Irp) -> Option<SendId> {
        let body = irp.body();
        let mut levels = body.levels.iter().enumerate();
        levels.find_map(|(level, it)| {
            let sent = it.sent.as_ref()?;
            let here = std::ptr::eq(Arc::as_ptr(&sent.target), self);
            here.then_some(SendId {
                level,
                serial: sent.serial,
            })
        })
    }

    /// The request that is made of one elsewhere, and ends it when it ends.
    pub(crate) fn beyond(&self, irp: &Arc<Irp>) -> Option<Arc<Irp>> {
        self.backend.beyond(irp)
    }

    /// Stops a target that reads by itself. Tells whether it did so.
    pub(crate) fn stop_reading(&self) -> bool {
        let mut state = self.state();
        if state.state != TargetState::Started || !self.backend.reads_by_itself() {
            return false;
        }
        state.state = TargetState::Stopped;
        drop(state);
        self.backend.stopped();
        true
    }

    /// Whether it goes with the device's hardware.
    pub(crate) fn is_hardware(&self) -> bool {
        self.backend.is_hardware()
    }

    /// Whether nothing that was sent is being done.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().sent.is_empty()
    }

    /// Sends what waits, in its order.
    pub(super) fn start_all(&self) {
        if std::mem::replace(&mut self.state().starting, true) {
            return;
        }
        loop {
            let mut state = self.state();
            let next = match state.state {
                TargetState::Started => state.pended.pop_front(),
                _ => None,
            };
            let Some(irp) = next else {
                state.starting = false;
                return;
            };
            state.sent.push(Arc::clone(&irp));
            drop(state);
            self.start(&irp);
        }
    }

    /// It takes nothing any more, or for now, as `to` says. What was sent is taken back.
    pub(crate) fn close(&self, to: TargetState) {
        let mut state = self.state();
        if state.state != TargetState::Deleted {
            state.state = to;
        }
        let pended = std::mem::take(&mut state.pended);
        drop(state);
        self.backend.stopped();
        for irp in pended {
            irp.ended(NtStatus::WDF_DEVICE_REMOVED_NOT_SENT.into());
        }
        self.cancel_all();
        self.backend.closed();
    }

    /// The stack has failed: nobody waits any more for what was sent.
    pub(crate) fn abandon(&self, status: NtStatus) {
        self.close(TargetState::Deleted);
        let sent = std::mem::take(&mut self.state().sent);
        sent.iter().for_each(|irp| irp.abandon(status));
    }
}
