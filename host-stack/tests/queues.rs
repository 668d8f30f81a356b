//! Queues: how they deliver, what they do when they are stopped, drained and purged, and what a driver takes from them.

mod support;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use support::{Kept, Pair, alone, broken, builder, driver, filter};
use usbwright_host_stack::{
    ControlCode, Device, Handle, OpenOptions, Queue, QueueState, Request, RequestType, Rule, Stack,
    status::{HResult, NtStatus, Win32Error},
};

/// A stack whose default queue is sequential and keeps what it delivers.
fn sequential(kept: &Kept) -> (Stack, Handle, Queue) {
    let kept = kept.clone();
    with_queue(move |device| {
        let kept = kept.clone();
        let queue = device.sequential_queue().default_queue();
        queue
            .on_default(move |_, request| kept.keep(request))
            .on_stop(|_, notice| notice.acknowledge())
            .create()
    })
}

/// A stack of one driver with one queue of its own, and the queue.
fn with_queue(
    make: impl Fn(&Device) -> Result<Queue, HResult> + Send + Sync + 'static,
) -> (Stack, Handle, Queue) {
    let (stack, handle) = alone(move |device| {
        let queue = make(device)?;
        device
            .assign_context(queue)
            .map_err(|_| NtStatus::UNSUCCESSFUL.into())
    });
    let queue = Queue::clone(&stack.devices()[0].context::<Queue>().unwrap());
    (stack, handle, queue)
}

/// A stack whose default queue is a manual one.
fn manual() -> (Stack, Handle, Queue) {
    with_queue(|device| device.manual_queue().default_queue().create())
}

fn counter() -> (Arc<AtomicUsize>, impl Fn(&Queue) + Clone) {
    let count = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&count);
    let add = move |_: &Queue| {
        counts.fetch_add(1, Ordering::Relaxed);
    };
    (count, add)
}

#[test]
fn a_sequential_queue_delivers_one_after_another_in_their_order() {
    let kept = Kept::default();
    let (stack, handle, queue) = sequential(&kept);
    let reads: Vec<_> = (1..=3).map(|length| handle.read(length)).collect();
    for (length, read) in (1..).zip(reads) {
        assert_eq!(kept.len(), 1);
        assert_eq!(queue.state().waiting, 3 - length);
        let request = kept.take();
        assert!(request.output(length).is_ok() && request.output(length + 1).is_err());
        request.complete_with_information(NtStatus::SUCCESS, length);
        stack.run();
        assert_eq!(read.wait().information, length);
    }
}

#[test]
fn a_request_that_is_forwarded_frees_the_slot_of_a_sequential_queue() {
    let moved = Kept::default();
    let keep = moved.clone();
    let (_stack, handle) = alone(move |device| {
        let keep = keep.clone();
        let second = device.parallel_queue();
        let second = second.on_default(move |_, request| keep.keep(request));
        let second = second.create()?;
        let queue = device.sequential_queue().default_queue();
        queue
            .on_default(move |_, request| request.forward(&second).unwrap())
            .create()
            .map(drop)
    });
    let reads = [handle.read(1), handle.read(1)];
    assert_eq!(moved.len(), 2);
    moved.take().complete(NtStatus::SUCCESS);
    moved.take().complete(NtStatus::SUCCESS);
    assert!(reads.iter().all(|it| it.has_ended()));
}

fn flags(queue: &Queue) -> (bool, bool) {
    let state = queue.state();
    (state.accepts, state.dispatches)
}

#[test]
fn a_queue_tells_its_state_after_each_change() {
    let kept = Kept::default();
    let (stack, handle, queue) = sequential(&kept);
    let reads = [handle.read(1), handle.read(1)];
    let state = QueueState {
        accepts: true,
        dispatches: true,
        is_held: false,
        waiting: 1,
        with_driver: 1,
    };
    assert_eq!(queue.state(), state);
    queue.stop(|_| ()).unwrap();
    assert_eq!(flags(&queue), (true, false));
    kept.take().complete(NtStatus::SUCCESS);
    stack.run();
    assert_eq!((queue.state().waiting, queue.state().with_driver), (1, 0));
    queue.start();
    assert_eq!(flags(&queue), (true, true));
    stack.run();
    drop(reads);
    while let Some(request) = kept.next() {
        request.complete(NtStatus::SUCCESS);
        stack.run();
    }
    queue.drain_and_wait().unwrap();
    assert_eq!(flags(&queue), (false, true));
    queue.stop_and_wait().unwrap();
    assert_eq!(flags(&queue), (true, false), "it accepts again");
    queue.purge_and_wait().unwrap();
    assert_eq!(flags(&queue), (false, true));
    queue.start();
    assert_eq!(flags(&queue), (true, true));
}

#[test]
fn a_stopped_queue_keeps_what_comes_and_tells_when_the_driver_has_none() {
    let kept = Kept::default();
    let (stack, handle, queue) = sequential(&kept);
    let reads = [handle.read(1), handle.read(1)];
    let (count, add) = counter();
    queue.stop(add).unwrap();
    stack.run();
    assert_eq!(count.load(Ordering::Relaxed), 0);
    kept.take().complete(NtStatus::SUCCESS);
    stack.run();
    assert_eq!(count.load(Ordering::Relaxed), 1);
    assert_eq!((kept.len(), queue.state().waiting), (0, 1));
    queue.start();
    stack.run();
    kept.take().complete(NtStatus::SUCCESS);
    assert!(reads.into_iter().all(|it| it.wait().ok().is_ok()));
}

#[test]
fn a_drained_queue_delivers_what_waits_and_refuses_what_comes() {
    let kept = Kept::default();
    let (stack, handle, queue) = sequential(&kept);
    let reads = [handle.read(1), handle.read(1)];
    let (count, add) = counter();
    queue.drain(add).unwrap();
    assert_eq!(handle.read(1).wait().status, NtStatus::INVALID_DEVICE_STATE);
    assert_eq!(handle.read(0).wait().status, NtStatus::INVALID_DEVICE_STATE);
    for _ in 0..2 {
        assert_eq!(count.load(Ordering::Relaxed), 0);
        kept.take().complete(NtStatus::SUCCESS);
        stack.run();
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
    assert!(reads.into_iter().all(|it| it.wait().ok().is_ok()));
}

#[test]
fn a_purged_queue_cancels_what_waits_and_what_is_marked_and_refuses_what_comes() {
    let kept = Kept::default();
    let (stack, handle, queue) = sequential(&kept);
    let (marked, waits) = (handle.read(1), handle.read(1));
    let cancel = |request: Request| {
        assert!(request.is_canceled());
        request.complete(NtStatus::CANCELLED);
    };
    let _kept = kept.take().mark_cancelable(Arc::new(cancel));
    let (count, add) = counter();
    queue.purge(add).unwrap();
    stack.run();
    assert_eq!(count.load(Ordering::Relaxed), 1);
    assert_eq!(marked.wait().status, NtStatus::CANCELLED);
    assert_eq!(waits.wait().status, NtStatus::CANCELLED);
    assert_eq!(handle.read(1).wait().status, NtStatus::INVALID_DEVICE_STATE);
}

#[test]
fn a_purge_leaves_what_the_driver_has_sent_to_the_driver_below_alone() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(4);
    let request = kept.take();
    let queue = request.queue().unwrap();
    support::pass_on(request, usbwright_host_stack::SendOptions::new());
    pair.stack.run();
    let (count, add) = counter();
    queue.purge(add).unwrap();
    pair.stack.run();
    assert_eq!(count.load(Ordering::Relaxed), 0);
    assert!(pair.slow.end(NtStatus::SUCCESS, 4));
    assert_eq!(read.wait().status, NtStatus::SUCCESS);
    pair.stack.run();
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[test]
fn what_is_put_back_into_a_purged_queue_is_cancelled() {
    let (stack, handle, queue) = manual();
    let read = handle.read(1);
    let request = queue.retrieve_next().unwrap();
    let (count, add) = counter();
    queue.purge(add).unwrap();
    request.requeue().unwrap();
    assert_eq!(read.wait().status, NtStatus::CANCELLED);
    stack.run();
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[test]
fn what_a_purge_finds_that_the_driver_has_had_before_comes_to_its_callback() {
    let told = Kept::default();
    let tell = told.clone();
    let (stack, handle, queue) = with_queue(move |device| {
        let tell = tell.clone();
        let queue = device.manual_queue().default_queue();
        queue
            .on_canceled(move |_, request| tell.keep(request))
            .create()
    });
    let (had, new) = (handle.read(1), handle.read(1));
    queue.retrieve_next().unwrap().requeue().unwrap();
    let (count, add) = counter();
    queue.purge(add).unwrap();
    assert_eq!(new.wait().status, NtStatus::CANCELLED);
    stack.run();
    assert_eq!(count.load(Ordering::Relaxed), 0);
    told.take().complete(NtStatus::CANCELLED);
    stack.run();
    assert_eq!(count.load(Ordering::Relaxed), 1);
    assert_eq!(had.wait().status, NtStatus::CANCELLED);
}

#[test]
fn a_queue_that_is_waited_for_is_not_stopped_drained_or_purged_again() {
    let kept = Kept::default();
    let (stack, handle, queue) = sequential(&kept);
    let read = handle.read(1);
    queue.stop(|_| ()).unwrap();
    let busy = Err(NtStatus::INVALID_DEVICE_REQUEST.into());
    assert_eq!(queue.stop(|_| ()), busy);
    assert_eq!(queue.drain(|_| ()), busy);
    assert_eq!(queue.purge_and_wait(), busy);
    assert_eq!(broken(&stack), [Rule::QueueBusy; 3]);
    kept.take().complete(NtStatus::SUCCESS);
    assert_eq!(read.wait().status, NtStatus::SUCCESS);
    stack.run();
    queue.purge(|_| ()).unwrap();
}

#[test]
fn to_wait_for_a_queue_in_a_callback_for_a_request_is_an_error_not_a_deadlock() {
    let (stack, handle, queue) = with_queue(|device| {
        let other = device.manual_queue().create()?;
        let queue = device.parallel_queue().default_queue();
        let handler = move |queue: &Queue, request: Request| {
            let deadlock = Err(Win32Error::POSSIBLE_DEADLOCK.into());
            assert_eq!(queue.stop_and_wait(), deadlock);
            assert_eq!(other.drain_and_wait(), deadlock);
            request.complete(NtStatus::SUCCESS);
        };
        queue.on_default(handler).create()
    });
    assert_eq!(handle.read(1).wait().status, NtStatus::SUCCESS);
    assert_eq!(broken(&stack), [Rule::WaitWithin; 2]);
    queue.stop_and_wait().unwrap();
}

#[test]
fn a_queue_that_is_waited_for_is_idle_when_its_last_request_is_forwarded() {
    let (_stack, handle, queue) = manual();
    let _read = handle.read(1);
    let request = queue.retrieve_next().unwrap();
    let other = queue.device().manual_queue().create().unwrap();
    queue.device().spawn(async move {
        request.forward(&other).unwrap();
    });
    queue.stop_and_wait().unwrap();
    assert_eq!(queue.state().with_driver, 0);
}

#[test]
fn requests_are_retrieved_in_their_order_and_of_one_file_if_wanted() {
    let (stack, handle, queue) = manual();
    let other = stack
        .open(&OpenOptions::new().name("other"))
        .wait()
        .unwrap();
    let reads = [handle.read(1), other.read(2), handle.read(3)];
    let first = queue.retrieve_next().unwrap();
    let file = first.file().unwrap();
    let third = queue.retrieve_next_of(&file).unwrap();
    let none = queue.retrieve_next_of(&file).unwrap_err();
    assert_eq!(none, Win32Error::NO_MORE_ITEMS.into());
    let second = queue.retrieve_next().unwrap();
    assert_eq!(second.file().unwrap().name(), "other");
    for (request, length) in [(first, 1), (second, 2), (third, 3)] {
        request.complete_with_information(NtStatus::SUCCESS, length);
    }
    assert_eq!(reads.map(|it| it.wait().information), [1, 2, 3]);
}

#[test]
fn nothing_is_retrieved_from_an_empty_a_stopped_or_a_parallel_queue() {
    let (_stack, handle, queue) = manual();
    let empty = queue.retrieve_next().unwrap_err();
    assert_eq!(empty, Win32Error::NO_MORE_ITEMS.into());
    queue.stop_and_wait().unwrap();
    let _read = handle.read(1);
    let stopped = queue.retrieve_next().unwrap_err();
    assert_eq!(stopped, NtStatus::WDF_PAUSED.into());
    let (_stack, _handle) = alone(|device| {
        let queue = device.parallel_queue().on_default(|_, _| ()).create()?;
        let parallel = queue.retrieve_next().unwrap_err();
        assert_eq!(parallel, NtStatus::INVALID_DEVICE_STATE.into());
        Ok(())
    });
}

#[test]
fn a_request_that_is_put_back_is_the_next_one() {
    let (_stack, handle, queue) = manual();
    let _reads = [handle.read(1), handle.read(2)];
    let request = queue.retrieve_next().unwrap();
    let id = request.id();
    request.requeue().unwrap();
    let again = queue.retrieve_next().unwrap();
    assert_eq!(again.id(), id);
    again.complete(NtStatus::SUCCESS);
    queue.retrieve_next().unwrap().complete(NtStatus::SUCCESS);
}

#[test]
fn only_what_comes_from_a_manual_queue_is_put_back() {
    let kept = Kept::default();
    let (stack, handle, _queue) = sequential(&kept);
    let read = handle.read(1);
    let error = kept.take().requeue().unwrap_err();
    assert_eq!(error.status, Win32Error::INVALID_OPERATION.into());
    error.complete();
    assert_eq!(read.wait().error(), Win32Error::INVALID_OPERATION);
    let own = stack.devices()[0].create_request();
    let error = own.requeue().unwrap_err();
    assert_eq!(error.status, Win32Error::INVALID_OPERATION.into());
}

#[test]
fn a_request_is_forwarded_only_to_another_queue_of_its_device_that_accepts_it() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let (filter, lower) = (pair.filter(), pair.stack.devices()[0].clone());
    let _read = pair.handle.read(1);
    let request = kept.take();
    let own = request.queue().unwrap();
    let invalid = NtStatus::INVALID_DEVICE_REQUEST.into();
    let error = request.forward(&own).unwrap_err();
    assert_eq!(error.status, invalid);
    let error = error
        .request
        .forward(&lower.manual_queue().create().unwrap())
        .unwrap_err();
    assert_eq!(error.status, invalid);
    let other = filter.manual_queue().create().unwrap();
    other.drain_and_wait().unwrap();
    let error = error.request.forward(&other).unwrap_err();
    assert_eq!(error.status, NtStatus::WDF_BUSY.into());
    other.start();
    error.request.forward(&other).unwrap();
    let error = filter.create_request().forward(&other).unwrap_err();
    assert_eq!(error.status, invalid);
}

#[test]
fn transfers_of_nothing_end_well_without_the_driver_unless_it_wants_them() {
    let kept = Kept::default();
    let (_stack, handle, _queue) = sequential(&kept);
    assert_eq!(handle.read(0).wait().status, NtStatus::SUCCESS);
    assert_eq!(handle.write(&b""[..]).wait().information, 0);
    assert_eq!(kept.len(), 0);
    let control = handle.control(ControlCode(0xFFDC_6000), &b""[..], 0);
    assert_eq!(kept.len(), 1, "a control code may have no data");
    kept.take().complete(NtStatus::SUCCESS);
    assert_eq!(control.wait().status, NtStatus::SUCCESS);

    let keep = kept.clone();
    let (_stack, handle) = alone(move |device| {
        let keep = keep.clone();
        let queue = device.sequential_queue().default_queue();
        let queue = queue.allow_zero_length(true);
        queue
            .on_default(move |_, request| keep.keep(request))
            .create()
            .map(drop)
    });
    let read = handle.read(0);
    assert!(!read.has_ended());
    let request = kept.take();
    assert!(request.output(0).is_err(), "it has no memory");
    request.complete(NtStatus::SUCCESS);
    assert_eq!(read.wait().status, NtStatus::SUCCESS);
}

#[test]
fn what_there_is_no_handler_for_goes_on_from_a_filter_and_is_refused_by_a_function_driver() {
    let only_writes = |device: &Device| {
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_write(|_, request, _| request.complete(NtStatus::SUCCESS));
        queue.create().map(drop)
    };
    let (_stack, handle) = alone(only_writes);
    assert_eq!(handle.read(1).wait().error(), Win32Error::INVALID_FUNCTION);
    let pair = Pair::new(only_writes);
    let read = pair.handle.read(1);
    assert!(pair.slow.end(NtStatus::SUCCESS, 1));
    assert_eq!(read.wait().information, 1);
    assert_eq!(
        pair.handle.write(&b"x"[..]).wait().status,
        NtStatus::SUCCESS
    );
    assert_eq!(pair.slow.seen(), 1);
}

#[test]
fn below_the_last_driver_nothing_takes_a_request() {
    let stack = builder()
        .0
        .driver("filter", filter(|_| Ok(())))
        .start()
        .unwrap();
    let handle = stack.open_and_wait().unwrap();
    assert_eq!(handle.read(1).wait().error(), Win32Error::INVALID_FUNCTION);
}

#[test]
fn a_manual_queue_tells_when_it_is_not_empty_any_more_and_only_then() {
    let (count, add) = counter();
    let count = &count;
    let told = Mutex::new(Some(add));
    let (_stack, handle, queue) = with_queue(move |device| {
        let add = told.lock().unwrap().take().unwrap();
        let queue = device.manual_queue().default_queue();
        queue.on_state_change(add).create()
    });
    let seen = || count.load(Ordering::Relaxed);
    let _reads = [handle.read(1), handle.read(1)];
    assert_eq!(seen(), 1);
    queue.retrieve_next().unwrap().complete(NtStatus::SUCCESS);
    let _read = handle.read(1);
    assert_eq!(seen(), 1, "one was waiting");
    while let Ok(request) = queue.retrieve_next() {
        request.complete(NtStatus::SUCCESS);
    }
    let _read = handle.read(1);
    assert_eq!(seen(), 2);
}

#[test]
fn a_driver_that_puts_back_what_it_was_told_of_is_told_again_when_the_next_one_comes() {
    let (count, add) = counter();
    let count = &count;
    let told = Mutex::new(Some(add));
    let (_stack, handle, _queue) = with_queue(move |device| {
        let add = told.lock().unwrap().take().unwrap();
        let queue = device.manual_queue().default_queue();
        let look = move |queue: &Queue| {
            add(queue);
            let request = queue.retrieve_next().unwrap();
            request.requeue().unwrap();
        };
        queue.on_state_change(look).create()
    });
    let _first = handle.read(1);
    assert_eq!(count.load(Ordering::Relaxed), 1);
    let _second = handle.read(1);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[test]
fn a_manual_queue_that_did_not_deliver_tells_of_what_has_come_when_it_does() {
    let (count, add) = counter();
    let count = &count;
    let told = Mutex::new(Some(add));
    let (stack, handle, queue) = with_queue(move |device| {
        let add = told.lock().unwrap().take().unwrap();
        let queue = device.manual_queue().default_queue();
        queue.on_state_change(add).create()
    });
    let seen = || count.load(Ordering::Relaxed);
    queue.stop_and_wait().unwrap();
    let _read = handle.read(1);
    assert_eq!(seen(), 0, "there is nothing to be had");
    queue.start();
    stack.run();
    assert_eq!(seen(), 1);
    stack.suspend().unwrap();
    assert_eq!(
        queue.retrieve_next().unwrap_err(),
        NtStatus::WDF_PAUSED.into()
    );
    stack.resume().unwrap();
    stack.run();
    assert_eq!(seen(), 2);
}

#[test]
fn each_kind_of_request_may_have_a_queue_of_its_own() {
    let (reads, rest) = (Kept::default(), Kept::default());
    let (keep, other) = (reads.clone(), rest.clone());
    let (_stack, handle) = alone(move |device| {
        let keep = keep.clone();
        let queue = device.sequential_queue().takes(RequestType::Read);
        queue
            .on_read(move |_, request, _| keep.keep(request))
            .on_stop(|_, notice| notice.acknowledge())
            .create()?;
        other.queue(device)?;
        let again = device.sequential_queue().takes(RequestType::Read);
        let again = again.on_default(|_, _| ()).create().unwrap_err();
        assert_eq!(again, NtStatus::INVALID_DEVICE_REQUEST.into());
        let second = device.manual_queue().default_queue().create();
        assert!(second.is_err());
        let flush = device.manual_queue().takes(RequestType::Flush).create();
        assert!(flush.is_err());
        let none = device.sequential_queue().create().unwrap_err();
        assert_eq!(none, Win32Error::BAD_CONFIGURATION.into());
        Ok(())
    });
    let _asked = (handle.read(1), handle.write(&b"x"[..]), handle.flush());
    assert_eq!((reads.len(), rest.len()), (1, 2));
}

#[test]
fn a_device_does_not_leave_d0_before_its_driver_has_answered_for_what_it_has() {
    let kept = Kept::default();
    let stops = Arc::new(Mutex::new(Vec::new()));
    let resumed = Arc::new(Mutex::new(Vec::new()));
    let (keep, stop, resume) = (kept.clone(), Arc::clone(&stops), Arc::clone(&resumed));
    let (builder, _clock) = builder();
    let alone = driver(move |device| {
        let (keep, stop, resume) = (keep.clone(), Arc::clone(&stop), Arc::clone(&resume));
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_default(move |_, request| keep.keep(request));
        let queue = queue.on_stop(move |_, notice| {
            stop.lock().unwrap().push(notice.request());
            notice.acknowledge();
        });
        let queue = queue.on_resume(move |_, id| resume.lock().unwrap().push(id));
        queue.create().map(drop)
    });
    let stack = builder.driver("alone", alone).start().unwrap();
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(1);
    let id = {
        let request = kept.take();
        let id = request.id();
        kept.keep(request);
        id
    };
    stack.suspend().unwrap();
    let later = handle.read(1);
    assert_eq!(kept.len(), 1, "nothing is delivered");
    assert_eq!(*stops.lock().unwrap(), [id]);
    stack.resume().unwrap();
    stack.run();
    assert_eq!(*resumed.lock().unwrap(), [id]);
    assert_eq!(kept.len(), 2);
    kept.take().complete(NtStatus::SUCCESS);
    kept.take().complete(NtStatus::SUCCESS);
    assert!(read.has_ended() && later.has_ended());
}

#[test]
fn a_request_is_not_said_to_be_kept_that_was_put_back_meanwhile() {
    let (builder, _clock) = builder();
    let resumed = Arc::new(AtomicUsize::new(0));
    let kept = Kept::default();
    let (resume, keep) = (Arc::clone(&resumed), kept.clone());
    let alone = driver(move |device| {
        let (resume, keep) = (Arc::clone(&resume), keep.clone());
        let queue = device.manual_queue().default_queue();
        let queue = queue.on_stop(move |_, notice| {
            keep.take().requeue().unwrap();
            notice.acknowledge();
        });
        let queue = queue.on_resume(move |_, _| {
            resume.fetch_add(1, Ordering::Relaxed);
        });
        let queue = queue.create()?;
        device.assign_context(queue).map_err(|_| HResult::FAIL)
    });
    let stack = builder.driver("alone", alone).start().unwrap();
    let handle = stack.open_and_wait().unwrap();
    let _read = handle.read(1);
    let device = stack.devices()[0].clone();
    let queue = device.context::<Queue>().unwrap();
    kept.keep(queue.retrieve_next().unwrap());
    stack.suspend().unwrap();
    stack.resume().unwrap();
    stack.run();
    assert_eq!(resumed.load(Ordering::Relaxed), 0);
    queue.retrieve_next().unwrap().complete(NtStatus::SUCCESS);
}

#[test]
fn a_driver_may_take_the_next_request_of_a_sequential_queue_itself() {
    let kept = Kept::default();
    let (_stack, handle, queue) = sequential(&kept);
    let reads = [handle.read(1), handle.read(2)];
    assert_eq!((kept.len(), queue.state().waiting), (1, 1));
    let second = queue.retrieve_next().unwrap();
    assert_eq!(queue.state().with_driver, 2);
    second.complete_with_information(NtStatus::SUCCESS, 2);
    kept.take().complete_with_information(NtStatus::SUCCESS, 1);
    let moved = reads.map(|it| it.wait().information);
    assert_eq!(moved, [1, 2]);
}

#[test]
fn nothing_is_retrieved_while_the_device_is_not_in_d0() {
    let (stack, handle, queue) = with_queue(|device| {
        let queue = device.manual_queue().default_queue();
        queue.power_managed(true).create()
    });
    stack.suspend().unwrap();
    let read = handle.read(1);
    assert!(queue.state().is_held);
    let held = queue.retrieve_next().unwrap_err();
    assert_eq!(held, NtStatus::WDF_PAUSED.into());
    stack.resume().unwrap();
    queue.retrieve_next().unwrap().complete(NtStatus::SUCCESS);
    assert_eq!(read.wait().status, NtStatus::SUCCESS);
}

#[test]
fn a_queue_that_is_not_power_managed_delivers_while_the_device_sleeps() {
    let (stack, handle, queue) = with_queue(|device| {
        let queue = device.manual_queue().default_queue();
        queue.power_managed(false).create()
    });
    stack.suspend().unwrap();
    let read = handle.read(1);
    queue.retrieve_next().unwrap().complete(NtStatus::SUCCESS);
    assert_eq!(read.wait().status, NtStatus::SUCCESS);
}
