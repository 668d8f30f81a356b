//! What an application gets of a driver: requests are delivered, completed, cancelled and forwarded.

use std::sync::{Arc, Mutex};

use usbwright_host_stack::{
    Device, DeviceInit, Driver, Handle, OnViolation, Queue, Request, Rule, Stack, Threads,
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
