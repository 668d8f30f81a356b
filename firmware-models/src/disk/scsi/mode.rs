//! MODE SENSE (SPC-4 §6.11, §6.12): the caching page (SBC-3 §6.4.5).

use super::{Sense, Task, Unit, cdb::Cdb};

const CACHING: u8 = 0x08;
const ALL: u8 = 0x3f;
/// The device-specific parameter: it may not be written to.
const WRITE_PROTECTED: u8 = 0x80;
/// The device-specific parameter: FUA is heeded.
#[doc(alias = "DPOFUA")]
const FORCES_ACCESS: u8 = 0x10;
/// Page control: what can be changed, and what was saved.
const CHANGEABLE: u8 = 1;
const SAVED: u8 = 3;

pub(super) fn sense_6(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    let pages = pages(cdb)?;
    let length = u8::try_from(3 + pages.len()).unwrap_or(u8::MAX);
    let mut reply = vec![length, 0, specific(unit), 0];
    reply.extend(pages);
    reply.truncate(cdb.byte(4).into());
    Ok(Task::Reply(reply.into()))
}

pub(super) fn sense_10(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    let pages = pages(cdb)?;
    let length = u16::try_from(6 + pages.len()).unwrap_or(u16::MAX);
    let mut reply = length.to_be_bytes().to_vec();
    reply.extend([0, specific(unit), 0, 0, 0, 0]);
    reply.extend(pages);
    reply.truncate(cdb.number(7, 2) as usize);
    Ok(Task::Reply(reply.into()))
}

fn specific(unit: &Unit) -> u8 {
    match unit.is_protected() {
        true => FORCES_ACCESS | WRITE_PROTECTED,
        false => FORCES_ACCESS,
    }
}

/// The pages asked for. There are no block descriptors: hosts have READ CAPACITY.
fn pages(cdb: &Cdb) -> Result<Vec<u8>, Sense> {
    let (control, page, subpage) = (cdb.byte(2) >> 6, cdb.byte(2) & 0x3f, cdb.byte(3));
    let known = matches!((page, subpage), (CACHING, 0) | (ALL, 0 | 0xff));
    match control {
        _ if !known => Err(Sense::INVALID_FIELD_IN_CDB),
        SAVED => Err(Sense::SAVING_NOT_SUPPORTED),
        control => Ok(caching(control)),
    }
}

/// What is written is cached until it is flushed, and the host can't change that.
fn caching(control: u8) -> Vec<u8> {
    const WRITE_CACHE_ENABLED: u8 = 0x04;
    let mut page = vec![0; 20];
    page[0] = CACHING;
    page[1] = 18;
    if control != CHANGEABLE {
        page[2] = WRITE_CACHE_ENABLED;
    }
    page
}
