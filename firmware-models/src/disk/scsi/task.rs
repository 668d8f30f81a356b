//! What is left to do of a command: pieces that the host sends or takes, and work on the medium in steps.

use bytes::{Bytes, BytesMut};

use super::{Sense, Unit, cdb::Cdb};
use crate::disk::medium::{Medium, ZEROS, read_some};

/// The most that is read, written or compared before others get their turn, in bytes.
const STEP: u64 = 4 << 20;

/// A command under way.
#[derive(Debug)]
pub(super) enum Task {
    /// Nothing is left.
    Done,
    /// The host gets this.
    Reply(Bytes),
    /// The host gets what is on the medium.
    Read(Run),
    /// The host sends what is to be on the medium; with `durable`, on stable storage.
    #[doc(alias = "FUA")]
    Write { run: Run, durable: bool },
    /// The host sends what should be on the medium.
    #[doc(alias = "BYTCHK")]
    Compare(Run),
    /// The host sends parameters.
    Collect(Parameters),
    /// The medium is worked on.
    Work(Work),
}

/// A part of a medium, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) at: u64,
    pub(super) left: u64,
}

impl Run {
    fn advance(&mut self, by: usize) {
        self.at += by as u64;
        self.left -= by as u64;
    }
}

/// Parameters that the host sends, and what is to be done once they are there.
#[derive(Debug)]
pub(super) struct Parameters {
    pub(super) cdb: Cdb,
    pub(super) length: usize,
    pub(super) got: Vec<u8>,
    pub(super) then: fn(&mut Unit, &Cdb, &[u8]) -> Result<Task, Sense>,
}

/// Work on the medium.
#[derive(Debug)]
pub(super) enum Work {
    /// Have all that was written on stable storage.
    Flush,
    /// Flush, and then stop the unit or open its tray.
    Stop { eject: bool },
    /// See whether it can be read.
    Check(Run),
    /// Have the medium give room back.
    Discard(Vec<Run>),
    /// Write the same again and again.
    Fill { run: Run, pattern: Bytes },
}

impl Unit {
    fn block_of(&self, at: u64) -> u64 {
        at / u64::from(self.block.bytes())
    }

    /// Reads up to `most` bytes of a run: whole packets, unless it ends before.
    pub(super) fn read(&self, run: &mut Run, most: usize, packet: usize) -> Result<Bytes, Sense> {
        let most = (most as u64).min(run.left).min(ZEROS.len() as u64) as usize;
        let mut loaded = self.still_loaded()?;
        let medium = loaded.medium()?;
        let data = read_packets(medium, run.at, most, packet)
            .map_err(|error| Sense::of_read(&error, self.block_of(run.at)))?;
        run.advance(data.len());
        Ok(data)
    }

    pub(super) fn write(&self, run: &mut Run, data: &[u8]) -> Result<(), Sense> {
        self.still_loaded()?
            .medium()?
            .write(run.at, data)
            .map_err(|error| Sense::of_write(&error, self.block_of(run.at)))?;
        run.advance(data.len());
        Ok(())
    }

    pub(super) fn compare(&self, run: &mut Run, mut data: &[u8]) -> Result<(), Sense> {
        while !data.is_empty() {
            let found = self.read(run, data.len(), 1)?;
            let (expected, rest) = data.split_at(found.len());
            if let Some(place) = expected.iter().zip(&found).position(|(a, b)| a != b) {
                let at = run.at - (found.len() - place) as u64;
                return Err(Sense::MISCOMPARE_DURING_VERIFY.at(self.block_of(at)));
            }
            data = rest;
        }
        Ok(())
    }

    /// Does a step, of bounded length, of some work; tells whether more is left.
    pub(super) fn step(&mut self, work: &mut Work) -> Result<bool, Sense> {
        let mut budget = STEP;
        match work {
            Work::Flush => {
                let result = self.still_loaded()?.medium()?.flush();
                result.map_err(|error| Sense::of_flush(&error))?;
                self.drive.note_flush();
                Ok(false)
            }
            Work::Stop { eject } => {
                let eject = *eject;
                self.step(&mut Work::Flush)?;
                if eject {
                    self.drive.tray().eject();
                    self.drive.note();
                } else {
                    self.stopped = true;
                }
                Ok(false)
            }
            Work::Check(run) => {
                while run.left > 0 && budget > 0 {
                    let read = self.read(run, ZEROS.len(), 1)?.len() as u64;
                    budget = budget.saturating_sub(read);
                }
                Ok(run.left > 0)
            }
            Work::Discard(runs) => {
                for run in runs {
                    let result = self.still_loaded()?.medium()?.discard(run.at, run.left);
                    result.map_err(|error| Sense::of_write(&error, self.block_of(run.at)))?;
                }
                Ok(false)
            }
            Work::Fill { run, pattern } => {
                while run.left > 0 && budget > 0 {
                    let length = run.left.min(pattern.len() as u64);
                    self.write(run, &pattern[..length as usize])?;
                    budget = budget.saturating_sub(length);
                }
                Ok(run.left > 0)
            }
        }
    }
}

/// Reads up to `most` bytes. Where the medium gives fewer, they are cut to whole packets; only a packet that lies in two of its
/// pieces is copied.
fn read_packets(
    medium: &mut dyn Medium,
    at: u64,
    most: usize,
    packet: usize,
) -> std::io::Result<Bytes> {
    let mut data = read_some(medium, at, most)?;
    if data.len() == most {
        return Ok(data);
    }
    let whole = data.len() - data.len() % packet;
    if whole > 0 {
        data.truncate(whole);
        return Ok(data);
    }
    let length = packet.min(most);
    let mut gathered = BytesMut::with_capacity(length);
    gathered.extend_from_slice(&data);
    while gathered.len() < length {
        let place = at + gathered.len() as u64;
        let part = read_some(medium, place, length - gathered.len())?;
        gathered.extend_from_slice(&part);
    }
    Ok(gathered.freeze())
}
