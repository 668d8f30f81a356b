//! Time limits of requests that are sent synchronously, by which rule they run, and what is sent and forgotten.

mod support;

use std::{sync::Arc, time::Duration};

use support::{Kept, Pair, broken, builder, driver, filter, own::Own};
use usbwright_host_stack::{
    Device, IoTarget, Queue, Request, SendOptions, SentIoAction, Timeout,
    status::{HResult, NtStatus, Win32Error},
    usb_target::ManualClock,
};

const SECOND: Duration = Duration::from_secs(1);

/// The time limits that there are, when a second is left of each.
fn limits(clock: &ManualClock) -> [(Timeout, Duration); 4] {
    let now = clock.now();
    [
        (Timeout::After(SECOND), SECOND),
        (Timeout::At(now + SECOND), SECOND),
        (Timeout::After(Duration::ZERO), Duration::ZERO),
        (Timeout::At(now), Duration::ZERO),
    ]
}

/// A driver that lets so much time pass as a request comes, and has moved two bytes when it is cancelled.
fn late(clock: &ManualClock, time: Duration) -> impl usbwright_host_stack::Driver {
    let clock = clock.clone();
    driver(move |device: &Device| {
        let clock = clock.clone();
        let queue = device.parallel_queue().default_queue();
        let handler = move |_: &Queue, request: Request| {
            let cancelled = |request: Request| {
                request.complete_with_information(NtStatus::CANCELLED, 2);
            };
            let _marked = std::mem::ManuallyDrop::new(request.mark_cancelable(Arc::new(cancelled)));
            clock.advance(time);
        };
        queue.on_default(handler).create().map(drop)
    })
}

/// A filter that sends on synchronously, with a time limit.
fn waiting(limit: Timeout) -> impl usbwright_host_stack::Driver {
    filter(move |device: &Device| {
        let queue = device.parallel_queue().default_queue();
        let handler = move |_: &Queue, mut request: Request| {
            let target = request.device().default_target().clone();
            request.format_using_current_type();
            let options = SendOptions::new().timeout(limit);
            let (request, params) = request.send(&target, options).unwrap().wait();
            request.complete_with_information(params.status(), params.information());
        };
        queue.on_default(handler).create().map(drop)
    })
}

#[test]
fn a_synchronous_send_ends_by_a_relative_an_absolute_and_no_time_and_keeps_what_had_moved() {
    for place in 0..4 {
        let (builder, clock) = builder();
        let (limit, time) = limits(&clock)[place];
        let stack = builder
            .driver("late", late(&clock, time))
            .driver("waiting", waiting(limit))
            .start()
            .unwrap();
        let handle = stack.open_and_wait().unwrap();
        let outcome = handle.read(8).wait();
        assert_eq!(outcome.status, NtStatus::IO_TIMEOUT, "{limit:?}");
        // With no time it may be taken back before the device below has seen it.
        let moved = outcome.information;
        assert!(moved == 2 || time.is_zero() && moved == 0, "{moved}");
        assert_eq!(broken(&stack), []);
    }
}

#[test]
fn what_waits_in_a_stopped_target_ends_unsent_by_each_kind_of_time_limit() {
    for place in 0..4 {
        let own = Own::new();
        let target = own.device.default_target().clone();
        target.stop(SentIoAction::CancelSentIo).unwrap();
        let (limit, time) = limits(&own.clock)[place];
        let mut request = own.device.create_request();
        target.format_for_flush(&mut request).unwrap();
        let sent = request.send(&target, SendOptions::new().timeout(limit));
        own.clock.advance(time);
        let (_, params) = sent.unwrap().wait();
        assert_eq!(params.nt_status(), NtStatus::WDF_IO_TIMEOUT_NOT_SENT);
    }
}

#[test]
fn the_time_in_a_stopped_target_counts_for_a_request_that_is_sent_later() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    target.stop(SentIoAction::CancelSentIo).unwrap();
    let read = pair.handle.read(8);
    let mut request = kept.take();
    request.format_using_current_type();
    let options = SendOptions::new().timeout(Timeout::After(2 * SECOND));
    let sent = request.send(&target, options).unwrap();
    pair.clock.advance(SECOND);
    target.start().unwrap();
    pair.stack.run();
    assert_eq!(pair.slow.seen(), 1);
    pair.clock.advance(SECOND);
    let (request, params) = sent.wait();
    assert_eq!(params.nt_status(), NtStatus::IO_TIMEOUT);
    request.complete(params.status());
    assert_eq!(read.wait().error(), Win32Error::SEM_TIMEOUT);
}

#[test]
fn a_driver_that_cancels_before_the_time_is_up_is_told_of_cancellation() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let _read = pair.handle.read(8);
    let mut request = kept.take();
    request.format_using_current_type();
    let options = SendOptions::new().timeout(Timeout::After(SECOND));
    let sent = request.send(&pair.target(), options).unwrap();
    pair.stack.run();
    sent.cancel();
    let (request, params) = sent.wait();
    assert_eq!(params.nt_status(), NtStatus::CANCELLED);
    request.complete(params.status());
    pair.clock.advance(SECOND);
}

/// Sends a read of the application on, and forgets it.
fn forget(pair: &Pair, kept: &Kept, target: &IoTarget) -> usbwright_host_stack::Io {
    let read = pair.handle.read(8);
    kept.take().send_and_forget(target).unwrap();
    pair.stack.run();
    read
}

#[test]
fn what_is_forgotten_waits_in_a_stopped_target_and_is_sent_once_it_is_started() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    target.stop(SentIoAction::CancelSentIo).unwrap();
    let read = forget(&pair, &kept, &target);
    assert_eq!(pair.slow.seen(), 0);
    target.start().unwrap();
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::SUCCESS, 8));
    assert_eq!(read.wait().information, 8);
}

#[test]
fn what_is_forgotten_is_cancelled_below_when_its_application_cancels_it() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = forget(&pair, &kept, &pair.target());
    read.cancel();
    assert_eq!(read.wait().status, NtStatus::CANCELLED);
    assert!(pair.slow.next().is_none());
}

#[test]
fn a_closed_target_gives_back_what_was_to_be_forgotten() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    target.remove();
    let read = pair.handle.read(8);
    let error = kept.take().send_and_forget(&target).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_STATE.into());
    assert!(error.request.queue().is_some(), "it is the queue's still");
    error.complete();
    assert_eq!(read.wait().error(), Win32Error::BAD_COMMAND);
    assert_eq!(broken(&pair.stack), []);
}

#[test]
fn what_was_formatted_as_it_came_can_be_forgotten_too() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(8);
    let mut request = kept.take();
    request.format_using_current_type();
    request.send_and_forget(&pair.target()).unwrap();
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::SUCCESS, 8));
    assert_eq!(read.wait().status, NtStatus::SUCCESS);
}

#[test]
fn a_request_of_the_drivers_own_cannot_be_forgotten_however_it_is_formatted() {
    let pair = Pair::keeping(&Kept::default());
    let target = pair.target();
    for formatted in [false, true] {
        let mut own = pair.filter().create_request();
        if formatted {
            target.format_for_flush(&mut own).unwrap();
        }
        let error = own.send_and_forget(&target).unwrap_err();
        let state: HResult = NtStatus::INVALID_DEVICE_STATE.into();
        assert_eq!(error.status, state);
        assert!(error.request.completion_params().is_none());
    }
}
