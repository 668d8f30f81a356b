//! Cancellation by every route: what an application takes back ends once, and its driver is told as UMDF says.

mod support;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use support::{Kept, Pair, alone, broken, pass_on};
use usbwright_host_stack::{
    CancelStarted, Device, Queue, Request, Rule, SendOptions,
    status::{HResult, NtStatus, Win32Error},
};

/// A manual queue besides the default one, which keeps what comes.
fn with_manual(
    kept: &Kept,
    told: Option<Kept>,
) -> impl Fn(&Device) -> Result<(), HResult> + Send + Sync + 'static {
    let kept = kept.clone();
    move |device| {
        kept.queue(device)?;
        let mut manual = device.manual_queue();
        if let Some(told) = told.clone() {
            manual = manual.on_canceled(move |_, request| told.keep(request));
        }
        let manual = manual.create()?;
        device
            .assign_context(manual)
            .map_err(|_| NtStatus::UNSUCCESSFUL.into())
    }
}

fn manual(device: &Device) -> Queue {
    Queue::clone(&device.context::<Queue>().unwrap())
}

#[test]
fn a_request_cancelled_before_its_driver_has_had_it_ends_without_the_driver() {
    let kept = Kept::default();
    let keep = kept.clone();
    let (_stack, handle) = alone(move |device| {
        let keep = keep.clone();
        let queue = device.sequential_queue().default_queue();
        let queue = queue.on_read(move |_, request, _| keep.keep(request));
        queue
            .on_canceled(|_, _| panic!("its driver has never had it"))
            .create()
            .map(drop)
    });
    let (_first, second) = (handle.read(1), handle.read(1));
    second.cancel();
    let outcome = second.wait();
    assert_eq!(outcome.status, NtStatus::CANCELLED);
    assert_eq!(outcome.information, 0);
    assert_eq!(kept.len(), 1);
    kept.take().complete(NtStatus::SUCCESS);
}

#[test]
fn a_request_that_was_put_back_and_is_cancelled_is_ended_by_the_framework() {
    let kept = Kept::default();
    let (stack, handle) = alone(with_manual(&kept, None));
    let read = handle.read(1);
    kept.take().forward(&manual(&stack.devices()[0])).unwrap();
    let request = manual(&stack.devices()[0]).retrieve_next().unwrap();
    request.requeue().unwrap();
    read.cancel();
    assert_eq!(read.wait().error(), Win32Error::OPERATION_ABORTED);
    assert_eq!(broken(&stack), []);
}

#[test]
fn a_request_that_was_cancelled_before_it_is_put_into_a_queue_ends_there() {
    let kept = Kept::default();
    let (stack, handle) = alone(with_manual(&kept, None));
    let manual = manual(&stack.devices()[0]);
    let forwarded = handle.read(1);
    forwarded.cancel();
    kept.take().forward(&manual).unwrap();
    assert_eq!(forwarded.wait().status, NtStatus::CANCELLED);
    let put_back = handle.read(1);
    kept.take().forward(&manual).unwrap();
    let request = manual.retrieve_next().unwrap();
    put_back.cancel();
    assert!(!put_back.has_ended());
    request.requeue().unwrap();
    assert_eq!(put_back.wait().status, NtStatus::CANCELLED);
}

#[test]
fn a_request_cancelled_where_it_was_forwarded_comes_to_that_queues_callback_which_ends_it() {
    let (kept, told) = (Kept::default(), Kept::default());
    let (stack, handle) = alone(with_manual(&kept, Some(told.clone())));
    let read = handle.read(1);
    kept.take().forward(&manual(&stack.devices()[0])).unwrap();
    read.cancel();
    assert!(!read.has_ended());
    let request = told.take();
    assert!(request.is_canceled());
    request.complete(HResult::from_win32(Win32Error::OPERATION_ABORTED));
    assert_eq!(read.wait().error(), Win32Error::OPERATION_ABORTED);
}

#[test]
fn the_callback_for_cancelled_requests_comes_whatever_a_sequential_queue_has_delivered() {
    let (kept, told) = (Kept::default(), Kept::default());
    let (keep, tell) = (kept.clone(), told.clone());
    let (_stack, handle) = alone(move |device| {
        let (keep, tell) = (keep.clone(), tell.clone());
        let second = device.sequential_queue();
        let second = second.on_default(move |_, request| keep.keep(request));
        let second = second.on_canceled(move |_, request| tell.keep(request));
        let second = second.create()?;
        let queue = device.parallel_queue().default_queue();
        let forward = move |_: &Queue, request: Request| request.forward(&second).unwrap();
        queue.on_default(forward).create().map(drop)
    });
    let (first, second) = (handle.read(1), handle.read(1));
    assert_eq!(kept.len(), 1);
    second.cancel();
    told.take().complete(NtStatus::CANCELLED);
    assert_eq!(second.wait().status, NtStatus::CANCELLED);
    kept.take().complete(NtStatus::SUCCESS);
    assert_eq!(first.wait().status, NtStatus::SUCCESS);
}

#[test]
fn a_marked_request_that_is_cancelled_comes_to_its_callback_and_may_be_ended_later() {
    let (kept, told) = (Kept::default(), Kept::default());
    let (_stack, handle) = alone({
        let kept = kept.clone();
        move |device| kept.queue(device).map(drop)
    });
    let read = handle.read(1);
    let tell = told.clone();
    let marked = kept
        .take()
        .mark_cancelable(Arc::new(move |request| tell.keep(request)));
    assert_eq!(told.len(), 0);
    read.cancel();
    read.cancel();
    assert_eq!(told.len(), 1);
    assert!(!read.has_ended());
    assert_eq!(marked.unmark().unwrap_err(), CancelStarted);
    told.take().complete(NtStatus::CANCELLED);
    assert_eq!(read.wait().status, NtStatus::CANCELLED);
}

#[test]
fn a_request_that_was_had_back_before_it_is_cancelled_stays_the_drivers() {
    let kept = Kept::default();
    let (_stack, handle) = alone({
        let kept = kept.clone();
        move |device| kept.queue(device).map(drop)
    });
    let read = handle.read(4);
    let never = |_| panic!("it was not marked any more");
    let request = kept.take().mark_cancelable(Arc::new(never));
    let request = request.unmark().unwrap();
    assert!(!request.is_canceled());
    read.cancel();
    assert!(request.is_canceled());
    assert!(!read.has_ended());
    request.complete_with_information(NtStatus::SUCCESS, 4);
    assert_eq!(read.wait().information, 4);
}

#[test]
fn to_mark_a_request_that_was_cancelled_calls_back_at_once_or_gives_it_back() {
    let (kept, told) = (Kept::default(), Kept::default());
    let (stack, handle) = alone({
        let kept = kept.clone();
        move |device| kept.queue(device).map(drop)
    });
    let read = handle.read(1);
    read.cancel();
    let never = |_| panic!("it is given back");
    let request = kept.take().try_mark_cancelable(Arc::new(never));
    let tell = told.clone();
    let marked = request
        .unwrap_err()
        .mark_cancelable(Arc::new(move |request| tell.keep(request)));
    assert_eq!(told.len(), 0, "no callback runs within a call");
    stack.run();
    assert!(marked.unmark().is_err());
    told.take().complete(NtStatus::CANCELLED);
    assert_eq!(read.wait().status, NtStatus::CANCELLED);
}

#[test]
fn a_marked_request_that_is_dropped_is_lost_once() {
    let kept = Kept::default();
    let (stack, handle) = alone({
        let kept = kept.clone();
        move |device| kept.queue(device).map(drop)
    });
    let read = handle.read(1);
    drop(kept.take().mark_cancelable(Arc::new(drop)));
    read.cancel();
    assert_eq!(read.wait().error(), Win32Error::GEN_FAILURE);
    assert_eq!(broken(&stack), [Rule::LostRequest]);
}

#[test]
fn a_request_that_was_sent_on_and_is_cancelled_comes_back_cancelled() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(8);
    pass_on(kept.take(), SendOptions::new());
    pair.stack.run();
    assert_eq!(pair.slow.seen(), 1);
    pair.slow.moved.store(3, Ordering::Relaxed);
    read.cancel();
    let outcome = read.wait();
    assert_eq!(
        (outcome.status, outcome.information),
        (NtStatus::CANCELLED, 3)
    );
}

#[test]
fn a_request_that_was_cancelled_before_it_is_sent_comes_back_cancelled() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(8);
    read.cancel();
    pass_on(kept.take(), SendOptions::new());
    assert_eq!(read.wait().status, NtStatus::CANCELLED);
}

#[test]
fn a_driver_that_takes_back_what_it_has_sent_has_it_again_and_it_is_not_cancelled() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(8);
    let mut request = kept.take();
    request.format_using_current_type();
    let sent = request.send(&pair.target(), SendOptions::new()).unwrap();
    pair.stack.run();
    sent.cancel();
    sent.cancel();
    let (request, params) = sent.wait();
    assert_eq!(params.nt_status(), NtStatus::CANCELLED);
    assert_eq!(request.status(), HResult::from_nt(NtStatus::CANCELLED));
    assert!(!request.is_canceled());
    assert!(!read.has_ended());
    let mut request = request;
    request.format_using_current_type();
    let sent = request.send(&pair.target(), SendOptions::new()).unwrap();
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::SUCCESS, 8));
    let (request, params) = sent.wait();
    request.complete_with_information(params.status(), params.information());
    assert_eq!(read.wait().information, 8);
}

#[test]
fn to_take_back_what_has_ended_changes_nothing() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(8);
    let mut request = kept.take();
    request.format_using_current_type();
    let sent = request.send(&pair.target(), SendOptions::new()).unwrap();
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::SUCCESS, 8));
    sent.cancel();
    let (request, params) = sent.wait();
    assert_eq!(params.nt_status(), NtStatus::SUCCESS);
    request.complete_with_information(NtStatus::SUCCESS, 8);
    read.cancel();
    assert_eq!(read.wait().status, NtStatus::SUCCESS);
}

#[test]
fn the_next_request_is_not_cancelled_because_the_last_one_was() {
    let kept = Kept::default();
    let (_stack, handle) = alone({
        let kept = kept.clone();
        move |device| kept.queue(device).map(drop)
    });
    for round in 0..4 {
        let read = handle.read(1);
        let request = kept.take();
        assert!(!request.is_canceled(), "in round {round}");
        read.cancel();
        assert!(request.is_canceled());
        request.complete(NtStatus::CANCELLED);
        assert_eq!(read.wait().status, NtStatus::CANCELLED);
    }
}

#[test]
fn an_async_driver_awaits_that_its_request_is_cancelled() {
    let ended = Arc::new(AtomicUsize::new(0));
    let end = Arc::clone(&ended);
    let (stack, handle) = alone(move |device| {
        let end = Arc::clone(&end);
        let queue = device.parallel_queue().default_queue();
        let handler = move |queue: &Queue, request: Request| {
            let end = Arc::clone(&end);
            queue.device().spawn(async move {
                request.cancelled().await;
                end.fetch_add(1, Ordering::Relaxed);
                request.complete(NtStatus::CANCELLED);
            });
        };
        queue.on_default(handler).create().map(drop)
    });
    let (first, second) = (handle.read(1), handle.read(1));
    stack.run();
    assert_eq!(ended.load(Ordering::Relaxed), 0);
    second.cancel();
    assert_eq!(second.wait().status, NtStatus::CANCELLED);
    assert!(!first.has_ended());
    first.cancel();
    assert_eq!(first.wait().status, NtStatus::CANCELLED);
    assert_eq!(ended.load(Ordering::Relaxed), 2);
}

#[test]
fn all_of_a_file_is_taken_back_and_nothing_of_another() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let other = pair.stack.open_and_wait().unwrap();
    let reads = [pair.handle.read(1), pair.handle.read(2)];
    let kept_read = other.read(3);
    while let Some(request) = kept.next() {
        pass_on(request, SendOptions::new());
    }
    pair.handle.cancel_all();
    for read in reads {
        assert_eq!(read.wait().status, NtStatus::CANCELLED);
    }
    assert!(!kept_read.has_ended());
    assert!(pair.slow.end(NtStatus::SUCCESS, 3));
    assert_eq!(kept_read.wait().information, 3);
}

#[test]
fn a_driver_may_hold_a_lock_of_its_own_while_it_completes_and_cancels() {
    let state = Arc::new(Mutex::new(Vec::<Request>::new()));
    let keep = Arc::clone(&state);
    let (_stack, handle) = alone(move |device| {
        let keep = Arc::clone(&keep);
        let queue = device.parallel_queue().default_queue();
        let handler = move |_: &Queue, request: Request| {
            let mut kept = keep.lock().unwrap();
            kept.drain(..).for_each(|it| it.complete(NtStatus::SUCCESS));
            kept.push(request);
        };
        queue.on_default(handler).create().map(drop)
    });
    let reads: Vec<_> = (0..5).map(|_| handle.read(1)).collect();
    assert_eq!(reads.iter().filter(|it| it.has_ended()).count(), 4);
    state
        .lock()
        .unwrap()
        .pop()
        .unwrap()
        .complete(NtStatus::SUCCESS);
    assert!(reads.iter().all(|it| it.has_ended()));
}

#[test]
fn a_request_that_was_put_back_and_is_cancelled_comes_to_its_queues_callback_which_ends_it() {
    let (kept, told) = (Kept::default(), Kept::default());
    let (stack, handle) = alone(with_manual(&kept, Some(told.clone())));
    let read = handle.read(1);
    let manual = manual(&stack.devices()[0]);
    kept.take().forward(&manual).unwrap();
    manual.retrieve_next().unwrap().requeue().unwrap();
    read.cancel();
    assert!(!read.has_ended());
    let request = told.take();
    assert!(request.is_canceled());
    request.complete(NtStatus::CANCELLED);
    let outcome = read.wait();
    assert_eq!(outcome.status, NtStatus::CANCELLED);
    assert_eq!(outcome.information, 0);
}

#[test]
fn a_request_that_is_not_marked_is_left_to_its_driver_which_may_ask() {
    let kept = Kept::default();
    let (stack, handle) = alone({
        let kept = kept.clone();
        move |device| kept.queue(device).map(drop)
    });
    let read = handle.read(4);
    let request = kept.take();
    assert!(!request.is_canceled());
    read.cancel();
    stack.run();
    assert!(!read.has_ended());
    assert!(request.is_canceled());
    request.complete_with_information(NtStatus::SUCCESS, 4);
    assert_eq!(read.wait().information, 4);
}

#[test]
fn what_is_cancelled_twice_is_cancelled_once_wherever_it_is() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let sent = pair.handle.read(4);
    pass_on(kept.take(), SendOptions::new());
    let waits = pair.handle.read(4);
    let request = kept.take();
    let told = Kept::default();
    let tell = told.clone();
    let marked = request.mark_cancelable(Arc::new(move |request| tell.keep(request)));
    for _ in 0..2 {
        sent.cancel();
        waits.cancel();
        pair.stack.run();
    }
    assert_eq!(sent.wait().status, NtStatus::CANCELLED);
    assert_eq!(told.len(), 1);
    assert!(marked.unmark().is_err());
    waits.cancel();
    told.take().complete(NtStatus::CANCELLED);
    assert_eq!(waits.wait().status, NtStatus::CANCELLED);
    assert_eq!(broken(&pair.stack), []);
}

#[test]
fn to_mark_what_a_purged_queue_has_delivered_calls_back_at_once() {
    let (kept, told) = (Kept::default(), Kept::default());
    let (stack, handle) = alone({
        let kept = kept.clone();
        move |device| kept.queue(device).map(drop)
    });
    let read = handle.read(1);
    let request = kept.take();
    request.queue().unwrap().purge(|_| ()).unwrap();
    stack.run();
    assert!(!read.has_ended(), "its driver has it, unmarked");
    let tell = told.clone();
    let _marked = request.mark_cancelable(Arc::new(move |request| tell.keep(request)));
    stack.run();
    told.take().complete(NtStatus::CANCELLED);
    assert_eq!(read.wait().status, NtStatus::CANCELLED);
}
