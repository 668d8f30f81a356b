//! Blocks without room of their own: UNMAP, WRITE SAME (SBC-3 §4.7, §5.28, §5.43), and what a unit tells of them.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Sense, Task, Unit,
    blocks::{self, Place},
    cdb::{Cdb, number},
    task::{Parameters, Run, Work},
};
use crate::disk::medium::ZEROS;

/// Ranges in one UNMAP at the most.
pub(super) const MOST_RANGES: u32 = 256;
/// Blocks that one WRITE SAME writes at the most.
pub(super) const MOST_SAME: u64 = 1 << 21;
/// What gives room back is a multiple of that many bytes, on most file systems.
pub(super) const GRANULARITY: u32 = 4096;
/// Bytes of a pattern that are written at a time.
const PATTERN: usize = 64 << 10;

const UNMAP: u8 = 0x08;
/// WRITE SAME without data: what is written is zeros.
const NO_DATA: u8 = 0x01;
/// ANCHOR, and WRPROTECT.
const REFUSED: u8 = 0xf0;

/// Logical block provisioning: what UNMAP and WRITE SAME can do.
pub(super) fn provisioning(unit: &Unit) -> Vec<u8> {
    const LBPU: u8 = 0x80;
    const LBPWS: u8 = 0x40;
    const LBPWS10: u8 = 0x20;
    const LBPRZ: u8 = 0x04;
    const THIN: u8 = 2;
    match unit.discards() {
        true => vec![0, LBPU | LBPWS | LBPWS10 | LBPRZ, THIN, 0],
        false => vec![0; 4],
    }
}

pub(super) fn unmap(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    unit.check_writable()?;
    if !unit.discards() {
        return Err(Sense::INVALID_OPERATION_CODE);
    }
    let length = cdb.number(7, 2) as usize;
    match length {
        0 => Ok(Task::Done),
        1..8 => Err(Sense::PARAMETER_LIST_LENGTH),
        // More than there may be of ranges is an error of its own, once it is there.
        _ => Ok(collect(cdb, length, unmap_ranges)),
    }
}

fn collect(
    cdb: &Cdb,
    length: usize,
    then: fn(&mut Unit, &Cdb, &[u8]) -> Result<Task, Sense>,
) -> Task {
    Task::Collect(Parameters {
        cdb: *cdb,
        length,
        got: Vec::with_capacity(length),
        then,
    })
}

fn unmap_ranges(unit: &mut Unit, _: &Cdb, list: &[u8]) -> Result<Task, Sense> {
    const HEADER: usize = 8;
    const RANGE: usize = 16;
    let told = number(&list[2..4]) as usize;
    let ranges = list[HEADER..].chunks_exact(RANGE).take(told / RANGE);
    if ranges.len() > MOST_RANGES as usize {
        return Err(Sense::INVALID_FIELD_IN_PARAMETERS);
    }
    let mut runs = Vec::new();
    for range in ranges {
        let run = unit.run(number(&range[..8]), number(&range[8..12]))?;
        if run.left > 0 {
            runs.push(run);
        }
    }
    match runs.is_empty() {
        true => Ok(Task::Done),
        false => Ok(Task::Work(Work::Discard(runs))),
    }
}

pub(super) fn write_same_10(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    write_same(unit, cdb, blocks::IN_10)?;
    Ok(collect(cdb, unit.block.bytes() as usize, same_10))
}

pub(super) fn write_same_16(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    let run = write_same(unit, cdb, blocks::IN_16)?;
    match cdb.has(1, NO_DATA) {
        true => Ok(zeros(unit, run)),
        false => Ok(collect(cdb, unit.block.bytes() as usize, same_16)),
    }
}

/// The blocks that a WRITE SAME is about.
fn write_same(unit: &Unit, cdb: &Cdb, place: Place) -> Result<Run, Sense> {
    unit.check_writable()?;
    let run = unit.run_at(cdb, place)?;
    let blocks = run.left / u64::from(unit.block.bytes());
    let refused = cdb.byte(1) & REFUSED != 0 || cdb.has(1, UNMAP) && !unit.discards();
    match blocks {
        1..=MOST_SAME if !refused => Ok(run),
        _ => Err(Sense::INVALID_FIELD_IN_CDB),
    }
}

fn same_10(unit: &mut Unit, cdb: &Cdb, block: &[u8]) -> Result<Task, Sense> {
    let run = unit.run_at(cdb, blocks::IN_10)?;
    Ok(same(unit, run, block))
}

fn same_16(unit: &mut Unit, cdb: &Cdb, block: &[u8]) -> Result<Task, Sense> {
    let run = unit.run_at(cdb, blocks::IN_16)?;
    Ok(same(unit, run, block))
}

fn same(unit: &Unit, run: Run, block: &[u8]) -> Task {
    if block.iter().all(|byte| *byte == 0) {
        return zeros(unit, run);
    }
    let mut pattern = BytesMut::with_capacity(PATTERN);
    while pattern.len() < PATTERN {
        pattern.put_slice(block);
    }
    Task::Work(Work::Fill {
        run,
        pattern: pattern.freeze(),
    })
}

/// Zeros need no room where the medium can do without.
fn zeros(unit: &Unit, run: Run) -> Task {
    Task::Work(match unit.discards() {
        true => Work::Discard(vec![run]),
        false => Work::Fill {
            run,
            pattern: Bytes::from_static(&ZEROS),
        },
    })
}
