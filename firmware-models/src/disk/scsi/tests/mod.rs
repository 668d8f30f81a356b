//! What a host gets from the target, whatever the transport.

mod blocks;
mod described;
mod drives;
mod thin;

use std::sync::{Arc, Mutex};

use super::*;
use crate::disk::{
    drive::Drive,
    medium::{
        Medium, Sparse,
        faulty::{Faulty, Script},
    },
    tests::named,
};

fn identity() -> Identity {
    named("Disk").1
}

/// A host that gives commands to a target, which has told it of its power-on.
struct Host(Target);

impl Host {
    fn of(units: Vec<Unit>) -> Self {
        let mut host = Self(Target::new(units));
        for lun in 0..=host.0.highest_unit() {
            assert_eq!(host.on(lun, &[0; 6], &[]), Err(Sense::RESET));
        }
        host
    }

    fn new(medium: impl Medium) -> Self {
        Self::with(medium, BlockSize::B512)
    }

    fn with(medium: impl Medium, block: BlockSize) -> Self {
        let drive = Drive::new(Some(Box::new(medium)));
        Self::of(vec![Unit::new(drive, block, identity())])
    }

    /// A disk whose medium does what a script says.
    fn faulty(size: u64) -> (Self, Arc<Mutex<Script>>) {
        let (medium, script) = Faulty::new(size);
        (Self::new(medium), script)
    }

    fn run(&mut self, cdb: &[u8]) -> Result<Vec<u8>, Sense> {
        self.on(0, cdb, &[])
    }

    fn send(&mut self, cdb: &[u8], data: &[u8]) -> Result<Vec<u8>, Sense> {
        self.on(0, cdb, data)
    }

    /// Runs a command in pieces of odd numbers of packets, and checks that it moves what it said it would.
    fn on(&mut self, lun: u8, cdb: &[u8], data: &[u8]) -> Result<Vec<u8>, Sense> {
        let mut command = self.0.begin(lun, cdb);
        let expects = command.expects();
        let mut got = Vec::new();
        while let Some(part) = self.0.data_in(&mut command, 1536, 512) {
            got.extend_from_slice(&part);
        }
        let mut sent = 0;
        for part in data.chunks(1536) {
            if command.takes_data() {
                sent += self.0.data_out(&mut command, part);
            }
        }
        while self.0.work(&mut command) {}
        self.0.finish(&command)?;
        match expects {
            Data::None => assert_eq!((got.len(), sent), (0, 0)),
            Data::In(length) => assert_eq!((got.len(), sent), (length as usize, 0)),
            Data::Out(length) => assert_eq!((got.len(), sent), (0, length as usize)),
        }
        Ok(got)
    }
}

/// A command of ten bytes about blocks.
fn cdb_10(code: u8, flags: u8, block: u32, count: u16) -> [u8; 10] {
    let (b, c) = (block.to_be_bytes(), count.to_be_bytes());
    [code, flags, b[0], b[1], b[2], b[3], 0, c[0], c[1], 0]
}

/// A command of sixteen bytes about blocks.
fn cdb_16(code: u8, flags: u8, block: u64, count: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[0] = code;
    cdb[1] = flags;
    cdb[2..10].copy_from_slice(&block.to_be_bytes());
    cdb[10..14].copy_from_slice(&count.to_be_bytes());
    cdb
}

const READ_10: u8 = 0x28;
const WRITE_10: u8 = 0x2a;
const VERIFY_10: u8 = 0x2f;
const SYNCHRONIZE_10: u8 = 0x35;
const WRITE_SAME_10: u8 = 0x41;
const READ_16: u8 = 0x88;
const WRITE_16: u8 = 0x8a;
const SYNCHRONIZE_16: u8 = 0x91;
const WRITE_SAME_16: u8 = 0x93;
