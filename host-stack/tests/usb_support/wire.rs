//! A port whose bulk, interrupt and isochronous transfers end when and as a test says; endpoint zero is an emulated device's.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Instant,
};

use bytes::Bytes;
use usbwright_host_stack::usb_target::protocol::{
    Completion, DeviceSummary, EndpointAddress, Now, Payload, Port, RequestKind, Setup, Status,
    Transfer, TransferId, TransferKind, TransferType, request,
};

/// What a device's bus does, in a test's hands. Clones are of the same bus.
#[derive(Clone, Default)]
pub(crate) struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    outstanding: Vec<Transfer>,
    done: VecDeque<Completion>,
    /// What had come, or gone, of transfers that are taken back.
    moved: BTreeMap<EndpointAddress, Bytes>,
    /// Whether what is taken back does not come back before a test says so.
    holds: bool,
    /// Requests on endpoint zero that are never answered.
    holds_control: Option<RequestKind>,
    /// How requests on endpoint zero end, by type of request and request.
    answers: BTreeMap<(u8, u8), VecDeque<(Status, Bytes)>>,
    /// What has come from each endpoint.
    came: BTreeMap<EndpointAddress, Vec<u8>>,
    /// How many transfers were taken back.
    cancelled: usize,
    /// What was asked on endpoint zero.
    asked: Vec<Setup>,
    is_gone: bool,
    waker: Option<Waker>,
    /// Lives as long as this does.
    kept: Option<Arc<()>>,
}

impl Wire {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The transfers that the device has of an endpoint, the oldest first.
    pub(crate) fn outstanding(&self, endpoint: EndpointAddress) -> Vec<TransferKind> {
        let state = self.state();
        let of = state
            .outstanding
            .iter()
            .filter(|it| it.endpoint == endpoint);
        of.map(|it| it.kind.clone()).collect()
    }

    /// How many they are.
    pub(crate) fn pending(&self, endpoint: EndpointAddress) -> usize {
        self.outstanding(endpoint).len()
    }

    /// Ends the oldest transfer of an endpoint, of which the host learns when it next looks.
    pub(crate) fn end(&self, endpoint: EndpointAddress, status: Status, data: &[u8]) {
        let mut state = self.state();
        let mut all = state.outstanding.iter();
        let place = all.position(|it| it.endpoint == endpoint);
        let transfer = state
            .outstanding
            .remove(place.expect("the host has asked for it"));
        state.end(&transfer, status, Bytes::copy_from_slice(data));
    }

    /// Has so much moved of whatever of this endpoint is taken back.
    pub(crate) fn moves(&self, endpoint: EndpointAddress, data: &[u8]) {
        let data = Bytes::copy_from_slice(data);
        self.state().moved.insert(endpoint, data);
    }

    /// Has what is taken back come back only when a test ends it.
    pub(crate) fn hold(&self) {
        self.state().holds = true;
    }

    /// Has the device never answer such a request on endpoint zero.
    pub(crate) fn hold_control(&self, kind: RequestKind) {
        self.state().holds_control = Some(kind);
    }

    /// Has the device end the next such request on endpoint zero so.
    pub(crate) fn answers(
        &self,
        request_type: u8,
        request: u8,
        status: Status,
        data: impl Into<Bytes>,
    ) {
        let mut state = self.state();
        let answers = state.answers.entry((request_type, request)).or_default();
        answers.push_back((status, data.into()));
    }

    /// Has the device answer the next request for a descriptor so.
    pub(crate) fn describes(&self, data: impl Into<Bytes>) {
        self.answers(0x80, request::GET_DESCRIPTOR, Status::Done, data);
    }

    /// What was asked on endpoint zero since this was last called.
    pub(crate) fn asked(&self) -> Vec<Setup> {
        std::mem::take(&mut self.state().asked)
    }

    /// Forgets that it was asked this last.
    pub(crate) fn forget(&self, setup: Setup) {
        self.state().asked.pop_if(|it| *it == setup);
    }

    /// All that has come from an endpoint.
    pub(crate) fn came(&self, endpoint: EndpointAddress) -> Vec<u8> {
        let state = self.state();
        state.came.get(&endpoint).cloned().unwrap_or_default()
    }

    /// The transfers that were taken back.
    pub(crate) fn cancelled(&self) -> usize {
        self.state().cancelled
    }

    /// Has the host look what has ended, as where something comes from outside.
    pub(crate) fn wake(&self) {
        let waker = self.state().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Keeps something for as long as there is anybody who has this bus.
    pub(crate) fn kept(self, with: &Arc<()>) -> Self {
        self.state().kept = Some(Arc::clone(with));
        self
    }

    /// Unplugs the device.
    pub(crate) fn unplug(&self) {
        let mut state = self.state();
        state.is_gone = true;
        let outstanding = std::mem::take(&mut state.outstanding);
        let ended = outstanding
            .into_iter()
            .map(|it| Completion::empty(it.id, Status::Disconnected));
        state.done.extend(ended);
    }
}

impl State {
    fn end(&mut self, transfer: &Transfer, status: Status, data: Bytes) {
        let came = self.came.entry(transfer.endpoint).or_default();
        came.extend_from_slice(&data);
        self.done.push_back(ended(transfer, status, data));
    }
}

fn ended(transfer: &Transfer, status: Status, data: Bytes) -> Completion {
    let comes = matches!(
        transfer.kind,
        TransferKind::In { .. } | TransferKind::Control { .. }
    );
    Completion {
        actual_length: data.len() as u32,
        data: match comes {
            true => data.into(),
            false => Payload::new(),
        },
        ..Completion::empty(transfer.id, status)
    }
}

/// The bus of an emulated device.
pub(crate) struct Behind<P> {
    pub(crate) inner: P,
    pub(crate) wire: Wire,
}

impl<P: Port> Port for Behind<P> {
    fn summary(&self) -> DeviceSummary {
        self.inner.summary()
    }

    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        self.inner.transfer_type(endpoint)
    }

    fn submit(&mut self, transfer: Transfer, now: Now) {
        let mut state = self.wire.state();
        if state.is_gone {
            let gone = Completion::empty(transfer.id, Status::Disconnected);
            return state.done.push_back(gone);
        }
        let TransferKind::Control { setup, .. } = transfer.kind else {
            return state.outstanding.push(transfer);
        };
        state.asked.push(setup);
        if state.holds_control == Some(setup.kind()) {
            return state.outstanding.push(transfer);
        }
        let answers = state.answers.get_mut(&(setup.request_type, setup.request));
        match answers.and_then(VecDeque::pop_front) {
            Some((status, data)) => {
                let data = data.slice(..data.len().min(setup.length.into()));
                state.done.push_back(ended(&transfer, status, data));
            }
            None => self.inner.submit(transfer, now),
        }
    }

    fn cancel(&mut self, id: TransferId, now: Instant) {
        let mut state = self.wire.state();
        let Some(place) = state.outstanding.iter().position(|it| it.id == id) else {
            return self.inner.cancel(id, now);
        };
        state.cancelled += 1;
        if !state.holds {
            let transfer = state.outstanding.remove(place);
            let mut before = state.outstanding[..place].iter();
            // What is behind another transfer has not begun.
            let moved = match before.any(|it| it.endpoint == transfer.endpoint) {
                true => None,
                false => state.moved.remove(&transfer.endpoint),
            };
            state.end(&transfer, Status::Cancelled, moved.unwrap_or_default());
        }
    }

    fn reset(&mut self, now: Instant) {
        let mut state = self.wire.state();
        let outstanding = std::mem::take(&mut state.outstanding);
        let ended = outstanding
            .into_iter()
            .map(|it| Completion::empty(it.id, Status::Cancelled));
        state.done.extend(ended);
        self.inner.reset(now);
    }

    fn poll(&mut self, now: Instant) {
        self.inner.poll(now);
    }

    fn completion(&mut self) -> Option<Completion> {
        let done = self.wire.state().done.pop_front();
        done.or_else(|| self.inner.completion())
    }

    fn deadline(&self) -> Option<Instant> {
        self.inner.deadline()
    }

    fn set_waker(&mut self, waker: Waker) {
        self.wire.state().waker = Some(waker.clone());
        self.inner.set_waker(waker);
    }

    fn is_connected(&self) -> bool {
        !self.wire.state().is_gone && self.inner.is_connected()
    }
}
