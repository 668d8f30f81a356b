//! Devices come and go, and their hosts with them.

use std::{sync::Arc, time::Duration};

use usbwright_driver_manager::{
    manager::{Offer, OpenError},
    record::EventKind,
};

use crate::{
    bench::{BOARD, Bench, Packaged, ZERO},
    exists,
};

pub(crate) fn a_device_that_fits_a_package_has_its_stack_in_a_host_and_all_of_it_ends_in_order() {
    let bench = Bench::with(&Packaged::default());
    let device = bench.plug();
    bench.started();
    assert_eq!(bench.state(device).as_deref(), Some("running"));
    let pid = bench.pid();
    assert!(exists(pid));
    let journal = bench.manager.journal().clone();
    assert_eq!(bench.manager.end(Duration::from_secs(60)), [0; 0]);
    assert!(!exists(pid));
    let kinds: Vec<EventKind> = journal.after(0).iter().map(|it| it.event.kind).collect();
    assert_eq!(
        kinds,
        [
            EventKind::DeviceArrived,
            EventKind::HostStarting,
            EventKind::HostStarted,
            EventKind::HostReady,
            EventKind::LoadingDrivers,
            EventKind::DriversLoaded,
            EventKind::StackRemoved,
            EventKind::HostEnding,
            EventKind::HostEnded,
        ]
    );
}

pub(crate) fn a_device_that_no_package_is_for_is_told_of_until_it_goes_and_has_no_host() {
    let bench = Bench::with(&Packaged::default());
    let device = bench.plug_spec(BOARD.1);
    let event = bench.next(EventKind::NoPackage);
    assert_eq!(event.event.detail, r"USB\VID_0547&PID_1002&REV_0000");
    assert_eq!(bench.state(device).as_deref(), Some("no package"));
    assert!(bench.view().hosts.is_empty());
    bench.manager.plug().departed(device);
    bench.next(EventKind::DeviceDeparted);
    bench.until(|it| it.devices.is_empty());
}

pub(crate) fn an_unplugged_device_takes_its_host_with_it() {
    let bench = Bench::with(&Packaged::default());
    let device = bench.plug();
    bench.started();
    let pid = bench.pid();
    bench.manager.plug().departed(device);
    let ended = bench.next(EventKind::HostEnded);
    assert_eq!(ended.event.detail, "exit code 0");
    assert!(!exists(pid));
    assert!(bench.view().devices.is_empty());
}

pub(crate) fn a_device_that_ends_by_itself_is_gone_for_the_manager() {
    let bench = Bench::with(&Packaged::default());
    bench.plug();
    bench.started();
    let bus_id = bench.bus.devices()[0].bus_id.clone();
    assert!(bench.bus.unplug(&bus_id));
    bench.next(EventKind::DeviceDeparted);
    bench.next(EventKind::HostEnded);
    assert!(bench.view().devices.is_empty());
}

pub(crate) fn pooled_devices_share_a_process() {
    let pooled = Packaged {
        pooled: true,
        ..Packaged::default()
    };
    let bench = Bench::with(&pooled);
    let (one, other) = (bench.plug(), bench.plug());
    bench.started();
    bench.started();
    assert_eq!(bench.host_of(one), bench.host_of(other));
    bench.manager.plug().departed(one);
    bench.next(EventKind::StackRemoved);
    assert_eq!(bench.state(other).as_deref(), Some("running"));
}

pub(crate) fn hosts_do_not_outlive_a_manager_that_is_dropped() {
    let bench = Bench::with_all(&[
        (&Packaged::default(), ZERO.0),
        (
            &Packaged {
                driver: "hangs",
                ..Packaged::default()
            },
            BOARD.0,
        ),
    ]);
    bench.plug();
    bench.plug_spec(BOARD.1);
    bench.started();
    let pids: Vec<u32> = bench.view().hosts.iter().map(|it| it.pid).collect();
    drop(bench);
    assert!(pids.iter().all(|pid| !exists(*pid)));
}

pub(crate) fn a_device_that_cannot_be_had_is_refused_with_the_reason() {
    let bench = Bench::with(&Packaged::default());
    let refusing = || Err::<_, OpenError>("somebody has it".into());
    bench.manager.plug().arrived(Offer {
        name: "a\nb".to_owned(),
        ids: vec![ZERO.0.parse().unwrap()],
        source: Arc::new(refusing),
    });
    let event = bench.next(EventKind::DriversFailed);
    assert_eq!(
        event.event.detail,
        "the device can't be had: somebody has it"
    );
    assert_eq!(event.event.device.as_deref(), Some("a?b"));
    bench.next(EventKind::HostEnded);
}
