//! An opened device in process, and the port between, which tells what goes on and can be unplugged.

use std::{
    collections::BTreeMap,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use usbwright_emulator::EmulatedDevice;
use usbwright_target::{
    Bulk, Device, In, Interface, ManualClock, Options, Pipe,
    protocol::{
        Completion, DeviceSummary, EndpointAddress, Now, Port, Setup, Speed, Transfer, TransferId,
        TransferType,
    },
};

use super::{BULK, Firmware, Script};

/// A device on a test bench.
pub(crate) struct Bench {
    pub(crate) script: Script,
    pub(crate) clock: ManualClock,
    pub(crate) port: Probe,
    pub(crate) device: Device,
}

impl Bench {
    /// The device, opened with a clock that stands still.
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new();
        let script = Script::default();
        let port = Probe::new(&script, &clock);
        let device = now(Options::new().clock(clock.clone()).open(port.clone())).unwrap();
        Self {
            script,
            clock,
            port,
            device,
        }
    }

    pub(crate) fn interface(&self) -> Interface {
        now(self.device.interface(0)).unwrap()
    }

    /// The bulk IN pipe, which holds its interface.
    pub(crate) fn pipe(&self) -> Pipe<Bulk, In> {
        self.interface().pipe(BULK).unwrap()
    }

    /// Has the device look at its script again, as it does after any request.
    pub(crate) fn nudge(&self) {
        let request = Setup {
            request_type: 0xc0,
            request: 1,
            length: 6,
            ..Setup::default()
        };
        let answer = now(self.device.control(request, Vec::new())).ok().unwrap();
        assert_eq!(answer.data.to_vec(), b"answer");
    }

    /// How many transfers are pending on that pipe's endpoint.
    pub(crate) fn pending(&self) -> usize {
        self.port.pending(BULK)
    }
}

/// An emulated device that tells what is pending. Clones are of the same device.
#[derive(Clone)]
pub(crate) struct Probe(Arc<Mutex<Watched>>);

struct Watched {
    device: EmulatedDevice,
    pending: BTreeMap<TransferId, EndpointAddress>,
    waker: Option<Waker>,
}

impl Probe {
    pub(crate) fn new(script: &Script, clock: &ManualClock) -> Self {
        let firmware = Firmware(script.clone());
        Self::of(EmulatedDevice::new(firmware, Speed::High, clock.now()).unwrap())
    }

    pub(crate) fn of(device: EmulatedDevice) -> Self {
        Self(Arc::new(Mutex::new(Watched {
            device,
            pending: BTreeMap::new(),
            waker: None,
        })))
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pending(&self, endpoint: EndpointAddress) -> usize {
        let watched = self.watched();
        watched
            .pending
            .values()
            .filter(|it| **it == endpoint)
            .count()
    }

    /// Unplugs the device, of which its host hears as of anything from outside.
    pub(crate) fn unplug(&self) {
        let mut watched = self.watched();
        watched.device.unplug();
        let waker = watched.waker.clone();
        drop(watched);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Port for Probe {
    fn summary(&self) -> DeviceSummary {
        self.watched().device.summary()
    }

    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        self.watched().device.transfer_type(endpoint)
    }

    fn submit(&mut self, transfer: Transfer, now: Now) {
        let mut watched = self.watched();
        watched.pending.insert(transfer.id, transfer.endpoint);
        watched.device.submit(transfer, now);
    }

    fn cancel(&mut self, id: TransferId, now: Instant) {
        self.watched().device.cancel(id, now);
    }

    fn reset(&mut self, now: Instant) {
        self.watched().device.reset(now);
    }

    fn poll(&mut self, now: Instant) {
        self.watched().device.poll(now);
    }

    fn completion(&mut self) -> Option<Completion> {
        let mut watched = self.watched();
        let ended = watched.device.completion()?;
        watched.pending.remove(&ended.id);
        Some(ended)
    }

    fn deadline(&self) -> Option<Instant> {
        self.watched().device.deadline()
    }

    fn set_waker(&mut self, waker: Waker) {
        let mut watched = self.watched();
        watched.waker = Some(waker.clone());
        watched.device.set_waker(waker);
    }

    fn is_connected(&self) -> bool {
        self.watched().device.is_connected()
    }
}

/// The outcome of a future that waits for nothing.
#[track_caller]
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("it waits for something"),
    }
}

/// Polls a future that has to wait.
#[track_caller]
pub(crate) fn pending<F: Future>(future: Pin<&mut F>) {
    let polled = future.poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "it does not wait");
}

/// Runs what may block, and fails where it does so for long.
#[track_caller]
pub(crate) fn bounded<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, outcome) = mpsc::channel();
    let thread = thread::spawn(move || {
        let outcome = run();
        let _ = done.send(());
        outcome
    });
    match outcome.recv_timeout(Duration::from_secs(30)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it blocks"),
        _ => match thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}
