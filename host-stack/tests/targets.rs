//! The states of a target: what becomes of what is sent, of what waits and of what is on its way.

mod support;

use std::{sync::Arc, time::Duration};

use support::{Kept, Pair, broken, pass_on};
use usbwright_host_stack::{
    Io, Queue, Request, RequestCompletionParams, Rule, SendOptions, SentIoAction, TargetState,
    Timeout,
    status::{NtStatus, Win32Error},
};

const WHATEVER: SendOptions = SendOptions::new().ignore_target_state();

/// A read that the filter has sent on with options, and how the send ended.
fn sent(pair: &Pair, kept: &Kept, options: SendOptions) -> Io {
    let read = pair.handle.read(8);
    pass_on(kept.take(), options);
    pair.stack.run();
    read
}

#[test]
fn a_started_target_takes_whatever_is_sent() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    assert_eq!(pair.target().state(), TargetState::Started);
    let reads = [SendOptions::new(), WHATEVER].map(|it| sent(&pair, &kept, it));
    assert_eq!(pair.slow.seen(), 2);
    for read in reads {
        assert!(pair.slow.end(NtStatus::SUCCESS, 8));
        assert_eq!(read.wait().information, 8);
    }
}

#[test]
fn a_stopped_target_keeps_what_is_sent_unless_its_state_is_to_be_ignored() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    target.stop(SentIoAction::CancelSentIo).unwrap();
    assert_eq!(target.state(), TargetState::Stopped);
    let waits = sent(&pair, &kept, SendOptions::new());
    assert_eq!(pair.slow.seen(), 0);
    let goes = sent(&pair, &kept, WHATEVER);
    assert_eq!(pair.slow.seen(), 1);
    assert!(pair.slow.end(NtStatus::SUCCESS, 1));
    assert_eq!(goes.wait().information, 1);
    assert!(!waits.has_ended());
    target.start().unwrap();
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::SUCCESS, 2));
    assert_eq!(waits.wait().information, 2);
}

#[test]
fn a_target_that_is_started_sends_what_has_waited_in_its_order() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    target.stop(SentIoAction::LeaveSentIoPending).unwrap();
    let reads: Vec<_> = (1..=5).map(|length| pair.handle.read(length)).collect();
    while let Some(request) = kept.next() {
        pass_on(request, SendOptions::new());
    }
    target.start().unwrap();
    pair.stack.run();
    for (length, read) in (1..).zip(reads) {
        let request = pair.slow.next().unwrap();
        assert!(request.output(length).is_ok() && request.output(length + 1).is_err());
        request.complete_with_information(NtStatus::SUCCESS, length);
        assert_eq!(read.wait().information, length);
    }
}

#[test]
fn a_removed_target_refuses_whatever_is_sent_and_cannot_be_started() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    target.remove();
    assert_eq!(target.state(), TargetState::Closed);
    for options in [SendOptions::new(), WHATEVER] {
        let read = pair.handle.read(8);
        let mut request = kept.take();
        request.format_using_current_type();
        let error = request.send(&target, options).unwrap_err();
        assert_eq!(error.status, NtStatus::INVALID_DEVICE_STATE.into());
        assert_eq!(error.request.status(), error.status);
        error.complete();
        assert_eq!(read.wait().error(), Win32Error::BAD_COMMAND);
    }
    assert_eq!(target.start(), Err(NtStatus::INVALID_DEVICE_STATE.into()));
    target.stop(SentIoAction::CancelSentIo).unwrap();
    assert_eq!(target.state(), TargetState::Closed);
}

#[test]
fn removing_a_target_takes_back_what_was_sent_and_tells_what_was_not() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    let on_its_way = sent(&pair, &kept, SendOptions::new());
    target.stop(SentIoAction::LeaveSentIoPending).unwrap();
    let read = pair.handle.read(8);
    let mut request = kept.take();
    request.format_using_current_type();
    let waits = request.send(&target, SendOptions::new()).unwrap();
    target.remove();
    assert_eq!(on_its_way.wait().status, NtStatus::CANCELLED);
    let (request, params) = waits.wait();
    assert_eq!(params.nt_status(), NtStatus::WDF_DEVICE_REMOVED_NOT_SENT);
    request.complete(NtStatus::DEVICE_REMOVED);
    assert_eq!(read.wait().error(), Win32Error::DEVICE_REMOVED);
}

#[test]
fn a_timeout_runs_while_the_target_is_stopped_and_tells_that_nothing_was_sent() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    target.stop(SentIoAction::CancelSentIo).unwrap();
    let _read = pair.handle.read(8);
    let mut request = kept.take();
    request.format_using_current_type();
    let second = Duration::from_secs(1);
    let options = SendOptions::new().timeout(Timeout::After(second));
    let waits = request.send(&target, options).unwrap();
    pair.clock.advance(second);
    let (request, params) = waits.wait();
    assert_eq!(params.nt_status(), NtStatus::WDF_IO_TIMEOUT_NOT_SENT);
    request.complete(params.status());
    target.start().unwrap();
    pair.stack.run();
    assert_eq!(pair.slow.seen(), 0);
}

#[test]
fn what_waits_in_a_stopped_target_can_be_taken_back() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    target.stop(SentIoAction::CancelSentIo).unwrap();
    let before = sent(&pair, &kept, SendOptions::new());
    before.cancel();
    assert_eq!(before.wait().status, NtStatus::CANCELLED);
    let read = pair.handle.read(8);
    read.cancel();
    pass_on(kept.take(), SendOptions::new());
    assert_eq!(read.wait().status, NtStatus::CANCELLED);
    target.start().unwrap();
    pair.stack.run();
    assert_eq!(pair.slow.seen(), 0);
}

#[test]
fn a_target_may_be_stopped_again_with_a_stronger_action() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    let read = sent(&pair, &kept, SendOptions::new());
    target.stop(SentIoAction::LeaveSentIoPending).unwrap();
    assert!(!read.has_ended());
    target.stop(SentIoAction::CancelSentIo).unwrap();
    assert_eq!(read.wait().status, NtStatus::CANCELLED);
}

#[test]
fn a_target_that_was_stopped_at_once_may_be_stopped_again_and_waited_for() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = sent(&pair, &kept, SendOptions::new());
    let target = pair.target();
    target.stop(SentIoAction::LeaveSentIoPending).unwrap();
    let waits = sent(&pair, &kept, SendOptions::new());
    let slow = pair.slow.clone();
    pair.filter().spawn(async move {
        assert!(slow.end(NtStatus::SUCCESS, 8));
    });
    let wait = SentIoAction::WaitForSentIoToComplete;
    target.stop(wait).unwrap();
    assert_eq!(read.wait().information, 8);
    assert!(!waits.has_ended(), "it was not sent");
}

#[test]
fn a_stop_that_cancels_returns_when_what_was_sent_has_ended_and_touches_nothing_that_waits() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let reads = [1, 2, 3].map(|_| sent(&pair, &kept, SendOptions::new()));
    let target = pair.target();
    target.stop(SentIoAction::LeaveSentIoPending).unwrap();
    let waits = sent(&pair, &kept, SendOptions::new());
    target.stop(SentIoAction::CancelSentIo).unwrap();
    assert!(reads.iter().all(Io::has_ended));
    assert!(!waits.has_ended());
    target.start().unwrap();
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::SUCCESS, 8));
    assert_eq!(waits.wait().information, 8);
}

#[test]
fn starting_a_target_that_is_started_and_stopping_one_that_is_stopped_change_nothing() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    target.start().unwrap();
    let read = sent(&pair, &kept, SendOptions::new());
    for _ in 0..2 {
        target.stop(SentIoAction::LeaveSentIoPending).unwrap();
    }
    assert_eq!(target.state(), TargetState::Stopped);
    assert!(!read.has_ended());
    target.start().unwrap();
    assert!(pair.slow.end(NtStatus::SUCCESS, 8));
    assert_eq!(read.wait().information, 8);
}

#[test]
fn a_target_that_is_removed_twice_or_stopped_afterwards_stays_removed() {
    let pair = Pair::keeping(&Kept::default());
    let target = pair.target();
    target.remove();
    target.remove();
    for action in [
        SentIoAction::LeaveSentIoPending,
        SentIoAction::CancelSentIo,
        SentIoAction::WaitForSentIoToComplete,
    ] {
        target.stop(action).unwrap();
    }
    assert_eq!(target.state(), TargetState::Closed);
}

#[test]
fn a_device_that_goes_deletes_its_default_target_which_refuses_whatever_is_sent() {
    let pair = Pair::keeping(&Kept::default());
    let (target, device) = (pair.target(), pair.filter());
    pair.stack.remove().unwrap();
    assert_eq!(target.state(), TargetState::Deleted);
    for options in [SendOptions::new(), WHATEVER] {
        let mut request = device.create_request();
        target.format_for_flush(&mut request).unwrap();
        let error = request.send(&target, options).unwrap_err();
        assert_eq!(error.status, NtStatus::INVALID_DEVICE_STATE.into());
    }
    target.remove();
    assert_eq!(target.start(), Err(NtStatus::INVALID_DEVICE_STATE.into()));
    assert_eq!(target.state(), TargetState::Deleted);
}

#[test]
fn files_are_opened_and_closed_through_a_filter_that_has_stopped_its_target() {
    let pair = Pair::keeping(&Kept::default());
    pair.target().stop(SentIoAction::CancelSentIo).unwrap();
    let other = pair.stack.open_and_wait().unwrap();
    drop((other, pair.handle));
    pair.stack.run();
    pair.stack.remove().unwrap();
    assert_eq!(broken(&pair.stack), []);
}

#[test]
fn what_waits_in_a_stopped_target_is_taken_back_when_its_file_is_closed() {
    let kept = Kept::default();
    let Pair {
        stack,
        handle,
        slow,
        ..
    } = Pair::keeping(&kept);
    let target = stack.devices()[1].default_target().clone();
    target.stop(SentIoAction::CancelSentIo).unwrap();
    let read = handle.read(8);
    pass_on(kept.take(), SendOptions::new());
    drop(handle);
    stack.run();
    assert_eq!(read.wait().status, NtStatus::CANCELLED);
    target.start().unwrap();
    stack.run();
    assert_eq!(slow.seen(), 0);
}

#[test]
fn what_ends_unsent_is_told_as_such_to_the_driver_and_as_a_wrong_request_to_the_application() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    target.stop(SentIoAction::CancelSentIo).unwrap();
    let second = Timeout::After(Duration::from_secs(1));
    let timed = sent(&pair, &kept, SendOptions::new().timeout(second));
    pair.clock.advance(Duration::from_secs(1));
    let removed = sent(&pair, &kept, SendOptions::new());
    target.remove();
    for read in [timed, removed] {
        let outcome = read.wait();
        assert_eq!(outcome.status, NtStatus::INVALID_DEVICE_REQUEST);
        assert_eq!(outcome.error(), Win32Error::INVALID_FUNCTION);
    }
}

#[test]
fn a_stop_that_waits_returns_when_what_was_sent_has_ended() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = sent(&pair, &kept, SendOptions::new());
    let slow = pair.slow.clone();
    pair.filter().spawn(async move {
        assert!(slow.end(NtStatus::SUCCESS, 8));
    });
    let wait = SentIoAction::WaitForSentIoToComplete;
    pair.target().stop(wait).unwrap();
    assert_eq!(read.wait().information, 8);
}

#[test]
fn a_stop_that_waits_is_an_error_in_a_callback_for_a_request() {
    let pair = Pair::new(|device| {
        let queue = device.parallel_queue().default_queue();
        let handler = |_: &Queue, mut request: Request| {
            let target = request.device().default_target().clone();
            request.format_using_current_type();
            let next = target.clone();
            let told = move |request: Request, params: &RequestCompletionParams| {
                let wait = SentIoAction::WaitForSentIoToComplete;
                let error = next.stop(wait).unwrap_err();
                assert_eq!(error, Win32Error::POSSIBLE_DEADLOCK.into());
                request.complete_with_information(params.status(), params.information());
            };
            request
                .send_then(&target, SendOptions::new(), Arc::new(told))
                .unwrap();
            let wait = SentIoAction::WaitForSentIoToComplete;
            assert!(target.stop(wait).is_err());
            target.start().unwrap();
        };
        queue.on_default(handler).create().map(drop)
    });
    let read = pair.handle.read(8);
    assert!(pair.slow.end(NtStatus::SUCCESS, 8));
    assert_eq!(read.wait().information, 8);
    assert_eq!(broken(&pair.stack), [Rule::WaitWithin, Rule::WaitWithin]);
    assert_eq!(pair.target().state(), TargetState::Stopped);
}

#[test]
fn a_stop_that_cancels_may_be_used_in_a_callback() {
    let pair = Pair::new(|device| {
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(|_, request, _| pass_on(request, SendOptions::new()));
        let recover = |queue: &Queue, request: Request, _| {
            let target = queue.device().default_target().clone();
            target.stop(SentIoAction::CancelSentIo).unwrap();
            target.start().unwrap();
            request.complete(NtStatus::SUCCESS);
        };
        queue.on_write(recover).create().map(drop)
    });
    let read = pair.handle.read(8);
    let write = pair.handle.write(&b"recover"[..]);
    assert_eq!(write.wait().status, NtStatus::SUCCESS);
    assert_eq!(read.wait().status, NtStatus::CANCELLED);
}
