//! Sending on: timeouts, formats, what is told when it has ended, and requests of a driver's own.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use support::{Kept, Pair, alone, broken, builder, driver, filter, pass_on};
use usbwright_host_stack::{
    ControlCode, IoRequestCompletionParams, IoTarget, Memory, MemoryOffset, Queue, Request,
    RequestCompletionParams, RequestType, Rule, SendOptions, Sent, Timeout,
    status::{HResult, NtStatus, Win32Error},
};

const SECOND: Duration = Duration::from_secs(1);

fn within(timeout: Timeout) -> SendOptions {
    SendOptions::new().timeout(timeout)
}

#[test]
fn what_takes_too_long_is_taken_back_and_tells_what_had_moved() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(8);
    pass_on(kept.take(), within(Timeout::After(SECOND)));
    pair.stack.run();
    pair.slow.moved.store(5, Ordering::Relaxed);
    pair.clock.advance(SECOND - Duration::from_nanos(1));
    assert!(!read.has_ended());
    pair.clock.advance(Duration::from_nanos(1));
    let outcome = read.wait();
    assert_eq!(
        (outcome.status, outcome.information),
        (NtStatus::IO_TIMEOUT, 5)
    );
    assert_eq!(outcome.error(), Win32Error::SEM_TIMEOUT);
}

#[test]
fn a_time_by_which_it_is_to_have_ended_may_be_given_too() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    pair.clock.advance(SECOND);
    let due = pair.clock.now() + SECOND;
    pair.clock.advance(SECOND / 2);
    let read = pair.handle.read(8);
    pass_on(kept.take(), within(Timeout::At(due)));
    pair.stack.run();
    pair.clock.advance(SECOND / 2);
    assert_eq!(read.wait().status, NtStatus::IO_TIMEOUT);
}

#[test]
fn with_no_time_it_is_taken_back_at_once() {
    for timeout in [
        Timeout::After(Duration::ZERO),
        Timeout::At(builder().1.now()),
    ] {
        let kept = Kept::default();
        let pair = Pair::keeping(&kept);
        let read = pair.handle.read(8);
        pass_on(kept.take(), within(timeout));
        assert_eq!(read.wait().status, NtStatus::IO_TIMEOUT);
    }
}

#[test]
fn a_timeout_that_no_clock_gets_to_is_none() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(8);
    pass_on(kept.take(), within(Timeout::After(Duration::MAX)));
    pair.stack.run();
    pair.clock.advance(SECOND);
    assert!(pair.slow.end(NtStatus::SUCCESS, 8));
    assert_eq!(read.wait().status, NtStatus::SUCCESS);
}

#[test]
fn what_ends_in_time_ends_as_it_did_and_its_timer_touches_nothing_later() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(8);
    let mut request = kept.take();
    request.format_using_current_type();
    let target = pair.target();
    let sent = request.send(&target, within(Timeout::After(SECOND)));
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::SUCCESS, 8));
    let (request, params) = sent.unwrap().wait();
    assert_eq!(params.nt_status(), NtStatus::SUCCESS);
    pass_on(request, SendOptions::new());
    pair.stack.run();
    pair.clock.advance(2 * SECOND);
    assert!(!read.has_ended());
    assert!(pair.slow.end(NtStatus::SUCCESS, 7));
    assert_eq!(read.wait().information, 7);
}

#[test]
fn what_ends_otherwise_than_cancelled_after_its_time_is_not_said_to_have_timed_out() {
    let kept = Kept::default();
    let late = Kept::default();
    let (builder, clock) = builder();
    let (keep, lower) = (kept.clone(), late.clone());
    let stack = builder
        .driver("lower", driver(move |device| lower.queue(device).map(drop)))
        .driver("filter", filter(move |device| keep.queue(device).map(drop)))
        .start()
        .unwrap();
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(8);
    pass_on(kept.take(), within(Timeout::After(SECOND)));
    stack.run();
    clock.advance(SECOND);
    let request = late.take();
    assert!(request.is_canceled());
    request.complete_with_information(NtStatus::SUCCESS, 8);
    assert_eq!(read.wait().status, NtStatus::SUCCESS);
}

#[test]
fn a_synchronous_send_times_out_as_well() {
    let (builder, clock) = builder();
    let stack = builder
        .driver(
            "lower",
            driver(move |device| {
                let clock = clock.clone();
                let queue = device.parallel_queue().default_queue();
                let handler = move |_: &Queue, request: Request| {
                    let cancelled = |request: Request| {
                        request.complete_with_information(NtStatus::CANCELLED, 2);
                    };
                    let marked = request.mark_cancelable(Arc::new(cancelled));
                    clock.advance(SECOND);
                    assert!(marked.unmark().is_err(), "its time was up");
                };
                queue.on_default(handler).create().map(drop)
            }),
        )
        .driver("filter", filter(synchronous))
        .start()
        .unwrap();
    let handle = stack.open_and_wait().unwrap();
    let outcome = handle.read(8).wait();
    assert_eq!(
        (outcome.status, outcome.information),
        (NtStatus::IO_TIMEOUT, 2)
    );
}

/// Queues of a driver that sends on synchronously, and gives it a second.
fn synchronous(device: &usbwright_host_stack::Device) -> Result<(), HResult> {
    let queue = device.parallel_queue().default_queue();
    let handler = |_: &Queue, mut request: Request| {
        let target = request.device().default_target().clone();
        request.format_using_current_type();
        let options = within(Timeout::After(SECOND));
        let (request, params) = request.send(&target, options).unwrap().wait();
        request.complete_with_information(params.status(), params.information());
    };
    queue.on_default(handler).create().map(drop)
}

#[test]
fn what_is_not_formatted_is_not_sent_and_has_no_completion_params() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(8);
    let error = kept
        .take()
        .send(&pair.target(), SendOptions::new())
        .unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
    assert_eq!(error.request.status(), error.status);
    assert!(error.request.completion_params().is_none());
    assert_eq!(broken(&pair.stack), [Rule::NotFormatted]);
    error.complete();
    assert_eq!(read.wait().error(), Win32Error::INVALID_FUNCTION);
}

#[test]
fn a_request_that_has_come_back_is_to_be_formatted_again() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let _read = pair.handle.read(8);
    let mut request = kept.take();
    request.format_using_current_type();
    let sent = request.send(&pair.target(), SendOptions::new()).unwrap();
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::SUCCESS, 8));
    let (request, _) = sent.wait();
    assert!(request.completion_params().is_some());
    let error = request
        .send(&pair.target(), SendOptions::new())
        .unwrap_err();
    assert!(error.request.completion_params().is_none());
    error.complete();
}

fn bytes_of(memory: &Memory) -> Vec<u8> {
    memory.to_bytes(None).unwrap().to_vec()
}

#[test]
fn completion_params_tell_the_memory_and_the_part_of_it_that_was_written_or_read() {
    let pair = Pair::keeping(&Kept::default());
    let (target, device) = (pair.target(), pair.filter());
    let memory = Memory::new(b"0123456789".to_vec()).unwrap();
    let part = MemoryOffset {
        offset: 4,
        length: 3,
    };
    let mut request = device.create_request();
    target
        .format_for_read(&mut request, Some(&memory), Some(part), 0)
        .unwrap();
    let sent = request.send(&target, SendOptions::new()).unwrap();
    pair.stack.run();
    let lower = pair.slow.next().unwrap();
    let output = lower.output(3).unwrap();
    assert!(lower.output(4).is_err());
    output.fill(b"ab".to_vec().into()).unwrap();
    lower.complete_with_information(NtStatus::SUCCESS, 2);
    let (request, params) = sent.wait();
    assert_eq!(params.request_type(), RequestType::Read);
    assert!(params.usb().is_none());
    let Some(IoRequestCompletionParams::Read(read)) = params.io() else {
        panic!("it was a read");
    };
    assert_eq!((read.bytes, read.offset), (2, 4));
    assert_eq!(bytes_of(read.memory.as_ref().unwrap()), b"0123ab6789");

    let mut request = request;
    request.reuse(HResult::OK);
    assert!(request.completion_params().is_none());
    target
        .format_for_write(&mut request, Some(&memory), Some(part), 0)
        .unwrap();
    let sent = request.send(&target, SendOptions::new()).unwrap();
    pair.stack.run();
    let lower = pair.slow.next().unwrap();
    assert_eq!(lower.input(3).unwrap().payload().into_bytes(), &b"ab6"[..]);
    lower.complete_with_information(NtStatus::UNSUCCESSFUL, 1);
    let (_request, params) = sent.wait();
    assert_eq!(params.request_type(), RequestType::Write);
    let Some(IoRequestCompletionParams::Write(write)) = params.io() else {
        panic!("it was a write");
    };
    assert_eq!((write.bytes, write.offset), (1, 4), "bytes count on errors");
}

#[test]
fn completion_params_of_a_control_code_tell_both_memories() {
    let pair = Pair::keeping(&Kept::default());
    let (target, device) = (pair.target(), pair.filter());
    let code = ControlCode(0xFFDC_6000);
    let (input, output) = (Memory::zeroed(4).unwrap(), Memory::zeroed(8).unwrap());
    let mut request = device.create_request();
    let last = MemoryOffset {
        offset: 6,
        length: 0,
    };
    let (first, second) = (Some((&input, None)), Some((&output, Some(last))));
    target
        .format_for_ioctl(&mut request, code, first, second)
        .unwrap();
    let sent = request.send(&target, SendOptions::new()).unwrap();
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::SUCCESS, 2));
    let (_request, params) = sent.wait();
    let Some(IoRequestCompletionParams::Ioctl(control)) = params.io() else {
        panic!("it was a control code");
    };
    assert_eq!(control.code, code);
    assert_eq!((control.input_offset, control.output_offset), (0, 6));
    assert_eq!(control.output_bytes, 2);
    assert!(control.input.is_some() && control.output.is_some());
}

#[test]
fn a_flush_goes_to_the_next_driver_and_has_no_buffers() {
    let pair = Pair::keeping(&Kept::default());
    let target = pair.target();
    let mut request = pair.filter().create_request();
    target.format_for_flush(&mut request).unwrap();
    let sent = request.send(&target, SendOptions::new()).unwrap();
    pair.stack.run();
    let lower = pair.slow.next().unwrap();
    assert_eq!(lower.request_type(), RequestType::Flush);
    lower.complete(NtStatus::SUCCESS);
    let (_request, params) = sent.wait();
    assert_eq!(params.nt_status(), NtStatus::SUCCESS);
    assert!(params.io().is_none());
}

#[test]
fn a_part_that_a_memory_does_not_have_is_not_formatted() {
    let pair = Pair::keeping(&Kept::default());
    let memory = Memory::zeroed(4).unwrap();
    let part = MemoryOffset {
        offset: 2,
        length: 3,
    };
    let mut request = pair.filter().create_request();
    let error = pair
        .target()
        .format_for_read(&mut request, Some(&memory), Some(part), 0);
    assert_eq!(error, Err(NtStatus::INVALID_PARAMETER.into()));
}

#[test]
fn a_request_that_is_used_again_has_forgotten_its_format_its_result_and_its_callback() {
    let pair = Pair::keeping(&Kept::default());
    let (target, told) = (pair.target(), Arc::<AtomicUsize>::default());
    let back = Kept::default();
    let mut request = pair.filter().create_request();
    target.format_for_flush(&mut request).unwrap();
    let (count, keep) = (Arc::clone(&told), back.clone());
    let callback = move |request: Request, _: &RequestCompletionParams| {
        count.fetch_add(1, Ordering::Relaxed);
        keep.keep(request);
    };
    request
        .send_then(&target, SendOptions::new(), Arc::new(callback))
        .unwrap();
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::DEVICE_BUSY, 0));
    pair.stack.run();
    let mut request = back.take();
    assert_eq!(request.status(), NtStatus::DEVICE_BUSY.into());
    request.reuse(NtStatus::TIMEOUT);
    assert_eq!(request.status(), NtStatus::TIMEOUT.into());
    assert!(request.completion_params().is_none() && !request.is_canceled());
    let error = request.send(&target, SendOptions::new()).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
    assert_eq!(broken(&pair.stack), [Rule::NotFormatted]);
    let mut request = error.request;
    request.reuse(HResult::OK);
    target.format_for_flush(&mut request).unwrap();
    let sent = request.send(&target, SendOptions::new()).unwrap();
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::SUCCESS, 0));
    assert_eq!(sent.wait().1.nt_status(), NtStatus::SUCCESS);
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

#[test]
fn a_request_that_was_cancelled_can_be_used_again() {
    let pair = Pair::keeping(&Kept::default());
    let target = pair.target();
    let mut request = pair.filter().create_request();
    target.format_for_flush(&mut request).unwrap();
    let sent = request.send(&target, SendOptions::new()).unwrap();
    pair.stack.run();
    sent.cancel();
    let (mut request, params) = sent.wait();
    assert_eq!(params.nt_status(), NtStatus::CANCELLED);
    request.reuse(HResult::OK);
    target.format_for_flush(&mut request).unwrap();
    let sent = request.send(&target, SendOptions::new()).unwrap();
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::SUCCESS, 0));
    let (request, params) = sent.wait();
    assert_eq!(params.nt_status(), NtStatus::SUCCESS);
    assert!(request.status().is_success());
}

#[test]
fn a_send_that_fails_tells_its_status_and_forgets_how_the_one_before_ended() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    let read = pair.handle.read(8);
    let sent = start(&kept, &pair);
    assert!(pair.slow.end(NtStatus::DEVICE_BUSY, 3));
    let (mut request, _) = sent.wait();
    assert_eq!(request.status(), NtStatus::DEVICE_BUSY.into());
    target.remove();
    request.format_using_current_type();
    let error = request.send(&target, SendOptions::new()).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_STATE.into());
    assert_eq!(error.request.status(), error.status);
    assert!(error.request.completion_params().is_none());
    error.complete();
    let outcome = read.wait();
    assert_eq!(
        (outcome.status, outcome.information),
        (NtStatus::INVALID_DEVICE_STATE, 0)
    );
}

#[test]
fn what_is_sent_and_forgotten_is_completed_as_it_ends() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(8);
    kept.take().send_and_forget(&pair.target()).unwrap();
    pair.stack.run();
    assert!(pair.slow.end(NtStatus::BUFFER_OVERFLOW, 6));
    let outcome = read.wait();
    assert_eq!(
        (outcome.error(), outcome.information),
        (Win32Error::MORE_DATA, 6)
    );
}

#[test]
fn a_sequential_queue_delivers_the_next_when_one_is_sent_and_forgotten() {
    let pair = Pair::new(|device| {
        let queue = device.sequential_queue().default_queue();
        let forget = |queue: &Queue, request: Request| {
            let target = queue.device().default_target().clone();
            request.send_and_forget(&target).unwrap();
        };
        queue.on_default(forget).create().map(drop)
    });
    let reads = [pair.handle.read(1), pair.handle.read(2)];
    assert_eq!(pair.slow.seen(), 2);
    assert!(pair.slow.end(NtStatus::SUCCESS, 1) && pair.slow.end(NtStatus::SUCCESS, 2));
    assert_eq!(reads.map(|it| it.wait().information), [1, 2]);
}

#[test]
fn what_a_driver_has_made_or_formatted_cannot_be_sent_and_forgotten() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let target = pair.target();
    let own = pair.filter().create_request();
    let error = own.send_and_forget(&target).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_STATE.into());
    let read = pair.handle.read(8);
    let mut request = kept.take();
    target
        .format_for_read(&mut request, Some(&Memory::zeroed(4).unwrap()), None, 0)
        .unwrap();
    let error = request.send_and_forget(&target).unwrap_err();
    assert_eq!(error.status, NtStatus::INVALID_DEVICE_REQUEST.into());
    error.complete();
    assert_eq!(read.wait().error(), Win32Error::INVALID_FUNCTION);
}

fn start(kept: &Kept, pair: &Pair) -> Sent {
    let mut request = kept.take();
    request.format_using_current_type();
    let sent = request.send(&pair.target(), SendOptions::new()).unwrap();
    pair.stack.run();
    sent
}

#[test]
fn a_send_that_is_dropped_is_taken_back_and_its_request_ends_with_it() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(8);
    drop(start(&kept, &pair));
    assert_eq!(read.wait().status, NtStatus::CANCELLED);
}

#[test]
fn a_send_that_is_dropped_when_it_has_ended_ends_its_request_so() {
    let kept = Kept::default();
    let pair = Pair::keeping(&kept);
    let read = pair.handle.read(8);
    let sent = start(&kept, &pair);
    assert!(pair.slow.end(NtStatus::SUCCESS, 7));
    drop(sent);
    let outcome = read.wait();
    assert_eq!(
        (outcome.status, outcome.information),
        (NtStatus::SUCCESS, 7)
    );
    assert_eq!(broken(&pair.stack), []);
}

#[test]
fn a_send_of_a_drivers_own_request_that_is_dropped_is_taken_back() {
    let pair = Pair::keeping(&Kept::default());
    let target = pair.target();
    let mut request = pair.filter().create_request();
    target.format_for_flush(&mut request).unwrap();
    let sent = request.send(&target, SendOptions::new()).unwrap();
    pair.stack.run();
    drop(sent);
    pair.stack.run();
    assert!(pair.slow.next().is_none(), "it was cancelled");
    target
        .stop(usbwright_host_stack::SentIoAction::WaitForSentIoToComplete)
        .unwrap();
    assert_eq!(broken(&pair.stack), []);
}

#[test]
fn more_bytes_than_a_buffer_has_are_told_as_many_as_it_has_and_reported() {
    let kept = Kept::default();
    let (stack, handle) = alone({
        let kept = kept.clone();
        move |device| kept.queue(device).map(drop)
    });
    let read = handle.read(4);
    kept.take().complete_with_information(NtStatus::SUCCESS, 5);
    let outcome = read.wait().ok().unwrap();
    assert_eq!((outcome.information, outcome.data.len()), (4, 4));
    assert_eq!(broken(&stack), [Rule::TooMuchInformation]);
}

/// The most that the lower driver takes at once, in bytes.
const PIECE: usize = 4;

fn piece(data: &Memory, offset: usize) -> Option<MemoryOffset> {
    let length = data.size().checked_sub(offset).filter(|it| *it > 0)?;
    Some(MemoryOffset {
        offset,
        length: length.min(PIECE),
    })
}

/// A lower driver that writes down what comes, at most a piece at once.
fn writer(written: &Arc<Mutex<Vec<u8>>>) -> impl usbwright_host_stack::Driver {
    let written = Arc::clone(written);
    driver(move |device| {
        let written = Arc::clone(&written);
        let queue = device.sequential_queue().default_queue();
        let handler = move |_: &Queue, request: Request, length: usize| {
            assert!(length <= PIECE);
            let data = request.input(length).unwrap().payload().into_bytes();
            written.lock().unwrap().extend(&data[..]);
            request.complete_with_information(NtStatus::SUCCESS, length);
        };
        queue.on_write(handler).create().map(drop)
    })
}

/// Writes 14 bytes through a filter and tells what came to the lower driver.
fn written_through(upper: impl usbwright_host_stack::Driver) -> Vec<u8> {
    let written = Arc::default();
    let stack = builder()
        .0
        .driver("writer", writer(&written))
        .driver("splitter", upper)
        .start()
        .unwrap();
    let handle = stack.open_and_wait().unwrap();
    let outcome = handle.write(&b"a large write!"[..]).wait().ok().unwrap();
    assert_eq!(outcome.information, 14);
    assert_eq!(broken(&stack), []);
    let written = written.lock().unwrap();
    written.clone()
}

#[test]
fn an_async_driver_splits_a_large_write_and_awaits_each_piece() {
    async fn split(request: Request) -> Result<(), HResult> {
        let device = request.device();
        let target = device.default_target();
        let data = request.input(1)?.memory().clone();
        let (mut own, mut offset) = (device.create_request(), 0);
        while let Some(part) = piece(&data, offset) {
            target.format_for_write(&mut own, Some(&data), Some(part), offset as u64)?;
            let sent = own.send(target, SendOptions::new());
            let (back, params) = sent.map_err(|error| error.status)?.await;
            offset += params.information();
            own = back;
            own.reuse(HResult::OK);
        }
        request.complete_with_information(NtStatus::SUCCESS, offset);
        Ok(())
    }
    let upper = filter(|device| {
        let queue = device.sequential_queue().default_queue();
        let handler = |queue: &Queue, request: Request, _| {
            queue
                .device()
                .spawn(async { split(request).await.unwrap() });
        };
        queue.on_write(handler).create().map(drop)
    });
    assert_eq!(written_through(upper), b"a large write!");
}

/// Sends piece after piece with one request, which is used again.
fn send_piece(mut own: Request, target: &IoTarget, whole: Arc<Mutex<Option<Request>>>, at: usize) {
    let data = {
        let whole = whole.lock().unwrap();
        whole.as_ref().unwrap().input(1).unwrap().memory().clone()
    };
    let Some(part) = piece(&data, at) else {
        let whole = whole.lock().unwrap().take().unwrap();
        return whole.complete_with_information(NtStatus::SUCCESS, at);
    };
    target
        .format_for_write(&mut own, Some(&data), Some(part), at as u64)
        .unwrap();
    let next = target.clone();
    let told = move |mut own: Request, params: &RequestCompletionParams| {
        own.reuse(HResult::OK);
        let at = at + params.information();
        send_piece(own, &next, Arc::clone(&whole), at);
    };
    own.send_then(target, SendOptions::new(), Arc::new(told))
        .unwrap();
}

#[test]
fn a_driver_splits_a_large_write_and_uses_one_request_again_for_each_piece() {
    let upper = filter(|device| {
        let queue = device.sequential_queue().default_queue();
        let handler = |queue: &Queue, request: Request, _| {
            let device = queue.device();
            let whole = Arc::new(Mutex::new(Some(request)));
            send_piece(device.create_request(), device.default_target(), whole, 0);
        };
        queue.on_write(handler).create().map(drop)
    });
    assert_eq!(written_through(upper), b"a large write!");
}

#[test]
fn a_driver_splits_a_large_write_into_requests_that_are_sent_at_once() {
    let upper = filter(|device| {
        let queue = device.sequential_queue().default_queue();
        let handler = |queue: &Queue, request: Request, length: usize| {
            let device = queue.device();
            let target = device.default_target();
            let data = request.input(length).unwrap().memory().clone();
            let left = AtomicUsize::new(length);
            let whole = Mutex::new(Some(request));
            let told = move |_own: Request, params: &RequestCompletionParams| {
                let moved = params.information();
                if left.fetch_sub(moved, Ordering::Relaxed) == moved {
                    let whole = whole.lock().unwrap().take().unwrap();
                    whole.complete_with_information(NtStatus::SUCCESS, length);
                }
            };
            let told = Arc::new(told);
            for offset in (0..length).step_by(PIECE) {
                let mut own = device.create_request();
                target
                    .format_for_write(&mut own, Some(&data), piece(&data, offset), 0)
                    .unwrap();
                let told = Arc::clone(&told) as Arc<dyn usbwright_host_stack::CompletionCallback>;
                own.send_then(target, SendOptions::new(), told).unwrap();
            }
        };
        queue.on_write(handler).create().map(drop)
    });
    assert_eq!(written_through(upper), b"a large write!");
}

#[test]
fn a_task_that_waits_in_its_thread_while_it_is_woken_goes_on() {
    let written = Arc::default();
    let upper = filter(|device| {
        let queue = device.sequential_queue().default_queue();
        let handler = |queue: &Queue, mut request: Request, _| {
            let target = queue.device().default_target().clone();
            queue.device().spawn(async move {
                std::future::poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    std::task::Poll::Ready(())
                })
                .await;
                request.format_using_current_type();
                let sent = request.send(&target, SendOptions::new()).unwrap();
                let (request, params) = sent.wait();
                request.complete_with_information(params.status(), params.information());
            });
        };
        queue.on_write(handler).create().map(drop)
    });
    let stack = builder()
        .0
        .driver("writer", writer(&written))
        .driver("upper", upper)
        .start()
        .unwrap();
    let handle = stack.open_and_wait().unwrap();
    assert_eq!(handle.write(&b"abc"[..]).wait().information, 3);
}

#[test]
fn a_driver_that_waits_for_what_it_has_sent_does_not_wait_for_a_stack_that_has_failed() {
    let (builder, _clock) = builder();
    let lost = Kept::default();
    let keep = lost.clone();
    let lower = driver(move |device| {
        let keep = keep.clone();
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(move |_, request, _| keep.keep(request));
        queue
            .on_write(|_, request, _| {
                std::mem::forget(request);
                panic!("on purpose")
            })
            .create()
            .map(drop)
    });
    let upper = filter(|device| {
        let queue = device.parallel_queue().default_queue();
        let handler = |queue: &Queue, request: Request, _| {
            let (device, target) = (queue.device(), queue.device().default_target().clone());
            let memory = Memory::zeroed(1).unwrap();
            let mut write = device.create_request();
            target
                .format_for_write(&mut write, Some(&memory), None, 0)
                .unwrap();
            let write = write.send(&target, SendOptions::new()).unwrap();
            let mut read = device.create_request();
            target
                .format_for_read(&mut read, Some(&memory), None, 0)
                .unwrap();
            let read = read.send(&target, SendOptions::new()).unwrap();
            let (_, params) = read.wait();
            assert_eq!(params.nt_status(), NtStatus::DRIVER_PROCESS_TERMINATED);
            let (_, params) = write.wait();
            request.complete(params.status());
        };
        queue.on_read(handler).create().map(drop)
    });
    let stack = builder
        .driver("lower", lower)
        .driver("upper", upper)
        .start()
        .unwrap();
    let handle = stack.open_and_wait().unwrap();
    assert_eq!(
        handle.read(1).wait().error(),
        Win32Error::DRIVER_PROCESS_TERMINATED
    );
    lost.next();
}
