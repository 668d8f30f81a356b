//! READ CAPACITY (SBC-3 §5.15, §5.16).

use super::{Sense, Task, Unit, cdb::Cdb};

/// Logical block provisioning: blocks need not have room of their own.
const LBPME: u8 = 0x80;
/// Blocks without room read as zeros.
const LBPRZ: u8 = 0x40;

/// The last block; where it has no room in 32 bits, the host is to use the longer command.
pub(super) fn read_10(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    let last = last_block(unit)?;
    if cdb.number(2, 4) != 0 {
        return Err(Sense::INVALID_FIELD_IN_CDB);
    }
    let last = u32::try_from(last).unwrap_or(u32::MAX);
    let block = unit.block.bytes();
    let reply = [last.to_be_bytes(), block.to_be_bytes()].concat();
    Ok(Task::Reply(reply.into()))
}

pub(super) fn read_16(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    let mut reply = last_block(unit)?.to_be_bytes().to_vec();
    reply.extend(unit.block.bytes().to_be_bytes());
    reply.resize(32, 0);
    if unit.discards() {
        reply[14] = LBPME | LBPRZ;
    }
    reply.truncate(cdb.number(10, 4) as usize);
    Ok(Task::Reply(reply.into()))
}

fn last_block(unit: &Unit) -> Result<u64, Sense> {
    // A medium without blocks is not put in.
    Ok(unit.blocks()?.saturating_sub(1))
}
