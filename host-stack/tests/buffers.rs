//! Buffers: what a driver gets at of a request's data, and what of it the application is told.

mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use support::{alone, broken, builder};
use usbwright_host_stack::{
    Access, ControlCode, Device, DeviceInit, Driver, Handle, IoType, IoTypeError, Queue, Request,
    Retrieval, Stack, StartError,
    status::{HResult, NtStatus, Win32Error},
};

/// A driver that prefers something, and completes writes with where their data is.
struct Prefers {
    io_type: IoType,
    seen: Arc<Mutex<Vec<usize>>>,
    is_filter: bool,
}

impl Driver for Prefers {
    fn device_add(&self, mut init: DeviceInit) -> Result<Device, HResult> {
        init.set_io_type_preference(self.io_type);
        if self.is_filter {
            init.set_filter();
            return Ok(init.create(()));
        }
        let device = init.create(());
        let seen = Arc::clone(&self.seen);
        let queue = device.parallel_queue().default_queue();
        let handler = move |_: &Queue, request: Request| {
            let data = request.input(1).unwrap().payload().into_bytes();
            seen.lock().unwrap().push(data.as_ptr() as usize);
            request.complete_with_information(NtStatus::SUCCESS, data.len());
        };
        queue.on_default(handler).create()?;
        Ok(device)
    }
}

fn deferred(read_write: Access, control: Access) -> IoType {
    IoType {
        retrieval: Retrieval::Deferred,
        read_write,
        control,
        direct_threshold: 0,
    }
}

type Seen = Arc<Mutex<Vec<usize>>>;

/// A stack of a function driver and a filter, with their preferences.
fn stack(lower: IoType, upper: IoType) -> Result<(Stack, Handle, Seen), StartError> {
    let seen = Arc::default();
    let prefers = |io_type, is_filter| Prefers {
        io_type,
        seen: Arc::clone(&seen),
        is_filter,
    };
    let stack = builder()
        .0
        .driver("lower", prefers(lower, false))
        .driver("upper", prefers(upper, true))
        .start()?;
    let handle = stack.open_and_wait().unwrap();
    Ok((stack, handle, seen))
}

/// Whether the driver got at the application's own memory.
fn is_direct(handle: &Handle, seen: &Seen, length: usize) -> bool {
    let data = Bytes::from(vec![7; length]);
    let own = data.as_ptr() as usize;
    assert_eq!(handle.write(data).wait().information, length);
    seen.lock().unwrap().pop() == Some(own)
}

#[test]
fn data_is_the_applications_own_where_every_driver_takes_it_so() {
    use Access::{Buffered, BufferedOrDirect, Direct};
    let rows = [
        (Buffered, Buffered, false),
        (Buffered, BufferedOrDirect, false),
        (BufferedOrDirect, Buffered, false),
        (BufferedOrDirect, BufferedOrDirect, true),
        (Direct, BufferedOrDirect, true),
        (BufferedOrDirect, Direct, true),
        (Direct, Direct, true),
    ];
    for (lower, upper, direct) in rows {
        let [lower, upper] = [lower, upper].map(|it| deferred(it, Buffered));
        let (_stack, handle, seen) = stack(lower, upper).unwrap();
        assert_eq!(
            is_direct(&handle, &seen, 8192),
            direct,
            "{lower:?} {upper:?}"
        );
    }
}

#[test]
fn a_stack_whose_drivers_do_not_go_together_does_not_start_and_says_why() {
    use Access::{Buffered, Direct};
    let error = stack(deferred(Buffered, Buffered), deferred(Direct, Buffered)).unwrap_err();
    assert!(matches!(
        error,
        StartError::IoType(IoTypeError::Incompatible { .. })
    ));
    assert!(error.to_string().contains("driver lower"), "{error}");
    assert!(error.to_string().contains("driver upper"), "{error}");
}

#[test]
fn transfers_shorter_than_the_threshold_are_copied() {
    let direct = deferred(Access::Direct, Access::Buffered);
    let (_stack, handle, seen) = stack(direct, direct).unwrap();
    for (length, direct) in [(8191, false), (8192, true), (8193, true)] {
        assert_eq!(is_direct(&handle, &seen, length), direct, "{length} bytes");
    }
}

/// `CTL_CODE(0x22, 0x800, method, FILE_ANY_ACCESS)`.
fn code(method: u32) -> ControlCode {
    ControlCode(0x0022_2000 | method)
}

const BUFFERED: u32 = 0;
const NEITHER: u32 = 3;

#[test]
fn the_output_of_a_control_code_is_not_its_input_and_what_is_written_to_the_input_is_lost() {
    let (_stack, handle) = alone(|device| {
        let queue = device.parallel_queue().default_queue();
        let handler = |_: &Queue, request: Request, control: usbwright_host_stack::Control| {
            let input = request.input(control.input).unwrap();
            let output = request.output(control.output).unwrap();
            assert_eq!(output.payload().into_bytes(), &[0; 4][..]);
            input.fill(b"lost".to_vec().into()).unwrap();
            assert_eq!(output.payload().into_bytes(), &[0; 4][..]);
            output.fill(b"new".to_vec().into()).unwrap();
            request.complete_with_information(NtStatus::SUCCESS, 3);
        };
        queue.on_device_control(handler).create().map(drop)
    });
    let given = Bytes::from_static(b"good");
    let outcome = handle.control(code(BUFFERED), given.clone(), 4).wait();
    assert_eq!(&outcome.ok().unwrap().data[..], b"new");
    assert_eq!(given, &b"good"[..]);
}

#[test]
fn a_control_code_without_a_method_is_refused_or_copied_as_the_stack_is_told() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let prefers = || Prefers {
        io_type: IoType::default(),
        seen: Arc::clone(&seen),
        is_filter: false,
    };
    let stack = builder().0.driver("alone", prefers()).start().unwrap();
    let handle = stack.open_and_wait().unwrap();
    let refused = handle.control(code(NEITHER), &b"data"[..], 0).wait();
    assert_eq!(refused.error(), Win32Error::INVALID_FUNCTION);
    assert!(seen.lock().unwrap().is_empty());
    let stack = builder().0.driver("alone", prefers()).copy_neither();
    let stack = stack.start().unwrap();
    let handle = stack.open_and_wait().unwrap();
    let data = Bytes::from_static(b"data");
    let copied = handle.control(code(NEITHER), data.clone(), 0).wait();
    assert_eq!(copied.status, NtStatus::SUCCESS);
    assert_ne!(seen.lock().unwrap()[0], data.as_ptr() as usize);
}

/// A driver that answers a read with five bytes and a status.
fn answers(status: NtStatus) -> (Stack, Handle) {
    alone(move |device| {
        let queue = device.parallel_queue().default_queue();
        let handler = move |_: &Queue, request: Request, length: usize| {
            let output = request.output(length).unwrap();
            output.fill(b"hello".to_vec().into()).unwrap();
            request.complete_with_information(status, 5);
        };
        queue.on_read(handler).create().map(drop)
    })
}

#[test]
fn an_application_is_told_data_with_a_warning_and_none_with_an_error() {
    let (_stack, handle) = answers(NtStatus::BUFFER_OVERFLOW);
    let outcome = handle.read(5).wait();
    assert_eq!(outcome.error(), Win32Error::MORE_DATA);
    assert_eq!(&outcome.data[..], b"hello");
    let (_stack, handle) = answers(NtStatus::UNSUCCESSFUL);
    let outcome = handle.read(5).wait();
    assert_eq!(outcome.error(), Win32Error::GEN_FAILURE);
    assert!(outcome.data.is_empty());
    assert_eq!(
        outcome.information, 5,
        "what had moved is told all the same"
    );
}

#[test]
fn a_buffer_that_a_request_does_not_have_is_an_error_that_says_which() {
    let (stack, handle) = alone(|device| {
        let queue = device.parallel_queue().default_queue();
        let handler = |_: &Queue, request: Request| {
            let wrong = NtStatus::INVALID_DEVICE_REQUEST.into();
            assert_eq!(request.input(1).unwrap_err(), wrong);
            let small = NtStatus::BUFFER_TOO_SMALL.into();
            let error = request.output(5).unwrap_err();
            assert_eq!(error, small);
            request.complete(error);
        };
        queue
            .on_read(move |queue, request, _| handler(queue, request))
            .on_default(|_, request| {
                let wrong = NtStatus::INVALID_DEVICE_REQUEST.into();
                assert_eq!(request.output(1).unwrap_err(), wrong);
                assert!(request.input(1).is_ok());
                request.complete(NtStatus::SUCCESS);
            })
            .create()
            .map(drop)
    });
    assert_eq!(
        handle.read(4).wait().error(),
        Win32Error::INSUFFICIENT_BUFFER
    );
    assert_eq!(handle.write(&b"x"[..]).wait().status, NtStatus::SUCCESS);
    assert_eq!(broken(&stack), []);
}

#[test]
fn a_read_of_more_than_there_is_room_for_costs_no_more_than_what_comes() {
    let (_stack, handle) = answers(NtStatus::SUCCESS);
    let outcome = handle.read(usize::MAX).wait().ok().unwrap();
    assert_eq!(&outcome.data[..], b"hello");
}

#[test]
fn a_control_code_may_tell_more_than_its_output_when_its_input_is_longer() {
    let (_stack, handle) = alone(|device| {
        let queue = device.parallel_queue().default_queue();
        queue
            .on_device_control(|_, request, it| {
                request.complete_with_information(NtStatus::SUCCESS, it.input);
            })
            .create()
            .map(drop)
    });
    let outcome = handle.control(code(BUFFERED), &b"longer"[..], 2).wait();
    let outcome = outcome.ok().unwrap();
    assert_eq!((outcome.information, outcome.data.len()), (6, 2));
}

#[test]
fn a_driver_that_wants_its_data_at_once_has_the_whole_stack_copy() {
    let upper = deferred(Access::BufferedOrDirect, Access::BufferedOrDirect);
    for [lower, upper] in [[IoType::default(), upper], [upper, IoType::default()]] {
        let (_stack, handle, seen) = stack(lower, upper).unwrap();
        assert!(!is_direct(&handle, &seen, 64 << 10), "{lower:?} {upper:?}");
    }
}

#[test]
fn what_a_driver_would_like_is_no_promise() {
    let (direct, both) = (Access::Direct, Access::BufferedOrDirect);
    let (_stack, handle, seen) = stack(deferred(direct, direct), deferred(both, both)).unwrap();
    assert!(!is_direct(&handle, &seen, 100), "it is too short");
    let read = handle.control(code(BUFFERED), vec![1; 64 << 10], 0).wait();
    assert_eq!(read.status, NtStatus::SUCCESS);
    seen.lock().unwrap().clear();
}

#[test]
fn a_control_code_is_direct_where_its_method_and_every_driver_are() {
    const IN_DIRECT: u32 = 1;
    const OUT_DIRECT: u32 = 2;
    use Access::{Buffered, BufferedOrDirect, Direct};
    let rows = [
        (Direct, BufferedOrDirect, IN_DIRECT, true),
        (Direct, BufferedOrDirect, OUT_DIRECT, true),
        (Direct, BufferedOrDirect, BUFFERED, false),
        (Buffered, BufferedOrDirect, IN_DIRECT, false),
    ];
    for (lower, upper, method, direct) in rows {
        let [lower, upper] = [lower, upper].map(|it| deferred(BufferedOrDirect, it));
        let (_stack, handle, seen) = stack(lower, upper).unwrap();
        let data = Bytes::from(vec![7; 64 << 10]);
        let own = data.as_ptr() as usize;
        assert_eq!(
            handle.control(code(method), data, 1).wait().status,
            NtStatus::SUCCESS
        );
        let is_direct = seen.lock().unwrap().pop() == Some(own);
        assert_eq!(is_direct, direct, "{lower:?} {upper:?} {method}");
    }
}

#[test]
fn what_a_driver_writes_to_a_buffered_write_does_not_get_to_the_application() {
    let (_stack, handle) = alone(|device| {
        let queue = device.parallel_queue().default_queue();
        let handler = |_: &Queue, request: Request, length: usize| {
            let input = request.input(length).unwrap();
            input.fill(b"other".to_vec().into()).unwrap();
            request.complete_with_information(NtStatus::SUCCESS, length);
        };
        queue.on_write(handler).create().map(drop)
    });
    let given = Bytes::from(b"given".to_vec());
    assert_eq!(handle.write(given.clone()).wait().information, 5);
    assert_eq!(given, &b"given"[..]);
}
