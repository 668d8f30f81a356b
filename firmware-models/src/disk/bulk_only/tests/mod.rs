//! What a raw client of the transport gets.

mod cases;
mod stages;

use std::time::Instant;

use bytes::Bytes;
use usbwright_emulator::{
    EmulatedDevice,
    protocol::{
        Completion, Direction, EndpointAddress, Port, Setup, Speed, Status as Ended, Transfer,
        TransferId, TransferKind,
    },
};

use crate::disk::{
    BlockSize, Disk, Drive, Identity, Strings, Unit, medium::Medium, medium::Sparse,
};

const IN: EndpointAddress = EndpointAddress::new(1, Direction::In);
const OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);

const TEST_UNIT_READY: [u8; 6] = [0; 6];
const REQUEST_SENSE: [u8; 6] = [3, 0, 0, 0, 18, 0];
const PASSED: u8 = 0;
const FAILED: u8 = 1;
const PHASE_ERROR: u8 = 2;

/// A host at the other end of the cable.
struct Client {
    device: EmulatedDevice,
    now: Instant,
    next: u64,
}

impl Client {
    fn new() -> Self {
        Self::of(Speed::High, vec![Box::new(Sparse::new(64 << 20))])
    }

    /// A disk with these media, that has told of its power-on.
    fn of(speed: Speed, media: Vec<Box<dyn Medium>>) -> Self {
        let text = || "A".to_owned();
        let units = media.into_iter().map(|medium| {
            let identity = Identity {
                vendor: text(),
                product: text(),
                revision: text(),
                serial: text(),
            };
            Unit::new(Drive::new(Some(medium)), BlockSize::B512, identity)
        });
        let units: Vec<_> = units.collect();
        let count = units.len() as u8;
        let strings = Strings {
            vendor: text(),
            product: text(),
            serial: text(),
        };
        let now = Instant::now();
        let mut client = Self {
            device: EmulatedDevice::new(Disk::new(speed, strings, units), speed, now).unwrap(),
            now,
            next: 0,
        };
        client.control([0, 9, 1, 0, 0, 0, 0, 0]).unwrap();
        for lun in 0..count {
            client.command(lun, 0, 0, &TEST_UNIT_READY);
            assert_eq!(client.status().2, FAILED);
            assert_eq!(client.sense(lun), (6, 0x2900));
        }
        client
    }

    fn submit(&mut self, endpoint: EndpointAddress, kind: TransferKind) -> TransferId {
        self.next += 1;
        let id = TransferId(self.next);
        let transfer = Transfer { id, endpoint, kind };
        self.device.submit(transfer, self.now.into());
        id
    }

    /// Takes the next completion, and lets the device work for as long as it has something to do.
    fn ended(&mut self) -> Option<Completion> {
        for _ in 0..10_000 {
            if let Some(completion) = self.device.completion() {
                return Some(completion);
            }
            self.device.deadline()?;
            self.device.poll(self.now);
        }
        panic!("the device works for ever");
    }

    fn control(&mut self, setup: [u8; 8]) -> Result<Vec<u8>, Ended> {
        let setup = Setup::from_bytes(setup);
        let kind = TransferKind::Control {
            setup,
            data: Bytes::new(),
            room: setup.length.into(),
        };
        self.submit(EndpointAddress::CONTROL, kind);
        let completion = self.ended().unwrap();
        match completion.status {
            Ended::Done => Ok(completion.data.to_vec()),
            other => Err(other),
        }
    }

    fn clear_halt(&mut self, endpoint: EndpointAddress) {
        let address = endpoint.number() | u8::from(endpoint == IN) << 7;
        self.control([2, 1, 0, 0, address, 0, 0, 0]).unwrap();
    }

    fn begin_write(&mut self, data: impl Into<Bytes>) -> TransferId {
        let kind = TransferKind::Out {
            data: data.into().into(),
            zero_packet: false,
        };
        self.submit(OUT, kind)
    }

    /// Writes, and tells how that ended and how much moved.
    fn write(&mut self, data: impl Into<Bytes>) -> (Ended, usize) {
        self.begin_write(data);
        let completion = self.ended().unwrap();
        (completion.status, completion.actual_length as usize)
    }

    /// Reads, and tells how that ended and what came.
    fn read(&mut self, length: u32) -> (Ended, Vec<u8>) {
        self.submit(IN, TransferKind::In { length });
        let completion = self.ended().unwrap();
        (completion.status, completion.data.to_vec())
    }

    /// Sends a command. The host is going to move `length` bytes, to itself with flag 0x80.
    fn command(&mut self, lun: u8, length: u32, flags: u8, cdb: &[u8]) {
        let sent = self.write(wrapper(lun, length, flags, cdb));
        assert_eq!(sent, (Ended::Done, 31));
    }

    /// Reads the status: tag, residue and status.
    fn status(&mut self) -> (u32, u32, u8) {
        let (ended, bytes) = self.read(13);
        assert_eq!((ended, bytes.len()), (Ended::Done, 13));
        assert_eq!(&bytes[..4], b"USBS");
        let word = |place: usize| u32::from_le_bytes(bytes[place..place + 4].try_into().unwrap());
        (word(4), word(8), bytes[12])
    }

    /// Reads the status of a command that ends after the host was stalled on `endpoint`, which it has yet to clear.
    fn status_behind(&mut self, endpoint: EndpointAddress) -> (u32, u32, u8) {
        assert_eq!(self.device.is_halted(endpoint), Some(true));
        self.clear_halt(endpoint);
        self.status()
    }

    fn reset_recovery(&mut self) {
        self.control([0x21, 0xff, 0, 0, 0, 0, 0, 0]).unwrap();
        self.clear_halt(IN);
        self.clear_halt(OUT);
    }

    /// Shows that the device takes commands as if nothing had been.
    fn assert_works(&mut self) {
        self.command(0, 0, 0, &TEST_UNIT_READY);
        assert_eq!(self.status(), (TAG, 0, PASSED));
        assert_eq!(self.device.is_halted(IN), Some(false));
        assert_eq!(self.device.is_halted(OUT), Some(false));
    }

    /// Sense key and code of the last failure.
    fn sense(&mut self, lun: u8) -> (u8, u16) {
        self.command(lun, 18, 0x80, &REQUEST_SENSE);
        let (_, sense) = self.read(18);
        assert_eq!(self.status(), (TAG, 0, PASSED));
        (sense[2], u16::from_be_bytes([sense[12], sense[13]]))
    }

    /// The blocks of the first unit.
    fn blocks(&mut self, block: u32, count: u16) -> Vec<u8> {
        let length = u32::from(count) * 512;
        self.command(0, length, 0x80, &read_10(block, count));
        let (ended, data) = self.read(length);
        assert_eq!(ended, Ended::Done);
        assert_eq!(self.status(), (TAG, 0, PASSED));
        data
    }
}

const TAG: u32 = 0x1234_5678;

fn wrapper(lun: u8, length: u32, flags: u8, cdb: &[u8]) -> Vec<u8> {
    let mut bytes = b"USBC".to_vec();
    bytes.extend(TAG.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend([flags, lun, cdb.len() as u8]);
    bytes.extend(cdb);
    bytes.resize(31, 0);
    bytes
}

fn read_10(block: u32, count: u16) -> [u8; 10] {
    cdb_10(0x28, block, count)
}

fn write_10(block: u32, count: u16) -> [u8; 10] {
    cdb_10(0x2a, block, count)
}

fn cdb_10(code: u8, block: u32, count: u16) -> [u8; 10] {
    let (b, c) = (block.to_be_bytes(), count.to_be_bytes());
    [code, 0, b[0], b[1], b[2], b[3], 0, c[0], c[1], 0]
}
