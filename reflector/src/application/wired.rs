//! The core with its cancel channel, as a link has it.

use std::{os::fd::AsFd as _, sync::Arc, task::Waker, time::Instant};

use usbwright_ports::{
    Violation,
    parts::{Core, Delivery, Socket, Watcher},
};
use zerocopy::IntoBytes as _;

use super::core::ApplicationCore;
use crate::wire::{Header, Packet};

/// The core, and where its cancels go.
pub(crate) struct Wired {
    pub(super) core: ApplicationCore,
    cancel: Option<Socket>,
    /// The thread that looks after the connection where tasks wait; it is there as long as anybody's is.
    pub(super) watcher: Option<Arc<Watcher>>,
}

impl Wired {
    pub(super) fn new() -> Self {
        Self {
            core: ApplicationCore::new(),
            cancel: None,
            watcher: None,
        }
    }
}

impl Core for Wired {
    type Packet = Packet;

    fn receive(&mut self, packet: Packet) -> Result<(), Violation> {
        self.core.receive(packet)?;
        if let Some(channel) = self.core.take_channel() {
            let own = channel.as_fd().try_clone_to_owned();
            let own = own.map_err(|_| Violation::Descriptors(0))?;
            self.cancel = Some(own.into());
        }
        Ok(())
    }

    fn outgoing(&mut self) -> Option<Packet> {
        self.core.outgoing()
    }

    fn sent(&mut self) {
        self.core.sent();
    }

    fn send_aside(&mut self) -> Delivery {
        let Some(cancel) = &self.cancel else {
            return Delivery::Sent;
        };
        while let Some(number) = self.core.outgoing_cancel() {
            let header = Header::cancel(number);
            match cancel.send_parts(header.as_bytes(), &[], None) {
                Ok(Delivery::Sent) | Err(_) => self.core.sent_cancel(),
                Ok(delivery) => return delivery,
            }
        }
        Delivery::Sent
    }

    fn expire(&mut self, now: Instant) {
        self.core.expire(now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.core.deadline()
    }

    fn end(&mut self) {
        self.core.end();
        self.cancel = None;
    }

    fn woken(&mut self) -> &mut Vec<Waker> {
        self.core.woken()
    }
}
