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
    protocol::{
        Completion, DeviceSummary, EndpointAddress, Now, Port, Transfer, TransferId, TransferType,
    },
};

/// What unplugs a device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plug {
    pulled: Arc<AtomicBool>,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Plug {
    /// A device with this plug.
    pub(crate) fn of(&self, device: EmulatedDevice) -> Pluggable {
        Pluggable {
            device,
            plug: self.clone(),
        }
    }

    pub(crate) fn pull(&self) {
        self.pulled.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }
}

/// The device's port, with its plug.
pub(crate) struct Pluggable {
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
