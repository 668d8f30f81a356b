//! What a target has: REPORT LUNS, REPORT SUPPORTED OPERATION CODES (SPC-4 §6.33, §6.34).

use super::{
    Sense, Task, Unit,
    cdb::Cdb,
    operations::{OPERATIONS, Operation},
};

/// The numbers of all units.
pub(super) fn luns(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    const WELL_KNOWN_ALONE: u8 = 1;
    let (select, room) = (cdb.byte(2), cdb.number(6, 4));
    if select > 2 || room < 16 {
        return Err(Sense::INVALID_FIELD_IN_CDB);
    }
    let count = match select {
        WELL_KNOWN_ALONE => 0,
        _ => unit.place.1,
    };
    let mut reply = vec![0; 8];
    reply[..4].copy_from_slice(&(u32::from(count) * 8).to_be_bytes());
    for number in 0..count {
        reply.extend([0, number, 0, 0, 0, 0, 0, 0]);
    }
    reply.truncate(room as usize);
    Ok(Task::Reply(reply.into()))
}

/// Which commands there are, or what is to be known of one.
pub(super) fn operations(_: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    let (timeouts, option) = (cdb.has(2, 0x80), cdb.byte(2) & 7);
    let (code, action) = (cdb.byte(3), cdb.number(4, 2));
    let with_code = || OPERATIONS.iter().filter(move |it| it.code == code);
    let of_action = |it: &&Operation| it.action.map(u64::from) == Some(action);
    let mut reply = match option {
        0 => every(timeouts),
        1 if with_code().all(|it| it.action.is_none()) => one(with_code().next(), timeouts),
        2 if with_code().all(|it| it.action.is_some()) => {
            one(with_code().find(of_action), timeouts)
        }
        3 => {
            let plain = |it: &&Operation| it.action.is_none() && action == 0;
            one(with_code().find(|it| plain(it) || of_action(it)), timeouts)
        }
        _ => return Err(Sense::INVALID_FIELD_IN_CDB),
    };
    reply.truncate(cdb.number(6, 4) as usize);
    Ok(Task::Reply(reply.into()))
}

/// A descriptor that says nothing of how long a command takes.
const TIMEOUTS: [u8; 12] = [0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn every(timeouts: bool) -> Vec<u8> {
    let mut reply = vec![0; 4];
    for it in OPERATIONS {
        let flags = u8::from(it.action.is_some()) | u8::from(timeouts) << 1;
        let length = it.usage.len() as u8 + 1;
        let action = it.action.unwrap_or(0);
        reply.extend([it.code, 0, 0, action, 0, flags, 0, length]);
        if timeouts {
            reply.extend(TIMEOUTS);
        }
    }
    let length = u32::try_from(reply.len() - 4).unwrap_or(u32::MAX);
    reply[..4].copy_from_slice(&length.to_be_bytes());
    reply
}

fn one(operation: Option<&Operation>, timeouts: bool) -> Vec<u8> {
    const NOT_SUPPORTED: u8 = 1;
    const AS_STANDARD: u8 = 3;
    let Some(operation) = operation else {
        return vec![0, NOT_SUPPORTED, 0, 0];
    };
    let mut reply = vec![0, AS_STANDARD | u8::from(timeouts) << 7, 0];
    reply.push(operation.usage.len() as u8 + 1);
    reply.push(operation.code);
    reply.extend(operation.usage);
    if let Some(action) = operation.action {
        reply[5] = operation.usage[0] & !0x1f | action;
    }
    if timeouts {
        reply.extend(TIMEOUTS);
    }
    reply
}
