//! Media come and go, may be protected, and a unit tells what happened to it.

use super::*;
use crate::disk::drive::DriveError;

const EJECT: [u8; 6] = [0x1b, 0, 0, 0, 2, 0];
const LOAD: [u8; 6] = [0x1b, 0, 0, 0, 3, 0];
const STOP: [u8; 6] = [0x1b, 0, 0, 0, 0, 0];
const START: [u8; 6] = [0x1b, 0, 0, 0, 1, 0];
const PREVENT: [u8; 6] = [0x1e, 0, 0, 0, 1, 0];
const ALLOW: [u8; 6] = [0x1e, 0, 0, 0, 0, 0];
const READY: [u8; 6] = [0; 6];
const REQUEST_SENSE: [u8; 6] = [3, 0, 0, 0, 18, 0];

fn removable(size: u64) -> (Host, Drive) {
    let drive = Drive::new(Some(Box::new(Sparse::new(size))));
    let unit = Unit::new(drive.clone(), BlockSize::B512, identity());
    (Host::of(vec![unit.removable()]), drive)
}

#[test]
fn a_medium_is_changed_while_the_disk_runs() {
    let (mut host, drive) = removable(512);
    assert!(drive.take(false).is_ok());
    let none = Err(Sense::MEDIUM_NOT_PRESENT);
    assert_eq!(host.run(&READY), none);
    assert_eq!(host.run(&cdb_10(READ_10, 0, 0, 1)), none);
    assert_eq!(drive.take(false).unwrap_err(), DriveError::Empty);
    drive.insert(Box::new(Sparse::new(1024))).unwrap();
    let again = drive.insert(Box::new(Sparse::new(1024)));
    assert_eq!(again, Err(DriveError::Occupied));
    assert_eq!(host.run(&READY), Err(Sense::MEDIUM_MAY_HAVE_CHANGED));
    assert_eq!(host.run(&READY), Ok(vec![]));
    let capacity = host.run(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(capacity, [0, 0, 0, 1, 0, 0, 2, 0]);
}

#[test]
fn a_medium_that_is_taken_out_in_the_middle_of_a_command_fails_it() {
    let (mut host, drive) = removable(1 << 20);
    let mut command = host.0.begin(0, &cdb_10(READ_10, 0, 0, 4));
    assert!(host.0.data_in(&mut command, 512, 512).is_some());
    drive.take(true).unwrap();
    assert_eq!(host.0.data_in(&mut command, 512, 512), None);
    assert_eq!(host.0.finish(&command), Err(Sense::MEDIUM_NOT_PRESENT));
}

#[test]
fn a_medium_that_is_put_in_in_the_middle_of_a_command_is_left_alone_by_it() {
    let changed = Sense::MEDIUM_MAY_HAVE_CHANGED;
    let swap = |drive: &Drive| {
        drive.take(true).unwrap();
        drive.insert(Box::new(Sparse::new(512))).unwrap();
    };
    let (mut host, drive) = removable(1 << 20);
    let mut command = host.0.begin(0, &cdb_10(WRITE_10, 0, 0, 4));
    assert_eq!(host.0.data_out(&mut command, &[7; 512]), 512);
    swap(&drive);
    host.0.data_out(&mut command, &[7; 512]);
    assert_eq!(host.0.finish(&command), Err(changed));
    assert_eq!(host.run(&READY), Err(changed));
    assert_eq!(host.run(&cdb_10(READ_10, 0, 0, 1)), Ok(vec![0; 512]));

    let (mut host, drive) = removable(1 << 20);
    let mut command = host.0.begin(0, &cdb_10(READ_10, 0, 0, 4));
    assert!(host.0.data_in(&mut command, 1024, 512).is_some());
    swap(&drive);
    assert_eq!(host.0.data_in(&mut command, 1024, 512), None);
    assert_eq!(host.0.finish(&command), Err(changed));
}

#[test]
fn the_host_ejects_and_loads_unless_removal_is_prevented() {
    let (mut host, drive) = removable(512);
    host.run(&PREVENT).unwrap();
    assert_eq!(host.run(&EJECT), Err(Sense::REMOVAL_PREVENTED));
    assert_eq!(drive.take(false).unwrap_err(), DriveError::Prevented);
    host.run(&ALLOW).unwrap();
    host.run(&EJECT).unwrap();
    assert_eq!(host.run(&READY), Err(Sense::MEDIUM_NOT_PRESENT));
    host.run(&LOAD).unwrap();
    assert_eq!(host.run(&READY), Err(Sense::MEDIUM_MAY_HAVE_CHANGED));
    assert_eq!(host.run(&READY), Ok(vec![]));
    host.run(&EJECT).unwrap();
    let other = drive.insert(Box::new(Sparse::new(512)));
    assert_eq!(other, Err(DriveError::Occupied));
    drive.take(false).unwrap();
    host.run(&LOAD).unwrap();
    assert_eq!(host.run(&READY), Err(Sense::MEDIUM_NOT_PRESENT));
}

#[test]
fn a_disk_that_is_attached_again_has_its_medium_in() {
    let (mut host, _drive) = removable(512);
    host.run(&PREVENT).unwrap();
    host.run(&ALLOW).unwrap();
    host.run(&EJECT).unwrap();
    host.0.reset();
    assert_eq!(host.run(&READY), Err(Sense::RESET));
    assert_eq!(host.run(&READY), Ok(vec![]));
}

/// A medium that does not do what it has to.
#[derive(Debug)]
struct Wrong(usize);

impl Medium for Wrong {
    fn size(&self) -> u64 {
        1 << 20
    }

    fn read(&mut self, _: u64, _: usize) -> std::io::Result<Bytes> {
        Ok(vec![1; self.0].into())
    }

    fn write(&mut self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn discards(&self) -> bool {
        false
    }

    fn discard(&mut self, _: u64, _: u64) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_medium_that_gives_nothing_or_too_much_does_no_harm() {
    let mut host = Host::new(Wrong(0));
    let told = host.run(&cdb_10(READ_10, 0, 0, 1));
    assert_eq!(told.unwrap_err().key, 3);
    let mut host = Host::new(Sparse::over(Wrong(0)));
    let told = host.send(&cdb_10(WRITE_10, 0, 1, 1), &[1; 512]);
    assert_eq!(told.unwrap_err().key, 3);
    let mut host = Host::new(Wrong(1 << 20));
    let read = host.run(&cdb_10(READ_10, 0, 0, 3)).unwrap();
    assert_eq!(read, [1; 1536]);
    let mut host = Host::new(Wrong(1));
    let read = host.run(&cdb_10(READ_10, 0, 0, 3)).unwrap();
    assert_eq!(read, [1; 1536]);
}

#[test]
fn what_was_written_is_safe_before_a_disk_stops_or_ejects() {
    let (medium, script) = Faulty::new(1 << 20);
    let drive = Drive::new(Some(Box::new(medium)));
    let unit = Unit::new(drive, BlockSize::B512, identity()).removable();
    let mut host = Host::of(vec![unit]);
    for cdb in [STOP, EJECT] {
        host.send(&cdb_10(WRITE_10, 0, 0, 1), &[1; 512]).unwrap();
        script.lock().unwrap().unsafe_cache = true;
        assert_eq!(host.run(&cdb).unwrap_err().key, 3);
        host.run(&READY).unwrap();
        script.lock().unwrap().unsafe_cache = false;
        host.run(&cdb).unwrap();
        assert_eq!(script.lock().unwrap().unflushed, 0);
        assert_eq!(host.run(&READY).unwrap_err().key, 2);
        host.run(&START).unwrap();
    }
}

#[test]
fn a_stopped_disk_asks_to_be_started() {
    let mut host = Host::new(Sparse::new(512));
    host.run(&STOP).unwrap();
    for cdb in [&READY[..], &cdb_10(READ_10, 0, 0, 1)] {
        assert_eq!(host.run(cdb), Err(Sense::STOPPED));
    }
    host.run(&START).unwrap();
    host.run(&READY).unwrap();
    for cdb in [EJECT, LOAD, PREVENT] {
        assert_eq!(host.run(&cdb), Err(Sense::INVALID_FIELD_IN_CDB));
    }
}

#[test]
fn a_protected_disk_is_read_alone() {
    let drive = Drive::new(Some(Box::new(Sparse::new(1024))));
    let unit = Unit::new(drive, BlockSize::B512, identity()).read_only();
    let mut host = Host::of(vec![unit]);
    let unmap = [0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0];
    let refused: [&[u8]; 6] = [
        &[0x0a, 0, 0, 0, 1, 0],
        &cdb_10(WRITE_10, 0, 0, 1),
        &cdb_16(WRITE_16, 0, 0, 1),
        &cdb_10(WRITE_SAME_10, 0, 0, 1),
        &cdb_16(WRITE_SAME_16, 0, 0, 1),
        &unmap,
    ];
    for cdb in refused {
        assert_eq!(host.run(cdb), Err(Sense::WRITE_PROTECTED), "{cdb:02x?}");
    }
    let modes = host.run(&[0x1a, 0, 0x3f, 0, 255, 0]).unwrap();
    assert_eq!(modes[2] & 0x80, 0x80);
    host.run(&cdb_10(READ_10, 0, 0, 2)).unwrap();
    host.run(&cdb_10(SYNCHRONIZE_10, 0, 0, 0)).unwrap();
}

#[test]
fn what_happened_to_a_unit_is_told_once_and_before_all_else() {
    let mut host = Host::new(Sparse::new(512));
    host.0.reset();
    // These three are answered in spite of it.
    host.run(&[0x12, 0, 0, 0, 36, 0]).unwrap();
    host.run(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0]).unwrap();
    let sense = host.run(&REQUEST_SENSE).unwrap();
    assert_eq!((sense[2], &sense[12..14]), (6, &[0x29, 0][..]));
    host.run(&READY).unwrap();
    host.0.reset();
    let told = host.run(&cdb_10(READ_10, 0, 0, 1));
    assert_eq!(told, Err(Sense::RESET));
    host.run(&cdb_10(READ_10, 0, 0, 1)).unwrap();
}

#[test]
fn sense_data_is_kept_until_it_is_asked_for_or_another_command_begins() {
    let mut host = Host::new(Sparse::new(512));
    let asked = |host: &mut Host| host.run(&REQUEST_SENSE).unwrap();
    host.0.keep(0, Sense::BLOCK_OUT_OF_RANGE.at(0x0102_0304));
    let sense = asked(&mut host);
    assert_eq!(sense[..8], [0xf0, 0, 5, 1, 2, 3, 4, 10]);
    assert_eq!(sense[12..14], [0x21, 0]);
    assert_eq!(asked(&mut host)[2], 0);
    host.0.keep(0, Sense::WRITE_PROTECTED.at(1 << 40));
    let sense = host.run(&[3, 1, 0, 0, 255, 0]).unwrap();
    assert_eq!(sense[..8], [0x72, 7, 0x27, 0, 0, 0, 0, 12]);
    assert_eq!(sense[8..], [0, 10, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    host.0.keep(0, Sense::WRITE_PROTECTED.at(1 << 40));
    // A block beyond 32 bits has no room in this format.
    assert_eq!(asked(&mut host)[..7], [0x70, 0, 7, 0, 0, 0, 0]);
    host.0.keep(0, Sense::WRITE_PROTECTED);
    host.run(&READY).unwrap();
    assert_eq!(asked(&mut host)[2], 0);
}
