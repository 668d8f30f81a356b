//! What is told of a request that a USB target has ended: when it is told, what it is, and what moved.

mod usb_support;

use std::sync::Arc;

use usbwright_host_stack::{
    IoRequestCompletionParams, Memory, MemoryOffset, Request, RequestCompletionParams, RequestType,
    SendOptions, Sent, SentIoAction, UsbRequest,
    status::{HResult, NtStatus, UsbdStatus, Win32Error},
    usb_target::protocol::{Setup, Status},
};

use crate::usb_support::{BULK_IN, BULK_OUT, Noted, PACKET, Rig, ended, room};

/// Ends on the bus, with what a driver is told of each.
const ENDS: [(Status, NtStatus, UsbdStatus); 8] = [
    (
        Status::Stalled,
        NtStatus::UNSUCCESSFUL,
        UsbdStatus::STALL_PID,
    ),
    (Status::Crc, NtStatus::UNSUCCESSFUL, UsbdStatus::CRC),
    (
        Status::NoResponse,
        NtStatus::UNSUCCESSFUL,
        UsbdStatus::DEV_NOT_RESPONDING,
    ),
    (
        Status::DataOverrun,
        NtStatus::UNSUCCESSFUL,
        UsbdStatus::BUFFER_OVERRUN,
    ),
    (
        Status::Overflow,
        NtStatus::UNSUCCESSFUL,
        UsbdStatus::BABBLE_DETECTED,
    ),
    (
        Status::Unsupported,
        NtStatus::NOT_SUPPORTED,
        UsbdStatus::NOT_SUPPORTED,
    ),
    (
        Status::Disconnected,
        NtStatus::DEVICE_NOT_CONNECTED,
        UsbdStatus::DEVICE_GONE,
    ),
    (
        Status::NoMemory,
        NtStatus::INSUFFICIENT_RESOURCES,
        UsbdStatus::INSUFFICIENT_RESOURCES,
    ),
];

fn part(offset: usize, length: usize) -> Option<MemoryOffset> {
    Some(MemoryOffset { offset, length })
}

/// Reads from the device.
const ASK: Setup = Setup {
    request_type: 0xC0,
    request: 0x5B,
    value: 1,
    index: 2,
    length: 0,
};

fn ask(rig: &Rig, memory: &Memory, offset: Option<MemoryOffset>) -> Sent {
    let mut request = rig.request();
    rig.usb
        .format_for_control_transfer(&mut request, ASK, Some(memory), offset)
        .unwrap();
    request.send(rig.usb.target(), SendOptions::new()).unwrap()
}

/// Whether two handles are of the same memory: what is written to one is in the other.
fn is_same(one: &Memory, other: &Memory) -> bool {
    one.copy_from_buffer(0, &[0xA5]).unwrap();
    let was = other.to_bytes(None).unwrap()[0];
    one.copy_from_buffer(0, &[0x5A]).unwrap();
    (was, other.to_bytes(None).unwrap()[0]) == (0xA5, 0x5A)
}

#[test]
fn a_control_transfer_tells_its_memory_offset_length_and_setup_packet() {
    let rig = Rig::new(0);
    let memory = room(64);
    rig.wire.answers(0xC0, 0x5B, Status::Done, "hello");
    let (_, params) = ask(&rig, &memory, part(10, 20)).wait();
    assert_eq!(params.status(), HResult::OK);
    assert_eq!(params.nt_status(), NtStatus::SUCCESS);
    assert_eq!(params.information(), 5);
    assert_eq!(params.request_type(), RequestType::Usb);
    let usb = params.usb().unwrap();
    let UsbRequest::DeviceControlTransfer { transfer, setup } = usb.request() else {
        panic!("{params:?}");
    };
    assert_eq!(*setup, Setup { length: 20, ..ASK });
    assert_eq!((transfer.bytes, transfer.offset), (5, 10));
    assert_eq!(memory.to_bytes(part(9, 7)).unwrap()[..], *b"\0hello\0");
    assert!(is_same(transfer.memory.as_ref().unwrap(), &memory));
    assert_eq!(usb.usb_status(), Some(Status::Done));
    assert_eq!(usb.usbd_status(), Some(UsbdStatus::SUCCESS));
}

#[test]
fn a_pipes_read_tells_its_memory_offset_and_length() {
    let rig = Rig::new(0);
    let (memory, mut request) = (room(2 * PACKET), rig.request());
    let pipe = rig.pipe(BULK_IN);
    pipe.format_for_read(&mut request, Some(&memory), part(PACKET, PACKET))
        .unwrap();
    let sent = request.send(pipe.target(), SendOptions::new()).unwrap();
    rig.end(BULK_IN, Status::Done, b"hello");
    let (_, params) = sent.wait();
    assert_eq!(params.request_type(), RequestType::Usb);
    let UsbRequest::PipeRead(transfer) = params.usb().unwrap().request() else {
        panic!("{params:?}");
    };
    assert_eq!((params.information(), transfer.bytes), (5, 5));
    assert_eq!(transfer.offset, PACKET);
    assert!(is_same(transfer.memory.as_ref().unwrap(), &memory));
    assert_eq!(memory.to_bytes(part(PACKET, 6)).unwrap()[..], *b"hello\0");
}

#[test]
fn a_pipes_write_tells_its_memory_offset_and_length() {
    let rig = Rig::new(0);
    let (memory, mut request) = (room(2 * PACKET), rig.request());
    let pipe = rig.pipe(BULK_OUT);
    pipe.format_for_write(&mut request, Some(&memory), part(3, 7))
        .unwrap();
    let sent = request.send(pipe.target(), SendOptions::new()).unwrap();
    rig.end(BULK_OUT, Status::Done, &[0; 7]);
    let (_, params) = sent.wait();
    assert_eq!(params.request_type(), RequestType::Usb);
    let UsbRequest::PipeWrite(transfer) = params.usb().unwrap().request() else {
        panic!("{params:?}");
    };
    assert_eq!((params.information(), transfer.bytes), (7, 7));
    assert_eq!(transfer.offset, 3);
    assert!(is_same(transfer.memory.as_ref().unwrap(), &memory));
}

#[test]
fn what_went_to_a_usb_target_has_no_params_of_another_and_the_other_way_round() {
    let rig = Rig::new(0);
    let memory = room(PACKET);
    let sent = rig.read(BULK_IN, &memory);
    rig.end(BULK_IN, Status::Done, b"abc");
    let (mut request, params) = sent.wait();
    assert!(params.usb().is_some() && params.io().is_none());
    let lower = rig.device().default_target().clone();
    lower
        .format_for_read(&mut request, Some(&memory), part(2, 4), 9)
        .unwrap();
    // Nothing is below that would read.
    let (_, params) = request.send(&lower, SendOptions::new()).unwrap().wait();
    assert_eq!(params.nt_status(), NtStatus::INVALID_DEVICE_REQUEST);
    assert_eq!(params.request_type(), RequestType::Read);
    assert!(params.usb().is_none());
    let Some(IoRequestCompletionParams::Read(transfer)) = params.io() else {
        panic!("{params:?}");
    };
    assert_eq!((transfer.bytes, transfer.offset), (0, 2));
}

#[test]
fn what_moved_before_a_pipe_failed_is_told_with_how_it_failed() {
    for (status, nt_status, usbd_status) in ENDS {
        let rig = Rig::new(0);
        let memory = room(2 * PACKET);
        let sent = rig.read(BULK_IN, &memory);
        rig.end(BULK_IN, status, b"part of it");
        let (request, params) = sent.wait();
        let usb = params.usb().unwrap();
        assert_eq!(usb.usb_status(), Some(status));
        assert_eq!(usb.usbd_status(), Some(usbd_status));
        assert_eq!(params.status(), HResult::from_nt(nt_status));
        let told = ended((request, params), &memory);
        assert_eq!(told, (nt_status, 10, b"part of it".to_vec()));

        let sent = rig.write(BULK_OUT, &memory);
        rig.end(BULK_OUT, status, &[0; PACKET]);
        let (_, params) = sent.wait();
        assert_eq!(
            (params.nt_status(), params.information()),
            (nt_status, PACKET)
        );
        assert_eq!(params.usb().unwrap().transfer().bytes, PACKET);
        assert_eq!(params.usb().unwrap().usb_status(), Some(status));
    }
}

#[test]
fn what_moved_before_a_control_transfer_failed_is_told_with_how_it_failed() {
    for (status, nt_status, usbd_status) in ENDS {
        let rig = Rig::new(0);
        let memory = room(64);
        rig.wire.answers(0xC0, 0x5B, status, "part");
        let (request, params) = ask(&rig, &memory, None).wait();
        assert_eq!(params.usb().unwrap().usbd_status(), Some(usbd_status));
        let told = ended((request, params), &memory);
        assert_eq!(told, (nt_status, 4, b"part".to_vec()));
    }
}

#[test]
fn an_application_gets_the_status_and_the_usb_status_stays_beside_it() {
    let rig = Rig::new(0);
    let handle = rig.open();
    let read = handle.read(PACKET);
    let mut request = rig.kept();
    let (pipe, output) = (rig.pipe(BULK_IN), request.output(PACKET).unwrap());
    pipe.format_for_read_into(&mut request, output).unwrap();
    let sent = request.send(pipe.target(), SendOptions::new()).unwrap();
    rig.end(BULK_IN, Status::Stalled, b"some");
    let (request, params) = sent.wait();
    assert_eq!(params.usb().unwrap().usb_status(), Some(Status::Stalled));
    request.complete_with_information(params.status(), params.information());
    let outcome = read.wait();
    assert_eq!(outcome.error(), Win32Error::GEN_FAILURE);
    assert_eq!(outcome.information, 4);
}

#[test]
fn params_are_there_from_the_end_of_a_send_until_the_next_one() {
    let rig = Rig::new(0);
    let (memory, pipe) = (room(PACKET), rig.pipe(BULK_IN));
    let mut request = rig.request();
    assert!(request.completion_params().is_none(), "never sent");
    let format = |request: &mut Request| {
        pipe.format_for_read(request, Some(&memory), None).unwrap();
    };
    format(&mut request);
    assert!(request.completion_params().is_none());
    let sent = request.send(pipe.target(), SendOptions::new()).unwrap();
    rig.end(BULK_IN, Status::Stalled, b"abc");
    let (mut request, params) = sent.wait();
    let again = request.completion_params().unwrap();
    assert_eq!(again.information(), params.information());
    assert_eq!(request.status(), params.status());
    request.reuse(NtStatus::SUCCESS);
    assert!(request.completion_params().is_none(), "reused");
    // What the driver has got stays as it is.
    assert_eq!(params.information(), 3);
    let unformatted = {
        format(&mut request);
        pipe.target().remove();
        request.send(pipe.target(), SendOptions::new()).unwrap_err()
    };
    assert_eq!(unformatted.status, NtStatus::INVALID_DEVICE_STATE.into());
    let request = unformatted.request;
    assert!(request.completion_params().is_none(), "not sent");
    assert_eq!(request.status(), NtStatus::INVALID_DEVICE_STATE.into());
}

#[test]
fn a_failed_send_takes_away_what_the_one_before_has_told() {
    let rig = Rig::new(0);
    let (memory, pipe) = (room(PACKET), rig.pipe(BULK_IN));
    let sent = rig.read(BULK_IN, &memory);
    rig.end(BULK_IN, Status::Done, b"abc");
    let (mut request, _) = sent.wait();
    pipe.format_for_read(&mut request, Some(&memory), None)
        .unwrap();
    pipe.target().remove();
    let error = request.send(pipe.target(), SendOptions::new()).unwrap_err();
    assert!(error.request.completion_params().is_none());
}

#[test]
fn a_completion_callback_gets_the_request_with_its_params() {
    let rig = Rig::new(0);
    let (memory, pipe, noted) = (room(PACKET), rig.pipe(BULK_IN), Noted::default());
    let mut request = rig.request();
    pipe.format_for_read(&mut request, Some(&memory), None)
        .unwrap();
    let note = noted.clone();
    let told = move |request: Request, params: &RequestCompletionParams| {
        let same = request.completion_params().unwrap().information() == params.information();
        note.note((params.nt_status(), params.information(), same));
    };
    request
        .send_then(pipe.target(), SendOptions::new(), Arc::new(told))
        .unwrap();
    assert_eq!(noted.take(), []);
    rig.end(BULK_IN, Status::Crc, b"abcd");
    assert_eq!(noted.take(), [(NtStatus::UNSUCCESSFUL, 4, true)]);
}

#[test]
fn what_waits_in_a_stopped_pipe_ends_with_nothing_moved_and_no_usb_status() {
    let rig = Rig::new(0);
    let (memory, pipe) = (room(PACKET), rig.pipe(BULK_IN));
    pipe.target().stop(SentIoAction::CancelSentIo).unwrap();
    let sent = rig.read(BULK_IN, &memory);
    sent.cancel();
    let (request, params) = sent.wait();
    let usb = params.usb().unwrap();
    assert_eq!((usb.usb_status(), usb.usbd_status()), (None, None));
    let told = ended((request, params), &memory);
    assert_eq!(told, (NtStatus::CANCELLED, 0, vec![]));
}

#[test]
fn a_type_is_told_as_the_request_was_formatted() {
    let rig = Rig::new(0);
    let lower = rig.device().default_target().clone();
    let ended_as = |format: &dyn Fn(&mut Request)| {
        let mut request = rig.request();
        format(&mut request);
        let (_, params) = request.send(&lower, SendOptions::new()).unwrap().wait();
        (params.request_type(), params.io().is_some())
    };
    let memory = room(8);
    let memory = Some(&memory);
    let write = ended_as(&|it| lower.format_for_write(it, memory, None, 0).unwrap());
    assert_eq!(write, (RequestType::Write, true));
    let code = usbwright_host_stack::ControlCode(0x22_0000);
    let ioctl = ended_as(&|it| lower.format_for_ioctl(it, code, None, None).unwrap());
    assert_eq!(ioctl, (RequestType::DeviceControl, true));
    let flush = ended_as(&|it| lower.format_for_flush(it).unwrap());
    assert_eq!(flush, (RequestType::Flush, false));
}
