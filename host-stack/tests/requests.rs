//! What an application gets of a driver: requests are delivered, completed, cancelled and forwarded.

use std::sync::{Arc, Mutex};

use usbwright_host_stack::{
    Device, DeviceInit, Driver, Handle, IoOutcome, OnViolation, Queue, Request, Rule, SendOptions,
    Stack, Threads,
    status::{HResult, NtStatus, Win32Error},
};

/// A driver that is made of a closure.
struct Made<F>(F);

impl<F: Fn(&Device) -> Result<(), HResult> + Send + Sync + 'static> Driver for Made<F> {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        let device = init.create(());
        (self.0)(&device)?;
        Ok(device)
    }
}

/// A stack without a thread of its own, of one driver.
fn stack(make: impl Fn(&Device) -> Result<(), HResult> + Send + Sync + 'static) -> (Stack, Handle) {
    let stack = Stack::builder()
        .driver("test", Made(make))
        .threads(Threads::None)
        .on_violation(OnViolation::Report)
        .start()
        .unwrap();
    let handle = stack.open_and_wait().unwrap();
    (stack, handle)
}

#[test]
fn what_a_driver_writes_to_a_reads_memory_is_what_the_application_reads() {
    let (_stack, handle) = stack(|device| {
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(|_, request, length| {
            let output = request.output(length).unwrap();
            output.fill(b"hello".to_vec().into()).unwrap();
            request.complete_with_information(NtStatus::SUCCESS, 5);
        });
        queue.create().map(drop)
    });
    let read = handle.read(8).wait().ok().unwrap();
    assert_eq!((&read.data[..], read.information), (&b"hello"[..], 5));
}

#[test]
fn a_request_cancelled_in_a_queue_never_reaches_the_driver() {
    let kept = Arc::new(Mutex::new(Vec::<Request>::new()));
    let keep = Arc::clone(&kept);
    let (_stack, handle) = stack(move |device| {
        let keep = Arc::clone(&keep);
        let queue = device.sequential_queue().default_queue();
        let queue = queue.on_read(move |_, request, _| keep.lock().unwrap().push(request));
        queue.create().map(drop)
    });
    let first = handle.read(1);
    let second = handle.read(1);
    second.cancel();
    assert_eq!(second.wait().error(), Win32Error::OPERATION_ABORTED);
    assert!(!first.has_ended());
    let request = kept.lock().unwrap().pop().unwrap();
    request.complete_with_information(NtStatus::SUCCESS, 0);
    assert_eq!(first.wait().error(), Win32Error::SUCCESS);
}

#[test]
fn a_request_that_is_dropped_is_completed_and_reported() {
    let (stack, handle) = stack(|device| {
        let queue = device.parallel_queue().default_queue();
        queue
            .on_default(|_: &Queue, _request| ())
            .create()
            .map(drop)
    });
    assert_eq!(handle.read(1).wait().error(), Win32Error::GEN_FAILURE);
    let rules: Vec<_> = stack.violations().iter().map(|it| it.rule).collect();
    assert_eq!(rules, [Rule::LostRequest]);
}

#[test]
fn a_panic_ends_what_is_outstanding_and_refuses_what_comes() {
    let (stack, handle) = stack(|device| {
        let queue = device.parallel_queue().default_queue();
        queue
            .on_default(|_: &Queue, _request| panic!("on purpose"))
            .create()
            .map(drop)
    });
    assert_ne!(handle.read(1).wait().error(), Win32Error::SUCCESS);
    assert_eq!(
        handle.read(1).wait().error(),
        Win32Error::DRIVER_PROCESS_TERMINATED
    );
    assert!(stack.violations().iter().any(|it| it.rule == Rule::Panic));
}

/// What an application is told of a write that a driver completes so.
fn completed(complete: impl Fn(Request, usize) + Send + Sync + 'static) -> IoOutcome {
    let complete = Arc::new(complete);
    let (_stack, handle) = stack(move |device| {
        let complete = Arc::clone(&complete);
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_write(move |_, request, length| complete(request, length));
        queue.create().map(drop)
    });
    handle.write(&b"12345678"[..]).wait()
}

#[test]
fn to_complete_tells_the_information_that_was_set_before() {
    let told = completed(|request, _| {
        request.set_information(9);
        request.set_information(3);
        request.complete(NtStatus::SUCCESS);
    });
    assert_eq!((told.status, told.information), (NtStatus::SUCCESS, 3));
    let told = completed(|request, _| request.complete(NtStatus::SUCCESS));
    assert_eq!(told.information, 0, "none was set");
    let told = completed(|request, length| {
        request.set_information(1);
        request.complete_with_information(NtStatus::SUCCESS, length);
    });
    assert_eq!(told.information, 8);
}

#[test]
fn a_write_that_is_too_long_ends_with_the_code_that_its_driver_has_for_that() {
    let told = completed(|request, length| {
        assert!(length > 4);
        request.complete_with_information(HResult::from_win32(Win32Error::MORE_DATA), 0);
    });
    assert_eq!(told.error(), Win32Error::MORE_DATA);
    assert_eq!(told.information, 0);
}

#[test]
fn success_needs_no_macro() {
    let told = completed(|request, _| request.complete(HResult::OK));
    assert_eq!(told.status, NtStatus::SUCCESS);
    assert_eq!(told.error(), Win32Error::SUCCESS);
}

#[test]
fn each_way_for_a_request_to_end_gets_to_the_application() {
    let ways = [
        (NtStatus::SUCCESS, Win32Error::SUCCESS),
        (NtStatus::DEVICE_DATA_ERROR, Win32Error::CRC),
        (NtStatus::NOT_SUPPORTED, Win32Error::NOT_SUPPORTED),
        (NtStatus::INVALID_DEVICE_STATE, Win32Error::BAD_COMMAND),
        (NtStatus::CANCELLED, Win32Error::OPERATION_ABORTED),
    ];
    for (status, error) in ways {
        let told = completed(move |request, _| request.complete(HResult::from_nt(status)));
        assert_eq!((told.status, told.error()), (status, error));
    }
}

#[test]
fn a_win32_code_that_a_driver_completes_with_is_what_the_application_gets() {
    for code in [1, 5, 87, 122, 995, 1223, 1784, 4317, 15_000].map(Win32Error) {
        let told = completed(move |request, _| request.complete(HResult::from_win32(code)));
        assert_eq!(told.error(), code);
    }
}

#[test]
fn a_request_tells_its_status_before_and_after_what_was_sent_has_ended() {
    let (stack, _handle) = stack(|_| Ok(()));
    let device = &stack.devices()[0];
    let target = device.default_target();
    let mut request = device.create_request();
    assert_eq!(request.status(), HResult::OK);
    let unformatted = request.send(target, SendOptions::new()).unwrap_err();
    request = unformatted.request;
    assert_eq!(request.status(), unformatted.status);
    assert_eq!(request.status(), NtStatus::INVALID_DEVICE_REQUEST.into());
    target.format_for_flush(&mut request).unwrap();
    let (mut request, params) = request.send(target, SendOptions::new()).unwrap().wait();
    assert_eq!(request.status(), params.status());
    request.reuse(NtStatus::UNSUCCESSFUL);
    assert_eq!(request.status(), NtStatus::UNSUCCESSFUL.into());
}

#[test]
fn what_a_driver_has_made_is_dropped_and_not_completed() {
    let (stack, _handle) = stack(|_| Ok(()));
    let device = &stack.devices()[0];
    drop(device.create_request());
    device.create_request().complete(NtStatus::SUCCESS);
    assert_eq!(stack.violations(), []);
}
