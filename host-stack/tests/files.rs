//! Files: opening and closing, and what drivers are told of it.

mod support;

use std::sync::{Arc, Mutex};

use support::{Kept, Pair, With, alone, broken, builder, driver};
use usbwright_host_stack::{
    Device, DeviceCallbacks, DeviceInit, Driver, File, OpenOptions, PnpState, Queue, Request,
    RequestType, Stack,
    status::{HResult, NtStatus, Win32Error},
};

/// Writes down what happens to files.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl DeviceCallbacks for Diary {
    fn cleanup_file(&self, _device: &Device, file: &File) {
        self.note(&format!("cleanup {}", file.name()));
    }

    fn close_file(&self, _device: &Device, file: &File) {
        self.note(&format!("close {}", file.name()));
    }
}

fn named(stack: &Stack, name: &str) -> usbwright_host_stack::Handle {
    stack.open(&OpenOptions::new().name(name)).wait().unwrap()
}

#[test]
fn when_the_last_handle_is_closed_drivers_are_told_then_requests_end_then_drivers_are_told() {
    let diary = Diary::default();
    let stack = builder()
        .0
        .driver("diary", With(diary.clone()))
        .start()
        .unwrap();
    let handle = named(&stack, "one");
    let another = handle.clone();
    let device = stack.devices()[0].clone();
    let waits = handle.read(1);
    let marked = handle.read(2);
    let notes = diary.clone();
    let cancel = move |request: Request| {
        notes.note("cancel");
        request.complete(NtStatus::CANCELLED);
    };
    let queue = device.context::<Queue>().unwrap();
    let first = queue.retrieve_next().unwrap();
    let second = queue.retrieve_next().unwrap();
    let _kept = second.mark_cancelable(Arc::new(cancel));
    first.requeue().unwrap();
    drop(handle);
    stack.run();
    assert!(diary.read().is_empty(), "a clone has it open");
    drop(another);
    stack.run();
    assert_eq!(diary.read(), ["cleanup one", "cancel", "close one"]);
    assert_eq!(waits.wait().status, NtStatus::CANCELLED);
    assert_eq!(marked.wait().status, NtStatus::CANCELLED);
}

#[test]
fn a_file_is_not_closed_before_the_driver_has_ended_what_it_has_of_it() {
    let diary = Diary::default();
    let stack = builder()
        .0
        .driver("diary", With(diary.clone()))
        .start()
        .unwrap();
    let (handle, other) = (named(&stack, "one"), named(&stack, "other"));
    let _read = handle.read(1);
    let _others = other.read(1);
    let device = stack.devices()[0].clone();
    let request = device.context::<Queue>().unwrap().retrieve_next().unwrap();
    drop(handle);
    stack.run();
    assert_eq!(diary.read(), ["cleanup one"]);
    assert!(request.is_canceled());
    request.complete(NtStatus::CANCELLED);
    stack.run();
    assert_eq!(diary.read(), ["cleanup one", "close one"]);
}

#[test]
fn a_file_is_open_when_the_driver_has_completed_its_create_well() {
    let kept = Kept::default();
    let keep = kept.clone();
    let (builder, _clock) = builder();
    let stack = builder
        .driver(
            "opens",
            driver(move |device| {
                let keep = keep.clone();
                let queue = device.parallel_queue().default_queue();
                let create = move |_: &Queue, request: Request, file: File| {
                    match file.name() {
                        "no" => request.complete(HResult::from_win32(Win32Error::ACCESS_DENIED)),
                        _ => keep.keep(request),
                    };
                };
                queue.on_create(create).create().map(drop)
            }),
        )
        .start()
        .unwrap();
    let no = stack.open(&OpenOptions::new().name("no")).wait();
    assert_eq!(no.unwrap_err(), Win32Error::ACCESS_DENIED);
    let opening = stack.open(&OpenOptions::new().name("yes").access(1));
    let request = kept.take();
    assert_eq!(request.request_type(), RequestType::Create);
    assert_eq!(request.requestor_process_id(), Some(std::process::id()));
    request.complete(NtStatus::SUCCESS);
    drop(opening.wait().unwrap());
}

/// A driver that keeps what opens it, and writes down what becomes of files.
struct Opens(Kept, Diary);

impl Driver for Opens {
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
        let device = init.create(self.1.clone());
        let kept = self.0.clone();
        let queue = device.parallel_queue().default_queue();
        queue
            .on_create(move |_, request, _| kept.keep(request))
            .on_stop(|_, notice| notice.acknowledge())
            .create()?;
        Ok(device)
    }
}

#[test]
fn what_is_opened_for_nobody_is_closed_again() {
    let (kept, diary) = (Kept::default(), Diary::default());
    let stack = builder()
        .0
        .driver("opens", Opens(kept.clone(), diary.clone()))
        .start()
        .unwrap();
    let gives_up = stack.open(&OpenOptions::new().name("late"));
    drop(gives_up);
    let request = kept.take();
    assert!(request.is_canceled());
    assert!(diary.read().is_empty());
    request.complete(NtStatus::SUCCESS);
    stack.run();
    assert_eq!(diary.read(), ["cleanup late", "close late"]);
    let opened = stack.open(&OpenOptions::new().name("early"));
    kept.take().complete(NtStatus::SUCCESS);
    drop(opened);
    stack.run();
    assert_eq!(diary.read()[2..], ["cleanup early", "close early"]);
    let refused = stack.open(&OpenOptions::new());
    kept.take().complete(NtStatus::ACCESS_DENIED);
    drop(refused);
    stack.run();
    assert_eq!(diary.read().len(), 4);
}

#[test]
fn an_open_that_a_failed_stack_keeps_ends() {
    let kept = Kept::default();
    let keep = kept.clone();
    let (builder, _clock) = builder();
    let stack = builder
        .driver(
            "fails",
            driver(move |device| {
                let keep = keep.clone();
                let queue = device.parallel_queue().default_queue();
                let create = move |_: &Queue, request: Request, file: File| {
                    match file.name() {
                        "panic" => panic!("on purpose"),
                        _ => keep.keep(request),
                    };
                };
                queue.on_create(create).create().map(drop)
            }),
        )
        .start()
        .unwrap();
    let waits = stack.open(&OpenOptions::new());
    let panics = stack.open(&OpenOptions::new().name("panic"));
    assert!(panics.wait().is_err());
    assert_eq!(stack.state(), PnpState::Failed);
    assert_eq!(
        waits.wait().unwrap_err(),
        Win32Error::DRIVER_PROCESS_TERMINATED
    );
    drop(kept);
}

#[test]
fn what_a_driver_does_with_a_request_of_a_failed_stack_is_of_no_account() {
    let kept = Kept::default();
    let keep = kept.clone();
    let (stack, handle) = alone(move |device| {
        let keep = keep.clone();
        let queue = device.sequential_queue().default_queue();
        let queue = queue.on_read(move |_, request, _| keep.keep(request));
        queue.create()?;
        let panics = device.sequential_queue().takes(RequestType::Write);
        panics
            .on_write(|_, _, _| panic!("on purpose"))
            .create()
            .map(drop)
    });
    let (first, second) = (handle.read(4), handle.read(4));
    let write = handle.write(&b"x"[..]).wait();
    assert_ne!(write.error(), Win32Error::SUCCESS);
    let gone = NtStatus::DRIVER_PROCESS_TERMINATED;
    kept.take().complete_with_information(NtStatus::SUCCESS, 4);
    stack.run();
    assert_eq!(kept.len(), 0, "nothing is delivered any more");
    let first = first.wait();
    assert_eq!((first.status, first.information), (gone, 0));
    assert_eq!(second.wait().status, gone);
    assert_eq!(handle.read(4).wait().status, gone);
}

#[test]
fn a_filter_lets_files_pass_to_the_driver_below() {
    let pair = Pair::new(|_| Ok(()));
    drop(pair.handle);
    pair.stack.run();
    assert_eq!(pair.slow.seen(), 0, "it has no handler for them");
    assert_eq!(broken(&pair.stack), []);
}

#[test]
fn a_removed_stack_ends_what_is_outstanding_and_refuses_what_comes() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(1);
    pair.stack.surprise_remove();
    assert_eq!(read.wait().error(), Win32Error::DEVICE_REMOVED);
    assert_eq!(
        pair.handle.read(1).wait().error(),
        Win32Error::DEVICE_REMOVED
    );
    assert!(pair.stack.open_and_wait().is_err());
    kept.take().complete(NtStatus::SUCCESS);
}

#[test]
fn a_stack_lives_as_long_as_somebody_has_its_device_open() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let Pair { stack, handle, .. } = pair;
    drop(stack);
    let read = handle.read(1);
    kept.take().complete_with_information(NtStatus::SUCCESS, 1);
    assert_eq!(read.wait().information, 1);
}

#[test]
fn a_file_tells_the_process_that_it_was_opened_for() {
    let diary = With(Diary::default());
    let stack = builder().0.driver("diary", diary).start().unwrap();
    let device = stack.devices()[0].clone();
    let queue = device.context::<Queue>().unwrap();
    for (options, process) in [
        (OpenOptions::new(), std::process::id()),
        (OpenOptions::new().process(42), 42),
    ] {
        let handle = stack.open(&options).wait().unwrap();
        let waits = handle.read(1);
        let cancel = waits.cancel_handle().unwrap();
        let request = queue.retrieve_next().unwrap();
        let file = request.file().unwrap();
        assert_eq!(file.initiator_process_id(), process);
        request.requeue().unwrap();
        cancel.cancel();
        assert_eq!(waits.wait().status, NtStatus::CANCELLED);
    }
}
