//! The device is gone, or the pipe is: the reader ends, and nothing begins anew.

use std::{pin::pin, time::Duration};

use usbwright_target::{Bulk, In, ReaderConfig, TransferError, Wait, protocol::Status};

use super::{
    PACKET,
    failures::{deciding, failed, fails_and_waits, millis},
    started,
};
use crate::support::{BULK, Bench, bounded, now, pending};

#[test]
fn surprise_removal_is_an_error_and_nothing_begins_anew() {
    let bench = Bench::new();
    let (mut reader, told) = deciding(&bench, true);
    pending(pin!(reader.next()));
    bench.port.unplug();
    let failure = bounded(move || {
        let failure = reader.next().wait().unwrap_err();
        (failure, reader.handle().is_running(), reader)
    });
    let (failure, running, mut reader) = failure;
    assert_eq!(failure, failed(Status::Disconnected, 0));
    assert!(!running);
    assert_eq!(told.lock().unwrap().len(), 1);
    pending(pin!(reader.next()));
    reader.start();
    assert_eq!(
        now(reader.next()).unwrap_err(),
        failed(Status::Disconnected, 0)
    );
}

#[test]
fn removal_while_the_reader_waits_to_begin_anew_is_an_error() {
    let bench = Bench::new();
    let mut reader = started(&bench);
    fails_and_waits(&bench, &mut reader, Duration::ZERO);
    bench.script.stalls();
    bench.nudge();
    pending(pin!(reader.next()));
    bench.port.unplug();
    bench.clock.advance(millis(10));
    assert_eq!(
        now(reader.next()).unwrap_err(),
        failed(Status::Disconnected, 2)
    );
}

#[test]
fn another_setting_makes_the_reader_fail_as_stale_and_reads_nothing_of_that_setting() {
    let bench = Bench::new();
    let interface = bench.interface();
    let pipe = interface.pipe::<Bulk, In>(BULK).unwrap();
    let mut reader = pipe.reader(ReaderConfig::new(PACKET)).unwrap();
    reader.start();
    pending(pin!(reader.next()));
    now(interface.set_alternate(1)).unwrap();
    bench.script.sends("the new setting's");
    assert_eq!(
        now(reader.next()).unwrap_err(),
        failed(TransferError::Stale(BULK), 0)
    );
    reader.start();
    assert_eq!(
        now(reader.next()).unwrap_err(),
        failed(TransferError::Stale(BULK), 0)
    );
    let pipe = interface.pipe::<Bulk, In>(BULK).unwrap();
    assert_eq!(now(pipe.read(PACKET)).data.to_vec(), b"the new setting's");
}

#[test]
fn another_setting_while_the_reader_waits_to_begin_anew_is_an_error() {
    let bench = Bench::new();
    let interface = bench.interface();
    let pipe = interface.pipe::<Bulk, In>(BULK).unwrap();
    let mut reader = pipe.reader(ReaderConfig::new(PACKET)).unwrap();
    reader.start();
    fails_and_waits(&bench, &mut reader, Duration::ZERO);
    bench.script.stalls();
    bench.nudge();
    pending(pin!(reader.next()));
    now(interface.set_alternate(1)).unwrap();
    bench.clock.advance(millis(10));
    assert_eq!(
        now(reader.next()).unwrap_err(),
        failed(TransferError::Stale(BULK), 2)
    );
    assert_eq!(bench.script.cleared(), 1);
}
