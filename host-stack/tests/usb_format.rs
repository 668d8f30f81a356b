//! Formatting requests for USB targets: each rule with its status, and what goes on the bus.

mod usb_support;

use usbwright_host_stack::{
    ControlCode, Memory, MemoryOffset, Request, RequestType, SendOptions, UsbRequest, Window,
    status::{HResult, NtStatus, Win32Error},
    usb::UsbTargetPipe,
    usb_target::{
        PipePolicy,
        protocol::{EndpointAddress, Setup, Status, TransferKind},
    },
};

use crate::usb_support::{
    BULK_IN, BULK_OUT, INTERRUPT_IN, INTERRUPT_OUT, ISO_IN, PACKET, Rig, ended, room,
};

/// What a call is refused with.
#[track_caller]
fn refused(result: Result<(), HResult>) -> NtStatus {
    NtStatus::from_hresult(result.expect_err("it is refused"))
}

fn part(offset: usize, length: usize) -> Option<MemoryOffset> {
    Some(MemoryOffset { offset, length })
}

/// A vendor request, with a length that is not that of its data stage.
fn vendor(request_type: u8) -> Setup {
    Setup {
        request_type,
        request: 0x5B,
        value: 0x1234,
        index: 0x5678,
        length: 999,
    }
}

/// The length on the bus of the oldest transfer of an endpoint.
fn length(rig: &Rig, endpoint: EndpointAddress) -> usize {
    match &rig.wire.outstanding(endpoint)[0] {
        TransferKind::In { length } => *length as usize,
        TransferKind::Out { data, .. } => data.len(),
        kind => panic!("{kind:?}"),
    }
}

#[test]
fn an_isochronous_pipe_is_neither_read_nor_written() {
    let rig = Rig::new(1);
    for pipe in rig.interface().pipes() {
        if pipe.address().number() != ISO_IN.number() {
            continue;
        }
        let (memory, mut request) = (room(PACKET), rig.request());
        let read = pipe.format_for_read(&mut request, Some(&memory), None);
        assert_eq!(refused(read), NtStatus::INVALID_DEVICE_REQUEST);
        let write = pipe.format_for_write(&mut request, Some(&memory), None);
        assert_eq!(refused(write), NtStatus::INVALID_DEVICE_REQUEST);
    }
}

#[test]
fn a_pipe_out_is_not_read_and_a_pipe_in_is_not_written() {
    let rig = Rig::new(2);
    for (input, output) in [(BULK_IN, BULK_OUT), (INTERRUPT_IN, INTERRUPT_OUT)] {
        let (memory, mut request) = (room(PACKET), rig.request());
        let read = rig.pipe(output);
        let read = read.format_for_read(&mut request, Some(&memory), None);
        assert_eq!(refused(read), NtStatus::INVALID_DEVICE_REQUEST);
        let write = rig.pipe(input);
        let write = write.format_for_write(&mut request, Some(&memory), None);
        assert_eq!(refused(write), NtStatus::INVALID_DEVICE_REQUEST);
    }
}

#[test]
fn a_read_is_of_whole_packets_unless_its_pipe_is_told_otherwise() {
    let rig = Rig::new(2);
    for (address, packet) in [(BULK_IN, PACKET), (INTERRUPT_IN, 64)] {
        let (pipe, memory, mut request) = (rig.pipe(address), room(3 * packet), rig.request());
        for whole in [packet, 2 * packet, 3 * packet] {
            let whole = part(0, whole);
            pipe.format_for_read(&mut request, Some(&memory), whole)
                .unwrap();
        }
        for length in [1, packet - 1, packet + 1] {
            let read = pipe.format_for_read(&mut request, Some(&memory), part(0, length));
            assert_eq!(refused(read), NtStatus::INVALID_BUFFER_SIZE, "{length}");
        }
        pipe.set_no_maximum_packet_size_check();
        let any = part(1, packet - 1);
        pipe.format_for_read(&mut request, Some(&memory), any)
            .unwrap();
    }
}

#[test]
fn a_write_is_of_any_length() {
    let rig = Rig::new(0);
    let (pipe, memory) = (rig.pipe(BULK_OUT), room(2 * PACKET));
    for length in [1, PACKET - 1, PACKET, PACKET + 1] {
        let mut request = rig.request();
        pipe.format_for_write(&mut request, Some(&memory), part(0, length))
            .unwrap();
        let sent = request.send(pipe.target(), SendOptions::new()).unwrap();
        assert_eq!(self::length(&rig, BULK_OUT), length);
        rig.end(BULK_OUT, Status::Done, &vec![0; length]);
        assert_eq!(sent.wait().1.information(), length);
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn a_length_beyond_32_bits_is_an_overflow() {
    let rig = Rig::new(0);
    // Room is made when it is needed, which it is not.
    let memory = room(1 << 32);
    let mut request = rig.request();
    let read = rig.pipe(BULK_IN);
    let read = read.format_for_read(&mut request, Some(&memory), None);
    assert_eq!(refused(read), NtStatus::INTEGER_OVERFLOW);
    let write = rig.pipe(BULK_OUT);
    let write = write.format_for_write(&mut request, Some(&memory), None);
    assert_eq!(refused(write), NtStatus::INTEGER_OVERFLOW);
    let most = part(0, u32::MAX as usize / PACKET * PACKET);
    rig.pipe(BULK_IN)
        .format_for_read(&mut request, Some(&memory), most)
        .unwrap();
}

#[test]
fn a_data_stage_has_at_most_65535_bytes() {
    let rig = Rig::new(0);
    let (memory, mut request) = (room(0x1_0001), rig.request());
    let usb = &rig.usb;
    let formatted =
        usb.format_for_control_transfer(&mut request, vendor(0xC0), Some(&memory), None);
    assert_eq!(refused(formatted), NtStatus::INVALID_PARAMETER);
    let too_long = part(0, 0x1_0000);
    let formatted =
        usb.format_for_control_transfer(&mut request, vendor(0xC0), Some(&memory), too_long);
    assert_eq!(refused(formatted), NtStatus::INVALID_PARAMETER);
    let most = part(2, 0xFFFF);
    usb.format_for_control_transfer(&mut request, vendor(0xC0), Some(&memory), most)
        .unwrap();
}

#[test]
fn a_part_that_is_not_in_the_memory_is_an_invalid_parameter() {
    let rig = Rig::new(0);
    let (memory, mut request) = (room(PACKET), rig.request());
    for wrong in [part(PACKET, 0), part(1, PACKET), part(usize::MAX, 2)] {
        let read = rig.pipe(BULK_IN);
        let read = read.format_for_read(&mut request, Some(&memory), wrong);
        assert_eq!(refused(read), NtStatus::INVALID_PARAMETER);
        let write = rig.pipe(BULK_OUT);
        let write = write.format_for_write(&mut request, Some(&memory), wrong);
        assert_eq!(refused(write), NtStatus::INVALID_PARAMETER);
        let usb = &rig.usb;
        let control =
            usb.format_for_control_transfer(&mut request, vendor(0xC0), Some(&memory), wrong);
        assert_eq!(refused(control), NtStatus::INVALID_PARAMETER);
    }
}

#[test]
fn nothing_is_read_into_memory_that_is_read_only() {
    let rig = Rig::new(0);
    let memory = Memory::read_only(vec![7; PACKET]).unwrap();
    let mut request = rig.request();
    let read = rig.pipe(BULK_IN);
    let read = read.format_for_read(&mut request, Some(&memory), None);
    assert_eq!(refused(read), NtStatus::ACCESS_VIOLATION);
    let usb = &rig.usb;
    let control = usb.format_for_control_transfer(&mut request, vendor(0xC0), Some(&memory), None);
    assert_eq!(refused(control), NtStatus::ACCESS_VIOLATION);
    usb.format_for_control_transfer(&mut request, vendor(0x40), Some(&memory), None)
        .unwrap();
    let write = rig.pipe(BULK_OUT);
    write
        .format_for_write(&mut request, Some(&memory), None)
        .unwrap();
}

#[test]
fn the_setup_packets_length_is_that_of_the_memorys_part() {
    let rig = Rig::new(0);
    let memory = Memory::new(vec![7; 100]).unwrap();
    let lengths = [
        (None, 100),
        (part(60, 0), 40),
        (part(10, 30), 30),
        (part(99, 1), 1),
    ];
    for (offset, length) in lengths {
        for request_type in [0x40, 0xC0] {
            let mut request = rig.request();
            let setup = vendor(request_type);
            rig.wire
                .answers(request_type, 0x5B, Status::Done, vec![9; length]);
            rig.usb
                .format_for_control_transfer(&mut request, setup, Some(&memory), offset)
                .unwrap();
            let sent = request.send(rig.usb.target(), SendOptions::new()).unwrap();
            let (_, params) = sent.wait();
            let setup = Setup {
                length: length as u16,
                ..setup
            };
            assert_eq!(rig.wire.asked(), [setup]);
            let UsbRequest::DeviceControlTransfer {
                setup: told,
                transfer,
            } = params.usb().unwrap().request()
            else {
                panic!("{params:?}");
            };
            assert_eq!((*told, transfer.bytes), (setup, length));
        }
    }
}

#[test]
fn a_setup_packet_goes_to_the_device_as_it_is() {
    let rig = Rig::new(0);
    // WinUSB would put the interface's number into the index of this one.
    let setup = Setup {
        request_type: 0x41,
        ..vendor(0x41)
    };
    rig.wire.answers(0x41, 0x5B, Status::Done, "");
    let moved = rig
        .usb
        .control_and_wait(&rig.device(), setup, None, SendOptions::new());
    assert_eq!(moved, Ok(0));
    let asked = rig.wire.asked();
    assert_eq!(asked, [Setup { length: 0, ..setup }]);
}

#[test]
fn a_control_transfer_without_memory_has_no_data_stage() {
    let rig = Rig::new(0);
    rig.wire.answers(0x40, 0x5B, Status::Done, "");
    let mut request = rig.request();
    rig.usb
        .format_for_control_transfer(&mut request, vendor(0x40), None, None)
        .unwrap();
    let sent = request.send(rig.usb.target(), SendOptions::new()).unwrap();
    let (_, params) = sent.wait();
    assert_eq!(params.nt_status(), NtStatus::SUCCESS);
    let transfer = params.usb().unwrap().transfer();
    assert!(transfer.memory.is_none());
    assert_eq!((transfer.bytes, transfer.offset), (0, 0));
    assert_eq!(rig.wire.asked()[0].length, 0);
}

#[test]
fn a_write_without_memory_is_a_zero_length_packet() {
    for terminates in [false, true] {
        let rig = Rig::new(0);
        let (pipe, mut request) = (rig.pipe(BULK_OUT), rig.request());
        pipe.set_policy(PipePolicy {
            short_packet_terminate: terminates,
            ..PipePolicy::DEFAULT
        })
        .unwrap();
        pipe.format_for_write(&mut request, None, None).unwrap();
        let sent = request.send(pipe.target(), SendOptions::new()).unwrap();
        let outstanding = rig.wire.outstanding(BULK_OUT);
        // One, whatever the policy.
        let [TransferKind::Out { data, zero_packet }] = &outstanding[..] else {
            panic!("{outstanding:?}");
        };
        assert!(data.is_empty() && !zero_packet);
        rig.end(BULK_OUT, Status::Done, &[]);
        let (_, params) = sent.wait();
        assert_eq!(
            (params.nt_status(), params.information()),
            (NtStatus::SUCCESS, 0)
        );
        assert!(params.usb().unwrap().transfer().memory.is_none());
    }
}

#[test]
fn a_read_without_memory_ends_at_once_unless_partial_reads_are_off() {
    let rig = Rig::new(0);
    let pipe = rig.pipe(BULK_IN);
    let read = || {
        let mut request = rig.request();
        pipe.format_for_read(&mut request, None, None).unwrap();
        request.send(pipe.target(), SendOptions::new()).unwrap()
    };
    let (_, params) = read().wait();
    assert_eq!(params.nt_status(), NtStatus::SUCCESS);
    assert_eq!(rig.wire.pending(BULK_IN), 0);
    pipe.set_policy(PipePolicy {
        allow_partial_reads: false,
        ..PipePolicy::DEFAULT
    })
    .unwrap();
    let sent = read();
    rig.end(BULK_IN, Status::Done, &[]);
    let (_, params) = sent.wait();
    assert_eq!(params.nt_status(), NtStatus::SUCCESS);
}

#[test]
fn raw_reads_are_whole_packets_of_at_most_the_largest_transfer() {
    let rig = Rig::new(0);
    let pipe = rig.pipe(BULK_IN);
    pipe.set_no_maximum_packet_size_check();
    pipe.set_policy(PipePolicy {
        raw_io: true,
        ..PipePolicy::DEFAULT
    })
    .unwrap();
    let largest = 2 << 20;
    for (length, status) in [
        (PACKET + 1, NtStatus::INVALID_BUFFER_SIZE),
        (largest + PACKET, NtStatus::INVALID_PARAMETER),
    ] {
        let memory = room(length);
        let sent = rig.read(BULK_IN, &memory);
        assert_eq!(ended(sent.wait(), &memory), (status, 0, vec![]));
    }
    let memory = room(largest);
    let sent = rig.read(BULK_IN, &memory);
    assert_eq!(length(&rig, BULK_IN), largest);
    rig.end(BULK_IN, Status::Done, b"abc");
    assert_eq!(
        ended(sent.wait(), &memory),
        (NtStatus::SUCCESS, 3, b"abc".to_vec())
    );
}

#[test]
fn a_window_is_formatted_as_a_memory_is() {
    let rig = Rig::new(0);
    let memory = Memory::new(vec![7; 2 * PACKET]).unwrap();
    let window = |offset, length| Window::new(&memory, part(offset, length)).unwrap();
    let (input, output) = (rig.pipe(BULK_IN), rig.pipe(BULK_OUT));
    let mut request = rig.request();
    let read = input.format_for_read_into(&mut request, window(0, 3));
    assert_eq!(refused(read), NtStatus::INVALID_BUFFER_SIZE);
    let write = input.format_for_write_of(&mut request, window(0, 3));
    assert_eq!(refused(write), NtStatus::INVALID_DEVICE_REQUEST);
    input
        .format_for_read_into(&mut request, window(PACKET, 0))
        .unwrap();
    let sent = request.send(input.target(), SendOptions::new()).unwrap();
    rig.end(BULK_IN, Status::Done, b"xyz");
    let (mut request, params) = sent.wait();
    assert_eq!(params.usb().unwrap().transfer().offset, PACKET);
    assert_eq!(
        memory.to_bytes(part(PACKET - 1, 5)).unwrap()[..],
        *b"\x07xyz\x07"
    );
    output
        .format_for_write_of(&mut request, window(PACKET, 3))
        .unwrap();
    let _sent = request.send(output.target(), SendOptions::new()).unwrap();
    let outstanding = rig.wire.outstanding(BULK_OUT);
    assert!(matches!(&outstanding[..], [TransferKind::Out { data, .. }] if *data == b"xyz"[..]));
}

/// Ways to format a request for something that no USB target does.
fn formats_of_others(rig: &Rig) -> Vec<Request> {
    let memory = room(PACKET);
    let lower = rig.device().default_target().clone();
    let formatted = |format: &dyn Fn(&mut Request)| {
        let mut request = rig.request();
        format(&mut request);
        request
    };
    let memory = Some(&memory);
    vec![
        formatted(&|it| lower.format_for_read(it, memory, None, 0).unwrap()),
        formatted(&|it| lower.format_for_write(it, memory, None, 0).unwrap()),
        formatted(&|it| {
            let code = ControlCode(0x22_0000);
            lower.format_for_ioctl(it, code, None, None).unwrap();
        }),
        formatted(&|it| lower.format_for_flush(it)),
        formatted(&Request::format_using_current_type),
    ]
}

#[test]
fn what_is_formatted_for_another_target_is_refused_when_it_is_sent() {
    let rig = Rig::new(0);
    let (input, output) = (rig.pipe(BULK_IN), rig.pipe(BULK_OUT));
    let targets = [input.target(), output.target(), rig.usb.target()];
    for target in targets {
        for request in formats_of_others(&rig) {
            let error = request.send(target, SendOptions::new()).unwrap_err();
            assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
            assert!(error.request.completion_params().is_none());
        }
    }
    let memory = room(PACKET);
    let mut request = rig.request();
    input
        .format_for_read(&mut request, Some(&memory), None)
        .unwrap();
    for wrong in [
        output.target(),
        rig.usb.target(),
        rig.device().default_target(),
    ] {
        let error = request.send(wrong, SendOptions::new()).unwrap_err();
        assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
        request = error.request;
    }
}

#[test]
fn a_usb_target_takes_nothing_that_is_sent_and_forgotten() {
    let rig = Rig::new(0);
    let handle = rig.open();
    for target in [rig.pipe(BULK_OUT).target(), rig.usb.target()] {
        let write = handle.write("abc");
        let forgotten = rig.kept().send_and_forget(target).unwrap_err();
        assert_eq!(forgotten.status, NtStatus::INVALID_DEVICE_REQUEST.into());
        forgotten.complete();
        assert_eq!(write.wait().error(), Win32Error::INVALID_FUNCTION);
    }
}

#[test]
fn a_flush_throws_away_what_is_kept_and_leaves_the_pipe_as_it_is() {
    let rig = Rig::new(0);
    let pipe = rig.pipe(BULK_IN);
    pipe.set_no_maximum_packet_size_check();
    let memory = room(2);
    let sent = rig.read(BULK_IN, &memory);
    rig.end(BULK_IN, Status::Done, b"abcdef");
    assert_eq!(ended(sent.wait(), &memory).2, b"ab");
    assert_eq!((pipe.flush(), pipe.flush()), (4, 0));
    let sent = rig.read(BULK_IN, &memory);
    assert_eq!(pipe.flush(), 0, "what is on its way is left alone");
    rig.end(BULK_IN, Status::Done, b"gh");
    assert_eq!(ended(sent.wait(), &memory).2, b"gh");
    assert_eq!(rig.pipe(BULK_OUT).flush(), 0);
}

#[test]
fn a_request_that_is_formatted_again_is_what_it_was_formatted_for_last() {
    let rig = Rig::new(0);
    let (memory, pipe) = (room(PACKET), rig.pipe(BULK_IN));
    let mut request = rig.request();
    let usb = &rig.usb;
    usb.format_for_control_transfer(&mut request, vendor(0xC0), None, None)
        .unwrap();
    let format = |pipe: &UsbTargetPipe, request: &mut Request| {
        pipe.format_for_read(request, Some(&memory), None)
    };
    format(&pipe, &mut request).unwrap();
    let sent = request.send(pipe.target(), SendOptions::new()).unwrap();
    rig.end(BULK_IN, Status::Done, b"abc");
    let (_, params) = sent.wait();
    assert_eq!(params.request_type(), RequestType::Usb);
    assert!(matches!(
        params.usb().unwrap().request(),
        UsbRequest::PipeRead(_)
    ));
}
