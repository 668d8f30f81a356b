//! Hosts die, in all ways, and their devices start again.

use rustix::process::Signal;
use usbwright_driver_manager::{
    manager::DeviceView,
    record::{DetectedBy, EventKind, Exit, Operation, Outlook, Problem},
};

use crate::{
    bench::{BOARD, Bench, Packaged, ZERO},
    exists,
};

fn driver(driver: &str) -> Packaged<'_> {
    Packaged {
        driver,
        ..Packaged::default()
    }
}

pub(crate) fn a_killed_host_is_recorded_and_its_device_runs_again() {
    let bench = Bench::with(&Packaged::default());
    bench.plug();
    bench.started();
    let pid = bench.pid();
    bench.signal(pid, Signal::KILL);
    let record = bench.failure();
    assert_eq!(record.problem, Problem::HostFailure);
    assert_eq!(record.detected_by, DetectedBy::Platform);
    assert_eq!(record.exit, Exit::Signal(9));
    assert_eq!(
        record.devices,
        [("1-1".to_owned(), Outlook::RestartsAlone(4))]
    );
    assert_eq!(record.last_requests, ["confine", "build 1-1"]);
    bench.started();
    assert!(!exists(pid));
    assert_ne!(bench.pid(), pid);
}

pub(crate) fn after_five_restarts_a_device_is_offline_until_it_is_plugged_in_anew() {
    let bench = Bench::with(&Packaged::default());
    let device = bench.plug();
    for left in (0..5).rev() {
        bench.started();
        bench.signal(bench.pid(), Signal::KILL);
        assert_eq!(bench.failure().devices[0].1, Outlook::RestartsAlone(left));
    }
    bench.started();
    bench.signal(bench.pid(), Signal::KILL);
    assert_eq!(bench.failure().devices[0].1, Outlook::LimitReached);
    bench.next(EventKind::DeviceOffline);
    assert_eq!(bench.state(device).as_deref(), Some("offline"));
    assert!(bench.view().hosts.is_empty());
    bench.manager.plug().departed(device);
    bench.plug();
    bench.started();
}

pub(crate) fn a_driver_that_panics_costs_its_own_host_alone_the_second_time() {
    let pooled = |driver| Packaged {
        driver,
        pooled: true,
        ..Packaged::default()
    };
    let bench = Bench::with_all(&[(&pooled("fine"), ZERO.0), (&pooled("panics"), BOARD.0)]);
    let good = bench.plug();
    bench.started();
    let bad = bench.plug_spec(BOARD.1);
    for outlook in [Outlook::RestartsPooled(6), Outlook::RestartsAlone(5)] {
        let record = bench.failure();
        assert_eq!(record.detected_by, DetectedBy::Framework);
        assert_eq!(record.cause.as_deref(), Some("1-2"));
        assert!(record.detail.contains("a driver's panic"), "{record:?}");
        assert!(
            record.devices.contains(&("1-2".to_owned(), outlook)),
            "{record:?}"
        );
        // It is pooled until it was caught twice.
        assert_eq!(
            record.devices[0],
            ("1-1".to_owned(), Outlook::RestartsPooled(7))
        );
    }
    bench.next(EventKind::DeviceOffline);
    assert_eq!(bench.state(bad).as_deref(), Some("offline"));
    let is_good = |it: &&DeviceView| it.key == good.0;
    bench.until(|it| it.devices.iter().find(is_good).unwrap().state == "running");
}

pub(crate) fn a_driver_that_ends_the_process_is_told_by_its_exit_code() {
    let bench = Bench::with(&driver("exits"));
    bench.plug();
    let record = bench.failure();
    assert_eq!(record.exit, Exit::Code(3));
    assert_eq!(record.cause.as_deref(), Some("1-1"));
    assert_eq!(
        bench.next(EventKind::DeviceOffline).event.device.as_deref(),
        Some("1-1")
    );
}

pub(crate) fn a_driver_that_refuses_is_not_asked_again() {
    let bench = Bench::with(&driver("refuses"));
    let device = bench.plug();
    let event = bench.next(EventKind::DriversFailed);
    assert!(
        event
            .event
            .detail
            .contains("driver refuses failed in prepare_hardware"),
        "{event}"
    );
    bench.next(EventKind::HostEnded);
    assert_eq!(bench.state(device).as_deref(), Some("refused"));
}

pub(crate) fn a_host_without_the_driver_refuses_and_tells_what_it_has() {
    let bench = Bench::with(&driver("unknown"));
    bench.plug();
    let event = bench.next(EventKind::DriversFailed);
    let told = "the host has no driver \"unknown\": it has fine, panics,";
    assert!(event.event.detail.starts_with(told), "{event}");
}

pub(crate) fn a_host_that_takes_more_memory_than_it_may_dies_of_it() {
    let bench = Bench::with(&Packaged {
        driver: "hungry",
        policy: "memory-mebibytes = 128\nrestarts = 0",
        ..Packaged::default()
    });
    bench.plug();
    let record = bench.failure();
    assert_eq!(record.exit, Exit::Signal(libc::SIGABRT));
    assert_eq!(record.operation, Operation::Other);
    assert_eq!(record.devices[0].1, Outlook::LimitReached);
}

pub(crate) fn a_host_that_cannot_be_started_is_told_by_its_path() {
    let bench = Bench::with(&Packaged {
        program: "missing",
        policy: "restarts = 1",
        ..Packaged::default()
    });
    bench.plug();
    let record = bench.failure();
    assert_eq!(
        (record.exit, record.operation),
        (Exit::NotStarted, Operation::Init)
    );
    assert!(
        record.detail.contains("/missing: No such file"),
        "{record:?}"
    );
    bench.next(EventKind::DeviceOffline);
}

pub(crate) fn a_host_that_a_user_has_killed_starts_again() {
    let bench = Bench::with(&Packaged::default());
    let device = bench.plug();
    bench.started();
    let handle = bench.manager.observer();
    assert!(handle.kill_host(bench.host_of(device)));
    let record = bench.failure();
    assert_eq!(
        (record.problem, record.detected_by),
        (Problem::Other, DetectedBy::Test)
    );
    bench.started();
    assert!(!handle.kill_host(usbwright_driver_manager::policy::HostKey(1)));
}
