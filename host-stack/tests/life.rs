//! The life of devices: which callbacks are called in which order, and what queues do meanwhile.

mod life_support;

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use usbwright_host_stack::{
    ChangeError, Device, Io, PnpState, Request, RequestType, Rule, SendOptions, Stack, StopAction,
    StopNotice,
    status::{HResult, NtStatus, Win32Error},
};

use life_support::{Does, Log, Recorder, builder, started, three, until};

#[test]
fn a_device_starts_and_is_removed_in_the_documented_order() {
    let log = Log::default();
    let stack = builder(Recorder::new(&log)).start().unwrap();
    assert_eq!(
        log.take(),
        [
            "initialize",
            "device_add",
            "prepare_hardware",
            "d0_entry from D3Final",
            "self_managed_io_init",
        ]
    );
    stack.remove().unwrap();
    assert_eq!(
        log.take(),
        [
            "query_remove",
            "self_managed_io_suspend",
            "d0_exit to D3Final",
            "release_hardware",
            "self_managed_io_flush",
            "self_managed_io_cleanup",
            "cleanup",
        ]
    );
    assert_eq!(stack.state(), PnpState::Removed);
    drop(stack);
    assert_eq!(log.take(), ["deinitialize"]);
}

#[test]
fn a_device_that_sleeps_keeps_its_hardware_and_runs_again_when_it_wakes() {
    let log = Log::default();
    let (stack, _) = started(Recorder::new(&log), &log);
    stack.suspend().unwrap();
    assert_eq!(log.take(), ["self_managed_io_suspend", "d0_exit to D3"]);
    assert_eq!(stack.state(), PnpState::Sleeping);
    stack.suspend().unwrap();
    stack.resume().unwrap();
    assert_eq!(log.take(), ["d0_entry from D3", "self_managed_io_restart"]);
    stack.resume().unwrap();
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_device_that_is_stopped_lets_go_of_its_hardware_and_gets_it_again() {
    let log = Log::default();
    let (stack, _) = started(Recorder::new(&log), &log);
    stack.stop().unwrap();
    assert_eq!(
        log.take(),
        [
            "query_stop",
            "self_managed_io_suspend",
            "d0_exit to D3Final",
            "release_hardware",
        ]
    );
    assert_eq!(stack.state(), PnpState::Stopped);
    assert_eq!(
        stack.open_and_wait().unwrap_err(),
        Win32Error::from_nt(NtStatus::DEVICE_NOT_READY)
    );
    stack.restart().unwrap();
    assert_eq!(
        log.take(),
        [
            "prepare_hardware",
            "d0_entry from D3Final",
            "self_managed_io_restart",
        ]
    );
    assert_eq!(stack.state(), PnpState::Started);
}

#[test]
fn an_unplugged_device_is_told_so_and_then_removed() {
    let log = Log::default();
    let (stack, _) = started(Recorder::new(&log), &log);
    stack.surprise_remove();
    assert_eq!(
        log.take(),
        [
            "surprise_removal",
            "self_managed_io_suspend",
            "d0_exit to D3Final",
            "release_hardware",
            "self_managed_io_flush",
            "self_managed_io_cleanup",
            "cleanup",
        ]
    );
    stack.surprise_remove();
    stack.remove().unwrap();
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_device_that_is_unplugged_in_its_sleep_has_left_d0_already() {
    let log = Log::default();
    let (stack, _) = started(Recorder::new(&log), &log);
    stack.suspend().unwrap();
    log.take();
    stack.surprise_remove();
    assert_eq!(
        log.take(),
        [
            "surprise_removal",
            "release_hardware",
            "self_managed_io_flush",
            "self_managed_io_cleanup",
            "cleanup",
        ]
    );
}

#[test]
fn a_stack_of_three_starts_from_below_and_goes_from_above() {
    let log = Log::default();
    let stack = three(&log).start().unwrap();
    assert_eq!(
        log.take(),
        [
            "low: initialize",
            "low: device_add",
            "mid: initialize",
            "mid: device_add",
            "top: initialize",
            "top: device_add",
            "low: prepare_hardware",
            "low: d0_entry from D3Final",
            "low: self_managed_io_init",
            "mid: prepare_hardware",
            "mid: d0_entry from D3Final",
            "mid: self_managed_io_init",
            "top: prepare_hardware",
            "top: d0_entry from D3Final",
            "top: self_managed_io_init",
        ]
    );
    stack.suspend().unwrap();
    assert_eq!(
        log.take(),
        [
            "top: self_managed_io_suspend",
            "top: d0_exit to D3",
            "mid: self_managed_io_suspend",
            "mid: d0_exit to D3",
            "low: self_managed_io_suspend",
            "low: d0_exit to D3",
        ]
    );
    stack.resume().unwrap();
    assert_eq!(
        log.take(),
        [
            "low: d0_entry from D3",
            "low: self_managed_io_restart",
            "mid: d0_entry from D3",
            "mid: self_managed_io_restart",
            "top: d0_entry from D3",
            "top: self_managed_io_restart",
        ]
    );
    stack.stop().unwrap();
    assert_eq!(
        log.take(),
        [
            "top: query_stop",
            "mid: query_stop",
            "low: query_stop",
            "top: self_managed_io_suspend",
            "top: d0_exit to D3Final",
            "top: release_hardware",
            "mid: self_managed_io_suspend",
            "mid: d0_exit to D3Final",
            "mid: release_hardware",
            "low: self_managed_io_suspend",
            "low: d0_exit to D3Final",
            "low: release_hardware",
        ]
    );
}

/// What a driver of a stack is told when it is removed in D0.
fn goes(name: &str) -> Vec<String> {
    let told = [
        "self_managed_io_suspend",
        "d0_exit to D3Final",
        "release_hardware",
        "self_managed_io_flush",
        "self_managed_io_cleanup",
        "cleanup",
    ];
    told.map(|it| format!("{name}: {it}")).to_vec()
}

#[test]
fn each_driver_of_three_is_gone_before_the_next_one_goes() {
    let log = Log::default();
    let stack = three(&log).start().unwrap();
    log.take();
    stack.surprise_remove();
    let told = log.take();
    let surprised = ["top", "mid", "low"].map(|it| format!("{it}: surprise_removal"));
    assert_eq!(told[..3], surprised);
    assert_eq!(
        told[3..],
        [goes("top"), goes("mid"), goes("low")].concat()[..]
    );
    drop(stack);
    assert_eq!(
        log.take(),
        [
            "top: deinitialize",
            "mid: deinitialize",
            "low: deinitialize"
        ]
    );
}

#[test]
fn a_driver_may_object_to_being_stopped_or_removed() {
    for (callback, change) in [
        ("query_stop", Stack::stop as fn(&Stack) -> _),
        ("query_remove", Stack::remove),
    ] {
        let log = Log::default();
        let low = Recorder::new(&log).does(callback, Does::Fail);
        let stack = builder(low)
            .driver("top", Recorder::new(&log).named("top").filter())
            .start()
            .unwrap();
        log.take();
        let ended: Result<(), ChangeError> = change(&stack);
        assert_eq!(
            ended.unwrap_err().to_string(),
            "driver test objects: HRESULT_FROM_NT(STATUS_UNSUCCESSFUL) (0xD0000001)"
        );
        assert_eq!(
            log.take(),
            [format!("top: {callback}"), callback.to_owned()]
        );
        assert_eq!(stack.state(), PnpState::Started);
    }
}

#[test]
fn a_stack_whose_last_handle_is_dropped_is_removed_without_asking() {
    let log = Log::default();
    let low = Recorder::new(&log).does("query_remove", Does::Fail);
    let (stack, _) = started(low, &log);
    let handle = stack.open_and_wait().unwrap();
    drop(stack);
    assert_eq!(log.take(), [""; 0]);
    drop(handle);
    let told = log.take();
    assert_eq!(told.first().unwrap(), "self_managed_io_suspend");
    assert_eq!(told.last().unwrap(), "deinitialize");
}

#[test]
fn a_stack_is_not_changed_within_a_callback_but_may_be_unplugged_there() {
    let log = Log::default();
    let place: Arc<Mutex<Option<Stack>>> = Arc::default();
    let stack_there = Arc::clone(&place);
    let driver = Recorder::new(&log).with(move |device, log| {
        let (log, place) = (log.clone(), Arc::clone(&stack_there));
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_default(move |_, request| {
            let stack = place.lock().unwrap().clone().unwrap();
            assert_eq!(stack.suspend(), Err(ChangeError::Within));
            assert_eq!(stack.remove(), Err(ChangeError::Within));
            stack.surprise_remove();
            log.note("still here");
            request.complete(NtStatus::SUCCESS);
        });
        queue.create().map(drop)
    });
    let (stack, _) = started(driver, &log);
    *place.lock().unwrap() = Some(stack.clone());
    let handle = stack.open_and_wait().unwrap();
    assert_eq!(handle.read(1).wait().error(), Win32Error::SUCCESS);
    assert_eq!(
        log.take()[..3],
        ["surprise_removal", "still here", "self_managed_io_suspend"]
    );
    assert_eq!(stack.state(), PnpState::Removed);
    place.lock().unwrap().take();
}

#[test]
fn a_stack_whose_last_handle_is_dropped_in_a_callback_goes_after_that() {
    let log = Log::default();
    let (stack, clock) = started(Recorder::new(&log), &log);
    let (device, there) = (stack.devices().remove(0), log.clone());
    let _timer = device.after(Duration::from_secs(1), move |_| {
        drop(stack);
        there.note("still here");
    });
    clock.advance(Duration::from_secs(1));
    let told = log.take();
    assert_eq!(told[..2], ["still here", "self_managed_io_suspend"]);
    assert_eq!(told.last().unwrap(), "deinitialize");
}

type Kept = Arc<Mutex<Vec<Request>>>;
type Notices = Arc<Mutex<Vec<StopNotice>>>;

/// A driver that keeps what its power-managed queue delivers, and notices to stop.
fn keeping(log: &Log) -> (Recorder, Kept, Notices) {
    let (kept, notices) = (Kept::default(), Notices::default());
    let (keep, note) = (Arc::clone(&kept), Arc::clone(&notices));
    let driver = Recorder::new(log).with(move |device, log| {
        let (keep, note) = (Arc::clone(&keep), Arc::clone(&note));
        let logs = [log.clone(), log.clone(), log.clone()];
        let queue = device.parallel_queue().default_queue();
        let [read, stop, resume] = logs;
        queue
            .on_read(move |_, request, _| {
                read.note("on_read");
                keep.lock().unwrap().push(request);
            })
            .on_stop(move |_, notice| {
                stop.note(format!("on_stop {:?}", notice.action()));
                note.lock().unwrap().push(notice);
            })
            .on_resume(move |_, _| resume.note("on_resume"))
            .create()
            .map(drop)
    });
    (driver, kept, notices)
}

/// A stack that is suspended in another thread, which waits until every notice of `kept` requests has come.
fn suspend(stack: &Stack, notices: &Notices, count: usize) -> thread::JoinHandle<()> {
    let (there, told) = (stack.clone(), mpsc::channel());
    let thread = thread::spawn(move || {
        there.suspend().unwrap();
        let _ = told.0.send(());
    });
    until(|| notices.lock().unwrap().len() == count);
    assert!(told.1.try_recv().is_err());
    thread
}

#[test]
fn a_device_leaves_d0_when_what_its_driver_had_is_completed() {
    let log = Log::default();
    let (driver, kept, notices) = keeping(&log);
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(1);
    let thread = suspend(&stack, &notices, 1);
    assert_eq!(
        log.take(),
        ["on_read", "self_managed_io_suspend", "on_stop Suspend"]
    );
    let request = kept.lock().unwrap().pop().unwrap();
    request.complete(NtStatus::SUCCESS);
    thread.join().unwrap();
    assert_eq!(read.wait().error(), Win32Error::SUCCESS);
    assert_eq!(log.take(), ["d0_exit to D3"]);
    stack.resume().unwrap();
    assert_eq!(log.take(), ["d0_entry from D3", "self_managed_io_restart"]);
}

#[test]
fn a_device_leaves_d0_when_its_driver_says_that_it_keeps_the_request_and_resumes_it_later() {
    let log = Log::default();
    let (driver, kept, notices) = keeping(&log);
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let reads = [handle.read(1), handle.read(1)];
    log.take();
    let thread = suspend(&stack, &notices, 2);
    let mut answers = std::mem::take(&mut *notices.lock().unwrap());
    let completed = answers.pop().unwrap().request();
    answers.pop().unwrap().acknowledge();
    let mut requests = std::mem::take(&mut *kept.lock().unwrap());
    let place = requests.iter().position(|it| it.id() == completed);
    requests.remove(place.unwrap()).complete(NtStatus::SUCCESS);
    thread.join().unwrap();
    log.take();
    stack.resume().unwrap();
    assert_eq!(
        log.take(),
        ["d0_entry from D3", "on_resume", "self_managed_io_restart"]
    );
    requests.pop().unwrap().complete(NtStatus::SUCCESS);
    assert!(reads.iter().all(Io::has_ended));
}

#[test]
fn a_request_that_is_requeued_when_its_driver_is_to_stop_is_delivered_again_in_d0() {
    let log = Log::default();
    let (driver, kept, notices) = keeping(&log);
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(1);
    let thread = suspend(&stack, &notices, 1);
    let request = kept.lock().unwrap().pop().unwrap();
    let notice = notices.lock().unwrap().pop().unwrap();
    notice.requeue(request).unwrap();
    thread.join().unwrap();
    assert!(kept.lock().unwrap().is_empty());
    log.take();
    stack.resume().unwrap();
    assert_eq!(
        log.take(),
        ["d0_entry from D3", "on_read", "self_managed_io_restart"]
    );
    kept.lock()
        .unwrap()
        .pop()
        .unwrap()
        .complete(NtStatus::SUCCESS);
    assert_eq!(read.wait().error(), Win32Error::SUCCESS);
}

#[test]
fn only_the_request_that_is_meant_can_be_requeued() {
    let log = Log::default();
    let (driver, kept, notices) = keeping(&log);
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let _reads = [handle.read(1), handle.read(1)];
    let thread = suspend(&stack, &notices, 2);
    let notice = notices.lock().unwrap().pop().unwrap();
    let mut requests = std::mem::take(&mut *kept.lock().unwrap());
    let place = requests.iter().position(|it| it.id() != notice.request());
    let error = notice.requeue(requests.remove(place.unwrap())).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_PARAMETER.into());
    error.complete();
    requests.pop().unwrap().complete(NtStatus::SUCCESS);
    thread.join().unwrap();
}

/// A driver that sends what it gets to the one below, and asks for it back when it is to stop.
fn sending(device: &Device, _: &Log) -> Result<(), HResult> {
    let queue = device.parallel_queue().default_queue();
    let queue = queue.on_read(|queue, mut request, _| {
        request.format_using_current_type();
        let device = queue.device();
        let completed =
            |request: Request, params: &usbwright_host_stack::RequestCompletionParams| {
                request.complete(params.status());
            };
        let sent = request.send_then(
            device.default_target(),
            SendOptions::new(),
            Arc::new(completed),
        );
        sent.unwrap();
    });
    queue
        .on_stop(|_, notice| notice.cancel_sent())
        .create()
        .map(drop)
}

#[test]
fn a_driver_that_is_to_stop_may_ask_for_what_it_has_sent() {
    let log = Log::default();
    let low = Recorder::new(&log).named("low").with(|device, _| {
        let queue = device.manual_queue().default_queue().power_managed(false);
        queue.create().map(drop)
    });
    let stack = builder(low)
        .driver("top", Recorder::new(&log).named("top").with(sending))
        .start()
        .unwrap();
    let handle = stack.open_and_wait();
    let read = handle.unwrap().read(1);
    stack.suspend().unwrap();
    assert_eq!(read.wait().error(), Win32Error::OPERATION_ABORTED);
}

#[test]
fn a_queue_without_a_stop_handler_waits_for_what_its_driver_has() {
    let log = Log::default();
    let kept = Kept::default();
    let keep = Arc::clone(&kept);
    let driver = Recorder::new(&log).with(move |device, _| {
        let keep = Arc::clone(&keep);
        let queue = device.sequential_queue().default_queue();
        let queue = queue.on_read(move |_, request, _| keep.lock().unwrap().push(request));
        queue.create().map(drop)
    });
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(1);
    let there = stack.clone();
    let thread = thread::spawn(move || there.suspend());
    until(|| log.has("self_managed_io_suspend"));
    let request = kept.lock().unwrap().pop().unwrap();
    log.note("completed");
    request.complete(NtStatus::SUCCESS);
    thread.join().unwrap().unwrap();
    let _ = read.wait();
    assert_eq!(
        log.take(),
        ["self_managed_io_suspend", "completed", "d0_exit to D3"]
    );
}

#[test]
fn a_power_managed_queue_delivers_only_in_d0_and_another_always() {
    let log = Log::default();
    let driver = Recorder::new(&log).with(|device, log| {
        let note = |what: &'static str| {
            let log = log.clone();
            move |_: &_, request: Request, _| {
                log.note(what);
                request.complete(NtStatus::SUCCESS);
            }
        };
        let managed = device.parallel_queue().default_queue();
        managed.on_read(note("on_read")).create()?;
        let other = device.parallel_queue().power_managed(false);
        let other = other.takes(RequestType::Write).on_write(note("on_write"));
        other.create().map(drop)
    });
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    stack.suspend().unwrap();
    log.take();
    let read = handle.read(1);
    assert_eq!(handle.write(&b"1"[..]).wait().error(), Win32Error::SUCCESS);
    assert!(!read.has_ended());
    assert_eq!(log.take(), ["on_write"]);
    stack.resume().unwrap();
    assert_eq!(read.wait().error(), Win32Error::SUCCESS);
    assert_eq!(
        log.take(),
        ["d0_entry from D3", "on_read", "self_managed_io_restart"]
    );
}

#[test]
fn queues_are_purged_between_the_callbacks_that_complete_what_is_left() {
    let log = Log::default();
    let driver = Recorder::new(&log).with(|device, log| {
        let keep = |name: &'static str| {
            let (kept, log) = (Kept::default(), log.clone());
            let keep = Arc::clone(&kept);
            let on_read = move |_: &_, request, _| keep.lock().unwrap().push(request);
            let on_stop = move |_: &_, notice: StopNotice| {
                log.note(format!("{name} on_stop {:?}", notice.action()));
                match notice.action() {
                    StopAction::Suspend => notice.acknowledge(),
                    StopAction::Purge => kept
                        .lock()
                        .unwrap()
                        .pop()
                        .unwrap()
                        .complete(NtStatus::DEVICE_REMOVED),
                }
            };
            (on_read, on_stop)
        };
        let (on_read, on_stop) = keep("managed");
        let queue = device.parallel_queue().takes(RequestType::Read);
        queue.on_read(on_read).on_stop(on_stop).create()?;
        let (on_write, on_stop) = keep("other");
        let queue = device.parallel_queue().takes(RequestType::Write);
        let queue = queue.power_managed(false).on_write(on_write);
        queue.on_stop(on_stop).create().map(drop)
    });
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let (read, write) = (handle.read(1), handle.write(&b"1"[..]));
    stack.remove().unwrap();
    assert_eq!(
        log.take(),
        [
            "query_remove",
            "self_managed_io_suspend",
            "managed on_stop Suspend",
            "d0_exit to D3Final",
            "release_hardware",
            "managed on_stop Purge",
            "self_managed_io_flush",
            "other on_stop Purge",
            "self_managed_io_cleanup",
            "cleanup",
        ]
    );
    let removed = Win32Error::from_nt(NtStatus::DEVICE_REMOVED);
    assert_eq!(read.wait().error(), removed);
    assert_eq!(write.wait().error(), removed);
}

#[test]
fn a_request_that_outlives_its_device_ends_for_the_application_and_is_reported() {
    let log = Log::default();
    let kept = Kept::default();
    let kept_there = Arc::clone(&kept);
    let driver = Recorder::new(&log).with(move |device, _| {
        let keep = Arc::clone(&kept_there);
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(move |_, request, _| keep.lock().unwrap().push(request));
        queue
            .on_stop(|_, notice| notice.acknowledge())
            .create()
            .map(drop)
    });
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(1);
    stack.remove().unwrap();
    assert_eq!(
        read.wait().error(),
        Win32Error::from_nt(NtStatus::DEVICE_REMOVED)
    );
    let rules: Vec<_> = stack.violations().iter().map(|it| it.rule).collect();
    assert_eq!(rules, [Rule::LeakedRequest]);
    kept.lock()
        .unwrap()
        .pop()
        .unwrap()
        .complete(NtStatus::SUCCESS);
}
