//! Formatting: what each target can be asked for, what arrives there, and for which file.

mod support;

use std::sync::{Arc, Mutex};

use support::{Kept, Pair, alone, broken, filter, own::Own, pass_on};
use usbwright_host_stack::{
    ControlCode, Device, DeviceCallbacks, DeviceInit, Driver, FileTarget, Io, IoTarget, Memory,
    MemoryOffset, OpenOptions, Parameters, RemoteTarget, Request, RequestType, SendOptions,
    SentIoAction, Stack, Threads,
    status::{HResult, NtStatus},
    usb::UsbTargetDevice,
    usb_target::{ManualClock, Options, Wait, protocol::Setup},
};
use usbwright_models::Spec;

const CODE: ControlCode = ControlCode(0x0022_2000);

/// A way to format a request with a memory, or a part of it.
type Format =
    fn(&IoTarget, &mut Request, Option<&Memory>, Option<MemoryOffset>) -> Result<(), HResult>;

const READ: Format = |it, request, memory, part| it.format_for_read(request, memory, part, 0);
const WRITE: Format = |it, request, memory, part| it.format_for_write(request, memory, part, 0);
const INPUT: Format = |it, request, memory, part| {
    it.format_for_ioctl(request, CODE, memory.map(|it| (it, part)), None)
};
const OUTPUT: Format = |it, request, memory, part| {
    it.format_for_ioctl(request, CODE, None, memory.map(|it| (it, part)))
};
const QUERY: Format =
    |it, request, memory, part| it.format_for_query_information(request, 5, memory, part);
const SET: Format =
    |it, request, memory, part| it.format_for_set_information(request, 20, memory, part);
const FLUSH: Format = |it, request, _, _| it.format_for_flush(request);

/// A driver of a USB device, which keeps its target, and what comes.
struct Usb(Arc<Mutex<Option<UsbTargetDevice>>>, Kept);

impl DeviceCallbacks for Usb {
    fn prepare_hardware(&self, device: &Device) -> Result<(), HResult> {
        *self.0.lock().unwrap() = Some(UsbTargetDevice::new(device)?);
        Ok(())
    }
}

impl Driver for Usb {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        let device = init.create(Self(Arc::clone(&self.0), self.1.clone()));
        self.1.queue(&device)?;
        Ok(device)
    }
}

/// A stack over a Gadget Zero, and its target.
fn usb() -> (Stack, UsbTargetDevice, Kept) {
    let clock = ManualClock::new();
    let port = "gadget-zero".parse::<Spec>().unwrap();
    let port = port.build(clock.now()).unwrap();
    let options = Options::new().configuration(2).clock(clock.clone());
    let usb = options.open(port).wait().unwrap();
    let (target, kept) = (Arc::default(), Kept::default());
    let stack = Stack::builder()
        .usb_device(usb)
        .driver("usb", Usb(Arc::clone(&target), kept.clone()))
        .clock(clock)
        .threads(Threads::None)
        .start()
        .unwrap();
    let target = target.lock().unwrap().take().unwrap();
    (stack, target, kept)
}

#[test]
fn each_target_takes_what_it_knows_and_refuses_the_rest_when_it_is_formatted() {
    let own = Own::new();
    let (stack, usb, _) = usb();
    let pipe = usb.interfaces()[0].pipes().remove(0);
    let file = FileTarget::new(&own.device, tempfile::tempfile().unwrap()).unwrap();
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let socket = FileTarget::new(&own.device, socket).unwrap();
    let remote = RemoteTarget::new(&own.device, ()).unwrap();
    let formats = [READ, WRITE, FLUSH, QUERY, SET, INPUT, OUTPUT];
    let (yes, no) = (true, false);
    for (target, takes) in [
        (
            own.device.default_target(),
            [yes, yes, yes, yes, yes, yes, yes],
        ),
        (remote.target(), [yes, yes, yes, yes, yes, yes, yes]),
        (file.target(), [yes, yes, yes, yes, yes, no, no]),
        (socket.target(), [yes, yes, yes, yes, yes, no, no]),
        (usb.target(), [no, no, no, no, no, no, no]),
        (pipe.target(), [no, no, no, no, no, no, no]),
    ] {
        for (format, takes) in formats.iter().zip(takes) {
            let memory = Memory::zeroed(8).unwrap();
            let mut request = own.device.create_request();
            let formatted = format(target, &mut request, Some(&memory), None);
            let refused = Err(NtStatus::INVALID_DEVICE_REQUEST.into());
            assert_eq!(formatted, if takes { Ok(()) } else { refused });
        }
    }
    assert_eq!(broken(&stack), []);
}

#[test]
fn what_is_formatted_for_usb_is_refused_by_any_other_target() {
    let own = Own::new();
    let (stack, usb, _) = usb();
    let file = FileTarget::new(&own.device, tempfile::tempfile().unwrap()).unwrap();
    let names = own.device.names().unwrap();
    let named = Own::among(&names);
    named.device.create_symbolic_link("named").unwrap();
    let remote = RemoteTarget::new(&own.device, ()).unwrap();
    remote.open("named", &OpenOptions::new()).unwrap();
    let device = &stack.devices()[0];
    for target in [file.target(), remote.target(), device.default_target()] {
        let mut request = device.create_request();
        let setup = Setup {
            request_type: 0x80,
            request: 6,
            value: 0x0100,
            index: 0,
            length: 0,
        };
        usb.format_for_control_transfer(&mut request, setup, None, None)
            .unwrap();
        let error = request.send(target, SendOptions::new()).unwrap_err();
        assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
    }
}

#[test]
fn a_request_as_it_came_is_refused_by_a_usb_target() {
    let (stack, usb, kept) = usb();
    let pipe = usb.interfaces()[0].pipes().remove(0);
    let handle = stack.open_and_wait().unwrap();
    for target in [usb.target(), pipe.target()] {
        let read = handle.read(64);
        let mut request = kept.take();
        request.format_using_current_type();
        let error = request.send(target, SendOptions::new()).unwrap_err();
        assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
        error.complete();
        assert_eq!(read.wait().status, NtStatus::INVALID_DEVICE_REQUEST);
    }
}

#[test]
fn a_request_that_a_driver_has_made_has_come_as_nothing_and_cannot_be_sent_so() {
    let pair = Pair::keeping(&Kept::default());
    let mut request = pair.filter().create_request();
    request.format_using_current_type();
    let error = request
        .send(&pair.target(), SendOptions::new())
        .unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
}

#[test]
fn a_part_that_a_memory_does_not_have_is_an_error_in_every_format() {
    let own = Own::new();
    let target = own.device.default_target();
    let memory = Memory::zeroed(4).unwrap();
    for format in [READ, WRITE, INPUT, OUTPUT, QUERY, SET] {
        for (offset, length) in [(4, 0), (5, 0), (0, 5), (2, 3), (usize::MAX, 2)] {
            let part = Some(MemoryOffset { offset, length });
            let mut request = own.device.create_request();
            let error = format(target, &mut request, Some(&memory), part);
            assert_eq!(error, Err(NtStatus::INVALID_PARAMETER.into()));
        }
    }
}

#[test]
fn without_memory_each_format_is_one_of_no_bytes() {
    let pair = Pair::keeping(&Kept::default());
    let target = pair.target();
    for format in [READ, WRITE, INPUT, OUTPUT, QUERY, SET, FLUSH] {
        let mut request = pair.filter().create_request();
        format(&target, &mut request, None, None).unwrap();
        let sent = request.send(&target, SendOptions::new()).unwrap();
        pair.stack.run();
        // A read or a write of nothing comes, too: the device below wants it.
        let request = pair.slow.next().unwrap();
        assert!(request.input(1).is_err() && request.output(1).is_err());
        request.complete(NtStatus::SUCCESS);
        assert_eq!(sent.wait().1.information(), 0);
    }
}

#[test]
fn the_next_driver_gets_the_parameters_and_the_part_that_was_formatted() {
    let pair = Pair::keeping(&Kept::default());
    let target = pair.target();
    let memory = Memory::new(b"0123456789".to_vec()).unwrap();
    let part = Some(MemoryOffset {
        offset: 3,
        length: 4,
    });
    for (format, kind) in [
        (QUERY, RequestType::QueryInformation),
        (SET, RequestType::SetInformation),
        (READ, RequestType::Read),
        (WRITE, RequestType::Write),
    ] {
        let mut request = pair.filter().create_request();
        format(&target, &mut request, Some(&memory), part).unwrap();
        let sent = request.send(&target, SendOptions::new()).unwrap();
        pair.stack.run();
        let request = pair.slow.next().unwrap();
        assert_eq!(request.request_type(), kind);
        let window = request.input(4).or_else(|_| request.output(4)).unwrap();
        assert_eq!((window.offset(), window.len()), (3, 4));
        match request.parameters() {
            Parameters::QueryInformation { class, length } => assert_eq!((class, length), (5, 4)),
            Parameters::SetInformation { class, length } => assert_eq!((class, length), (20, 4)),
            _ => {}
        }
        request.complete_with_information(NtStatus::SUCCESS, 4);
        let (_, params) = sent.wait();
        assert_eq!((params.request_type(), params.information()), (kind, 4));
    }
}

#[test]
fn the_last_format_of_a_request_is_the_one_that_counts() {
    let pair = Pair::keeping(&Kept::default());
    let target = pair.target();
    let mut request = pair.filter().create_request();
    READ(
        &target,
        &mut request,
        Some(&Memory::zeroed(4).unwrap()),
        None,
    )
    .unwrap();
    FLUSH(&target, &mut request, None, None).unwrap();
    let _sent = request.send(&target, SendOptions::new()).unwrap();
    pair.stack.run();
    let request = pair.slow.next().unwrap();
    assert_eq!(request.request_type(), RequestType::Flush);
    request.complete(NtStatus::SUCCESS);
}

#[test]
fn a_filter_sends_on_every_kind_of_request_as_it_came() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let handle = &pair.handle;
    let through = |io: Io| {
        pass_on(kept.take(), SendOptions::new());
        pair.stack.run();
        (pair.slow.next().unwrap(), io)
    };

    let (request, io) = through(handle.read_at(3, 99));
    assert!(
        matches!(request.parameters(), Parameters::Read(it) if (it.length, it.offset) == (3, 99))
    );
    let room = request.output(3).unwrap();
    room.fill(b"abc".to_vec().into()).unwrap();
    request.complete_with_information(NtStatus::SUCCESS, 3);
    assert_eq!(&io.wait().data[..], b"abc");

    let (request, io) = through(handle.write_at(&b"data"[..], 7));
    assert!(
        matches!(request.parameters(), Parameters::Write(it) if (it.length, it.offset) == (4, 7))
    );
    assert_eq!(request.input(4).unwrap().payload().to_vec(), b"data");
    request.complete_with_information(NtStatus::SUCCESS, 4);
    assert_eq!(io.wait().information, 4);

    let (request, io) = through(handle.control(CODE, &b"in"[..], 5));
    assert!(matches!(request.parameters(), Parameters::DeviceControl(it) if it.code == CODE));
    assert!(request.input(2).is_ok() && request.output(5).is_ok());
    request.complete_with_information(NtStatus::SUCCESS, 5);
    assert_eq!(io.wait().data.len(), 5);

    let (request, io) = through(handle.flush());
    assert_eq!(request.request_type(), RequestType::Flush);
    request.complete(NtStatus::SUCCESS);
    assert_eq!(io.wait().status, NtStatus::SUCCESS);

    let (request, io) = through(handle.query_information(5, 24));
    assert!(request.output(24).is_ok());
    request.complete_with_information(NtStatus::SUCCESS, 24);
    assert_eq!(io.wait().data.len(), 24);

    let (request, io) = through(handle.set_information(20, vec![1; 8]));
    assert_eq!(request.input(8).unwrap().payload().to_vec(), [1; 8]);
    request.complete(NtStatus::SUCCESS);
    assert_eq!(io.wait().status, NtStatus::SUCCESS);
}

#[test]
fn nothing_below_the_last_driver_knows_a_request() {
    let own = Own::new();
    let target = own.device.default_target();
    for format in [READ, WRITE, INPUT, OUTPUT, QUERY, SET, FLUSH] {
        let mut request = own.device.create_request();
        format(target, &mut request, None, None).unwrap();
        let ended = own.done(target, request);
        assert_eq!(ended, (NtStatus::INVALID_DEVICE_REQUEST, 0));
    }
}

#[test]
fn every_request_has_a_file_the_applications_or_the_drivers_own() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let _read = pair.handle.read(1);
    let mut delivered = kept.take();
    let file = delivered.file().unwrap();
    let device = pair.filter();
    let mut own = device.create_request();
    assert_eq!(own.file(), device.create_request().file());
    assert_ne!(own.file().unwrap(), file);
    assert_eq!(own.file().unwrap().name(), "filter");
    own.set_file(&file).unwrap();
    FLUSH(&pair.target(), &mut own, None, None).unwrap();
    let _sent = own.send(&pair.target(), SendOptions::new()).unwrap();
    pair.stack.run();
    let request = pair.slow.next().unwrap();
    assert_eq!(request.file(), Some(file));
    request.complete(NtStatus::SUCCESS);
    let other = device.create_request().file().unwrap();
    let error = delivered.set_file(&other);
    assert_eq!(error, Err(NtStatus::INVALID_DEVICE_REQUEST.into()));
    delivered.complete(NtStatus::SUCCESS);
}

#[test]
fn what_was_sent_for_a_file_is_taken_back_and_what_waits_for_it_and_nothing_else() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let other = pair.stack.open_and_wait().unwrap();
    let target = pair.target();
    let ask = || {
        let reads = [pair.handle.read(1), other.read(2)];
        let file = kept.take();
        let name = file.file().unwrap();
        pass_on(file, SendOptions::new());
        pass_on(kept.take(), SendOptions::new());
        pair.stack.run();
        (reads, name)
    };
    let ([sent, others_sent], file) = ask();
    target.stop(SentIoAction::LeaveSentIoPending).unwrap();
    let ([waits, others_wait], _) = ask();
    target.cancel_sent_for_file(&file);
    assert_eq!(sent.wait().status, NtStatus::CANCELLED);
    assert_eq!(waits.wait().status, NtStatus::CANCELLED);
    target.start().unwrap();
    pair.stack.run();
    assert!(!others_sent.has_ended() && !others_wait.has_ended());
    assert!(pair.slow.end(NtStatus::SUCCESS, 2) && pair.slow.end(NtStatus::SUCCESS, 2));
    assert_eq!(others_sent.wait().information, 2);
    assert_eq!(others_wait.wait().information, 2);
}

#[test]
fn a_filter_that_has_no_queue_for_information_hands_it_down() {
    let (builder, _clock) = support::builder();
    let kept = Kept::default();
    let keep = kept.clone();
    let lower = support::driver(move |device| keep.queue(device).map(drop));
    let stack = builder
        .driver("lower", lower)
        .driver("filter", filter(|_| Ok(())))
        .start()
        .unwrap();
    let handle = stack.open_and_wait().unwrap();
    let query = handle.query_information(5, 8);
    kept.take().complete_with_information(NtStatus::SUCCESS, 8);
    assert_eq!(query.wait().information, 8);
    let (_stack, handle) = alone(|_| Ok(()));
    let refused = handle.set_information(20, vec![0; 8]).wait();
    assert_eq!(refused.status, NtStatus::INVALID_DEVICE_REQUEST);
}
