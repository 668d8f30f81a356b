//! The driver manager as a user has it: `usbwright stack`, with the sample drivers in host processes. This program is the host as well.

mod bench;
mod kept;
#[expect(dead_code, reason = "some of it is for other tests")]
#[path = "../support/lab.rs"]
mod lab;
mod liar;
mod plugged;
#[macro_use]
#[path = "../support/trials.rs"]
mod trials;

use std::{
    env, fs,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    process::ExitCode,
    time::Duration,
};

use bench::{Bench, alive, package, usbwright};
use kept::{
    Keeper, a_driver_that_completes_nothing_costs_its_host_when_its_time_to_stop_is_up,
    a_stop_waits_until_what_the_driver_has_is_completed,
    a_thousand_requests_end_with_the_host_that_has_them_and_the_next_one_is_free,
    an_unplugged_board_whose_driver_completes_nothing_is_gone_when_its_time_is_up,
};
use liar::a_host_whose_answers_make_no_sense_is_ended_as_a_bad_reply_until_its_board_is_offline;
use libtest_mimic::Arguments;
use plugged::a_real_board_has_its_stack_whenever_it_is_plugged_in;
use rustix::process::Signal;
use usbwright_driver_host::Drivers;
use usbwright_reflector::status::Win32Error;
use usbwright_samples::{echo::EchoDriver, filter::InvertingFilter, fx2::Fx2Driver};

/// The package of the samples.
const PACKAGE: &str = include_str!("../../host-stack/samples/packages/fx2.toml");

fn main() -> ExitCode {
    if env::var_os("USBWRIGHT_HOST_CONTROL").is_some() {
        if env::args()
            .next()
            .is_some_and(|it| it.ends_with(liar::PROGRAM))
        {
            return liar::drivers().run();
        }
        let drivers = Drivers::new().with("fx2", || Fx2Driver);
        let drivers = drivers.with("filter", || InvertingFilter);
        let drivers = drivers.with("keeper", Keeper::default);
        return drivers.with("echo", EchoDriver::default).run();
    }
    let trials = trials! {
        a_board_has_its_stack_in_a_host_process_which_list_and_tree_tell_of
        a_host_that_is_killed_starts_again_and_events_tell_why_it_went
        applications_reach_a_board_through_its_host_and_anew_after_that_was_killed
        a_board_is_used_by_hand_through_its_drivers
        what_a_driver_knows_of_its_file_is_asked_for_and_set_by_hand
        the_system_sleeps_and_wakes_and_a_stopped_board_is_reset
        events_that_come_are_followed_until_the_manager_ends
        a_stop_waits_until_what_the_driver_has_is_completed
        a_driver_that_completes_nothing_costs_its_host_when_its_time_to_stop_is_up
        an_unplugged_board_whose_driver_completes_nothing_is_gone_when_its_time_is_up
        a_thousand_requests_end_with_the_host_that_has_them_and_the_next_one_is_free
        two_boards_of_a_pool_are_in_one_process
        a_signal_ends_all_of_it_in_order_and_leaves_nothing
        hosts_die_with_a_manager_that_is_killed
        a_board_behind_a_server_is_had_again_after_its_host_was_killed
        a_board_whose_server_comes_back_is_had_again
        systemd_is_told_when_it_is_ready_and_when_it_ends
        a_host_whose_answers_make_no_sense_is_ended_as_a_bad_reply_until_its_board_is_offline
        what_a_manager_has_left_behind_is_replaced_and_a_manager_is_not
        a_real_board_has_its_stack_whenever_it_is_plugged_in
        what_is_wrong_is_told_before_anything_starts
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn a_board_has_its_stack_in_a_host_process_which_list_and_tree_tell_of() {
    let bench = Bench::with(PACKAGE);
    let run = bench.run(&["--device", "osr-fx2"]);
    run.wait_for("2010");
    let host = run.hosts()[0];
    assert_eq!(
        run.stack(&["list"]),
        format!(
            "osr-fx2: running, filter over fx2 (package fx2), started 1 times, host 1 (process {host})\n"
        )
    );
    let tree = run.stack(&["tree"]);
    assert!(
        tree.starts_with(&format!("host 1: process {host}, ready, pooled, ")),
        "{tree}"
    );
    assert!(tree.contains("  held: "), "{tree}");
    assert!(
        tree.contains("DiesWithManager, Session, Memory, Descriptors, NoNewPrivileges"),
        "{tree}"
    );
    let json: serde_json::Value = serde_json::from_str(&run.stack(&["tree", "--json"])).unwrap();
    assert_eq!(json["devices"][0]["state"], "running");
    assert_eq!(json["hosts"][0]["pid"], host);
    let mode = fs::metadata(bench.control()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

fn a_host_that_is_killed_starts_again_and_events_tell_why_it_went() {
    let bench = Bench::with(PACKAGE);
    let run = bench.run(&["--device", "osr-fx2", "--journal", &bench.path("journal")]);
    run.wait_for("2010");
    let before = run.hosts()[0];
    assert_eq!(run.stack(&["kill-host", "1"]), "");
    run.wait_for("host 2 has loaded the drivers");
    assert!(!alive(before));
    let events = run.stack(&["events"]);
    let record = "10110 host 1 has failed: Other, detected by Test, operation Other, signal 9 (SIGKILL) (a user had it killed); osr-fx2: restarts in the pool, and will restart 6 more times";
    assert!(events.contains(record), "{events}");
    let json = run.stack(&["events", "--json"]);
    let records: Vec<serde_json::Value> = json
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let record = records.iter().find(|it| it["id"] == 10110).unwrap();
    assert_eq!(record["event"]["record"]["exit"]["signal"], 9);
    assert_eq!(
        record["event"]["record"]["last-requests"][1],
        "build osr-fx2"
    );
    assert_eq!(fs::read_to_string(bench.path("journal")).unwrap(), json);
    let (_, told) = run.fails(&["kill-host", "1"]);
    assert!(
        told.contains("the driver manager refused: there is no host 1"),
        "{told}"
    );
}

fn applications_reach_a_board_through_its_host_and_anew_after_that_was_killed() {
    let bench = Bench::with(PACKAGE);
    let run = bench.run(&["--device", "osr-fx2"]);
    run.wait_for("2010");
    let board = bench.open("osr-fx2").unwrap();
    let written = board.write(&b"to and fro"[..]).wait();
    assert_eq!(written.ok().unwrap().information, 10);
    assert_eq!(board.read(64).wait().ok().unwrap().data, "to and fro");

    let outstanding = board.read(64);
    assert_eq!(run.stack(&["kill-host", "1"]), "");
    let gone = Win32Error::DRIVER_PROCESS_TERMINATED;
    assert_eq!(outstanding.wait().error(), gone);
    assert_eq!(board.read(64).wait().error(), gone, "its host is gone");
    run.wait_for("host 2 has loaded the drivers");
    let anew = bench.open("osr-fx2").unwrap();
    let _written = anew.write(&b"again"[..]).wait().ok().unwrap();
    assert_eq!(anew.read(64).wait().ok().unwrap().data, "again");
    let events = run.stack(&["events", "--json"]);
    assert!(events.contains("read 0x0, 0 bytes in, 64 out"), "{events}");
}

fn a_board_is_used_by_hand_through_its_drivers() {
    const READ_SWITCHES: &str = "0xffdc6018";
    let bench = Bench::with(PACKAGE);
    let run = bench.run(&["--device", "osr-fx2,switches=5"]);
    run.wait_for("2010");
    let board = "osr-fx2,switches=5";
    assert_eq!(bench.io(&[board, "write", "--text", "hello"]), b"");
    assert_eq!(bench.io(&[board, "read", "5"]), b"hello");
    let switches = bench.io(&[board, "ioctl", READ_SWITCHES, "--output", "1"]);
    assert_eq!(switches.len(), 1);
    let (succeeded, told) = usbwright(&[
        "stack",
        "io",
        "--devices-in",
        &bench.path("devices"),
        board,
        "ioctl",
        "1",
    ]);
    assert!(!succeeded);
    assert!(told.contains("ERROR_INVALID_FUNCTION (1)"), "{told}");
    drop(run);
}

fn what_a_driver_knows_of_its_file_is_asked_for_and_set_by_hand() {
    let bench = Bench::with(&package("echo", ""));
    let run = bench.run(&["--device", "osr-fx2"]);
    run.wait_for("2010");
    let io = |arguments: &[&str]| bench.io(&[&["osr-fx2"], arguments].concat());
    assert_eq!(io(&["write", "--text", "hello"]), b"");
    assert_eq!(io(&["query", "5", "24"])[8..16], 5_u64.to_le_bytes());
    assert_eq!(io(&["set", "20", "--data", "0200000000000000"]), b"");
    assert_eq!(io(&["query", "0x5", "24"])[8..16], 2_u64.to_le_bytes());
    assert_eq!(io(&["read", "16"]), b"he");
    for (arguments, why) in [
        (&["query", "4", "64"][..], "ERROR_INVALID_FUNCTION (1)"),
        (&["query", "5", "8"], "ERROR_INSUFFICIENT_BUFFER (122)"),
        (&["set", "13", "--data", "01"], "ERROR_ACCESS_DENIED (5)"),
    ] {
        let folder = bench.path("devices");
        let by = ["stack", "io", "osr-fx2", "--devices-in", &folder];
        let (succeeded, told) = usbwright(&[&by, arguments].concat());
        assert!(!succeeded && told.contains(why), "{told}");
    }
    let events = run.stack(&["events", "--json"]);
    assert!(!events.contains("10110"), "{events}");
}

fn the_system_sleeps_and_wakes_and_a_stopped_board_is_reset() {
    let bench = Bench::with(PACKAGE);
    let run = bench.run(&["--device", "osr-fx2"]);
    run.wait_for("2010");
    for command in [&["suspend"][..], &["resume"], &["suspend", "osr-fx2"]] {
        assert_eq!(run.stack(command), "");
    }
    let board = bench.open("osr-fx2").unwrap();
    let written = board.write(&b"asleep"[..]);
    assert!(!written.has_ended());
    run.stack(&["resume"]);
    assert_eq!(written.wait().ok().unwrap().information, 6);
    let (_, told) = run.fails(&["reset", "osr-fx2"]);
    assert!(told.contains("can't reset osr-fx2: "), "{told}");
    run.stack(&["stop", "osr-fx2"]);
    run.stack(&["reset", "osr-fx2"]);
    run.stack(&["restart", "osr-fx2"]);
    let _again = board.write(&b"awake"[..]).wait().ok().unwrap();
    assert_eq!(board.read(64).wait().ok().unwrap().data, "awake");
    let events = run.stack(&["events"]);
    let told = "2100 osr-fx2: host 1 has begun an operation: suspend";
    assert!(events.contains(told), "{events}");
    let (_, told) = run.fails(&["suspend", "no-such"]);
    assert!(told.contains("there is no such device"), "{told}");
}

fn events_that_come_are_followed_until_the_manager_ends() {
    let bench = Bench::with(PACKAGE);
    let run = bench.run(&["--device", "osr-fx2"]);
    run.wait_for("2010");
    let following = run.follow();
    run.end(Signal::TERM);
    let events = following.join().unwrap();
    assert!(
        events.contains("2010 osr-fx2: host 1 has loaded"),
        "{events}"
    );
    assert!(
        events
            .trim_end()
            .ends_with("1008 host 1 has shut down: exit code 0"),
        "{events}"
    );
}

fn two_boards_of_a_pool_are_in_one_process() {
    let bench = Bench::with(PACKAGE);
    let run = bench.run(&[
        "--device",
        "osr-fx2",
        "--device",
        "osr-fx2",
        "--device",
        "disk,size=1M",
    ]);
    run.wait_for("osr-fx2 (2): host 1 has loaded");
    assert_eq!(run.hosts().len(), 1);
    let list = run.stack(&["list"]);
    assert!(
        list.contains("disk,size=1M: no package, USB\\VID_"),
        "{list}"
    );
    drop(run);
    let run = bench.run(&[
        "--device",
        "osr-fx2",
        "--device",
        "osr-fx2",
        "--debug",
        "no-pooling",
    ]);
    run.wait_for("osr-fx2 (2): host 2 has loaded");
    assert_eq!(run.hosts().len(), 2);
}

fn a_signal_ends_all_of_it_in_order_and_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let bench = Bench::with(PACKAGE);
        let run = bench.run(&["--device", "osr-fx2"]);
        run.wait_for("2010");
        let host = run.hosts()[0];
        assert!(run.end(signal).success());
        assert!(!alive(host));
        assert!(!bench.control().exists());
    }
}

fn hosts_die_with_a_manager_that_is_killed() {
    let bench = Bench::with(PACKAGE);
    let run = bench.run(&["--device", "osr-fx2"]);
    run.wait_for("2010");
    let host = rustix::process::Pid::from_raw(i32::try_from(run.hosts()[0]).unwrap()).unwrap();
    let flags = rustix::process::PidfdFlags::empty();
    let pidfd = rustix::process::pidfd_open(host, flags).unwrap();
    run.end(Signal::KILL);
    let mut watched = [rustix::event::PollFd::new(
        &pidfd,
        rustix::event::PollFlags::IN,
    )];
    let patience = rustix::event::Timespec::try_from(Duration::from_secs(60)).unwrap();
    assert_eq!(
        rustix::event::poll(&mut watched, Some(&patience)).unwrap(),
        1
    );
}

fn a_board_behind_a_server_is_had_again_after_its_host_was_killed() {
    let bench = Bench::with(PACKAGE);
    let server = bench.serve("osr-fx2,busid=1-1");
    let device = format!("{server}/1-1");
    let run = bench.run(&["--device", &device]);
    run.wait_for("host 1 has loaded");
    run.stack(&["kill-host", "1"]);
    run.wait_for("host 2 has loaded");
    assert!(
        run.stack(&["list"])
            .starts_with(&format!("{device}: running"))
    );
}

fn a_board_whose_server_comes_back_is_had_again() {
    let bench = Bench::with(PACKAGE);
    let server = bench.serve("osr-fx2,busid=1-1");
    let device = format!("{server}/1-1");
    let run = bench.run(&["--device", &device]);
    run.wait_for("host 1 has loaded");
    bench.end_servers();
    run.wait_for("20002");
    bench.serve("osr-fx2,busid=1-1");
    run.wait_for("host 2 has loaded");
    let name = run.stack(&["list"]);
    assert!(name.starts_with(&format!("{device}: running")), "{name}");
    let name = usbwright::stack::device_name(&device).unwrap();
    let board = bench.open(name.as_str()).unwrap();
    let _written = board.write(&b"again"[..]).wait().ok().unwrap();
    assert_eq!(board.read(64).wait().ok().unwrap().data, "again");
}

fn systemd_is_told_when_it_is_ready_and_when_it_ends() {
    let bench = Bench::with(PACKAGE);
    let path = bench.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let told = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let run = bench.run_notifying(&["--device", "osr-fx2"], &path);
    assert_eq!(told().trim_end(), "READY=1");
    run.end(Signal::TERM);
    assert_eq!(told().trim_end(), "STOPPING=1");
}

fn what_a_manager_has_left_behind_is_replaced_and_a_manager_is_not() {
    let bench = Bench::with(PACKAGE);
    let killed = bench.run(&["--device", "osr-fx2"]);
    // What it has been about to start would have its socket for a moment.
    killed.wait_for("2010");
    killed.end(Signal::KILL);
    assert!(bench.control().exists());
    let run = bench.run(&["--device", "osr-fx2"]);
    run.wait_for("2010");
    let told = bench.refused(&["--device", "osr-fx2"]);
    assert!(told.contains("another manager listens at"), "{told}");
    run.stack(&["list"]);
    run.end(Signal::INT);
    fs::write(bench.control(), "a file").unwrap();
    let told = bench.refused(&["--device", "osr-fx2"]);
    assert!(
        told.contains("is there already, and is no socket"),
        "{told}"
    );
}

fn what_is_wrong_is_told_before_anything_starts() {
    let bench = Bench::with(PACKAGE);
    let told = bench.refused(&["--device", "/tmp/no/such/1-1"]);
    assert!(told.contains("names no"), "{told}");
    let told = bench.refused(&["--device", "unix:/no/such/socket/1-1"]);
    assert!(
        told.contains("can't have unix:/no/such/socket/1-1: can't reach a USB/IP server"),
        "{told}"
    );
    let server = bench.serve("osr-fx2,busid=1-1");
    let told = bench.refused(&["--device", &format!("{server}/1-7")]);
    assert!(told.contains("exports no device 1-7"), "{told}");
    fs::write(bench.path("fx2.toml"), "devices = []").unwrap();
    let told = bench.refused(&["--device", "osr-fx2"]);
    assert!(
        told.contains("error: the package is for no devices"),
        "{told}"
    );
    let (code, told) = usbwright(&["stack", "list", "--control", "unix:/no/such"]);
    assert!(
        !code && told.contains("start one with `usbwright stack run`"),
        "{told}"
    );
    let (code, told) = usbwright(&["stack", "list", "--control", "/no/such"]);
    assert!(
        !code && told.contains("names no socket: write unix:/PATH"),
        "{told}"
    );
}
