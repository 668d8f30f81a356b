//! Failures: what is told of them, and what is decided.

use std::sync::atomic::Ordering;

use usbwright_host_stack::{
    SendOptions, SentIoAction, TargetState,
    status::{NtStatus, UsbdStatus},
    usb::UsbTargetPipe,
    usb_target::{Message, ReaderConfig, protocol::Status},
};

use super::{config, ends, failed, reading, stall};
use crate::usb_support::{BULK_IN, Noted, PACKET, Rig, ended, room};

#[test]
fn a_stall_is_told_once_with_nothing_pending_and_true_resumes() {
    let (rig, told) = reading(ReaderConfig {
        pending: 10,
        ..config()
    });
    told.goes_on.store(true, Ordering::Relaxed);
    let (wire, noted) = (rig.wire.clone(), Noted::default());
    let note = noted.clone();
    let within = Box::new(move |_: Option<&UsbTargetPipe>| note.note(wire.pending(BULK_IN)));
    assert!(told.within.set(within).is_ok());
    assert_eq!(ends(&rig, Status::Stalled), 1, "the halt was cleared");
    assert_eq!(noted.take(), [0]);
    assert_eq!(told.failures.take(), [stall()]);
    assert_eq!(rig.wire.pending(BULK_IN), 10);
    rig.end(BULK_IN, Status::Done, b"after");
    assert_eq!(told.messages.take(), [b"after"]);
}

#[test]
fn without_a_callback_for_failures_the_reader_resumes() {
    let rig = Rig::prepared(
        0,
        |usb| {
            let read = |_: &UsbTargetPipe, _: Message| ();
            let pipe = usb.interfaces()[0].pipe(BULK_IN).unwrap();
            pipe.configure_continuous_reader(config(), read, None)
        },
        Some(BULK_IN),
    );
    rig.stack.run();
    assert_eq!(ends(&rig, Status::Crc), 1);
    assert_eq!(rig.wire.pending(BULK_IN), 2);
}

#[test]
fn each_failure_is_told_as_it_was_on_the_bus() {
    for (status, usb) in [
        (Status::Crc, UsbdStatus::CRC),
        (Status::NoResponse, UsbdStatus::DEV_NOT_RESPONDING),
        (Status::Overflow, UsbdStatus::BABBLE_DETECTED),
    ] {
        let (rig, told) = reading(config());
        ends(&rig, status);
        assert_eq!(told.failures.take(), [failed(NtStatus::UNSUCCESSFUL, usb)]);
    }
}

#[test]
fn false_leaves_the_reader_off_and_the_pipe_to_the_driver() {
    let (rig, told) = reading(config());
    assert_eq!(ends(&rig, Status::Stalled), 0, "the pipe is left as it is");
    assert_eq!(told.failures.take(), [stall()]);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    let pipe = rig.pipe(BULK_IN);
    assert_eq!(pipe.target().state(), TargetState::Started);
    pipe.reset().unwrap();
    let memory = room(PACKET);
    let sent = rig.read(BULK_IN, &memory);
    rig.end(BULK_IN, Status::Done, b"by hand");
    let by_hand = (NtStatus::SUCCESS, 7, b"by hand".to_vec());
    assert_eq!(ended(sent.wait(), &memory), by_hand);
    assert!(told.messages.take().is_empty());
    // It is on again when the target is.
    pipe.target().stop(SentIoAction::CancelSentIo).unwrap();
    pipe.target().start().unwrap();
    rig.end(BULK_IN, Status::Done, b"by itself");
    assert_eq!(told.messages.take(), [b"by itself"]);
    let refused = pipe.format_for_read(&mut rig.request(), Some(&memory), None);
    assert_eq!(refused, Err(NtStatus::INVALID_DEVICE_STATE.into()));
}

#[test]
fn a_read_is_refused_while_the_pipe_is_its_readers() {
    let (rig, told) = reading(config());
    let (pipe, memory) = (rig.pipe(BULK_IN), room(PACKET));
    let read = |request: &mut _| pipe.format_for_read(request, Some(&memory), None);
    let refused = Err(NtStatus::INVALID_DEVICE_STATE.into());
    assert_eq!(read(&mut rig.request()), refused);
    pipe.target().stop(SentIoAction::CancelSentIo).unwrap();
    assert_eq!(read(&mut rig.request()), refused, "it is stopped only");
    pipe.target().start().unwrap();
    rig.stack.run();
    // A request that was formatted while the reader was off is not sent once it is on.
    ends(&rig, Status::Stalled);
    let mut request = rig.request();
    read(&mut request).unwrap();
    pipe.target().stop(SentIoAction::CancelSentIo).unwrap();
    pipe.target().start().unwrap();
    let error = request.send(pipe.target(), SendOptions::new()).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_STATE.into());
    drop(told);
}
