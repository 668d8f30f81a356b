//! Drivers that do everything wrong. Each brings down its own stack at the most, is reported, and the stack beside it works on.

mod life_support;

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use usbwright_host_stack::{
    Cancelable, Device, DeviceInit, Driver, Handle, Io, PnpState, Queue, Request, RequestType,
    Rule, SendOptions, Stack,
    status::{HResult, NtStatus, Win32Error},
};

use life_support::{Log, Neighbour, Recorder, builder, rules, started};

/// What a driver does with a read.
type Does = fn(&Queue, Request, &Kept);
type Kept = Arc<Mutex<Vec<Thing>>>;

/// What a driver keeps that it should not.
enum Thing {
    Request(Request),
    Marked(Cancelable),
}

/// The stack of a driver that does something wrong with a read, and that read.
fn wrong(does: Does) -> (Stack, Handle, Io, Kept) {
    let (log, kept) = (Log::default(), Kept::default());
    let there = Arc::clone(&kept);
    let driver = Recorder::new(&log).with(move |device, _| {
        let kept = Arc::clone(&there);
        let queue = device.parallel_queue().default_queue();
        queue
            .on_read(move |queue, request, _| does(queue, request, &kept))
            .on_stop(|_, notice| notice.acknowledge())
            .create()
            .map(drop)
    });
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(1);
    (stack, handle, read, kept)
}

/// What becomes of a read, and which rules were broken, where the stack goes on.
#[track_caller]
fn lives(does: Does) -> (NtStatus, Vec<Rule>) {
    let neighbour = Neighbour::new();
    let (stack, _handle, read, _kept) = wrong(does);
    let status = read.wait().status;
    assert_eq!(stack.state(), PnpState::Started);
    neighbour.works();
    (status, rules(&stack))
}

#[test]
fn a_request_that_is_dropped_is_reported() {
    let lost = (NtStatus::UNSUCCESSFUL, vec![Rule::LostRequest]);
    assert_eq!(lives(|_, request, _| drop(request)), lost);
}

#[test]
fn a_marked_request_that_is_dropped_is_reported() {
    let lost = (NtStatus::UNSUCCESSFUL, vec![Rule::LostRequest]);
    let does: Does = |_, request, _| {
        let on_cancel = |request: Request| request.complete(NtStatus::CANCELLED);
        drop(request.mark_cancelable(Arc::new(on_cancel)));
    };
    assert_eq!(lives(does), lost);
}

#[test]
fn a_request_that_is_completed_with_more_than_its_buffer_has_is_reported() {
    let told = (NtStatus::SUCCESS, vec![Rule::TooMuchInformation]);
    let does: Does = |_, request, _| request.complete_with_information(HResult::OK, 2);
    assert_eq!(lives(does), told);
}

#[test]
fn a_request_that_is_completed_with_an_invalid_status_is_reported_and_fails() {
    let told = (NtStatus::UNSUCCESSFUL, vec![Rule::InvalidStatus]);
    let all: [Does; 4] = [
        |_, request, _| request.complete(HResult::FAIL),
        |_, request, _| request.complete(NtStatus::PENDING),
        // A failure of the system's with no code, and one of nobody's.
        |_, request, _| request.complete(HResult(0x8007_0000)),
        |_, request, _| request.complete(HResult(0x8123_4567)),
    ];
    for does in all {
        assert_eq!(lives(does), told);
    }
}

#[test]
fn every_status_that_an_application_can_be_told_is_a_valid_one() {
    let all: [Does; 5] = [
        |_, request, _| request.complete(HResult::OK),
        |_, request, _| request.complete(HResult(1)),
        |_, request, _| request.complete(NtStatus::UNSUCCESSFUL),
        |_, request, _| request.complete(HResult::INVALIDARG),
        // Windows XP's verifier took those beyond 1024 for invalid.
        |_, request, _| request.complete(Win32Error(15_000)),
    ];
    for does in all {
        assert_eq!(lives(does).1, []);
    }
}

#[test]
fn a_request_that_is_sent_without_being_formatted_is_reported() {
    let told = (NtStatus::INVALID_DEVICE_REQUEST, vec![Rule::NotFormatted]);
    let does: Does = |queue, request, _| {
        let device = queue.device();
        let sent = request.send(device.default_target(), SendOptions::new());
        sent.unwrap_err().complete();
    };
    assert_eq!(lives(does), told);
}

#[test]
fn a_queue_that_is_waited_for_in_its_own_callback_is_reported_and_refuses() {
    let does: Does = |queue, request, _| {
        for wait in [
            Queue::stop_and_wait,
            Queue::drain_and_wait,
            Queue::purge_and_wait,
        ] {
            let refused = Err(Win32Error::POSSIBLE_DEADLOCK.into());
            assert_eq!(wait(queue), refused);
        }
        request.complete(NtStatus::SUCCESS);
    };
    let told = (NtStatus::SUCCESS, vec![Rule::WaitWithin; 3]);
    assert_eq!(lives(does), told);
}

#[test]
fn a_queue_that_is_stopped_twice_is_reported() {
    let does: Does = |queue, request, _| {
        queue.stop(|_| ()).unwrap();
        assert!(queue.purge(|_| ()).is_err());
        request.complete(NtStatus::SUCCESS);
    };
    assert_eq!(lives(does), (NtStatus::SUCCESS, vec![Rule::QueueBusy]));
}

#[test]
fn a_request_that_is_forwarded_to_its_own_queue_stays_with_its_driver() {
    let does: Does = |queue, request, _| {
        let error = request.forward(queue).unwrap_err();
        assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
        error.complete();
    };
    assert_eq!(lives(does), (NtStatus::INVALID_DEVICE_REQUEST, vec![]));
}

#[test]
fn a_driver_that_changes_its_stack_within_a_callback_is_refused() {
    static STACK: Mutex<Option<Stack>> = Mutex::new(None);
    let neighbour = Neighbour::new();
    let log = Log::default();
    let driver = Recorder::new(&log).with(|device, _| {
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(|_, request, _| {
            let stack = STACK.lock().unwrap().take().unwrap();
            for change in [Stack::suspend, Stack::resume, Stack::stop, Stack::restart] {
                assert!(change(&stack).is_err());
            }
            assert!(stack.remove().is_err());
            request.complete(NtStatus::SUCCESS);
        });
        queue.create().map(drop)
    });
    let (stack, _) = started(driver, &log);
    *STACK.lock().unwrap() = Some(stack.clone());
    let handle = stack.open_and_wait().unwrap();
    assert_eq!(handle.read(1).wait().error(), Win32Error::SUCCESS);
    assert_eq!(stack.state(), PnpState::Started);
    neighbour.works();
}

#[test]
fn a_driver_that_uses_its_own_device_as_an_application_does_gets_its_answer_later() {
    static HANDLE: Mutex<Option<Handle>> = Mutex::new(None);
    static ASKED: Mutex<Option<Io>> = Mutex::new(None);
    let log = Log::default();
    let driver = Recorder::new(&log).with(|device, _| {
        let writes = device.parallel_queue().takes(RequestType::Write);
        let writes = writes.on_write(|_, request, _| request.complete(NtStatus::SUCCESS));
        writes.create()?;
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(|_, request, _| {
            let handle = HANDLE.lock().unwrap().take().unwrap();
            let write = handle.write(&b"1"[..]);
            assert!(!write.has_ended(), "this callback has the device");
            *ASKED.lock().unwrap() = Some(write);
            request.complete(NtStatus::SUCCESS);
        });
        queue.create().map(drop)
    });
    let (stack, _) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    *HANDLE.lock().unwrap() = Some(handle.clone());
    assert_eq!(handle.read(1).wait().error(), Win32Error::SUCCESS);
    let write = ASKED.lock().unwrap().take().unwrap();
    assert_eq!(write.wait().error(), Win32Error::SUCCESS);
    assert_eq!(stack.violations(), []);
}

/// What a read ends with, and which rules were broken, where a driver keeps what is to end when its device goes.
#[track_caller]
fn leaks(does: Does, late: fn(Thing)) {
    let neighbour = Neighbour::new();
    let (stack, _handle, read, kept) = wrong(does);
    stack.remove().unwrap();
    assert_eq!(read.wait().error(), Win32Error::DEVICE_REMOVED);
    assert_eq!(rules(&stack), [Rule::LeakedRequest]);
    kept.lock().unwrap().drain(..).for_each(late);
    neighbour.works();
    assert_eq!(rules(&stack), [Rule::LeakedRequest]);
}

#[test]
fn a_request_that_is_kept_when_its_device_goes_is_reported_and_what_becomes_of_it_is_of_no_account()
{
    let keeps: Does = |_, request, kept| kept.lock().unwrap().push(Thing::Request(request));
    leaks(keeps, |thing| match thing {
        Thing::Request(request) => request.complete_with_information(HResult::OK, 1),
        Thing::Marked(_) => unreachable!(),
    });
    leaks(keeps, |thing| match thing {
        Thing::Request(request) => {
            let on_cancel = |request: Request| request.complete(NtStatus::CANCELLED);
            let marked = request.mark_cancelable(Arc::new(on_cancel));
            drop(marked.unmark());
        }
        Thing::Marked(_) => unreachable!(),
    });
}

#[test]
fn a_request_that_is_forgotten_ends_when_its_device_goes() {
    leaks(|_, request, _| std::mem::forget(request), drop);
    let marks: Does = |_, request, kept| {
        let ignores = |request: Request| std::mem::forget(request);
        let marked = request.mark_cancelable(Arc::new(ignores));
        kept.lock().unwrap().push(Thing::Marked(marked));
    };
    leaks(marks, |thing| match thing {
        Thing::Marked(marked) => assert!(marked.unmark().is_err()),
        Thing::Request(_) => unreachable!(),
    });
}

#[test]
fn an_application_gets_away_from_a_driver_that_has_forgotten_its_request() {
    let (stack, handle, read, _kept) = wrong(|_, request, _| std::mem::forget(request));
    read.cancel();
    handle.cancel_all();
    drop(handle);
    assert!(!read.has_ended());
    stack.surprise_remove();
    assert_eq!(read.wait().error(), Win32Error::DEVICE_REMOVED);
}

#[test]
fn a_driver_that_blocks_in_a_callback_keeps_its_own_applications_waiting_and_no_others() {
    let neighbour = Neighbour::new();
    let (release, blocked) = mpsc::channel::<()>();
    let (entered, enters) = mpsc::channel();
    let blocked = Mutex::new(Some((blocked, entered)));
    let driver = Recorder::new(&Log::default()).with(move |device, _| {
        let held = blocked.lock().unwrap().take().unwrap();
        let held = Mutex::new(held);
        let queue = device.sequential_queue().default_queue();
        let queue = queue.on_read(move |_, request, _| {
            let (blocked, entered) = &*held.lock().unwrap();
            entered.send(()).unwrap();
            let _ = blocked.recv();
            request.complete_with_information(HResult::OK, 1);
        });
        queue.create().map(drop)
    });
    let stack = Stack::builder().driver("blocks", driver).start().unwrap();
    let handle = stack.open_and_wait().unwrap();
    thread::scope(|scope| {
        let reads = scope.spawn(|| handle.read(1).wait());
        enters.recv().unwrap();
        neighbour.works();
        let second = scope.spawn(|| {
            let read = handle.read(1);
            read.cancel();
            read.wait()
        });
        assert_eq!(
            second.join().unwrap().error(),
            Win32Error::OPERATION_ABORTED
        );
        release.send(()).unwrap();
        assert_eq!(reads.join().unwrap().information, 1);
    });
    stack.remove().unwrap();
    assert_eq!(rules(&stack), []);
}

#[test]
fn a_driver_that_returns_a_device_of_another_stack_is_not_started() {
    struct Thief(Device);
    impl Driver for Thief {
        fn device_add(&self, _init: DeviceInit) -> Result<Device, HResult> {
            Ok(self.0.clone())
        }
    }
    let log = Log::default();
    let (other, _) = started(Recorder::new(&log), &log);
    let thief = Thief(other.devices().remove(0));
    let error = Stack::builder().driver("thief", thief).start().unwrap_err();
    assert!(
        error.to_string().contains("failed in device_add"),
        "{error}"
    );
    assert_eq!(other.state(), PnpState::Started);
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_device_that_has_gone_does_nothing_for_its_driver_any_more() {
    let log = Log::default();
    let low = Recorder::new(&log).with(|device, _| {
        let queue = device.manual_queue().default_queue();
        queue.create().map(drop)
    });
    let top = Recorder::new(&log).named("top");
    let stack = builder(low).driver("top", top).start().unwrap();
    let device = stack.devices().pop().unwrap();
    stack.remove().unwrap();
    log.take();
    let there = log.clone();
    device.spawn(async move { there.note("a future") });
    let there = log.clone();
    let _timer = device.after(Duration::ZERO, move |_| there.note("a timer"));
    let mut own = device.create_request();
    let target = device.default_target();
    target.format_for_read(&mut own, None, None, 0).unwrap();
    assert!(own.send(target, SendOptions::new()).is_err());
    assert!(target.start().is_err());
    assert!(device.stop_idle().wait_for_d0().is_err());
    assert_eq!(device.assign_context(1), Err(1));
    let queue = device.manual_queue().create().unwrap();
    assert!(queue.retrieve_next().is_err());
    stack.run();
    assert_eq!(log.take(), [""; 0]);
    assert_eq!(stack.violations(), []);
}
