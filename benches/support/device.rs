//! A configured device in process, driven through its port.

use std::time::Instant;

use bytes::Bytes;
use usbwright::{
    emulator::EmulatedDevice,
    models::Spec,
    protocol::{
        Completion, Direction, EndpointAddress, Port, Setup, Status, Transfer, TransferId,
        TransferKind,
    },
};

use crate::commands;

/// A Gadget Zero with its source and sink, and the time that it lives at.
pub(crate) struct Host {
    device: EmulatedDevice,
    now: Instant,
}

impl Host {
    /// `spec` is such as `gadget-zero,pattern=2`.
    pub(crate) fn new(spec: &str) -> Self {
        let now = Instant::now();
        let device = spec.parse::<Spec>().unwrap().build(now).unwrap();
        let mut host = Self { device, now };
        host.control(commands::SET_CONFIGURATION);
        host
    }

    pub(crate) fn control(&mut self, setup: [u8; 8]) -> Completion {
        let setup = Setup::from_bytes(setup);
        let kind = TransferKind::Control {
            setup,
            data: Bytes::new(),
            room: setup.length.into(),
        };
        self.run(EndpointAddress::CONTROL, kind)
    }

    pub(crate) fn read(&mut self, length: u32) -> Completion {
        let endpoint = EndpointAddress::new(1, Direction::In);
        self.run(endpoint, TransferKind::In { length })
    }

    pub(crate) fn write(&mut self, data: &Bytes) -> Completion {
        let kind = TransferKind::Out {
            data: data.clone().into(),
            zero_packet: false,
        };
        self.run(EndpointAddress::new(1, Direction::Out), kind)
    }

    fn run(&mut self, endpoint: EndpointAddress, kind: TransferKind) -> Completion {
        let id = TransferId(1);
        let transfer = Transfer { id, endpoint, kind };
        self.device.submit(transfer, self.now.into());
        let completion = self
            .device
            .completion()
            .expect("the device answers at once");
        debug_assert_eq!(completion.status, Status::Done);
        completion
    }
}
