//! Stopping and starting, other settings, devices that go, and that a reader belongs to D0.

use std::sync::atomic::Ordering;

use usbwright_host_stack::{
    Rule, SentIoAction, TargetState,
    status::{NtStatus, UsbdStatus},
    usb::{UsbTargetDevice, UsbTargetPipe},
    usb_target::protocol::{Status, request},
};

use super::{Told, config, ends, failed, reading, stall};
use crate::usb_support::{BULK_IN, INTERRUPT_IN, Rig};

#[test]
fn a_failure_while_the_reader_stops_is_told_and_it_stays_off() {
    let (rig, told) = reading(config());
    told.goes_on.store(true, Ordering::Relaxed);
    let target = rig.pipe(BULK_IN).target().clone();
    rig.wire.end(BULK_IN, Status::Stalled, &[]);
    target.stop(SentIoAction::CancelSentIo).unwrap();
    rig.look();
    assert_eq!(told.failures.take(), [stall()]);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    target.start().unwrap();
    rig.end(BULK_IN, Status::Done, b"on");
    assert_eq!(told.messages.take(), [b"on"]);
}

#[test]
fn to_stop_is_no_failure_and_what_had_come_is_told() {
    let (rig, told) = reading(config());
    let target = rig.pipe(BULK_IN).target().clone();
    rig.wire.end(BULK_IN, Status::Done, b"before");
    target.stop(SentIoAction::WaitForSentIoToComplete).unwrap();
    assert_eq!(rig.wire.pending(BULK_IN), 0, "to wait would be for ever");
    rig.look();
    assert_eq!(told.messages.take(), [b"before"]);
    assert_eq!(told.failures.take(), []);
}

#[test]
fn a_reader_can_be_stopped_and_started_within_its_callbacks() {
    for action in [SentIoAction::CancelSentIo, SentIoAction::LeaveSentIoPending] {
        let (rig, told) = reading(config());
        let within = Box::new(move |pipe: Option<&UsbTargetPipe>| {
            if let Some(pipe) = pipe {
                pipe.target().stop(action).unwrap();
            }
        });
        assert!(told.within.set(within).is_ok());
        rig.end(BULK_IN, Status::Done, b"abc");
        assert_eq!(told.messages.take(), [b"abc"]);
        assert_eq!(rig.wire.pending(BULK_IN), 0);
        rig.pipe(BULK_IN).target().start().unwrap();
        rig.end(BULK_IN, Status::Done, b"def");
        assert_eq!(told.messages.take(), [b"def"]);
    }
}

#[test]
fn a_reader_can_be_stopped_and_started_where_its_failure_is_told() {
    for starts in [false, true] {
        let (rig, told) = reading(config());
        told.goes_on.store(true, Ordering::Relaxed);
        let target = rig.pipe(BULK_IN).target().clone();
        let within = Box::new(move |message: Option<&UsbTargetPipe>| {
            if message.is_none() {
                target.stop(SentIoAction::CancelSentIo).unwrap();
                if starts {
                    target.start().unwrap();
                }
            }
        });
        assert!(told.within.set(within).is_ok());
        assert_eq!(ends(&rig, Status::Stalled), 1);
        let pending = if starts { 2 } else { 0 };
        assert_eq!(rig.wire.pending(BULK_IN), pending);
    }
}

#[test]
fn reads_that_the_driver_aborts_or_resets_are_no_failure() {
    let (rig, told) = reading(config());
    let pipe = rig.pipe(BULK_IN);
    pipe.abort().unwrap();
    rig.stack.run();
    assert_eq!(rig.wire.pending(BULK_IN), 2);
    pipe.reset().unwrap();
    rig.stack.run();
    assert_eq!(rig.wire.pending(BULK_IN), 2);
    assert_eq!(told.failures.take(), []);
    rig.end(BULK_IN, Status::Done, b"on");
    assert_eq!(told.messages.take(), [b"on"]);
}

#[test]
fn a_device_that_is_gone_fails_the_reader_for_good() {
    let (rig, told) = reading(config());
    told.goes_on.store(true, Ordering::Relaxed);
    rig.wire.unplug();
    rig.look();
    let gone = failed(NtStatus::DEVICE_NOT_CONNECTED, UsbdStatus::DEVICE_GONE);
    assert_eq!(told.failures.take(), [gone]);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    rig.stack.surprise_remove();
    rig.stack.run();
    assert_eq!(told.failures.take(), []);
}

#[test]
fn a_surprise_removal_ends_the_reader_without_a_word() {
    let (rig, told) = reading(config());
    rig.stack.surprise_remove();
    rig.stack.run();
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    assert_eq!(
        (told.messages.take(), told.failures.take()),
        (vec![], vec![])
    );
}

#[test]
fn another_setting_ends_the_reader_and_its_pipe_is_the_new_settings() {
    let (rig, told) = reading(config());
    let old = rig.pipe(BULK_IN);
    rig.interface().select_setting(2).unwrap();
    rig.stack.run();
    assert_eq!(old.target().state(), TargetState::Closed);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    assert_eq!(told.failures.take(), []);
    for address in [BULK_IN, INTERRUPT_IN] {
        let new = Told::default();
        let pipe = rig.pipe(address);
        new.configure(&pipe, config()).unwrap();
        pipe.target().start().unwrap();
        rig.end(address, Status::Done, b"new");
        assert_eq!(new.messages.take(), [b"new"]);
        pipe.target().stop(SentIoAction::CancelSentIo).unwrap();
    }
    assert!(told.messages.take().is_empty());
}

#[test]
fn a_setting_that_the_device_refuses_leaves_the_reader_on() {
    let (rig, told) = reading(config());
    rig.wire
        .answers(0x01, request::SET_INTERFACE, Status::Stalled, "");
    let refused = rig.interface().select_setting(2);
    assert_eq!(refused, Err(NtStatus::UNSUCCESSFUL.into()));
    rig.stack.run();
    assert_eq!(rig.wire.pending(BULK_IN), 2);
    rig.end(BULK_IN, Status::Done, b"on");
    assert_eq!(told.messages.take(), [b"on"]);
}

#[test]
fn a_reader_that_is_stopped_as_the_device_leaves_d0_starts_with_it() {
    let (rig, told) = reading(config());
    let target = rig.pipe(BULK_IN).target().clone();
    rig.stack.suspend().unwrap();
    assert_eq!(target.state(), TargetState::Stopped);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    rig.stack.resume().unwrap();
    assert_eq!(target.state(), TargetState::Started);
    rig.end(BULK_IN, Status::Done, b"awake");
    assert_eq!(told.messages.take(), [b"awake"]);
}

#[test]
fn a_reader_that_is_left_running_is_stopped_and_reported() {
    let told = Told::default();
    let driver = told.clone();
    let start = move |usb: &UsbTargetDevice| {
        let pipe = usb.interfaces()[0].pipe(BULK_IN).unwrap();
        driver.configure(&pipe, config())?;
        pipe.target().start()
    };
    let rig = Rig::built(0, start, None, |it| it);
    rig.stack.run();
    assert_eq!(rig.wire.pending(BULK_IN), 2);
    rig.stack.suspend().unwrap();
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    let broken: Vec<_> = rig.stack.violations().iter().map(|it| it.rule).collect();
    assert_eq!(broken, [Rule::ReaderNotStopped]);
    assert_eq!(told.failures.take(), []);
}

#[test]
fn a_reader_that_has_failed_need_not_be_stopped() {
    let (rig, told) = reading(config());
    ends(&rig, Status::Stalled);
    let target = rig.pipe(BULK_IN).target().clone();
    assert_eq!(target.state(), TargetState::Started);
    rig.stack.suspend().unwrap();
    rig.stack.resume().unwrap();
    rig.end(BULK_IN, Status::Done, b"awake");
    assert_eq!(told.messages.take(), [b"awake"]);
}
