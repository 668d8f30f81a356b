//! A port whose transfers end when a test says so, with a way to wait outside or without.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Waker,
    thread,
    time::{Duration, Instant},
};

use usbwright_protocol::{
    Class, Completion, DeviceSummary, EndpointAddress, Now, Outside, Port, Speed, Status, Transfer,
    TransferId, TransferType,
};

use super::{LONG, endpoint};

/// The port. Clones are of the same one.
#[derive(Clone)]
pub(super) struct Wire(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    has_outside: bool,
}

#[derive(Default)]
pub(super) struct State {
    /// Transfers on their way, in order.
    pub(super) flying: Vec<(TransferId, EndpointAddress)>,
    /// Those that the engine has asked for to be taken back.
    pub(super) cancelled: Vec<TransferId>,
    /// Cancellations are not answered.
    pub(super) is_deaf: bool,
    /// How many threads wait outside.
    pub(super) waiting: usize,
    /// The most that have at once.
    pub(super) most_waiting: usize,
    /// The names of those that have.
    pub(super) waited: Vec<String>,
    interrupted: bool,
    arrived: VecDeque<Completion>,
    done: VecDeque<Completion>,
    waker: Option<Waker>,
    is_gone: bool,
    /// Who watches the other side.
    watches: Option<Waker>,
}

impl Wire {
    fn new(has_outside: bool) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            has_outside,
        }))
    }

    pub(super) fn with_outside() -> Self {
        Self::new(true)
    }

    pub(super) fn without_outside() -> Self {
        Self::new(false)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the port is so.
    #[track_caller]
    pub(super) fn until(&self, is: impl Fn(&State) -> bool) {
        let changed = &self.0.changed;
        let waited = changed.wait_timeout_while(self.state(), LONG, |state| !is(state));
        let timeout = waited.unwrap_or_else(PoisonError::into_inner).1;
        assert!(!timeout.timed_out(), "it does not happen");
    }

    /// Waits until a thread waits outside.
    #[track_caller]
    pub(super) fn until_led(&self) {
        self.until(|state| state.waiting == 1);
    }

    /// The oldest transfer of an endpoint ends, with this byte; nothing where there is none.
    pub(super) fn answer(&self, number: u8, byte: u8) {
        let mut state = self.state();
        let mut flying = state.flying.iter();
        let Some(at) = flying.position(|(_, it)| *it == endpoint(number)) else {
            return;
        };
        let (id, _) = state.flying.remove(at);
        self.arrive(state, id, byte);
    }

    /// The device goes.
    pub(super) fn go(&self) {
        let mut state = self.state();
        state.is_gone = true;
        let flying = std::mem::take(&mut state.flying);
        let gone = flying
            .into_iter()
            .map(|(id, _)| Completion::empty(id, Status::Disconnected));
        state.arrived.extend(gone);
        let wakers = [state.waker.clone(), state.watches.take()];
        drop(state);
        self.0.changed.notify_all();
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// A transfer ends, though it may be nobody's.
    pub(super) fn arrive(&self, mut state: MutexGuard<'_, State>, id: TransferId, byte: u8) {
        state.arrived.push_back(Completion {
            actual_length: 1,
            data: vec![byte].into(),
            ..Completion::empty(id, Status::Done)
        });
        let waker = state.waker.clone();
        drop(state);
        self.0.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Port for Wire {
    fn summary(&self) -> DeviceSummary {
        DeviceSummary {
            speed: Speed::High,
            vendor_id: 0,
            product_id: 0,
            device_release: 0,
            class: Class::VENDOR,
            configuration: 1,
            configurations: 1,
            interfaces: Vec::new(),
        }
    }

    fn transfer_type(&self, _: EndpointAddress) -> Option<TransferType> {
        Some(TransferType::Bulk)
    }

    fn submit(&mut self, transfer: Transfer, _: Now) {
        self.state().flying.push((transfer.id, transfer.endpoint));
        self.0.changed.notify_all();
    }

    fn cancel(&mut self, id: TransferId, _: Instant) {
        let mut state = self.state();
        state.cancelled.push(id);
        if !state.is_deaf {
            state.flying.retain(|(it, _)| *it != id);
            state
                .done
                .push_back(Completion::empty(id, Status::Cancelled));
        }
    }

    fn reset(&mut self, _: Instant) {}

    fn poll(&mut self, _: Instant) {
        let mut state = self.state();
        let arrived = std::mem::take(&mut state.arrived);
        state.done.extend(arrived);
    }

    fn completion(&mut self) -> Option<Completion> {
        self.state().done.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn set_waker(&mut self, waker: Waker) {
        self.state().waker = Some(waker);
    }

    fn outside(&self) -> Option<Arc<dyn Outside>> {
        self.0
            .has_outside
            .then(|| Arc::new(self.clone()) as Arc<dyn Outside>)
    }

    fn is_connected(&self) -> bool {
        !self.state().is_gone
    }
}

impl Outside for Wire {
    fn wait(&self, timeout: Option<Duration>) {
        let mut state = self.state();
        state.waiting += 1;
        state.most_waiting = state.most_waiting.max(state.waiting);
        let name = thread::current().name().unwrap_or_default().to_owned();
        state.waited.push(name);
        self.0.changed.notify_all();
        let nothing = |state: &mut State| state.arrived.is_empty() && !state.interrupted;
        let changed = &self.0.changed;
        let waited = changed.wait_timeout_while(state, timeout.unwrap_or(LONG), nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.interrupted = false;
        state.waiting -= 1;
        drop(state);
        changed.notify_all();
    }

    fn interrupt(&self) {
        self.state().interrupted = true;
        self.0.changed.notify_all();
    }

    fn watch(&self, waker: Waker) {
        self.state().watches = Some(waker);
    }
}
