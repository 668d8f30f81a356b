//! What a driver has written to a board, as it was on the wire.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
    time::Instant,
};

use usbwright::protocol::{
    Completion, DeviceSummary, EndpointAddress, Now, Port, Transfer, TransferId, TransferKind,
    TransferType,
};

/// The data of the last bulk transfer to a board. Clones are the same wire.
#[derive(Clone, Default)]
pub(crate) struct Wire(Arc<Mutex<Vec<u8>>>);

impl Wire {
    pub(crate) fn last_written(&self) -> Vec<u8> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    fn hear(&self, transfer: &Transfer) {
        if let TransferKind::Out { data, .. } = &transfer.kind {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = data.to_vec();
        }
    }
}

/// A board at the end of a wire that is listened to.
pub(crate) struct Wired<P> {
    pub(crate) port: P,
    pub(crate) wire: Wire,
}

impl<P: Port> Port for Wired<P> {
    fn summary(&self) -> DeviceSummary {
        self.port.summary()
    }

    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        self.port.transfer_type(endpoint)
    }

    fn submit(&mut self, transfer: Transfer, now: Now) {
        self.wire.hear(&transfer);
        self.port.submit(transfer, now);
    }

    fn cancel(&mut self, id: TransferId, now: Instant) {
        self.port.cancel(id, now);
    }

    fn reset(&mut self, now: Instant) {
        self.port.reset(now);
    }

    fn poll(&mut self, now: Instant) {
        self.port.poll(now);
    }

    fn completion(&mut self) -> Option<Completion> {
        self.port.completion()
    }

    fn deadline(&self) -> Option<Instant> {
        self.port.deadline()
    }

    fn set_waker(&mut self, waker: Waker) {
        self.port.set_waker(waker);
    }

    fn is_connected(&self) -> bool {
        self.port.is_connected()
    }
}
