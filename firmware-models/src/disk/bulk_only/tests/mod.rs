//! What a raw client of the transport gets.

mod cases;
mod stages;

use bytes::Bytes;
use usbwright_emulator::{
    EmulatedDevice,
    protocol::{Direction, EndpointAddress, Port, Speed, Status as Ended, TransferId},
};

use crate::{
    disk::{
        BlockSize, Disk, Drive, Unit,
        medium::{Medium, Sparse},
        tests::named,
    },
    testing::Host,
};

const IN: EndpointAddress = EndpointAddress::new(1, Direction::In);
const OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);

const TEST_UNIT_READY: [u8; 6] = [0; 6];
const REQUEST_SENSE: [u8; 6] = [3, 0, 0, 0, 18, 0];
const PASSED: u8 = 0;
const FAILED: u8 = 1;
const PHASE_ERROR: u8 = 2;

/// A host at the other end of the cable.
struct Client(Host);

impl Client {
    fn new() -> Self {
        Self::of(Speed::High, vec![Box::new(Sparse::new(64 << 20))])
    }

    /// A disk with these media, that has told of its power-on.
    fn of(speed: Speed, media: Vec<Box<dyn Medium>>) -> Self {
        let (strings, identity) = named("A");
        let units = media
            .into_iter()
            .map(|medium| Unit::new(Drive::new(Some(medium)), BlockSize::B512, identity.clone()));
        let units: Vec<_> = units.collect();
        let count = units.len() as u8;
        let disk = Disk::new(speed, strings, units);
        let host = Host::of(|now| EmulatedDevice::new(disk, speed, now).unwrap());
        let mut client = Self(host);
        client.control([0, 9, 1, 0, 0, 0, 0, 0]).unwrap();
        for lun in 0..count {
            client.command(lun, 0, 0, &TEST_UNIT_READY);
            assert_eq!(client.status().2, FAILED);
            assert_eq!(client.sense(lun), (6, 0x2900));
        }
        client
    }

    fn control(&mut self, setup: [u8; 8]) -> Result<Vec<u8>, Ended> {
        let completion = self.0.control(setup, Vec::new());
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
        self.0.write(OUT, data, false)
    }

    /// Writes, and tells how that ended and how much moved.
    fn write(&mut self, data: impl Into<Bytes>) -> (Ended, usize) {
        self.begin_write(data);
        let completion = self.0.worked_for().unwrap();
        (completion.status, completion.actual_length as usize)
    }

    /// Reads, and tells how that ended and what came.
    fn read(&mut self, length: u32) -> (Ended, Vec<u8>) {
        self.0.read(IN, length);
        let completion = self.0.worked_for().unwrap();
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
        assert_eq!(self.0.device.is_halted(endpoint), Some(true));
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
        assert_eq!(self.0.device.is_halted(IN), Some(false));
        assert_eq!(self.0.device.is_halted(OUT), Some(false));
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
