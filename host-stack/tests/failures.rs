//! Drivers that fail or panic in one of their callbacks: what is undone, what applications are told, and that nobody else is harmed.

mod life_support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use usbwright_host_stack::{
    CallbackError, ChangeError, Device, Handle, IdleSettings, Io, OnViolation, PnpState, Request,
    RequestCompletionParams, RequestType, Rule, SendOptions, Stack, StartError, Threads,
    status::{HResult, NtStatus, Win32Error},
};

use life_support::{Does, Log, Recorder, builder, started};

/// What is called when a stack is started whose driver fails in a callback.
fn called_at_start(callback: &'static str) -> Vec<String> {
    let log = Log::default();
    let failing = Recorder::new(&log).does(callback, Does::Fail);
    let error = builder(failing).start().unwrap_err();
    let StartError::Callback(CallbackError::Failed {
        driver,
        callback: told,
        status,
    }) = error
    else {
        panic!("{error}");
    };
    assert_eq!((&*driver, told), ("test", callback));
    assert_eq!(status, HResult::from_nt(NtStatus::UNSUCCESSFUL));
    log.take()
}

#[test]
fn a_driver_that_is_not_loaded_is_not_unloaded() {
    assert_eq!(called_at_start("initialize"), ["initialize"]);
    assert_eq!(
        called_at_start("device_add"),
        ["initialize", "device_add", "deinitialize"]
    );
}

#[test]
fn hardware_that_could_not_be_prepared_is_released_and_nothing_else_undone() {
    assert_eq!(
        called_at_start("prepare_hardware"),
        [
            "initialize",
            "device_add",
            "prepare_hardware",
            "release_hardware",
            "cleanup",
            "deinitialize",
        ]
    );
}

#[test]
fn a_device_that_does_not_get_to_d0_is_told_to_undo_what_it_had_begun() {
    assert_eq!(
        called_at_start("d0_entry"),
        [
            "initialize",
            "device_add",
            "prepare_hardware",
            "d0_entry from D3Final",
            "d0_entry_failed",
            "release_hardware",
            "cleanup",
            "deinitialize",
        ]
    );
}

#[test]
fn self_managed_io_that_does_not_begin_is_flushed_and_cleaned_up() {
    assert_eq!(
        called_at_start("self_managed_io_init"),
        [
            "initialize",
            "device_add",
            "prepare_hardware",
            "d0_entry from D3Final",
            "self_managed_io_init",
            "d0_exit to D3Final",
            "release_hardware",
            "self_managed_io_flush",
            "self_managed_io_cleanup",
            "cleanup",
            "deinitialize",
        ]
    );
}

#[test]
fn the_devices_below_one_that_does_not_start_go_in_good_order() {
    let log = Log::default();
    let failing = Recorder::new(&log).named("top");
    let stack = Stack::builder()
        .driver("low", Recorder::new(&log).named("low"))
        .driver("top", failing.does("d0_entry", Does::Fail));
    assert!(stack.threads(Threads::None).start().is_err());
    assert_eq!(
        log.take()[7..],
        [
            "top: prepare_hardware",
            "top: d0_entry from D3Final",
            "top: d0_entry_failed",
            "top: release_hardware",
            "top: cleanup",
            "low: self_managed_io_suspend",
            "low: d0_exit to D3Final",
            "low: release_hardware",
            "low: self_managed_io_flush",
            "low: self_managed_io_cleanup",
            "low: cleanup",
            "top: deinitialize",
            "low: deinitialize",
        ]
    );
}

#[test]
fn a_device_above_one_that_does_not_start_is_never_told_of_hardware() {
    let log = Log::default();
    let failing = Recorder::new(&log).named("low");
    let stack = Stack::builder()
        .driver("low", failing.does("prepare_hardware", Does::Fail))
        .driver("top", Recorder::new(&log).named("top"));
    assert!(stack.threads(Threads::None).start().is_err());
    assert_eq!(
        log.take()[4..],
        [
            "low: prepare_hardware",
            "top: cleanup",
            "low: release_hardware",
            "low: cleanup",
            "top: deinitialize",
            "low: deinitialize",
        ]
    );
}

#[test]
fn a_device_whose_driver_fails_after_making_it_is_deleted() {
    let log = Log::default();
    let driver = Recorder::new(&log).with(|_, _| Err(NtStatus::UNSUCCESSFUL.into()));
    assert!(builder(driver).start().is_err());
    assert_eq!(
        log.take(),
        ["initialize", "device_add", "cleanup", "deinitialize"]
    );
}

/// A way to change a stack's state.
type Changes = fn(&Stack) -> Result<(), ChangeError>;

/// What is called where a callback fails in the last of these changes, which removes the stack.
fn called_at(callback: &'static str, before: &[Changes], change: Changes) -> Vec<String> {
    let log = Log::default();
    let (stack, _) = started(Recorder::new(&log).does(callback, Does::Fail), &log);
    before.iter().for_each(|it| it(&stack).unwrap());
    log.take();
    let error = change(&stack).unwrap_err();
    assert!(
        matches!(&error, ChangeError::Callback(CallbackError::Failed { callback: told, .. }) if *told == callback),
        "{error}"
    );
    assert_eq!(stack.state(), PnpState::Removed);
    log.take()
}

const GONE: [&str; 4] = [
    "release_hardware",
    "self_managed_io_flush",
    "self_managed_io_cleanup",
    "cleanup",
];

#[test]
fn a_device_that_fails_on_its_way_out_of_d0_leaves_it_and_goes() {
    for callback in ["self_managed_io_suspend", "d0_exit"] {
        let called = called_at(callback, &[], Stack::suspend);
        assert_eq!(called[..2], ["self_managed_io_suspend", "d0_exit to D3"]);
        assert_eq!(called[2..], GONE, "{callback}");
        let called = called_at(callback, &[], Stack::stop);
        assert_eq!(
            called[..3],
            [
                "query_stop",
                "self_managed_io_suspend",
                "d0_exit to D3Final"
            ]
        );
        assert_eq!(called[3..], GONE, "{callback}");
    }
}

#[test]
fn a_device_that_fails_to_run_again_goes() {
    let called = called_at("self_managed_io_restart", &[Stack::suspend], Stack::resume);
    assert_eq!(
        called[..3],
        [
            "d0_entry from D3",
            "self_managed_io_restart",
            "d0_exit to D3Final"
        ]
    );
    assert_eq!(called[3..], GONE);
}

#[test]
fn a_device_that_fails_to_wake_goes_without_leaving_d0() {
    let log = Log::default();
    let late = Arc::new(AtomicBool::new(false));
    let driver = Recorder::new(&log).does("d0_entry", Does::Fail);
    let (stack, _) = started(driver.armed_by(&late), &log);
    stack.suspend().unwrap();
    log.take();
    late.store(true, Ordering::Relaxed);
    stack.resume().unwrap_err();
    let called = log.take();
    assert_eq!(called[..2], ["d0_entry from D3", "d0_entry_failed"]);
    assert_eq!(called[2..], GONE);
    assert_eq!(
        stack.open_and_wait().unwrap_err(),
        Win32Error::from_nt(NtStatus::DEVICE_REMOVED)
    );
}

#[test]
fn hardware_that_can_not_be_prepared_anew_is_released() {
    let log = Log::default();
    let late = Arc::new(AtomicBool::new(false));
    let driver = Recorder::new(&log).does("prepare_hardware", Does::Fail);
    let (stack, _) = started(driver.armed_by(&late), &log);
    stack.stop().unwrap();
    log.take();
    late.store(true, Ordering::Relaxed);
    stack.restart().unwrap_err();
    let called = log.take();
    assert_eq!(called[0], "prepare_hardware");
    assert_eq!(called[1..], GONE);
}

#[test]
fn hardware_that_is_not_released_well_changes_nothing() {
    let log = Log::default();
    let (stack, _) = started(
        Recorder::new(&log).does("release_hardware", Does::Fail),
        &log,
    );
    stack.stop().unwrap();
    stack.restart().unwrap();
    stack.remove().unwrap();
    assert_eq!(stack.state(), PnpState::Removed);
}

#[test]
fn a_power_callback_does_not_say_that_it_is_not_supported() {
    struct Refuses;
    impl usbwright_host_stack::DeviceCallbacks for Refuses {
        fn d0_exit(&self, _: &Device, _: usbwright_host_stack::PowerState) -> Result<(), HResult> {
            Err(NtStatus::NOT_SUPPORTED.into())
        }
    }
    struct Made;
    impl usbwright_host_stack::Driver for Made {
        fn device_add(&self, init: usbwright_host_stack::DeviceInit) -> Result<Device, HResult> {
            Ok(init.create(Refuses))
        }
    }
    let stack = Stack::builder().driver("test", Made).threads(Threads::None);
    let stack = stack.start().unwrap();
    stack.suspend().unwrap_err();
    let violations = stack.violations();
    assert_eq!(
        violations[0].to_string(),
        "driver test: a power callback failed with STATUS_NOT_SUPPORTED: d0_exit"
    );
}

/// A driver with a manual queue for reads, from which it takes none, and a queue for writes that does as a test wants.
fn with_read_pending(driver: Recorder) -> Recorder {
    driver.with(|device, _| {
        let queue = device.manual_queue().takes(RequestType::Read);
        queue.power_managed(false).create().map(drop)
    })
}

/// Does everything that a stack can be made to do, up to the first error.
fn whole_life(stack: &Stack) -> Result<(), ChangeError> {
    stack.suspend()?;
    stack.resume()?;
    stack.stop()?;
    stack.restart()?;
    stack.surprise_remove();
    Ok(())
}

#[test]
fn a_callback_that_panics_brings_its_stack_down_and_ends_what_was_asked_of_it() {
    for callback in [
        "self_managed_io_suspend",
        "d0_exit",
        "self_managed_io_restart",
        "query_stop",
        "release_hardware",
        "surprise_removal",
        "self_managed_io_flush",
    ] {
        let log = Log::default();
        let driver = Recorder::new(&log).does(callback, Does::Panic);
        let (stack, _) = started(with_read_pending(driver), &log);
        let handle = stack.open_and_wait().unwrap();
        let read = handle.read(1);
        let _ = whole_life(&stack);
        assert_eq!(stack.state(), PnpState::Failed, "{callback}");
        let told = log.take();
        let last = told.last().unwrap();
        assert!(last.starts_with(callback), "{last} after {callback}");
        assert_terminated(&stack, &handle, read, callback);
    }
}

#[test]
fn a_callback_that_panics_late_brings_its_stack_down_as_well() {
    for callback in [
        "prepare_hardware",
        "d0_entry",
        "query_remove",
        "self_managed_io_cleanup",
        "cleanup",
    ] {
        let (log, late) = (Log::default(), Arc::new(AtomicBool::new(false)));
        let driver = Recorder::new(&log).does(callback, Does::Panic);
        let (stack, _) = started(driver.armed_by(&late), &log);
        late.store(true, Ordering::Relaxed);
        let _ = stack.stop().and_then(|()| stack.restart());
        let _ = stack.remove();
        assert!(log.take().last().unwrap().starts_with(callback));
        assert_eq!(stack.violations()[0].rule, Rule::Panic, "{callback}");
        assert!(stack.failure().is_some());
        drop(stack);
        assert_eq!(log.take(), [""; 0], "{callback}");
    }
}

#[test]
fn a_callback_that_panics_as_a_device_wakes_or_falls_asleep_brings_its_stack_down() {
    for callback in ["arm_wake", "wake_triggered", "disarm_wake"] {
        let log = Log::default();
        let driver = Recorder::new(&log).does(callback, Does::Panic);
        let driver = driver.with(|device, _| {
            let queue = device.manual_queue().takes(RequestType::Read);
            queue.power_managed(false).create()?;
            device.assign_idle(IdleSettings {
                wake: true,
                ..IdleSettings::default()
            })
        });
        let (stack, clock) = started(driver, &log);
        let handle = stack.open_and_wait().unwrap();
        let read = handle.read(1);
        clock.advance(Duration::from_secs(5));
        stack.signal_wake();
        assert_eq!(stack.state(), PnpState::Failed, "{callback}");
        assert_terminated(&stack, &handle, read, callback);
    }
}

/// What is known of a stack that a callback has brought down.
fn assert_terminated(stack: &Stack, handle: &Handle, pending: Io, callback: &str) {
    let terminated = Win32Error::DRIVER_PROCESS_TERMINATED;
    assert_eq!(pending.wait().error(), terminated, "{callback}");
    assert_eq!(handle.read(1).wait().error(), terminated, "{callback}");
    assert_eq!(stack.open_and_wait().unwrap_err(), terminated, "{callback}");
    let violations = stack.violations();
    assert_eq!(violations[0].rule, Rule::Panic, "{callback}");
    assert_eq!(&*violations[0].driver, "test", "{callback}");
    assert!(
        violations[0].object.starts_with(callback),
        "{callback}: {}",
        violations[0]
    );
}

#[test]
fn a_driver_that_panics_while_its_stack_starts_is_told_with_its_message() {
    for callback in [
        "initialize",
        "device_add",
        "prepare_hardware",
        "d0_entry",
        "self_managed_io_init",
    ] {
        let log = Log::default();
        let failing = Recorder::new(&log).does(callback, Does::Panic);
        let error = builder(failing).start().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("driver test panicked in {callback}: {callback} panics on purpose")
        );
        assert!(log.take().last().unwrap().starts_with(callback));
    }
}

#[test]
fn a_driver_that_panics_while_its_failure_is_undone_harms_nobody_else() {
    struct Both;
    impl usbwright_host_stack::DeviceCallbacks for Both {
        fn d0_entry(&self, _: &Device, _: usbwright_host_stack::PowerState) -> Result<(), HResult> {
            Err(NtStatus::UNSUCCESSFUL.into())
        }
        fn d0_entry_failed(&self, _: &Device) {
            panic!("again");
        }
    }
    struct Made;
    impl usbwright_host_stack::Driver for Made {
        fn device_add(&self, init: usbwright_host_stack::DeviceInit) -> Result<Device, HResult> {
            Ok(init.create(Both))
        }
    }
    let stack = Stack::builder().driver("test", Made);
    let error = stack.threads(Threads::None).start().unwrap_err();
    assert!(error.to_string().contains("failed in d0_entry"), "{error}");
}

/// Makes a driver panic in something that is not a callback of a device.
type Trigger = fn(&Stack, &Handle);

/// Makes a device's queues.
type Makes = fn(&Device) -> Result<(), HResult>;

fn nothing(_: &Stack, _: &Handle) {}

#[test]
fn a_panic_in_whatever_a_queue_calls_ends_what_was_asked() {
    let cases: [(&str, Makes, Trigger); 8] = [
        ("a queue's callback", panics_in_write, nothing),
        ("on_stop", panics_in_stop, |stack, _| {
            let _ = stack.suspend();
        }),
        ("on_resume", panics_in_resume, |stack, _| {
            let _ = stack.suspend();
            let _ = stack.resume();
        }),
        ("a cancel callback", panics_in_cancel, |_, handle| {
            handle.cancel_all();
        }),
        ("a completion callback", panics_in_completion, nothing),
        ("a timer", panics_in_timer, nothing),
        ("a future", panics_in_future, nothing),
        ("a queue's callback", panics_in_state_change, nothing),
    ];
    for (name, make, trigger) in cases {
        let log = Log::default();
        let driver = Recorder::new(&log).with(move |device, _| {
            let queue = device.manual_queue().takes(RequestType::Read);
            queue.power_managed(false).create()?;
            make(device)
        });
        let (stack, clock) = started(driver, &log);
        let (reader, handle) = (
            stack.open_and_wait().unwrap(),
            stack.open_and_wait().unwrap(),
        );
        let read = reader.read(1);
        let write = handle.write(&b"1"[..]);
        trigger(&stack, &handle);
        clock.advance(Duration::from_secs(1));
        assert_terminated(&stack, &reader, read, name);
        // A driver that panics with a request of its own has lost that one, and nothing else.
        assert_ne!(write.wait().error(), Win32Error::SUCCESS, "{name}");
    }
}

fn write_queue(device: &Device) -> usbwright_host_stack::QueueBuilder {
    device.parallel_queue().takes(RequestType::Write)
}

fn panics_in_write(device: &Device) -> Result<(), HResult> {
    let queue = write_queue(device).on_write(|_, _request, _| panic!("on purpose"));
    queue.create().map(drop)
}

type Kept = Mutex<Vec<Request>>;

fn keeps(kept: &Arc<Kept>) -> impl Fn(&usbwright_host_stack::Queue, Request, usize) + use<> {
    let kept = Arc::clone(kept);
    move |_, request, _| kept.lock().unwrap().push(request)
}

fn panics_in_stop(device: &Device) -> Result<(), HResult> {
    let queue = write_queue(device).on_write(keeps(&Arc::default()));
    let queue = queue.on_stop(|_, _notice| panic!("on purpose"));
    queue.create().map(drop)
}

fn panics_in_resume(device: &Device) -> Result<(), HResult> {
    let queue = write_queue(device).on_write(keeps(&Arc::default()));
    let queue = queue.on_stop(|_, notice| notice.acknowledge());
    queue
        .on_resume(|_, _| panic!("on purpose"))
        .create()
        .map(drop)
}

fn panics_in_cancel(device: &Device) -> Result<(), HResult> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let queue = write_queue(device).on_write(move |_, request, _| {
        let on_cancel = |_request: Request| panic!("on purpose");
        let marked = request.mark_cancelable(Arc::new(on_cancel));
        kept.lock().unwrap().push(marked);
    });
    queue.create().map(drop)
}

fn panics_in_completion(device: &Device) -> Result<(), HResult> {
    let queue = write_queue(device).on_write(|queue, mut request, _| {
        request.format_using_current_type();
        let completed =
            |_request: Request, _: &RequestCompletionParams| -> () { panic!("on purpose") };
        let device = queue.device();
        let target = device.default_target();
        let sent = request.send_then(target, SendOptions::new(), Arc::new(completed));
        sent.unwrap();
    });
    queue.create().map(drop)
}

fn panics_in_timer(device: &Device) -> Result<(), HResult> {
    let timer = Mutex::new(None);
    let kept = Arc::new(Kept::default());
    let queue = write_queue(device).on_write(move |queue, request, _| {
        kept.lock().unwrap().push(request);
        let set = queue
            .device()
            .after(Duration::from_millis(1), |_| panic!("on purpose"));
        *timer.lock().unwrap() = Some(set);
    });
    queue.create().map(drop)
}

fn panics_in_future(device: &Device) -> Result<(), HResult> {
    let queue = write_queue(device).on_write(|queue, request, _| {
        queue.device().spawn(async move {
            let _request = request;
            panic!("on purpose");
        });
    });
    queue.create().map(drop)
}

fn panics_in_state_change(device: &Device) -> Result<(), HResult> {
    let queue = device.manual_queue().takes(RequestType::Write);
    let queue = queue.on_state_change(|_| panic!("on purpose"));
    queue.create().map(drop)
}

/// Panics when a file is closed.
struct Closes(bool);

impl usbwright_host_stack::DeviceCallbacks for Closes {
    fn cleanup_file(&self, _: &Device, _: &usbwright_host_stack::File) {
        assert!(self.0, "on purpose");
    }

    fn close_file(&self, _: &Device, _: &usbwright_host_stack::File) {
        panic!("on purpose");
    }
}

struct Closing(bool);

impl usbwright_host_stack::Driver for Closing {
    fn device_add(&self, init: usbwright_host_stack::DeviceInit) -> Result<Device, HResult> {
        let device = init.create(Closes(self.0));
        let queue = device.manual_queue().takes(RequestType::Read);
        queue.create().map(|_| device)
    }
}

#[test]
fn a_panic_as_a_file_is_closed_ends_what_was_asked_of_others() {
    for driver in [Closing(false), Closing(true)] {
        let stack = Stack::builder().driver("test", driver);
        let stack = stack.threads(Threads::None).start().unwrap();
        let handle = stack.open_and_wait().unwrap();
        let read = handle.read(1);
        drop(stack.open_and_wait().unwrap());
        let callback = "cleanup_file or close_file";
        assert_terminated(&stack, &handle, read, callback);
    }
}

#[test]
fn a_file_that_is_being_opened_when_its_stack_fails_is_not_opened() {
    let log = Log::default();
    let driver = Recorder::new(&log).does("d0_exit", Does::Panic);
    let driver = driver.with(|device, _| {
        let kept = Kept::default();
        let queue = device.parallel_queue().takes(RequestType::Create);
        let queue = queue.on_create(move |_, request, _| kept.lock().unwrap().push(request));
        let queue = queue.on_stop(|_, notice| notice.acknowledge());
        queue.create().map(drop)
    });
    let (stack, _) = started(driver, &log);
    let opening = stack.open(&usbwright_host_stack::OpenOptions::new());
    let _ = stack.suspend();
    assert_eq!(
        opening.wait().unwrap_err(),
        Win32Error::DRIVER_PROCESS_TERMINATED
    );
}

#[test]
fn a_panic_in_one_stack_leaves_another_alone() {
    let log = Log::default();
    let works = |device: &Device, _: &Log| {
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_default(|_, request| request.complete(NtStatus::SUCCESS));
        queue.create().map(drop)
    };
    let (good, _) = started(Recorder::new(&log).with(works), &log);
    let (bad, _) = started(Recorder::new(&log).does("d0_exit", Does::Panic), &log);
    let handle = good.open_and_wait().unwrap();
    bad.suspend().unwrap_err();
    assert_eq!(handle.read(1).wait().error(), Win32Error::SUCCESS);
    assert_eq!(good.state(), PnpState::Started);
    assert!(bad.failure().is_some());
}

#[test]
fn a_driver_that_waits_for_what_it_has_sent_is_set_free_when_its_stack_fails() {
    let log = Log::default();
    let low = Recorder::new(&log).with(|device, _| {
        let kept = Kept::default();
        let queue = device.parallel_queue().takes(RequestType::Read);
        let queue = queue.on_read(move |queue, request, _| {
            kept.lock().unwrap().push(request);
            queue.device().spawn(async { panic!("on purpose") });
        });
        queue.create().map(drop)
    });
    let top = Recorder::new(&log).with(|device, log| {
        let log = log.clone();
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(move |queue, mut request, _| {
            request.format_using_current_type();
            let sent = request.send(queue.device().default_target(), SendOptions::new());
            let (request, params) = sent.unwrap().wait();
            log.note(format!("{:?}", params.nt_status()));
            request.complete(params.status());
        });
        queue.create().map(drop)
    });
    let stack = builder(low).driver("top", top).start().unwrap();
    let handle = stack.open_and_wait().unwrap();
    assert_eq!(
        handle.read(1).wait().error(),
        Win32Error::DRIVER_PROCESS_TERMINATED
    );
    assert_eq!(
        log.take().last().unwrap(),
        &format!("{:?}", NtStatus::DRIVER_PROCESS_TERMINATED)
    );
}

#[test]
fn a_broken_rule_panics_where_a_test_wants_it_to() {
    let log = Log::default();
    let driver = Recorder::new(&log).with(|device, _| {
        let queue = device.parallel_queue().default_queue();
        queue.on_default(|_, _lost| ()).create().map(drop)
    });
    let stack = builder(driver).on_violation(OnViolation::Panic);
    let stack = stack.start().unwrap();
    let handle = stack.open_and_wait().unwrap();
    let _ = handle.read(1).wait();
    assert_eq!(stack.state(), PnpState::Failed);
    let rules: Vec<_> = stack.violations().iter().map(|it| it.rule).collect();
    assert_eq!(rules, [Rule::LostRequest, Rule::Panic]);
}
