//! How a driver answers that it is to stop working at a request: by completing it, keeping it, putting it back, having it taken back, or not at all.

mod life_support;

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use usbwright_host_stack::{
    Cancelable, Device, Handle, Io, Request, RequestCompletionParams, Rule, SendError, SendOptions,
    Stack, StopAction, StopNotice,
    status::{HResult, NtStatus, Win32Error},
};

use life_support::{Log, Recorder, builder, started, until};

type Kept = Arc<Mutex<Vec<Request>>>;
type Answer = fn(&Kept, StopNotice);

/// A driver that keeps what it gets, and answers as a test wants; and an application's read that it has.
fn asked(answer: Answer) -> (Stack, Handle, Io, Kept, Log) {
    let (log, kept) = (Log::default(), Kept::default());
    let there = Arc::clone(&kept);
    let driver = Recorder::new(&log).with(move |device, log| {
        let (keeps, answers, log) = (Arc::clone(&there), Arc::clone(&there), log.clone());
        let queue = device.parallel_queue().default_queue();
        queue
            .on_read(move |_, request, _| keeps.lock().unwrap().push(request))
            .on_stop(move |_, notice| {
                log.note(format!("on_stop {:?}", notice.action()));
                answer(&answers, notice);
            })
            .create()
            .map(drop)
    });
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(1);
    (stack, handle, read, kept, log)
}

/// Has a stack change its state in another thread, which is to wait for the driver until `then` is done.
fn waits(
    stack: &Stack,
    log: &Log,
    notices: usize,
    change: impl FnOnce(&Stack) + Send + 'static,
    then: impl FnOnce(),
) {
    let (there, (tell, told)) = (stack.clone(), mpsc::channel());
    let thread = thread::spawn(move || {
        change(&there);
        let _ = tell.send(());
    });
    until(|| log.count("on_stop") == notices);
    assert!(told.try_recv().is_err(), "it waits");
    then();
    thread.join().unwrap();
}

fn take(kept: &Kept) -> Request {
    kept.lock().unwrap().pop().unwrap()
}

#[test]
fn a_notice_that_is_dropped_is_no_answer_and_the_device_waits_for_the_request() {
    let (stack, _handle, read, kept, log) = asked(|_, notice| drop(notice));
    waits(
        &stack,
        &log,
        1,
        |it| it.suspend().unwrap(),
        || {
            take(&kept).complete_with_information(NtStatus::SUCCESS, 1);
        },
    );
    assert_eq!(read.wait().information, 1);
    assert_eq!(log.take().last().unwrap(), "d0_exit to D3");
}

#[test]
fn a_request_that_is_not_answered_for_holds_a_removal_up_until_it_ends() {
    let (stack, _handle, read, kept, log) = asked(|_, notice| match notice.action() {
        StopAction::Suspend => notice.acknowledge(),
        StopAction::Purge => drop(notice),
    });
    waits(
        &stack,
        &log,
        2,
        |it| it.remove().unwrap(),
        || {
            take(&kept).complete(NtStatus::SUCCESS);
        },
    );
    assert_eq!(read.wait().error(), Win32Error::SUCCESS);
    assert_eq!(stack.violations(), []);
}

#[test]
fn a_request_that_is_put_back_as_the_device_goes_ends_as_cancelled() {
    let (stack, _handle, read, kept, _log) = asked(|kept, notice| match notice.action() {
        StopAction::Suspend => notice.acknowledge(),
        StopAction::Purge => notice.requeue(take(kept)).unwrap(),
    });
    stack.remove().unwrap();
    assert_eq!(read.wait().error(), Win32Error::OPERATION_ABORTED);
    assert!(kept.lock().unwrap().is_empty());
    assert_eq!(stack.violations(), []);
}

#[test]
fn a_request_that_is_completed_as_the_device_goes_ends_so() {
    let (stack, _handle, read, _kept, log) = asked(|kept, notice| match notice.action() {
        StopAction::Suspend => notice.acknowledge(),
        StopAction::Purge => take(kept).complete_with_information(NtStatus::SUCCESS, 1),
    });
    stack.surprise_remove();
    assert_eq!(read.wait().information, 1);
    assert_eq!(log.count("on_stop"), 2);
    assert_eq!(stack.violations(), []);
}

#[test]
fn a_request_that_is_said_to_be_kept_as_the_device_goes_is_leaked() {
    let (stack, _handle, read, kept, _log) = asked(|_, notice| notice.acknowledge());
    stack.remove().unwrap();
    assert_eq!(read.wait().error(), Win32Error::DEVICE_REMOVED);
    assert_eq!(stack.violations()[0].rule, Rule::LeakedRequest);
    take(&kept).complete(NtStatus::SUCCESS);
}

#[test]
fn a_notice_that_is_answered_late_and_by_another_thread_counts() {
    static LATE: Mutex<Vec<StopNotice>> = Mutex::new(Vec::new());
    let (stack, _handle, read, kept, log) = asked(|_, notice| LATE.lock().unwrap().push(notice));
    waits(
        &stack,
        &log,
        1,
        |it| it.suspend().unwrap(),
        || {
            LATE.lock().unwrap().pop().unwrap().acknowledge();
        },
    );
    stack.resume().unwrap();
    take(&kept).complete(NtStatus::SUCCESS);
    assert_eq!(read.wait().error(), Win32Error::SUCCESS);
}

#[test]
fn a_notice_for_what_has_ended_meanwhile_changes_nothing() {
    static LATE: Mutex<Vec<StopNotice>> = Mutex::new(Vec::new());
    let (stack, handle, read, kept, log) = asked(|_, notice| LATE.lock().unwrap().push(notice));
    waits(
        &stack,
        &log,
        1,
        |it| it.suspend().unwrap(),
        || {
            take(&kept).complete(NtStatus::SUCCESS);
        },
    );
    let _ = read.wait();
    let next = handle.read(1);
    stack.resume().unwrap();
    LATE.lock().unwrap().pop().unwrap().acknowledge();
    waits(
        &stack,
        &log,
        2,
        |it| it.suspend().unwrap(),
        || {
            take(&kept).complete(NtStatus::SUCCESS);
        },
    );
    assert_eq!(next.wait().error(), Win32Error::SUCCESS);
}

#[test]
fn a_marked_request_that_the_application_cancels_lets_the_device_sleep() {
    let log = Log::default();
    let marked: Arc<Mutex<Vec<Cancelable>>> = Arc::default();
    let there = Arc::clone(&marked);
    let driver = Recorder::new(&log).with(move |device, log| {
        let (marked, log) = (Arc::clone(&there), log.clone());
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(move |_, request, _| {
            let on_cancel = |request: Request| request.complete(NtStatus::CANCELLED);
            let request = request.mark_cancelable(Arc::new(on_cancel));
            marked.lock().unwrap().push(request);
        });
        queue
            .on_stop(move |_, _notice| log.note("on_stop"))
            .create()
            .map(drop)
    });
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(1);
    waits(
        &stack,
        &log,
        1,
        |it| it.suspend().unwrap(),
        || read.cancel(),
    );
    assert_eq!(read.wait().error(), Win32Error::OPERATION_ABORTED);
    assert!(marked.lock().unwrap().pop().unwrap().unmark().is_err());
}

/// A driver that sends what it gets to the one below, and keeps it while its device sleeps.
fn sending(device: &Device, log: &Log) -> Result<(), HResult> {
    let log = log.clone();
    let queue = device.parallel_queue().default_queue();
    let queue = queue.on_read(|queue, mut request, _| {
        request.format_using_current_type();
        let ended = |request: Request, params: &usbwright_host_stack::RequestCompletionParams| {
            request.complete(params.status());
        };
        let device = queue.device();
        let target = device.default_target();
        let sent = request.send_then(target, SendOptions::new(), Arc::new(ended));
        sent.unwrap();
    });
    queue
        .on_stop(move |_, notice| {
            log.note(format!("on_stop {:?}", notice.action()));
            match notice.action() {
                StopAction::Suspend => notice.acknowledge(),
                StopAction::Purge => notice.cancel_sent(),
            }
        })
        .create()
        .map(drop)
}

#[test]
fn a_driver_is_asked_once_for_each_request_also_for_those_that_it_has_sent() {
    let log = Log::default();
    let low = Recorder::new(&log).with(|device, _| {
        let queue = device.manual_queue().default_queue().power_managed(false);
        queue.create().map(drop)
    });
    let stack = builder(low)
        .driver("top", Recorder::new(&log).named("top").with(sending))
        .start()
        .unwrap();
    let handle = stack.open_and_wait().unwrap();
    let reads = [handle.read(1), handle.read(1)];
    stack.suspend().unwrap();
    assert_eq!(log.count("on_stop Suspend"), 2);
    stack.resume().unwrap();
    stack.suspend().unwrap();
    assert_eq!(log.count("on_stop Suspend"), 4);
    stack.remove().unwrap();
    assert_eq!(log.count("on_stop Purge"), 2);
    for read in reads {
        assert_eq!(read.wait().error(), Win32Error::OPERATION_ABORTED);
    }
    assert_eq!(stack.violations(), []);
}

/// Waits until an action in another thread is over; it fails where that takes long.
fn within_a_minute(action: impl FnOnce() + Send + 'static) {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        action();
        let _ = tell.send(());
    });
    told.recv_timeout(Duration::from_mins(1))
        .expect("it takes too long");
}

/// A filter above a driver that keeps what it gets, of which the filter has sent a read on; it is never asked to stop.
fn filtered() -> (Stack, Handle, Io) {
    let log = Log::default();
    let low = Recorder::new(&log).named("low").with(|device, _| {
        let queue = device.manual_queue().default_queue();
        queue.power_managed(false).create().map(drop)
    });
    let filter = Recorder::new(&log)
        .named("filter")
        .filter()
        .with(|device, _| {
            let target = device.default_target().clone();
            let queue = device.parallel_queue().default_queue().power_managed(false);
            let queue = queue.on_read(move |_, mut request, _| {
                request.format_using_current_type();
                let ended = |request: Request, params: &RequestCompletionParams| {
                    request.complete_with_information(params.status(), params.information());
                };
                let sent = request.send_then(&target, SendOptions::new(), Arc::new(ended));
                sent.unwrap_or_else(SendError::complete);
            });
            queue.create().map(drop)
        });
    let stack = Stack::builder()
        .driver("low", low)
        .driver("filter", filter)
        .start()
        .unwrap();
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(1);
    (stack, handle, read)
}

#[test]
fn what_a_driver_has_sent_that_is_not_asked_to_stop_is_taken_back_as_the_device_goes() {
    let (stack, handle, read) = filtered();
    let goes = stack.clone();
    within_a_minute(move || goes.remove().unwrap());
    assert_eq!(read.wait().error(), Win32Error::OPERATION_ABORTED);
    assert_eq!(handle.read(1).wait().error(), Win32Error::DEVICE_REMOVED);
    assert_eq!(stack.violations(), []);
}

#[test]
fn what_such_a_driver_has_sent_is_taken_back_as_the_device_is_unplugged() {
    let (stack, _handle, read) = filtered();
    let goes = stack.clone();
    within_a_minute(move || goes.surprise_remove());
    assert_eq!(read.wait().error(), Win32Error::OPERATION_ABORTED);
    assert_eq!(stack.violations(), []);
}

#[test]
fn what_such_a_driver_has_sent_goes_on_while_the_device_sleeps() {
    let (stack, _handle, read) = filtered();
    let sleeps = stack.clone();
    within_a_minute(move || {
        sleeps.suspend().unwrap();
        sleeps.resume().unwrap();
    });
    assert!(!read.has_ended());
}
