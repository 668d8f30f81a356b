//! An emulated device in this process that can be unplugged.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::Instant,
};

use usbwright::{
    emulator::EmulatedDevice,
    models::Spec,
    protocol::{
        Completion, DeviceSummary, EndpointAddress, Now, Port, Transfer, TransferId, TransferType,
    },
    target::{Device, Wait as _},
};

use super::Subject;
use crate::conformance::backends::Backend;

/// What unplugs a device.
#[derive(Clone, Debug, Default)]
struct Plug {
    pulled: Arc<AtomicBool>,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Plug {
    fn pull(&self) {
        self.pulled.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }
}

/// The device's port, with its plug.
struct Pluggable {
    device: EmulatedDevice,
    plug: Plug,
}

impl Port for Pluggable {
    fn summary(&self) -> DeviceSummary {
        self.device.summary()
    }

    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        self.device.transfer_type(endpoint)
    }

    fn submit(&mut self, transfer: Transfer, now: Now) {
        self.device.submit(transfer, now);
    }

    fn cancel(&mut self, id: TransferId, now: Instant) {
        self.device.cancel(id, now);
    }

    fn reset(&mut self, now: Instant) {
        self.device.reset(now);
    }

    fn poll(&mut self, now: Instant) {
        if self.plug.pulled.load(Ordering::SeqCst) {
            self.device.unplug();
        }
        self.device.poll(now);
    }

    fn completion(&mut self) -> Option<Completion> {
        self.device.completion()
    }

    fn deadline(&self) -> Option<Instant> {
        self.device.deadline()
    }

    fn set_waker(&mut self, waker: Waker) {
        let mut ours = self
            .plug
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *ours = Some(waker.clone());
        drop(ours);
        self.device.set_waker(waker);
    }

    fn is_connected(&self) -> bool {
        self.device.is_connected()
    }
}

/// The backend in process, with a device of that spec.
pub(crate) fn subject(backend: &'static Backend, spec: &str) -> Subject {
    let spec: Spec = spec.parse().unwrap();
    let last = Arc::new(Mutex::new(Plug::default()));
    let opened = Arc::clone(&last);
    let open = move || {
        let plug = Plug::default();
        *opened.lock().unwrap_or_else(PoisonError::into_inner) = plug.clone();
        let device = spec.build(Instant::now()).unwrap();
        Device::open(Pluggable { device, plug }).wait().unwrap()
    };
    Subject::new(backend, open).unplugged_by(move || {
        last.lock().unwrap_or_else(PoisonError::into_inner).pull();
    })
}
