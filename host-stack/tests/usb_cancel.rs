//! Requests that are taken back from a USB target, or whose time is up: what had moved is told, and nothing is lost.

mod usb_support;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use usbwright_host_stack::{
    Memory, Request, RequestCompletionParams, SendOptions, Sent, SentIoAction, TargetState,
    Timeout,
    status::{NtStatus, Win32Error},
    usb_target::{
        PipePolicy,
        protocol::{RequestKind, Setup, Status},
    },
};

use crate::usb_support::{BULK_IN, BULK_OUT, INTERRUPT_IN, Noted, PACKET, Rig, ended, room};

fn within(millis: u64) -> SendOptions {
    SendOptions::new().timeout(Timeout::After(Duration::from_millis(millis)))
}

/// What a device has sent of a longer transfer: whole packets.
fn part() -> Vec<u8> {
    (0..PACKET).map(|at| at as u8).collect()
}

/// Asks the device something that it does not answer.
fn ask(rig: &Rig, memory: &Memory, options: SendOptions) -> Sent {
    let setup = Setup {
        request_type: 0xC0,
        request: 0x5B,
        ..Setup::default()
    };
    let mut request = rig.request();
    rig.usb
        .format_for_control_transfer(&mut request, setup, Some(memory), None)
        .unwrap();
    request.send(rig.usb.target(), options).unwrap()
}

#[test]
fn a_cancelled_read_tells_what_had_come() {
    for length in [4 * PACKET, 4 * PACKET + 1] {
        let rig = Rig::new(0);
        rig.pipe(BULK_IN).set_no_maximum_packet_size_check();
        rig.wire.moves(BULK_IN, &part());
        let memory = room(length);
        let sent = rig.read(BULK_IN, &memory);
        sent.cancel();
        let told = ended(sent.wait(), &memory);
        assert_eq!(told, (NtStatus::CANCELLED, PACKET, part()));
        let sent = rig.read(BULK_IN, &memory);
        rig.end(BULK_IN, Status::Done, b"later");
        let told = ended(sent.wait(), &memory);
        assert_eq!(told, (NtStatus::SUCCESS, 5, b"later".to_vec()));
    }
}

#[test]
fn a_read_whose_time_is_up_tells_what_had_come() {
    let rig = Rig::new(0);
    rig.wire.moves(BULK_IN, &part());
    let memory = room(4 * PACKET);
    let sent = rig.read_with(BULK_IN, &memory, within(50));
    rig.clock.advance(Duration::from_millis(49));
    assert_eq!(rig.wire.pending(BULK_IN), 1);
    rig.clock.advance(Duration::from_millis(1));
    let (request, params) = sent.wait();
    assert_eq!(request.status(), NtStatus::IO_TIMEOUT.into());
    let told = ended((request, params), &memory);
    assert_eq!(told, (NtStatus::IO_TIMEOUT, PACKET, part()));
}

#[test]
fn a_pipes_own_timeout_tells_what_had_come() {
    let rig = Rig::new(0);
    let pipe = rig.pipe(BULK_IN);
    pipe.set_policy(PipePolicy {
        transfer_timeout: Some(Duration::from_millis(50)),
        ..PipePolicy::DEFAULT
    })
    .unwrap();
    rig.wire.moves(BULK_IN, &part());
    let memory = room(4 * PACKET);
    let sent = rig.read(BULK_IN, &memory);
    rig.clock.advance(Duration::from_millis(50));
    let (request, params) = sent.wait();
    let usb = params.usb().unwrap();
    assert_eq!(usb.usb_status(), Some(Status::TimedOut));
    let told = ended((request, params), &memory);
    assert_eq!(told, (NtStatus::IO_TIMEOUT, PACKET, part()));
}

#[test]
fn a_cancelled_write_tells_what_the_device_had_taken() {
    for (options, status) in [
        (SendOptions::new(), NtStatus::CANCELLED),
        (within(50), NtStatus::IO_TIMEOUT),
    ] {
        let rig = Rig::new(0);
        rig.wire.moves(BULK_OUT, &part());
        let (pipe, mut request) = (rig.pipe(BULK_OUT), rig.request());
        let memory = room(4 * PACKET);
        pipe.format_for_write(&mut request, Some(&memory), None)
            .unwrap();
        let sent = request.send(pipe.target(), options).unwrap();
        match status {
            NtStatus::CANCELLED => sent.cancel(),
            _ => rig.clock.advance(Duration::from_millis(50)),
        }
        let (_, params) = sent.wait();
        assert_eq!((params.nt_status(), params.information()), (status, PACKET));
        assert_eq!(params.usb().unwrap().transfer().bytes, PACKET);
    }
}

#[test]
fn a_cancelled_control_transfer_ends() {
    for (options, status) in [
        (SendOptions::new(), NtStatus::CANCELLED),
        (within(50), NtStatus::IO_TIMEOUT),
    ] {
        let rig = Rig::new(0);
        rig.wire.hold_control(RequestKind::Vendor);
        let memory = room(64);
        let sent = ask(&rig, &memory, options);
        match status {
            NtStatus::CANCELLED => sent.cancel(),
            _ => rig.clock.advance(Duration::from_millis(50)),
        }
        let told = ended(sent.wait(), &memory);
        assert_eq!(told, (status, 0, vec![]));
    }
}

#[test]
fn a_cancel_that_comes_too_late_leaves_the_request_as_it_ended() {
    for (options, late) in [(SendOptions::new(), false), (within(50), true)] {
        let rig = Rig::new(0);
        rig.wire.hold();
        let memory = room(PACKET);
        let sent = rig.read_with(BULK_IN, &memory, options);
        match late {
            false => sent.cancel(),
            true => rig.clock.advance(Duration::from_millis(50)),
        }
        assert_eq!(rig.wire.pending(BULK_IN), 1, "the device has it still");
        rig.end(BULK_IN, Status::Done, b"just in time");
        let told = ended(sent.wait(), &memory);
        assert_eq!(told, (NtStatus::SUCCESS, 12, b"just in time".to_vec()));
    }
}

#[test]
fn a_request_that_never_comes_back_is_given_up_after_a_second() {
    let rig = Rig::new(0);
    rig.wire.hold();
    let memory = room(PACKET);
    let sent = rig.read(BULK_IN, &memory);
    sent.cancel();
    rig.clock.advance(Duration::from_secs(1));
    let told = ended(sent.wait(), &memory);
    assert_eq!(told, (NtStatus::CANCELLED, 0, vec![]));
}

#[test]
fn to_cancel_twice_is_to_cancel_once() {
    let rig = Rig::new(0);
    rig.wire.hold();
    let memory = room(PACKET);
    let sent = rig.read_with(BULK_IN, &memory, within(50));
    sent.cancel();
    sent.cancel();
    rig.clock.advance(Duration::from_millis(50));
    rig.end(BULK_IN, Status::Cancelled, b"");
    let (_, params) = sent.wait();
    // Its time was up before it had come back.
    assert_eq!(params.nt_status(), NtStatus::IO_TIMEOUT);
}

#[test]
fn a_read_behind_a_cancelled_one_gets_what_comes_next() {
    let rig = Rig::new(0);
    let (first, second) = (room(PACKET), room(PACKET));
    let one = rig.read(BULK_IN, &first);
    let two = rig.read(BULK_IN, &second);
    rig.wire.moves(BULK_IN, b"");
    one.cancel();
    rig.end(BULK_IN, Status::Done, b"for the second");
    assert_eq!(ended(one.wait(), &first).0, NtStatus::CANCELLED);
    let told = ended(two.wait(), &second);
    assert_eq!(told, (NtStatus::SUCCESS, 14, b"for the second".to_vec()));
}

#[test]
fn an_application_that_cancels_has_its_driver_told_what_had_come() {
    let rig = Rig::new(0);
    rig.wire.moves(BULK_IN, &part());
    let handle = rig.open();
    let read = handle.read(4 * PACKET);
    let mut request = rig.kept();
    let (pipe, output) = (rig.pipe(BULK_IN), request.output(0).unwrap());
    pipe.format_for_read_into(&mut request, output).unwrap();
    let noted = Noted::default();
    let note = noted.clone();
    let told = move |request: Request, params: &RequestCompletionParams| {
        note.note((params.nt_status(), params.information()));
        request.complete_with_information(params.status(), params.information());
    };
    request
        .send_then(pipe.target(), SendOptions::new(), Arc::new(told))
        .unwrap();
    read.cancel();
    let outcome = read.wait();
    assert_eq!(noted.take(), [(NtStatus::CANCELLED, PACKET)]);
    assert_eq!(outcome.error(), Win32Error::OPERATION_ABORTED);
    assert_eq!(outcome.information, PACKET);
}

#[test]
fn a_send_that_is_dropped_is_taken_back_and_what_had_come_is_in_its_memory() {
    let rig = Rig::new(0);
    rig.wire.moves(BULK_IN, &part());
    let memory = room(4 * PACKET);
    drop(rig.read(BULK_IN, &memory));
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    assert_eq!(memory.to_bytes(None).unwrap()[..PACKET], part());
}

#[test]
fn a_target_that_stops_takes_back_what_was_sent_and_each_tells_what_had_come() {
    let rig = Rig::new(0);
    rig.wire.moves(BULK_IN, &part());
    let (first, second) = (room(4 * PACKET), room(PACKET));
    let one = rig.read(BULK_IN, &first);
    let two = rig.read(BULK_IN, &second);
    let target = rig.pipe(BULK_IN).target().clone();
    target.stop(SentIoAction::CancelSentIo).unwrap();
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    assert_eq!(ended(one.wait(), &first).0, NtStatus::CANCELLED);
    assert_eq!(ended(two.wait(), &second).0, NtStatus::CANCELLED);
    assert_eq!(target.state(), TargetState::Stopped);
}

#[test]
fn a_stack_that_goes_waits_for_what_its_targets_give_back() {
    let rig = Rig::new(2);
    let memory = room(64);
    rig.wire.hold();
    let (pipe, mut request) = (rig.pipe(INTERRUPT_IN), rig.request());
    pipe.format_for_read(&mut request, Some(&memory), None)
        .unwrap();
    let noted = Noted::default();
    let note = noted.clone();
    let told = move |_: Request, params: &RequestCompletionParams| {
        note.note((params.nt_status(), params.information()));
    };
    request
        .send_then(pipe.target(), SendOptions::new(), Arc::new(told))
        .unwrap();
    let wire = rig.wire.clone();
    let gives_back = thread::spawn(move || {
        let patience = Instant::now() + Duration::from_secs(30);
        while wire.cancelled() == 0 {
            assert!(Instant::now() < patience, "it is not taken back");
            thread::yield_now();
        }
        wire.end(INTERRUPT_IN, Status::Cancelled, b"some");
        wire.wake();
    });
    rig.stack.remove().unwrap();
    assert_eq!(noted.take(), [(NtStatus::CANCELLED, 4)]);
    gives_back.join().unwrap();
    assert_eq!(rig.wire.pending(INTERRUPT_IN), 0);
}
