//! Commands about the unit itself: TEST UNIT READY, REQUEST SENSE, START STOP UNIT, PREVENT ALLOW MEDIUM REMOVAL.

use super::{Sense, Task, Unit, cdb::Cdb, task::Work};

pub(super) fn test_unit_ready(unit: &mut Unit, _: &Cdb) -> Result<Task, Sense> {
    unit.blocks()?;
    Ok(Task::Done)
}

/// Why the last command failed; where none did, what there is to tell.
pub(super) fn request_sense(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    let mut sense = std::mem::replace(&mut unit.sense, Sense::NONE);
    if sense == Sense::NONE {
        sense = unit.take_attention().unwrap_or(Sense::NONE);
    }
    if sense == Sense::NONE {
        sense = unit.blocks().err().unwrap_or(Sense::NONE);
    }
    let mut reply = match cdb.has(1, 1) {
        true => sense.descriptors(),
        false => sense.fixed().to_vec(),
    };
    reply.truncate(cdb.byte(4).into());
    Ok(Task::Reply(reply.into()))
}

/// START STOP UNIT (SBC-3 §5.25): the medium is flushed before the unit stops or the tray opens.
pub(super) fn start_stop_unit(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    let (start, tray) = (cdb.has(4, 1), cdb.has(4, 2));
    if cdb.byte(4) & 0xf0 != 0 {
        // Power conditions are the unit's own business.
        return Ok(Task::Done);
    }
    if tray && !unit.removable {
        return Err(Sense::INVALID_FIELD_IN_CDB);
    }
    if tray && !start && unit.drive.tray().prevented {
        return Err(Sense::REMOVAL_PREVENTED);
    }
    if !start {
        return match unit.loaded().medium() {
            Ok(_) => Ok(Task::Work(Work::Stop { eject: tray })),
            // There is nothing to stop.
            Err(_) => Ok(Task::Done),
        };
    }
    if tray {
        unit.drive.tray().load();
        unit.drive.note();
    }
    unit.stopped = false;
    Ok(Task::Done)
}

pub(super) fn prevent_allow_removal(unit: &mut Unit, cdb: &Cdb) -> Result<Task, Sense> {
    if !unit.removable {
        return Err(Sense::INVALID_FIELD_IN_CDB);
    }
    unit.loaded().medium()?;
    unit.drive.tray().prevented = cdb.has(4, 1);
    Ok(Task::Done)
}
