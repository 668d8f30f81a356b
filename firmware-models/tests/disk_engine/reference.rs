//! What a logical unit should do, by the specifications and by what was decided where they leave a choice: as plain as can be.

use std::ops::Range;

use super::{
    commands::{Cdb, number},
    medium::Shared,
};

/// Sense key, and additional sense code with its qualifier.
pub(super) type Sense = (u8, u16);

pub(super) const NO_SENSE: Sense = (0, 0);
pub(super) const RESET: Sense = (6, 0x2900);
pub(super) const NO_UNIT: Sense = (5, 0x2500);
pub(super) const NO_MEDIUM: Sense = (2, 0x3a00);
const STOPPED: Sense = (2, 0x0402);
const UNKNOWN: Sense = (5, 0x2000);
pub(super) const BEYOND: Sense = (5, 0x2100);
const FIELD: Sense = (5, 0x2400);
const LENGTH: Sense = (5, 0x1a00);
/// What a unit answers that has no such page to tell.
pub(super) const NOT_TOLD: [Sense; 2] = [FIELD, (5, 0x3900)];
const PREVENTED: Sense = (5, 0x5302);
pub(super) const CHANGED: Sense = (6, 0x2800);
const PROTECTED: Sense = (7, 0x2700);

/// Why a command may fail. Where several things are wrong with it, any of them may be told.
pub(super) type Failure = Vec<Sense>;

/// What a command is about to do.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    Nothing,
    /// It tells this.
    Tell(Vec<u8>),
    /// It tells what the unit is, or that it can't, in no more than so many bytes.
    Describe(usize),
    /// It tells this sense, in no more than so many bytes; with descriptors or in the fixed format.
    Sense(Sense, usize, bool),
    Read(Range<usize>),
    /// It takes so many bytes of its host.
    Take(usize, Then),
    Work(Work),
}

impl Plan {
    /// The bytes that it moves; the most, where it depends on what is to be told.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Nothing | Self::Work(_) => 0,
            Self::Tell(reply) => reply.len(),
            Self::Describe(most) | Self::Sense(_, most, _) => *most,
            Self::Read(range) => range.len(),
            Self::Take(length, _) => *length,
        }
    }

    /// Whether it is known to move nothing.
    pub(super) fn is_without_data(&self) -> bool {
        self.length() == 0 && !matches!(self, Self::Describe(_))
    }

    pub(super) fn is_to_host(&self) -> bool {
        !matches!(self, Self::Take(..))
    }
}

/// What is done with the host's data.
#[derive(Clone, Debug)]
pub(super) enum Then {
    Write(Range<usize>, bool),
    Compare(Range<usize>),
    Unmap,
    Same(Range<usize>),
}

/// What is done without data.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Flush,
    Stop {
        eject: bool,
    },
    Check(Range<usize>),
    /// All of it becomes zeros.
    Clear(Vec<Range<usize>>),
}

/// Where the medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Drive,
    Tray,
    Outside,
}

/// A logical unit.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) data: Vec<u8>,
    pub(super) shared: Shared,
    pub(super) block: usize,
    pub(super) removable: bool,
    pub(super) read_only: bool,
    pub(super) thin: bool,
    pub(super) place: Place,
    pub(super) prevented: bool,
    /// A medium was put in, of which the host was not told.
    pub(super) changed: bool,
    pub(super) attention: Option<Sense>,
    /// Why the last command failed.
    pub(super) sense: Sense,
    pub(super) stopped: bool,
    /// The disk may have gone on to commands that come after the one that ends here.
    pub(super) overtaken: bool,
}

impl Unit {
    pub(super) fn blocks(&self) -> u64 {
        (self.data.len() / self.block) as u64
    }

    pub(super) fn reset(&mut self) {
        self.attention = Some(RESET);
        self.sense = NO_SENSE;
        self.stopped = false;
        self.changed = false;
        self.prevented = false;
        if self.place == Place::Tray {
            self.place = Place::Drive;
        }
    }

    fn take_attention(&mut self) -> Option<Sense> {
        if std::mem::take(&mut self.changed) && self.place == Place::Drive {
            self.stopped = false;
            self.attention.get_or_insert(CHANGED);
        }
        self.attention.take()
    }

    /// Why it can't do anything with its medium, if so.
    fn unready(&self) -> Option<Sense> {
        match (self.place, self.stopped) {
            (Place::Drive, false) => None,
            (Place::Drive, true) => Some(STOPPED),
            _ => Some(NO_MEDIUM),
        }
    }

    /// A command begins.
    pub(super) fn begin(&mut self, cdb: &Cdb) -> Result<Plan, Failure> {
        let code = cdb[0];
        if code != 0x03 {
            self.sense = NO_SENSE;
        }
        let wrong_action = match code {
            0x9e => cdb[1] & 0x1f != 0x10,
            0xa3 => cdb[1] & 0x1f != 0x0c,
            _ => false,
        };
        if wrong_action {
            return Err(vec![FIELD]);
        }
        match code {
            0x03 => return Ok(self.tell_sense(cdb)),
            0x12 => return Ok(Plan::Describe(number(&cdb[3..5]) as usize)),
            0xa0 => return Ok(Plan::Describe(number(&cdb[6..10]) as usize)),
            0x00 | 0x08 | 0x0a | 0x1a | 0x1b | 0x1e | 0x25 | 0x28 | 0x2a | 0x2f | 0x35 | 0x41
            | 0x42 | 0x5a | 0x88 | 0x8a | 0x8f | 0x91 | 0x93 | 0x9e | 0xa3 | 0xa8 | 0xaa | 0xaf => {
            }
            _ => return Err(vec![UNKNOWN]),
        }
        if let Some(attention) = self.take_attention() {
            return Err(vec![attention]);
        }
        match code {
            0x1a => Ok(Plan::Describe(cdb[4].into())),
            0x5a => Ok(Plan::Describe(number(&cdb[7..9]) as usize)),
            0xa3 => Ok(Plan::Describe(number(&cdb[6..10]) as usize)),
            0x00 => self.unready().map_or(Ok(Plan::Nothing), |it| Err(vec![it])),
            0x1b => self.start_stop(cdb),
            0x1e => self.prevent(cdb),
            0x25 | 0x9e => self.capacity(cdb),
            0x42 => self.unmap(cdb),
            _ => self.blocks_of(cdb),
        }
    }

    fn tell_sense(&mut self, cdb: &Cdb) -> Plan {
        let mut sense = std::mem::replace(&mut self.sense, NO_SENSE);
        if sense == NO_SENSE {
            sense = self.take_attention().unwrap_or(NO_SENSE);
        }
        if sense == NO_SENSE {
            sense = self.unready().unwrap_or(NO_SENSE);
        }
        Plan::Sense(sense, cdb[4].into(), cdb[1] & 1 != 0)
    }

    fn start_stop(&mut self, cdb: &Cdb) -> Result<Plan, Failure> {
        let (start, tray) = (cdb[4] & 1 != 0, cdb[4] & 2 != 0);
        if cdb[4] & 0xf0 != 0 {
            return Ok(Plan::Nothing);
        }
        if tray && !self.removable {
            return Err(vec![FIELD]);
        }
        if tray && !start && self.prevented {
            return Err(vec![PREVENTED]);
        }
        if !start {
            return Ok(match self.place {
                Place::Drive => Plan::Work(Work::Stop { eject: tray }),
                _ => Plan::Nothing,
            });
        }
        if tray && self.place == Place::Tray {
            (self.place, self.changed) = (Place::Drive, true);
        }
        self.stopped = false;
        Ok(Plan::Nothing)
    }

    fn prevent(&mut self, cdb: &Cdb) -> Result<Plan, Failure> {
        match (self.removable, self.place) {
            (false, _) => Err(vec![FIELD]),
            (true, Place::Drive) => {
                self.prevented = cdb[4] & 1 != 0;
                Ok(Plan::Nothing)
            }
            (true, _) => Err(vec![NO_MEDIUM]),
        }
    }

    fn capacity(&self, cdb: &Cdb) -> Result<Plan, Failure> {
        let short = cdb[0] == 0x25;
        let mut wrong = Vec::from_iter(self.unready());
        if short && number(&cdb[2..6]) != 0 {
            wrong.push(FIELD);
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let (last, block) = (self.blocks() - 1, self.block as u32);
        if short {
            let reply = [(last as u32).to_be_bytes(), block.to_be_bytes()];
            return Ok(Plan::Tell(reply.concat()));
        }
        let mut reply = last.to_be_bytes().to_vec();
        reply.extend(block.to_be_bytes());
        reply.resize(32, 0);
        if self.thin && !self.read_only {
            reply[14] = 0xc0;
        }
        reply.truncate(number(&cdb[10..14]) as usize);
        match reply.is_empty() {
            true => Ok(Plan::Nothing),
            false => Ok(Plan::Tell(reply)),
        }
    }

    /// Why it can't be written to, if so.
    fn unwritable(&self) -> Failure {
        let protected = self.read_only.then_some(PROTECTED);
        self.unready().into_iter().chain(protected).collect()
    }

    fn unmap(&self, cdb: &Cdb) -> Result<Plan, Failure> {
        let mut wrong = self.unwritable();
        if !self.thin {
            wrong.push(UNKNOWN);
        }
        let length = number(&cdb[7..9]) as usize;
        if (1..8).contains(&length) {
            wrong.push(LENGTH);
        }
        match (wrong.is_empty(), length) {
            (false, _) => Err(wrong),
            (true, 0) => Ok(Plan::Nothing),
            // More ranges than it may have are an error once they are there.
            (true, length) => Ok(Plan::Take(length, Then::Unmap)),
        }
    }

    /// The blocks that a command names, as bytes; `None` where some are not there.
    pub(super) fn range(&self, block: u64, count: u64) -> Option<Range<usize>> {
        let end = block.checked_add(count)?;
        let there = end <= self.blocks() && (count == 0 || block < self.blocks());
        there.then(|| block as usize * self.block..end as usize * self.block)
    }

    /// Commands that name blocks.
    fn blocks_of(&self, cdb: &Cdb) -> Result<Plan, Failure> {
        let (code, flags) = (cdb[0], cdb[1]);
        let (block, count) = match code >> 5 {
            0 => {
                let count = number(&cdb[4..5]);
                let count = if count == 0 { 256 } else { count };
                (number(&cdb[1..4]) & 0x1f_ffff, count)
            }
            1 | 2 => (number(&cdb[2..6]), number(&cdb[7..9])),
            5 => (number(&cdb[2..6]), number(&cdb[6..10])),
            _ => (number(&cdb[2..10]), number(&cdb[10..14])),
        };
        let writes = matches!(code, 0x0a | 0x2a | 0x8a | 0xaa | 0x41 | 0x93);
        let verifies = matches!(code, 0x2f | 0x8f | 0xaf);
        let same = matches!(code, 0x41 | 0x93);
        let mut wrong = match writes {
            true => self.unwritable(),
            false => Vec::from_iter(self.unready()),
        };
        let refused = match code {
            0x08 | 0x0a | 0x35 | 0x91 => false,
            _ if same => {
                flags & 0xf0 != 0 || flags & 8 != 0 && !self.thin || !(1..=1 << 21).contains(&count)
            }
            _ => flags & 0xe0 != 0 || verifies && flags & 4 != 0,
        };
        if refused {
            wrong.push(FIELD);
        }
        let Some(range) = self.range(block, count).filter(|_| wrong.is_empty()) else {
            if self.range(block, count).is_none() {
                wrong.push(BEYOND);
            }
            return Err(wrong);
        };
        let length = range.len();
        Ok(match code {
            0x35 | 0x91 => Plan::Work(Work::Flush),
            0x93 if flags & 1 != 0 => Plan::Work(Work::Clear(vec![range])),
            _ if same => Plan::Take(self.block, Then::Same(range)),
            _ if verifies && flags & 2 == 0 => Plan::Work(Work::Check(range)),
            _ if length == 0 => Plan::Nothing,
            _ if verifies => Plan::Take(length, Then::Compare(range)),
            _ if writes => Plan::Take(length, Then::Write(range, code != 0x0a && flags & 8 != 0)),
            _ => Plan::Read(range),
        })
    }
}
