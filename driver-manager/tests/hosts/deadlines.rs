//! Hosts that do not answer, when time is a test's.

use std::time::Duration;

use rustix::process::Signal;
use usbwright_driver_manager::record::{EventKind, Exit, Operation, Problem};

use crate::{
    bench::{Bench, Packaged},
    exists,
};

const MINUTE: Duration = Duration::from_mins(1);

fn driver(driver: &str) -> Bench {
    Bench::with(&Packaged {
        driver,
        policy: "restarts = 0",
        ..Packaged::default()
    })
}

pub(crate) fn a_driver_that_hangs_is_killed_when_its_time_is_up() {
    let bench = driver("hangs");
    bench.plug();
    bench.next(EventKind::LoadingDrivers);
    let pid = bench.pid();
    // Once its callback is told, it takes until a minute after that.
    bench.until(|it| it.hosts.first().is_some_and(|it| it.operations >= 2));
    bench.advance(MINUTE - Duration::from_millis(1));
    assert_eq!(bench.view().hosts[0].state, "ready");
    bench.advance(Duration::from_millis(1));
    let record = bench.failure();
    assert_eq!(
        (record.problem, record.operation),
        (Problem::HostTimeout, Operation::Pnp)
    );
    assert_eq!(record.exit, Exit::Signal(9));
    assert_eq!(record.cause.as_deref(), Some("1-1"));
    bench.next(EventKind::HostEnded);
    assert!(!exists(pid));
}

pub(crate) fn a_stopped_host_does_not_hold_its_device_up() {
    let bench = driver("fine");
    let device = bench.plug();
    bench.started();
    bench.signal(bench.pid(), Signal::STOP);
    bench.manager.plug().departed(device);
    assert_eq!(bench.state(device).as_deref(), Some("leaving"));
    bench.advance(MINUTE);
    let record = bench.failure();
    assert_eq!(
        (record.problem, record.operation),
        (Problem::HostTimeout, Operation::Pnp)
    );
    assert_eq!(bench.state(device), None);
}

pub(crate) fn a_cancel_that_a_stopped_host_never_reads_is_late() {
    let bench = driver("fine");
    let device = bench.plug();
    bench.started();
    bench.signal(bench.pid(), Signal::STOP);
    let plug = bench.manager.plug();
    // One that ends in time is of no account.
    drop(plug.begin(device, Operation::Close));
    let _cancel = plug.begin(device, Operation::Cancel);
    // The manager has heard of it once it answers what it is asked after that.
    bench.view();
    bench.advance(MINUTE - Duration::from_millis(1));
    assert_eq!(bench.state(device).as_deref(), Some("running"));
    bench.advance(Duration::from_millis(1));
    let record = bench.failure();
    let what = (record.problem, record.operation);
    assert_eq!(what, (Problem::HostTimeout, Operation::Cancel));
}

pub(crate) fn a_driver_that_tells_of_progress_may_take_its_time() {
    let bench = driver("slow");
    let device = bench.plug();
    bench.next(EventKind::LoadingDrivers);
    for _ in 0..10 {
        let messages = bench.view().hosts[0].messages;
        bench.until(|it| it.hosts[0].messages >= messages + 2);
        bench.advance(MINUTE - Duration::from_millis(1));
    }
    assert_eq!(bench.state(device).as_deref(), Some("building"));
}

pub(crate) fn a_stopped_host_is_killed_when_all_is_to_end() {
    let bench = driver("fine");
    bench.plug();
    bench.started();
    let pid = bench.pid();
    bench.signal(pid, Signal::STOP);
    let Bench { manager, .. } = bench;
    assert_eq!(manager.end(Duration::ZERO), [0; 0]);
    assert!(!exists(pid));
}
