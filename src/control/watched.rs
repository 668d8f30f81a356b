//! A port that tells when a host sets a configuration.

use std::{
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        mpsc::{Receiver, Sender, channel},
    },
    task::Waker,
    time::Instant,
};

use super::events::{Event, Events};
use crate::protocol::{
    Completion, DeviceSummary, EndpointAddress, Now, Outside, Port, Status, Transfer, TransferId,
    TransferKind, TransferType,
};

/// A device's name on the bus, once it is there.
pub(super) type Name = Arc<OnceLock<String>>;

/// Ends when the device of a [`Watched`] was dropped.
pub(super) type Gone = Receiver<Infallible>;

/// A device, watched.
pub(super) struct Watched {
    port: Box<dyn Port>,
    /// Dropped after the port.
    _here: Sender<Infallible>,
    name: Name,
    events: Events,
    /// The requests that set a configuration and have not ended.
    setting: Vec<(TransferId, u8)>,
}

impl Watched {
    pub(super) fn new(port: Box<dyn Port>, name: Name, events: Events) -> (Self, Gone) {
        let (here, gone) = channel();
        let watched = Self {
            port,
            _here: here,
            name,
            events,
            setting: Vec::new(),
        };
        (watched, gone)
    }

    fn note(&mut self, transfer: &Transfer) {
        if let TransferKind::Control { setup, .. } = &transfer.kind
            && let Some(configuration) = setup.sets_configuration()
        {
            self.setting.push((transfer.id, configuration));
        }
    }

    fn note_end(&mut self, completion: &Completion) {
        let Some(place) = self.setting.iter().position(|(id, _)| *id == completion.id) else {
            return;
        };
        let (_, configuration) = self.setting.remove(place);
        if let (Status::Done, Some(device)) = (completion.status, self.name.get()) {
            self.events.tell(Event::Configured {
                device: device.clone(),
                configuration,
            });
        }
    }
}

impl Port for Watched {
    fn summary(&self) -> DeviceSummary {
        self.port.summary()
    }

    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        self.port.transfer_type(endpoint)
    }

    fn submit(&mut self, transfer: Transfer, now: Now) {
        self.note(&transfer);
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
        let completion = self.port.completion()?;
        if !self.setting.is_empty() {
            self.note_end(&completion);
        }
        Some(completion)
    }

    fn deadline(&self) -> Option<Instant> {
        self.port.deadline()
    }

    fn set_waker(&mut self, waker: Waker) {
        self.port.set_waker(waker);
    }

    fn may_wake(&self) -> bool {
        self.port.may_wake()
    }

    fn outside(&self) -> Option<Arc<dyn Outside>> {
        self.port.outside()
    }

    fn is_connected(&self) -> bool {
        self.port.is_connected()
    }
}
