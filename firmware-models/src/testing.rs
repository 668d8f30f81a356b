//! A host for the unit tests, whose clock stands still unless it is moved.

use std::time::{Duration, Instant};

use bytes::Bytes;
use usbwright_emulator::{
    EmulatedDevice,
    protocol::{
        Completion, EndpointAddress, Port, Setup, Status, Transfer, TransferId, TransferKind,
    },
};

use crate::Spec;

/// A device and its host.
pub(crate) struct Host {
    pub(crate) device: EmulatedDevice,
    pub(crate) now: Instant,
    next: u64,
}

impl Host {
    /// A device that a spec asks for, with that configuration set.
    pub(crate) fn new(spec: &str, configuration: u8) -> Self {
        let mut host = Self::of(|now| spec.parse::<Spec>().unwrap().build(now).unwrap());
        host.configure(configuration);
        host
    }

    /// A device that is made at the host's time, of which nothing was asked yet.
    pub(crate) fn of(device: impl FnOnce(Instant) -> EmulatedDevice) -> Self {
        let now = Instant::now();
        Self {
            device: device(now),
            now,
            next: 0,
        }
    }

    pub(crate) fn configure(&mut self, configuration: u8) {
        let setup = [0, 9, configuration, 0, 0, 0, 0, 0];
        assert_eq!(self.control(setup, Vec::new()).status, Status::Done);
    }

    pub(crate) fn submit(&mut self, endpoint: EndpointAddress, kind: TransferKind) -> TransferId {
        self.next += 1;
        let id = TransferId(self.next);
        let transfer = Transfer { id, endpoint, kind };
        self.device.submit(transfer, self.now.into());
        id
    }

    pub(crate) fn write(
        &mut self,
        endpoint: EndpointAddress,
        data: impl Into<Bytes>,
        zero_packet: bool,
    ) -> TransferId {
        let data = data.into().into();
        self.submit(endpoint, TransferKind::Out { data, zero_packet })
    }

    pub(crate) fn read(&mut self, endpoint: EndpointAddress, length: u32) -> TransferId {
        self.submit(endpoint, TransferKind::In { length })
    }

    pub(crate) fn ended(&mut self) -> Option<Completion> {
        self.device.completion()
    }

    /// Reads what is there.
    pub(crate) fn got(&mut self, endpoint: EndpointAddress, length: u32) -> Vec<u8> {
        self.read(endpoint, length);
        let completion = self.ended().unwrap();
        assert_eq!(completion.status, Status::Done);
        completion.data.to_vec()
    }

    pub(crate) fn control(&mut self, setup: [u8; 8], data: Vec<u8>) -> Completion {
        let setup = Setup::from_bytes(setup);
        let kind = TransferKind::Control {
            setup,
            data: data.into(),
            room: setup.length.into(),
        };
        self.submit(EndpointAddress::CONTROL, kind);
        self.ended().unwrap()
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.device.poll(self.now);
    }
}
