//! What is left over of two hundred hosts that were killed: nothing. This program is the host as well, and has one test, as it counts what the process has.

#[path = "../hosts/bench.rs"]
#[allow(dead_code, reason = "the other tests need more of it")]
mod bench;
#[path = "../hosts/programs.rs"]
mod programs;

use std::{
    fs,
    process::ExitCode,
    time::{Duration, Instant},
};

use bench::{Bench, PATIENCE, Packaged};
use libtest_mimic::{Arguments, Trial};
use rustix::process::Signal;
use usbwright_driver_manager::record::Outlook;

fn main() -> ExitCode {
    if let Some(code) = programs::run() {
        return code;
    }
    let trial = Trial::test(
        "two_hundred_hosts_that_are_killed_leave_nothing_behind",
        || {
            two_hundred_hosts_that_are_killed_leave_nothing_behind();
            Ok(())
        },
    );
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// What this process has: descriptors, threads, and processes below it.
fn possessions() -> [usize; 3] {
    let count = |folder: &str| fs::read_dir(folder).unwrap().count();
    let own = format!("PPid:\t{}\n", std::process::id());
    let is_child = |it: std::io::Result<fs::DirEntry>| {
        let status = fs::read_to_string(it.unwrap().path().join("status"));
        status.is_ok_and(|it| it.contains(&own))
    };
    let children = fs::read_dir("/proc").unwrap();
    [
        count("/proc/self/fd"),
        count("/proc/self/task"),
        children.map(is_child).filter(|it| *it).count(),
    ]
}

fn two_hundred_hosts_that_are_killed_leave_nothing_behind() {
    let before = possessions();
    let bench = Bench::with(&Packaged::default());
    let device = bench.plug();
    for _ in 0..200 {
        bench.started();
        // The failure before is forgotten, and nothing is under way that would be late.
        bench.clock.advance(Duration::from_mins(30));
        bench.signal(bench.pid(), Signal::KILL);
        assert_eq!(bench.failure().devices[0].1, Outlook::RestartsAlone(4));
    }
    bench.started();
    assert_eq!(bench.state(device).as_deref(), Some("running"));
    drop(bench);
    // The device's own thread ends once it has seen that its host is gone.
    let until = Instant::now() + PATIENCE;
    let has_more = || {
        let now = possessions();
        now.iter().zip(before).any(|(now, before)| *now > before)
    };
    while has_more() && Instant::now() < until {
        std::thread::yield_now();
    }
    assert!(!has_more(), "{:?} and {before:?} before", possessions());
}
