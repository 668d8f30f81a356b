//! Commands that move or check blocks: READ, WRITE, VERIFY, SYNCHRONIZE CACHE (SBC-3 §5).

use super::{
    Sense, Task, Unit,
    cdb::Cdb,
    task::{Run, Work},
};

/// Where the numbers of a command stand that tells a block and how many: the bytes of both.
#[derive(Clone, Copy)]
pub(super) struct Place {
    block: (usize, usize),
    count: (usize, usize),
}

pub(super) const IN_10: Place = Place {
    block: (2, 4),
    count: (7, 2),
};
const IN_12: Place = Place {
    block: (2, 4),
    count: (6, 4),
};
pub(super) const IN_16: Place = Place {
    block: (2, 8),
    count: (10, 4),
};

/// Force unit access: the data is on stable storage before the command ends.
const FUA: u8 = 0x08;
/// RDPROTECT, WRPROTECT or VRPROTECT: protection information, of which this disk has none.
const PROTECT: u8 = 0xe0;

impl Unit {
    /// Blocks as bytes, where the medium has all of them.
    pub(super) fn run(&self, block: u64, count: u64) -> Result<Run, Sense> {
        let blocks = self.blocks()?;
        match block.checked_add(count) {
            Some(end) if end <= blocks && (block < blocks || count == 0) => {
                let bytes = u64::from(self.block.bytes());
                Ok(Run {
                    at: block * bytes,
                    left: count * bytes,
                })
            }
            _ => Err(Sense::BLOCK_OUT_OF_RANGE.at(block)),
        }
    }

    /// The blocks that a command is about.
    pub(super) fn run_at(&self, cdb: &Cdb, place: Place) -> Result<Run, Sense> {
        let (block, count) = (place.block, place.count);
        self.run(cdb.number(block.0, block.1), cdb.number(count.0, count.1))
    }

    pub(super) fn check_writable(&self) -> Result<(), Sense> {
        self.blocks()?;
        match self.is_protected() {
            true => Err(Sense::WRITE_PROTECTED),
            false => Ok(()),
        }
    }
}

fn refuse_protection(cdb: &Cdb) -> Result<(), Sense> {
    match cdb.byte(1) & PROTECT {
        0 => Ok(()),
        _ => Err(Sense::INVALID_FIELD_IN_CDB),
    }
}

/// The blocks of a command of six bytes: no blocks are 256.
fn run_6(unit: &Unit, cdb: &Cdb) -> Result<Run, Sense> {
    let count = match cdb.byte(4) {
        0 => 256,
        count => count.into(),
    };
    unit.run(cdb.number(1, 3) & 0x1f_ffff, count)
}

pub(super) fn read_6(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    Ok(Task::Read(run_6(unit, cdb)?))
}

pub(super) fn read_10(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    read(unit, cdb, IN_10)
}

pub(super) fn read_12(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    read(unit, cdb, IN_12)
}

pub(super) fn read_16(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    read(unit, cdb, IN_16)
}

fn read(unit: &Unit, cdb: &Cdb, place: Place) -> Result<Task, Sense> {
    refuse_protection(cdb)?;
    Ok(Task::Read(unit.run_at(cdb, place)?))
}

pub(super) fn write_6(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    unit.check_writable()?;
    Ok(Task::Write {
        run: run_6(unit, cdb)?,
        durable: false,
    })
}

pub(super) fn write_10(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    write(unit, cdb, IN_10)
}

pub(super) fn write_12(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    write(unit, cdb, IN_12)
}

pub(super) fn write_16(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    write(unit, cdb, IN_16)
}

fn write(unit: &Unit, cdb: &Cdb, place: Place) -> Result<Task, Sense> {
    refuse_protection(cdb)?;
    unit.check_writable()?;
    Ok(Task::Write {
        run: unit.run_at(cdb, place)?,
        durable: cdb.has(1, FUA),
    })
}

pub(super) fn verify_10(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    verify(unit, cdb, IN_10)
}

pub(super) fn verify_12(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    verify(unit, cdb, IN_12)
}

pub(super) fn verify_16(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    verify(unit, cdb, IN_16)
}

/// BYTCHK 0 sees whether the blocks can be read, 1 compares them with what the host sends.
fn verify(unit: &Unit, cdb: &Cdb, place: Place) -> Result<Task, Sense> {
    refuse_protection(cdb)?;
    let run = unit.run_at(cdb, place)?;
    match cdb.byte(1) >> 1 & 3 {
        0 => Ok(Task::Work(Work::Check(run))),
        1 => Ok(Task::Compare(run)),
        _ => Err(Sense::INVALID_FIELD_IN_CDB),
    }
}

pub(super) fn synchronize_cache_10(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    synchronize_cache(unit, cdb, IN_10)
}

pub(super) fn synchronize_cache_16(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    synchronize_cache(unit, cdb, IN_16)
}

/// All blocks are flushed, whichever the host names, and before the answer, even where it would take an earlier one (IMMED).
fn synchronize_cache(unit: &Unit, cdb: &Cdb, place: Place) -> Result<Task, Sense> {
    unit.run_at(cdb, place)?;
    Ok(Task::Work(Work::Flush))
}
