//! Stacks that sleep for want of work, and what wakes them. Time is a test's.

mod life_support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use usbwright_host_stack::{
    Device, Driver, IdleSettings, PnpState, PowerState, Request, RequestType, Stack, StayAwake,
    Threads,
    status::{HResult, NtStatus, Win32Error},
    usb_target::ManualClock,
};

use life_support::{Does, Log, Recorder, builder, started, until};

const IDLE: IdleSettings = IdleSettings {
    timeout: Duration::from_secs(10),
    state: PowerState::D2,
    wake: false,
    enabled: true,
};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A queue that completes reads at once.
fn reads(device: &Device, log: &Log) -> Result<(), HResult> {
    let log = log.clone();
    let queue = device.parallel_queue().takes(RequestType::Read);
    let queue = queue.on_read(move |_, request, _| {
        log.note("on_read");
        request.complete(NtStatus::SUCCESS);
    });
    queue.create().map(drop)
}

/// A driver whose device sleeps after ten seconds.
fn sleepy(log: &Log, settings: IdleSettings) -> Recorder {
    Recorder::new(log).with(move |device, log| {
        reads(device, log)?;
        device.assign_idle(settings)
    })
}

#[test]
fn a_device_without_work_leaves_d0_when_its_time_is_up() {
    let log = Log::default();
    let (stack, clock) = started(sleepy(&log, IDLE), &log);
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(log.take(), [""; 0]);
    clock.advance(Duration::from_millis(1));
    assert_eq!(log.take(), ["self_managed_io_suspend", "d0_exit to D2"]);
    assert_eq!(stack.state(), PnpState::Idle);
    clock.advance(seconds(100));
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_request_wakes_the_device_before_it_is_delivered() {
    let log = Log::default();
    let (stack, clock) = started(sleepy(&log, IDLE), &log);
    let handle = stack.open_and_wait().unwrap();
    clock.advance(seconds(10));
    log.take();
    assert_eq!(handle.read(1).wait().error(), Win32Error::SUCCESS);
    assert_eq!(
        log.take(),
        ["d0_entry from D2", "on_read", "self_managed_io_restart"]
    );
    assert_eq!(stack.state(), PnpState::Started);
    clock.advance(seconds(10));
    assert_eq!(log.take(), ["self_managed_io_suspend", "d0_exit to D2"]);
}

#[test]
fn each_request_begins_the_wait_anew() {
    let log = Log::default();
    let (stack, clock) = started(sleepy(&log, IDLE), &log);
    let handle = stack.open_and_wait().unwrap();
    for _ in 0..3 {
        clock.advance(seconds(9));
        let _ = handle.read(1).wait();
    }
    log.take();
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(stack.state(), PnpState::Started);
    clock.advance(Duration::from_millis(1));
    assert_eq!(stack.state(), PnpState::Idle);
}

#[test]
fn a_request_that_the_driver_has_keeps_its_device_awake() {
    let log = Log::default();
    let kept: Arc<Mutex<Vec<Request>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let driver = Recorder::new(&log).with(move |device, _| {
        let keep = Arc::clone(&keep);
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(move |_, request, _| keep.lock().unwrap().push(request));
        queue.create()?;
        device.assign_idle(IDLE)
    });
    let (stack, clock) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(1);
    clock.advance(seconds(100));
    assert_eq!(stack.state(), PnpState::Started);
    kept.lock()
        .unwrap()
        .pop()
        .unwrap()
        .complete(NtStatus::SUCCESS);
    assert!(read.has_ended());
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(stack.state(), PnpState::Started);
    clock.advance(Duration::from_millis(1));
    assert_eq!(stack.state(), PnpState::Idle);
}

#[test]
fn a_cancelled_request_keeps_no_device_awake() {
    let log = Log::default();
    let driver = Recorder::new(&log).with(|device, _| {
        let queue = device.manual_queue().takes(RequestType::Read);
        queue.create()?;
        device.assign_idle(IDLE)
    });
    let (stack, clock) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let read = handle.read(1);
    clock.advance(seconds(100));
    assert_eq!(stack.state(), PnpState::Started);
    read.cancel();
    clock.advance(seconds(10));
    assert_eq!(stack.state(), PnpState::Idle);
}

#[test]
fn a_queue_that_is_not_power_managed_neither_keeps_a_device_awake_nor_wakes_it() {
    let log = Log::default();
    let driver = Recorder::new(&log).with(|device, _| {
        let queue = device.manual_queue().takes(RequestType::Read);
        queue.power_managed(false).create()?;
        device.assign_idle(IDLE)
    });
    let (stack, clock) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    let _first = handle.read(1);
    clock.advance(seconds(10));
    let _second = handle.read(1);
    assert_eq!(stack.state(), PnpState::Idle);
}

#[test]
fn a_device_stays_awake_for_as_long_as_anybody_wants_it_to() {
    let log = Log::default();
    let (stack, clock) = started(sleepy(&log, IDLE), &log);
    let device = stack.devices().remove(0);
    let (one, other) = (device.stop_idle(), device.stop_idle());
    clock.advance(seconds(60));
    drop(one);
    clock.advance(seconds(60));
    assert_eq!(stack.state(), PnpState::Started);
    drop(other);
    clock.advance(seconds(10));
    assert_eq!(stack.state(), PnpState::Idle);
}

#[test]
fn a_driver_may_bring_its_device_back_and_wait_for_that() {
    let log = Log::default();
    let (stack, clock) = started(sleepy(&log, IDLE), &log);
    let device = stack.devices().remove(0);
    clock.advance(seconds(10));
    let awake = device.stop_idle();
    awake.wait_for_d0().unwrap();
    assert!(device.is_in_d0());
    stack.suspend().unwrap();
    assert_eq!(
        awake.wait_for_d0(),
        Err(NtStatus::INVALID_DEVICE_STATE.into())
    );
    drop(stack);
    assert!(awake.wait_for_d0().is_err());
}

#[test]
fn a_callback_that_would_wait_for_d0_for_ever_is_told_so() {
    let log = Log::default();
    let awake: Arc<Mutex<Option<StayAwake>>> = Arc::default();
    let driver = Recorder::new(&log).with(move |device, log| {
        let (log, awake) = (log.clone(), Arc::clone(&awake));
        let queue = device.parallel_queue().default_queue();
        let queue = queue
            .power_managed(false)
            .on_read(move |queue, request, _| {
                let waking = queue.device().stop_idle();
                log.note(format!("{:?}", waking.wait_for_d0().unwrap_err()));
                *awake.lock().unwrap() = Some(waking);
                request.complete(NtStatus::SUCCESS);
            });
        queue.create()?;
        device.assign_idle(IDLE)
    });
    let (stack, clock) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    clock.advance(seconds(10));
    log.take();
    assert_eq!(handle.read(1).wait().error(), Win32Error::SUCCESS);
    let deadlock = HResult::from_win32(Win32Error::POSSIBLE_DEADLOCK);
    assert_eq!(log.take()[0], format!("{deadlock:?}"));
    assert_eq!(stack.state(), PnpState::Started);
}

#[test]
fn a_device_that_can_wake_the_stack_is_armed_and_disarmed() {
    let log = Log::default();
    let wakes = IdleSettings { wake: true, ..IDLE };
    let (stack, clock) = started(sleepy(&log, wakes), &log);
    clock.advance(seconds(10));
    assert_eq!(
        log.take(),
        ["self_managed_io_suspend", "arm_wake", "d0_exit to D2"]
    );
    stack.signal_wake();
    assert_eq!(
        log.take(),
        [
            "d0_entry from D2",
            "wake_triggered",
            "disarm_wake",
            "self_managed_io_restart",
        ]
    );
    clock.advance(seconds(10));
    log.take();
    let _awake = stack.devices().remove(0).stop_idle();
    stack.run();
    assert_eq!(
        log.take(),
        ["d0_entry from D2", "disarm_wake", "self_managed_io_restart"]
    );
}

#[test]
fn a_device_that_could_not_be_armed_sleeps_and_is_not_disarmed() {
    let log = Log::default();
    let wakes = IdleSettings { wake: true, ..IDLE };
    let driver = sleepy(&log, wakes).does("arm_wake", Does::Fail);
    let (stack, clock) = started(driver, &log);
    let handle = stack.open_and_wait().unwrap();
    clock.advance(seconds(10));
    log.take();
    stack.signal_wake();
    assert_eq!(stack.state(), PnpState::Idle);
    let _ = handle.read(1).wait();
    assert_eq!(
        log.take(),
        ["d0_entry from D2", "on_read", "self_managed_io_restart"]
    );
}

#[test]
fn a_device_that_is_not_asleep_is_not_woken() {
    let log = Log::default();
    let wakes = IdleSettings { wake: true, ..IDLE };
    let (stack, clock) = started(sleepy(&log, wakes), &log);
    stack.signal_wake();
    clock.advance(seconds(10));
    assert_eq!(stack.state(), PnpState::Idle);
}

#[test]
fn a_whole_stack_sleeps_and_wakes_with_the_owner_of_its_power_policy() {
    let log = Log::default();
    let clock = ManualClock::new();
    let stack = Stack::builder()
        .driver("low", sleepy(&log, IDLE).named("low"))
        .driver("top", Recorder::new(&log).named("top").filter())
        .threads(Threads::None)
        .clock(clock.clone())
        .start()
        .unwrap();
    let handle = stack.open_and_wait().unwrap();
    log.take();
    clock.advance(seconds(10));
    assert_eq!(
        log.take(),
        [
            "top: self_managed_io_suspend",
            "top: d0_exit to D2",
            "low: self_managed_io_suspend",
            "low: d0_exit to D2",
        ]
    );
    let _ = handle.read(1).wait();
    assert_eq!(
        log.take(),
        [
            "low: d0_entry from D2",
            "on_read",
            "low: self_managed_io_restart",
            "top: d0_entry from D2",
            "top: self_managed_io_restart",
        ]
    );
}

/// What a driver is told that assigns settings.
fn assigned(driver: fn(&Log) -> Recorder, settings: IdleSettings) -> Result<(), HResult> {
    let log = Log::default();
    let told: Arc<Mutex<Option<Result<(), HResult>>>> = Arc::default();
    let tell = Arc::clone(&told);
    let driver = driver(&log).with(move |device, _| {
        *tell.lock().unwrap() = Some(device.assign_idle(settings));
        Ok(())
    });
    let _stack = builder(driver).start().unwrap();
    let told = told.lock().unwrap().take();
    told.unwrap()
}

#[test]
fn only_the_owner_of_the_power_policy_says_when_the_stack_sleeps_and_not_in_d0() {
    assert_eq!(assigned(Recorder::new, IDLE), Ok(()));
    let filter = |log: &Log| Recorder::new(log).filter();
    let refused = Err(NtStatus::INVALID_DEVICE_REQUEST.into());
    assert_eq!(assigned(filter, IDLE), refused);
    for state in [PowerState::D0, PowerState::D3Final] {
        let settings = IdleSettings { state, ..IDLE };
        let refused = Err(NtStatus::INVALID_PARAMETER.into());
        assert_eq!(assigned(Recorder::new, settings), refused);
    }
}

#[test]
fn another_driver_does_not_take_the_power_policy_over() {
    struct Second(Log);
    impl Driver for Second {
        fn device_add(&self, init: usbwright_host_stack::DeviceInit) -> Result<Device, HResult> {
            let device = init.create(());
            let refused = device.assign_idle(IDLE);
            self.0.note(format!("{}", refused.is_err()));
            Ok(device)
        }
    }
    let log = Log::default();
    let stack = builder(sleepy(&log, IDLE)).driver("top", Second(log.clone()));
    let _stack = stack.start().unwrap();
    assert!(log.has("true"));
}

#[test]
fn settings_can_be_changed_and_turned_off() {
    let log = Log::default();
    let (stack, clock) = started(sleepy(&log, IDLE), &log);
    let device = stack.devices().remove(0);
    let shorter = IdleSettings {
        timeout: seconds(1),
        ..IDLE
    };
    device.assign_idle(shorter).unwrap();
    stack.run();
    clock.advance(seconds(1));
    assert_eq!(stack.state(), PnpState::Idle);
    let off = IdleSettings {
        enabled: false,
        ..IDLE
    };
    device.assign_idle(off).unwrap();
    stack.run();
    assert_eq!(stack.state(), PnpState::Started);
    clock.advance(seconds(1000));
    assert_eq!(stack.state(), PnpState::Started);
}

#[test]
fn a_stack_that_sleeps_is_suspended_and_resumed_without_waking_in_between() {
    let log = Log::default();
    let (stack, clock) = started(sleepy(&log, IDLE), &log);
    let handle = stack.open_and_wait().unwrap();
    clock.advance(seconds(10));
    log.take();
    stack.suspend().unwrap();
    let read = handle.read(1);
    assert_eq!(stack.state(), PnpState::Sleeping);
    assert_eq!(log.take(), [""; 0]);
    stack.resume().unwrap();
    assert_eq!(
        log.take(),
        ["d0_entry from D2", "on_read", "self_managed_io_restart"]
    );
    assert!(read.has_ended());
    clock.advance(seconds(10));
    assert_eq!(stack.state(), PnpState::Idle);
}

#[test]
fn a_stack_that_sleeps_is_removed_without_waking() {
    let log = Log::default();
    let (stack, clock) = started(sleepy(&log, IDLE), &log);
    clock.advance(seconds(10));
    log.take();
    stack.remove().unwrap();
    assert_eq!(log.take()[..2], ["query_remove", "release_hardware"]);
}

#[test]
fn a_device_that_does_not_wake_goes_and_the_request_ends() {
    let log = Log::default();
    let late = Arc::new(AtomicBool::new(false));
    let driver = sleepy(&log, IDLE).does("d0_entry", Does::Fail);
    let (stack, clock) = started(driver.armed_by(&late), &log);
    let handle = stack.open_and_wait().unwrap();
    clock.advance(seconds(10));
    late.store(true, Ordering::Relaxed);
    assert_ne!(handle.read(1).wait().error(), Win32Error::SUCCESS);
    assert_eq!(stack.state(), PnpState::Removed);
}

#[test]
fn requests_of_many_threads_find_a_device_awake_that_falls_asleep_all_the_time() {
    let log = Log::default();
    let eager = IdleSettings {
        timeout: Duration::ZERO,
        ..IDLE
    };
    let driver = Recorder::new(&log).with(move |device, _| {
        let queue = device.parallel_queue().default_queue();
        let queue = queue.on_read(|queue, request, _| {
            let status = match queue.device().is_in_d0() {
                true => NtStatus::SUCCESS,
                false => NtStatus::UNSUCCESSFUL,
            };
            request.complete(status);
        });
        queue.create()?;
        device.assign_idle(eager)
    });
    let stack = Stack::builder().driver("test", driver).start().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            let handle = stack.open_and_wait().unwrap();
            scope.spawn(move || {
                for _ in 0..250 {
                    assert_eq!(handle.read(1).wait().error(), Win32Error::SUCCESS);
                }
            });
        }
    });
    until(|| stack.state() == PnpState::Idle);
    stack.remove().unwrap();
}
