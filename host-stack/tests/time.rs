//! Drivers that are written with `async` wait for a while, by a clock that is a test's.

mod life_support;

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use usbwright_host_stack::{Device, Sleep, Stack, status::NtStatus, usb_target::ManualClock};

use life_support::{Does, Log, Recorder, started};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A device, and the clock that it goes by.
fn device() -> (Device, ManualClock, Stack) {
    let log = Log::default();
    let (stack, clock) = started(Recorder::new(&log), &log);
    (stack.devices().remove(0), clock, stack)
}

fn poll(sleep: &mut Sleep) -> Poll<Result<(), NtStatus>> {
    let polled = std::pin::Pin::new(sleep).poll(&mut Context::from_waker(Waker::noop()));
    polled.map_err(NtStatus::from_hresult)
}

#[test]
fn a_driver_that_sleeps_goes_on_when_its_time_has_come() {
    let (device, clock, stack) = device();
    let log = Log::default();
    let (there, sleeper) = (log.clone(), device.clone());
    device.spawn(async move {
        for step in 1..=3 {
            sleeper.sleep(seconds(step)).await.unwrap();
            there.note(format!("{step} s"));
        }
    });
    stack.run();
    clock.advance(Duration::from_millis(999));
    assert_eq!(log.take(), [""; 0]);
    clock.advance(Duration::from_millis(1));
    assert_eq!(log.take(), ["1 s"]);
    clock.advance(seconds(5));
    assert_eq!(log.take(), ["2 s", "3 s"]);
}

#[test]
fn a_sleep_begins_when_it_is_made_and_ends_once_and_for_all() {
    let (device, clock, _stack) = device();
    let mut sleep = device.sleep(seconds(1));
    clock.advance(seconds(1));
    assert_eq!(poll(&mut sleep), Poll::Ready(Ok(())));
    assert_eq!(poll(&mut sleep), Poll::Ready(Ok(())));
}

#[test]
fn no_time_has_passed_at_once_and_for_ever_never() {
    let (device, clock, stack) = device();
    let (mut none, mut ever) = (device.sleep(Duration::ZERO), device.sleep(Duration::MAX));
    stack.run();
    assert_eq!(poll(&mut none), Poll::Ready(Ok(())));
    clock.advance(seconds(1 << 32));
    assert_eq!(poll(&mut ever), Poll::Pending);
}

#[test]
fn a_sleep_that_is_dropped_is_forgotten() {
    let (device, clock, _stack) = device();
    let log = Log::default();
    let woken = Arc::new(Noted(log.clone()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut sleep = device.sleep(seconds(1));
    let polled = std::pin::Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    drop((sleep, waker));
    clock.advance(seconds(1));
    assert_eq!(log.take(), [""; 0]);
    assert_eq!(Arc::strong_count(&woken), 1, "nobody has its waker");
}

/// Notes that it was woken.
struct Noted(Log);

impl std::task::Wake for Noted {
    fn wake(self: Arc<Self>) {
        self.0.note("woken");
    }
}

#[test]
fn a_sleep_is_over_when_its_device_goes_and_says_so() {
    let (device, clock, stack) = device();
    let log = Log::default();
    let waker = Waker::from(Arc::new(Noted(log.clone())));
    let mut sleep = device.sleep(seconds(1));
    let polled = std::pin::Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    stack.remove().unwrap();
    assert_eq!(log.take(), ["woken"]);
    let gone = Poll::Ready(Err(NtStatus::DEVICE_REMOVED));
    assert_eq!(poll(&mut sleep), gone);
    clock.advance(seconds(1));
    assert_eq!(poll(&mut sleep), gone);
    assert_eq!(poll(&mut device.sleep(seconds(1))), gone, "it has gone");
}

#[test]
fn a_future_that_sleeps_does_not_outlive_its_device() {
    let (device, clock, stack) = device();
    let log = Log::default();
    let (there, sleeper) = (log.clone(), device.clone());
    device.spawn(async move {
        let slept = sleeper.sleep(seconds(1)).await;
        there.note(format!("{slept:?}"));
    });
    stack.run();
    stack.surprise_remove();
    clock.advance(seconds(1));
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_timer_of_a_device_that_has_gone_never_comes() {
    let (device, clock, stack) = device();
    stack.remove().unwrap();
    let log = Log::default();
    let there = log.clone();
    let _timer = device.after(seconds(1), move |_| there.note("late"));
    clock.advance(seconds(1));
    stack.run();
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_sleep_is_over_when_its_stack_fails() {
    let log = Log::default();
    let bad = Recorder::new(&log).does("d0_exit", Does::Panic);
    let (stack, _clock) = started(bad, &log);
    let mut sleep = stack.devices()[0].sleep(seconds(1));
    stack.suspend().unwrap_err();
    assert_eq!(poll(&mut sleep), Poll::Ready(Err(NtStatus::DEVICE_REMOVED)));
}
