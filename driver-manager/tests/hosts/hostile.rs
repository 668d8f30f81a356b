//! Hosts that mean harm.

use std::{fs::File, path::Path};

use usbwright_driver_manager::{
    policy::DebugMode,
    record::{EventKind, FailureRecord, Problem},
};
use usbwright_host_control::{Measure, MeasureState};

use crate::{
    bench::{BOARD, Bench, Packaged, ZERO},
    exists,
};

/// What becomes of a program that is no host.
fn ended(program: &str) -> FailureRecord {
    let bench = Bench::with(&Packaged {
        program,
        policy: "restarts = 0",
        ..Packaged::default()
    });
    bench.plug();
    bench.next(EventKind::HostStarted);
    let pids: Vec<u32> = bench.view().hosts.iter().map(|it| it.pid).collect();
    let record = bench.failure();
    bench.next(EventKind::HostEnded);
    assert!(pids.iter().all(|pid| !exists(*pid)));
    record
}

pub(crate) fn a_host_that_sends_no_message_is_ended_as_a_bad_reply() {
    let record = ended("nonsense");
    assert_eq!(record.problem, Problem::BadReply);
    assert_eq!(
        record.detail,
        "the packet has 8 bytes, and its header would have 16"
    );
}

pub(crate) fn a_host_of_another_version_is_told_so() {
    let record = ended("old");
    assert_eq!(record.problem, Problem::BadReply);
    let told = "it speaks version 3 of the protocol, and this manager version 2";
    assert!(record.detail.starts_with(told), "{record:?}");
}

pub(crate) fn a_host_that_hangs_up_and_lives_on_is_ended() {
    let deserter = Packaged {
        program: "deserter",
        policy: "restarts = 0",
        ..Packaged::default()
    };
    // Nothing else is late meanwhile.
    let debug = DebugMode {
        no_deadlines: true,
        ..DebugMode::default()
    };
    let bench = Bench::with_debug(&[(&deserter, ZERO.0)], debug);
    bench.plug();
    bench.next(EventKind::HostStarted);
    // Its time passes with the clock, once it has hung up.
    let journal = bench.manager.journal().clone();
    let mut record = None;
    bench.until(|_| {
        bench.clock.advance(std::time::Duration::from_millis(100));
        record = journal
            .after(0)
            .iter()
            .find_map(|it| it.event.record.clone());
        record.is_some()
    });
    assert_eq!(record.unwrap().problem, Problem::HostDisconnect);
}

pub(crate) fn a_host_that_answers_what_nobody_asked_is_ended() {
    let record = ended("liar");
    assert_eq!(record.problem, Problem::BadReply);
    let told = ["it has no stack 1", "nothing was asked of stack 1"];
    assert!(told.contains(&&*record.detail), "{record:?}");
}

pub(crate) fn a_host_that_floods_the_manager_harms_no_other() {
    let bench = Bench::with_all(&[
        (&Packaged::default(), ZERO.0),
        (
            &Packaged {
                program: "chatterbox",
                driver: "x",
                ..Packaged::default()
            },
            BOARD.0,
        ),
    ]);
    bench.plug_spec(BOARD.1);
    bench.next(EventKind::RuleBroken);
    let device = bench.plug();
    bench.started();
    assert_eq!(bench.state(device).as_deref(), Some("running"));
    let broken = bench.manager.journal().after(0);
    let broken = broken
        .iter()
        .filter(|it| it.event.kind == EventKind::RuleBroken);
    assert!(broken.count() <= 100);
}

pub(crate) fn a_driver_can_open_and_start_nothing_that_its_package_does_not_list() {
    let _leaked = leaked_descriptor();
    let bench = Bench::with(&Packaged {
        driver: "probe",
        policy: "restarts = 0\ndescriptors = 64\nread = ['/proc/sys/kernel/ostype']",
        ..Packaged::default()
    });
    bench.plug();
    bench.next(EventKind::HostReady);
    let view = bench.view();
    let holds = view.hosts.first().map(|it| it.confinement.clone());
    let record = bench.failure();
    let holds = |measure| {
        let found = holds.iter().flat_map(|it| &it.0).find(|it| it.0 == measure);
        found.is_none_or(|it| it.1 == MeasureState::Held)
    };
    // Where the kernel lacks something, the view tells so, and that is all there is to prove.
    if holds(Measure::Landlock) && holds(Measure::Seccomp) {
        let told = "could do [], could read what is listed: true, others' descriptors: 0";
        assert!(record.detail.contains(told), "{record:?}");
    }
    assert!(!Path::new("/tmp/usbwright-probe").exists());
}

pub(crate) fn a_package_that_requires_what_cannot_be_had_is_not_run() {
    let bench = Bench::with(&Packaged {
        driver: "panics",
        policy: "require = ['Landlock', 'Cgroup', 'Seccomp']\nread = ['/no/such/file']",
        ..Packaged::default()
    });
    let device = bench.plug();
    let event = bench.next(EventKind::DriversFailed);
    let told = "the package requires Landlock, which does not hold here:";
    assert!(event.event.detail.starts_with(told), "{event}");
    bench.next(EventKind::HostEnded);
    assert_eq!(bench.state(device).as_deref(), Some("refused"));
}

/// A file that is held open by whoever starts this program carelessly.
fn leaked_descriptor() -> File {
    let file = File::open("/dev/zero").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    file
}
