//! Each callback of a change of power that fails, on each way: what is undone, and that it is all gone then.

mod life_support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use usbwright_host_stack::{
    ChangeError, IdleSettings, PnpState, RequestType, Stack,
    status::{NtStatus, Win32Error},
    usb_target::ManualClock,
};

use life_support::{Does, Log, Recorder, started};

/// What is called when the device goes that is not in D0 any more.
const GONE: [&str; 4] = [
    "release_hardware",
    "self_managed_io_flush",
    "self_managed_io_cleanup",
    "cleanup",
];

/// A device that sleeps after five seconds, and whose driver fails in a callback once it is armed to.
fn failing(callback: &'static str) -> (Stack, ManualClock, Log, Arc<AtomicBool>) {
    let (log, armed) = (Log::default(), Arc::new(AtomicBool::new(false)));
    let driver = Recorder::new(&log).does(callback, Does::Fail);
    let driver = driver.armed_by(&armed).with(|device, _| {
        let queue = device.manual_queue().takes(RequestType::Read);
        queue.create()?;
        device.assign_idle(IdleSettings::default())
    });
    let (stack, clock) = started(driver, &log);
    (stack, clock, log, armed)
}

const IDLE: Duration = Duration::from_secs(5);

#[test]
fn a_device_that_fails_on_its_way_to_sleep_for_want_of_work_goes() {
    for callback in ["self_managed_io_suspend", "d0_exit"] {
        let (stack, clock, log, armed) = failing(callback);
        armed.store(true, Ordering::Relaxed);
        clock.advance(IDLE);
        let told = log.take();
        assert_eq!(told[..2], ["self_managed_io_suspend", "d0_exit to D3"]);
        assert_eq!(told[2..], GONE, "{callback}");
        assert_eq!(stack.state(), PnpState::Removed);
    }
}

#[test]
fn a_device_that_fails_as_a_request_wakes_it_goes_and_the_request_ends() {
    let entered = ["d0_entry from D3", "d0_entry_failed"].as_slice();
    let restarted = [
        "d0_entry from D3",
        "self_managed_io_restart",
        "d0_exit to D3Final",
    ]
    .as_slice();
    for (callback, first) in [
        ("d0_entry", entered),
        ("self_managed_io_restart", restarted),
    ] {
        let (stack, clock, log, armed) = failing(callback);
        let handle = stack.open_and_wait().unwrap();
        clock.advance(IDLE);
        log.take();
        armed.store(true, Ordering::Relaxed);
        let read = handle.read(1).wait();
        let told = log.take();
        assert_eq!(told[..first.len()], *first);
        assert_eq!(told[first.len()..], GONE, "{callback}");
        assert_ne!(read.error(), Win32Error::SUCCESS);
        assert_eq!(stack.state(), PnpState::Removed);
    }
}

#[test]
fn a_device_that_fails_as_it_starts_again_goes() {
    let prepared = ["prepare_hardware"].as_slice();
    let entered = [
        "prepare_hardware",
        "d0_entry from D3Final",
        "d0_entry_failed",
    ]
    .as_slice();
    let restarted = [
        "prepare_hardware",
        "d0_entry from D3Final",
        "self_managed_io_restart",
        "d0_exit to D3Final",
    ]
    .as_slice();
    for (callback, first) in [
        ("prepare_hardware", prepared),
        ("d0_entry", entered),
        ("self_managed_io_restart", restarted),
    ] {
        let (stack, _clock, log, armed) = failing(callback);
        stack.stop().unwrap();
        log.take();
        armed.store(true, Ordering::Relaxed);
        stack.restart().unwrap_err();
        let told = log.take();
        assert_eq!(told[..first.len()], *first);
        assert_eq!(told[first.len()..], GONE, "{callback}");
    }
}

#[test]
fn a_device_that_fails_as_it_goes_goes_nevertheless() {
    for callback in ["self_managed_io_suspend", "d0_exit", "release_hardware"] {
        for removes in [
            |stack: &Stack| stack.remove(),
            |stack: &Stack| {
                stack.surprise_remove();
                Ok::<(), ChangeError>(())
            },
        ] {
            let (stack, _clock, log, armed) = failing(callback);
            armed.store(true, Ordering::Relaxed);
            removes(&stack).unwrap();
            let told = log.take();
            assert_eq!(
                told[1..3],
                ["self_managed_io_suspend", "d0_exit to D3Final"]
            );
            assert_eq!(told[3..], GONE, "{callback}");
            assert_eq!(stack.state(), PnpState::Removed);
        }
    }
}

#[test]
fn a_device_in_the_middle_that_fails_takes_the_others_along_each_in_its_order() {
    let log = Log::default();
    let named = |name| Recorder::new(&log).named(name).filter();
    let stack = Stack::builder()
        .driver("low", Recorder::new(&log).named("low"))
        .driver("mid", named("mid").does("d0_exit", Does::Fail))
        .driver("top", named("top"))
        .threads(usbwright_host_stack::Threads::None)
        .start()
        .unwrap();
    log.take();
    let error = stack.suspend().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("driver mid failed in d0_exit")
    );
    let sleeps =
        |name: &str| ["self_managed_io_suspend", "d0_exit to D3"].map(|it| format!("{name}: {it}"));
    let goes = |name: &str| GONE.map(|it| format!("{name}: {it}"));
    let asleep = ["top", "mid", "low"].map(sleeps).concat();
    let gone = ["top", "mid", "low"].map(goes).concat();
    assert_eq!(log.take(), [asleep, gone].concat());
}

#[test]
fn a_device_above_one_that_does_not_wake_is_not_woken_and_goes_from_its_sleep() {
    let log = Log::default();
    let armed = Arc::new(AtomicBool::new(false));
    let named = |name| Recorder::new(&log).named(name).filter();
    let mid = named("mid").does("d0_entry", Does::Fail).armed_by(&armed);
    let stack = Stack::builder()
        .driver("low", Recorder::new(&log).named("low"))
        .driver("mid", mid)
        .driver("top", named("top"))
        .threads(usbwright_host_stack::Threads::None)
        .start()
        .unwrap();
    stack.suspend().unwrap();
    log.take();
    armed.store(true, Ordering::Relaxed);
    stack.resume().unwrap_err();
    let told = log.take();
    assert_eq!(
        told[..4],
        [
            "low: d0_entry from D3",
            "low: self_managed_io_restart",
            "mid: d0_entry from D3",
            "mid: d0_entry_failed",
        ]
    );
    let goes = |name: &str| GONE.map(|it| format!("{name}: {it}"));
    let leaves = ["self_managed_io_suspend", "d0_exit to D3Final"].map(|it| format!("low: {it}"));
    assert_eq!(
        told[4..],
        [&goes("top")[..], &goes("mid"), &leaves, &goes("low")].concat()
    );
}

#[test]
fn an_objection_leaves_a_sleeping_stack_asleep() {
    let log = Log::default();
    let driver = Recorder::new(&log).does("query_remove", Does::Fail);
    let (stack, _) = started(driver, &log);
    stack.suspend().unwrap();
    log.take();
    let objected = ChangeError::Vetoed {
        driver: "test".into(),
        status: NtStatus::UNSUCCESSFUL.into(),
    };
    assert_eq!(stack.remove(), Err(objected));
    assert_eq!(log.take(), ["query_remove"]);
    assert_eq!(stack.state(), PnpState::Sleeping);
    stack.resume().unwrap();
    assert_eq!(log.take(), ["d0_entry from D3", "self_managed_io_restart"]);
}
