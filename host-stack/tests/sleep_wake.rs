//! Devices that wake the system when it sleeps.

mod life_support;

use std::time::Duration;

use usbwright_host_stack::{
    Device, IdleSettings, PnpState, PowerState, SleepWakeSettings, Stack,
    status::{HResult, NtStatus},
    usb_target::ManualClock,
};

use life_support::{Does, Log, Recorder, builder, started};

const WAKES: SleepWakeSettings = SleepWakeSettings {
    state: PowerState::D2,
    enabled: true,
};

/// A stack whose driver says that its device can wake the system.
fn waking(does: impl Fn(Recorder) -> Recorder) -> (Stack, ManualClock, Log) {
    let log = Log::default();
    let driver = Recorder::new(&log).with(|device, _| {
        device.assign_idle(IdleSettings {
            wake: true,
            ..IdleSettings::default()
        })?;
        device.assign_sleep_wake(WAKES)
    });
    let (stack, clock) = started(does(driver), &log);
    (stack, clock, log)
}

const ASLEEP: [&str; 3] = [
    "self_managed_io_suspend",
    "arm_wake_from_sleep",
    "d0_exit to D2",
];

#[test]
fn a_device_that_can_wake_the_system_is_armed_and_disarmed() {
    let (stack, _clock, log) = waking(|it| it);
    stack.suspend().unwrap();
    assert_eq!(log.take(), ASLEEP);
    stack.resume().unwrap();
    assert_eq!(
        log.take(),
        [
            "d0_entry from D2",
            "disarm_wake_from_sleep",
            "self_managed_io_restart",
        ]
    );
}

#[test]
fn a_device_that_wakes_the_system_is_told_so_once() {
    let (stack, clock, log) = waking(|it| it);
    for _ in 0..2 {
        stack.suspend().unwrap();
        assert_eq!(log.take(), ASLEEP);
        stack.signal_wake();
        assert_eq!(
            log.take(),
            [
                "d0_entry from D2",
                "wake_from_sleep_triggered",
                "disarm_wake_from_sleep",
                "self_managed_io_restart",
            ]
        );
        assert_eq!(stack.state(), PnpState::Started);
    }
    clock.advance(Duration::from_secs(5));
    assert_eq!(stack.state(), PnpState::Idle, "it has work no longer");
}

#[test]
fn a_device_that_sleeps_for_want_of_work_is_armed_for_that_when_the_system_sleeps() {
    let (stack, clock, log) = waking(|it| it);
    clock.advance(Duration::from_secs(5));
    log.take();
    stack.suspend().unwrap();
    assert_eq!(log.take(), [""; 0]);
    stack.signal_wake();
    assert_eq!(
        log.take(),
        [
            "d0_entry from D3",
            "wake_triggered",
            "disarm_wake",
            "self_managed_io_restart",
        ]
    );
}

#[test]
fn a_device_that_could_not_be_armed_does_not_wake_the_system() {
    let (stack, _clock, log) = waking(|it| it.does("arm_wake_from_sleep", Does::Fail));
    stack.suspend().unwrap();
    log.take();
    stack.signal_wake();
    assert_eq!(stack.state(), PnpState::Sleeping);
    stack.resume().unwrap();
    assert_eq!(log.take(), ["d0_entry from D2", "self_managed_io_restart"]);
}

#[test]
fn a_panic_as_the_system_falls_asleep_or_wakes_brings_the_stack_down() {
    for callback in [
        "arm_wake_from_sleep",
        "wake_from_sleep_triggered",
        "disarm_wake_from_sleep",
    ] {
        let (stack, _clock, log) = waking(|it| it.does(callback, Does::Panic));
        let _ = stack.suspend();
        stack.signal_wake();
        assert_eq!(stack.state(), PnpState::Failed, "{callback}");
        assert_eq!(log.take().last().unwrap(), callback);
    }
}

#[test]
fn settings_that_are_turned_off_have_the_device_sleep_in_d3_unarmed() {
    let (stack, _clock, log) = waking(|it| it);
    let device = stack.devices().remove(0);
    let off = SleepWakeSettings {
        enabled: false,
        ..WAKES
    };
    device.assign_sleep_wake(off).unwrap();
    stack.suspend().unwrap();
    assert_eq!(log.take(), ["self_managed_io_suspend", "d0_exit to D3"]);
    stack.signal_wake();
    assert_eq!(stack.state(), PnpState::Sleeping);
}

#[test]
fn only_the_owner_of_the_power_policy_says_how_the_device_wakes_the_system() {
    let refused: Result<(), _> = Err(HResult::from_nt(NtStatus::INVALID_DEVICE_REQUEST));
    let log = Log::default();
    let says = |device: &Device, log: &Log| {
        log.note(format!("{:?}", device.assign_sleep_wake(WAKES)));
        Ok(())
    };
    let low = Recorder::new(&log).with(says);
    let top = Recorder::new(&log).named("top").with(says);
    let _stack = builder(low).driver("top", top).start().unwrap();
    let told: Vec<String> = log.take();
    let told: Vec<&String> = told.iter().filter(|it| it.contains('(')).collect();
    let accepted = Ok::<(), HResult>(());
    assert_eq!(told, [&format!("{accepted:?}"), &format!("{refused:?}")]);
    let (stack, _) = started(Recorder::new(&log), &log);
    for state in [PowerState::D0, PowerState::D3Final] {
        let settings = SleepWakeSettings { state, ..WAKES };
        let wrong = Err(NtStatus::INVALID_PARAMETER.into());
        assert_eq!(stack.devices()[0].assign_sleep_wake(settings), wrong);
    }
}
