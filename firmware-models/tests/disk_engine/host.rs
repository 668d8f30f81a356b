//! A host whose clock stands still, and who waits for what it asks.

use std::time::Instant;

use bytes::Bytes;
use usbwright_emulator::{
    EmulatedDevice,
    protocol::{
        Completion, Direction, EndpointAddress, Port, Setup, Status, Transfer, TransferId,
        TransferKind,
    },
};
use usbwright_models::disk::Disk;

/// Bulk-Only Transport's endpoints, and those of UAS for data.
pub(super) const DATA_IN: EndpointAddress = EndpointAddress::new(1, Direction::In);
pub(super) const DATA_OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);
/// UAS' others.
pub(super) const STATUS_IN: EndpointAddress = EndpointAddress::new(2, Direction::In);
pub(super) const COMMAND_OUT: EndpointAddress = EndpointAddress::new(2, Direction::Out);

pub(super) struct Host {
    device: EmulatedDevice,
    now: Instant,
    next: u64,
    /// What each transfer under way asked for.
    asked: Vec<(TransferId, usize)>,
}

impl Host {
    pub(super) fn new(disk: Disk, speed: usbwright_emulator::protocol::Speed) -> Self {
        let now = Instant::now();
        Self {
            device: EmulatedDevice::new(disk, speed, now).expect("the disk is sound"),
            now,
            next: 0,
            asked: Vec::new(),
        }
    }

    /// Begins a transfer.
    pub(super) fn submit(&mut self, endpoint: EndpointAddress, kind: TransferKind) -> TransferId {
        self.next += 1;
        let id = TransferId(self.next);
        let length = match &kind {
            TransferKind::In { length } | TransferKind::Control { room: length, .. } => *length,
            TransferKind::Out { data, .. } => u32::try_from(data.len()).unwrap(),
            TransferKind::Isochronous { .. } => 0,
        };
        self.asked.push((id, length as usize));
        self.device
            .submit(Transfer { id, endpoint, kind }, self.now.into());
        id
    }

    /// What has ended.
    pub(super) fn ended(&mut self) -> Vec<Completion> {
        let mut ended = Vec::new();
        while let Some(completion) = self.device.completion() {
            let place = self.asked.iter().position(|(id, _)| *id == completion.id);
            let (_, most) = self.asked.swap_remove(place.expect("a transfer ends once"));
            assert!(completion.actual_length as usize <= most, "{completion:?}");
            ended.push(completion);
        }
        assert!(self.device.is_connected(), "the firmware has panicked");
        ended
    }

    /// What has ended once the device has nothing more to do.
    pub(super) fn settled(&mut self) -> Vec<Completion> {
        let mut ended = self.ended();
        for _ in 0..10_000 {
            if self.device.deadline().is_none_or(|due| due > self.now) {
                return ended;
            }
            self.device.poll(self.now);
            ended.extend(self.ended());
        }
        panic!("the device works for ever");
    }

    pub(super) fn cancel(&mut self, id: TransferId) {
        self.device.cancel(id, self.now);
    }

    /// A transfer that ends without any other.
    fn done(&mut self, endpoint: EndpointAddress, kind: TransferKind) -> Completion {
        let id = self.submit(endpoint, kind);
        let mut ended = self.settled();
        assert_eq!(
            ended.len(),
            1,
            "transfer {id:?} on {endpoint:?} does not end"
        );
        ended.remove(0)
    }

    /// Reads, and tells how that ended and what came.
    pub(super) fn read(&mut self, endpoint: EndpointAddress, length: usize) -> (Status, Vec<u8>) {
        let length = u32::try_from(length).unwrap();
        let completion = self.done(endpoint, TransferKind::In { length });
        (completion.status, completion.data.to_vec())
    }

    /// Writes, and tells how that ended and how much was taken.
    pub(super) fn write(&mut self, endpoint: EndpointAddress, data: &[u8]) -> (Status, usize) {
        let completion = self.done(endpoint, out(data));
        (completion.status, completion.actual_length as usize)
    }

    /// A request that the device does.
    pub(super) fn control(&mut self, setup: [u8; 8]) {
        let status = self.done(EndpointAddress::CONTROL, request(setup)).status;
        assert_eq!(status, Status::Done, "{setup:02x?}");
    }

    pub(super) fn clear_halt(&mut self, endpoint: EndpointAddress) {
        self.control([2, 1, 0, 0, address(endpoint), 0, 0, 0]);
    }

    /// Resets the bus, and chooses a transport.
    pub(super) fn reset(&mut self, uas: bool) {
        self.device.reset(self.now);
        self.settled();
        assert!(self.asked.is_empty(), "a reset ends every transfer");
        self.control([0, 9, 1, 0, 0, 0, 0, 0]);
        if uas {
            self.control([1, 11, 1, 0, 0, 0, 0, 0]);
        }
    }
}

/// An endpoint's address, as requests have it.
pub(super) fn address(endpoint: EndpointAddress) -> u8 {
    endpoint.number() | u8::from(endpoint.direction() == Direction::In) << 7
}

pub(super) fn out(data: &[u8]) -> TransferKind {
    TransferKind::Out {
        data: Bytes::copy_from_slice(data).into(),
        zero_packet: false,
    }
}

/// A request; where it has data, they are zeros.
pub(super) fn request(setup: [u8; 8]) -> TransferKind {
    let setup = Setup::from_bytes(setup);
    let length = match setup.direction() {
        Direction::In => 0,
        Direction::Out => usize::from(setup.length),
    };
    TransferKind::Control {
        setup,
        data: vec![0; length].into(),
        room: setup.length.into(),
    }
}
