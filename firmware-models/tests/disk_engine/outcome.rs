//! What should come of a command: what is on the medium afterwards, and why it failed if it did.

use std::{io, ops::Range};

use super::{
    commands::number,
    reference::{BEYOND, CHANGED, Failure, NO_MEDIUM, Place, Plan, Sense, Then, Unit, Work},
};

pub(super) const CUT_SHORT: Sense = (0xb, 0x4b00);
const PARAMETER: Sense = (5, 0x2600);
const NO_ROOM: Sense = (7, 0x2707);
const UNWRITTEN: Sense = (3, 0x0c00);
const UNREAD: Sense = (3, 0x1100);
const DIFFERS: Sense = (0xe, 0x1d00);

/// Sense key and code of sense data, in either format; those that have no room count as none.
pub(super) fn read_sense(data: &[u8]) -> Sense {
    let byte = |place: usize| data.get(place).copied().unwrap_or(0);
    match byte(0) & 0x7f {
        0x72 => (byte(1), u16::from_be_bytes([byte(2), byte(3)])),
        _ => (byte(2), u16::from_be_bytes([byte(12), byte(13)])),
    }
}

impl Unit {
    /// Checks what a command has told; where it has failed, it may have told less.
    pub(super) fn check_told(&self, plan: &Plan, told: &[u8], passed: bool) {
        let expected = match plan {
            Plan::Tell(reply) => reply,
            Plan::Read(range) => &self.data[range.clone()],
            Plan::Sense(sense, _, descriptors) => {
                let whole = if *descriptors { 4 } else { 14 };
                return assert!(
                    told.len() < whole || read_sense(told) == *sense,
                    "{plan:02x?} {told:02x?}"
                );
            }
            _ => return,
        };
        let expected = if passed {
            expected
        } else {
            &expected[..told.len()]
        };
        let place = told.iter().zip(expected).position(|(told, it)| told != it);
        assert!(
            place.is_none() && told.len() == expected.len(),
            "{plan:02x?} told {} bytes of {}, and byte {place:?} is another one",
            told.len(),
            expected.len(),
        );
    }

    /// What comes of a command whose host has sent `sent`, which is shorter than it should be where it was cut short.
    pub(super) fn finish(&mut self, plan: &Plan, sent: &[u8]) -> Result<(), Failure> {
        match plan {
            Plan::Nothing | Plan::Tell(_) | Plan::Describe(_) | Plan::Sense(..) => Ok(()),
            Plan::Read(range) => self.readable(range),
            Plan::Take(length, then) => self.taken(*length, then, sent),
            Plan::Work(work) => self.work(work),
        }
    }

    /// Its user may have taken the medium out since the command began, and put one in.
    fn is_loaded(&self) -> Result<(), Failure> {
        match self.place {
            Place::Drive if self.changed => Err(vec![CHANGED]),
            Place::Drive => Ok(()),
            _ => Err(vec![NO_MEDIUM]),
        }
    }

    fn readable(&self, range: &Range<usize>) -> Result<(), Failure> {
        if range.is_empty() {
            return Ok(());
        }
        self.is_loaded()?;
        let faults = self.shared.faults();
        match faults.reads && faults.meets(range) {
            true => Err(vec![UNREAD]),
            false => Ok(()),
        }
    }

    /// Writes, as far as that can be; where it fails, what is there is taken as it is.
    fn write(&mut self, range: Range<usize>, data: &[u8]) -> Result<(), Failure> {
        if range.is_empty() {
            return Ok(());
        }
        self.is_loaded()?;
        let faults = self.shared.faults();
        match faults.writes {
            Some(kind) if faults.meets(&range) => {
                let whole = self.shared.content(range.clone());
                self.data[range].copy_from_slice(&whole);
                Err(vec![match kind {
                    io::ErrorKind::StorageFull => NO_ROOM,
                    _ => UNWRITTEN,
                }])
            }
            _ => {
                self.data[range].copy_from_slice(data);
                Ok(())
            }
        }
    }

    fn taken(&mut self, length: usize, then: &Then, sent: &[u8]) -> Result<(), Failure> {
        let short = match sent.len() < length {
            true => Err(vec![CUT_SHORT]),
            false => Ok(()),
        };
        match then {
            Then::Write(range, durable) => {
                self.write(range.start..range.start + sent.len(), sent)?;
                short?;
                match durable {
                    true => self.work(&Work::Flush),
                    false => Ok(()),
                }
            }
            Then::Compare(range) => {
                let range = range.start..range.start + sent.len();
                let mut wrong = Failure::new();
                if self.data[range.clone()] != *sent {
                    wrong.push(DIFFERS);
                }
                wrong.extend(self.readable(&range).err().into_iter().flatten());
                match wrong.is_empty() {
                    true => short,
                    false => Err(wrong),
                }
            }
            Then::Unmap => short.and_then(|()| self.unmap_all(sent)),
            Then::Same(range) => {
                short?;
                match sent.iter().all(|byte| *byte == 0) {
                    true => self.work(&Work::Clear(vec![range.clone()])),
                    false => self.write(range.clone(), &sent.repeat(range.len() / self.block)),
                }
            }
        }
    }

    fn unmap_all(&mut self, list: &[u8]) -> Result<(), Failure> {
        let told = number(&list[2..4]) as usize / 16;
        let listed = list[8..].chunks_exact(16).take(told);
        let loaded = match listed.len() {
            0 => Ok(()),
            _ => self.is_loaded(),
        };
        if listed.len() > 256 {
            let missing = loaded.err().into_iter().flatten();
            return Err([PARAMETER, BEYOND].into_iter().chain(missing).collect());
        }
        loaded?;
        let ranges = listed.map(|it| self.range(number(&it[..8]), number(&it[8..12])));
        let ranges: Option<Vec<_>> = ranges.collect();
        match ranges {
            Some(ranges) => self.work(&Work::Clear(ranges)),
            None => Err(vec![BEYOND]),
        }
    }

    fn work(&mut self, work: &Work) -> Result<(), Failure> {
        match work {
            Work::Flush | Work::Stop { .. } if self.shared.faults().flushes => {
                return Err(vec![UNWRITTEN]);
            }
            Work::Flush => {}
            Work::Stop { eject: true } => self.place = Place::Tray,
            Work::Stop { eject: false } => self.stopped = true,
            Work::Check(range) => return self.readable(range),
            Work::Clear(ranges) => {
                for range in ranges.iter().filter(|it| !it.is_empty()) {
                    self.write(range.clone(), &vec![0; range.len()])?;
                }
            }
        }
        if matches!(work, Work::Flush | Work::Stop { .. }) {
            let is_safe = self.overtaken || !self.shared.is_dirty();
            assert!(is_safe, "a flush leaves nothing behind");
        }
        Ok(())
    }
}
