//! `usbwright bench`, as its users meet it: what it measures, prints, writes and says when something is wrong.

#[allow(dead_code, reason = "the hostile clients ask for other parts of it")]
#[path = "support/usbip/mod.rs"]
mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Lines, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::mpsc,
    thread,
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use usbwright::emulator::server::Limits;

use self::support::{
    devices::fragile,
    server::{Place, Served},
};

/// Runs that are as short as can be.
const SHORT: [&str; 4] = ["--pairs", "2", "--seconds", "0.01"];

fn usbwright(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usbwright"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .env_remove("RUST_LOG");
    command
}

fn bench(arguments: &[&str]) -> Output {
    let arguments = [&["bench"], &SHORT[..], arguments].concat();
    usbwright(&arguments).output().unwrap()
}

fn measured(arguments: &[&str]) -> Value {
    let output = bench(&[arguments, &["--json"]].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert_eq!(told, "");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn failure(arguments: &[&str]) -> String {
    let output = bench(arguments);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

/// A row's place in the grid.
fn cell(row: &Value) -> String {
    let text = |key: &str| row[key].as_str().unwrap().to_owned();
    let (section, transport) = (text("section"), text("transport"));
    let (direction, device) = (text("direction"), text("device"));
    format!(
        "{section} {transport} {direction} {} x {} {device}",
        row["size"], row["depth"]
    )
}

fn cells(results: &Value) -> Vec<String> {
    results["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(cell)
        .collect()
}

/// A server, or another process that tells its progress in lines.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut child = usbwright(arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn serve(path: &Path, spec: &str) -> Self {
        let listen = format!("--listen=unix:{}", path.display());
        let mut server = Self::start(&["serve", spec, &listen]);
        while server.lines.next().expect("it ended early").unwrap() != "ready" {}
        server
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_cell_is_measured_over_both_transports_against_the_floor() {
    let results = measured(&["--against", "floor", "--size", "512,4k", "--depth", "1,3"]);
    let mut expected = Vec::new();
    for transport in ["tcp", "unix"] {
        for direction in ["in", "out"] {
            for (size, depth) in [(512, 1), (512, 3), (4096, 1), (4096, 3)] {
                expected.push(format!(
                    "grid {transport} {direction} {size} x {depth} gadget-zero,pattern=2"
                ));
            }
        }
    }
    assert_eq!(cells(&results), expected);
    for row in results["rows"].as_array().unwrap() {
        assert_eq!(row["against"], "the floor");
        for key in ["throughput_ratio", "latency_ratio"] {
            assert!(row[key].as_f64().unwrap() > 0.0, "{row:#}");
        }
        for side in ["ours", "theirs"] {
            for (name, figure) in row[side].as_object().unwrap() {
                assert!(figure.as_f64().unwrap() > 0.0, "{side} {name}: {row:#}");
            }
        }
    }
    assert_eq!(results["error"], Value::Null);
}

#[test]
fn checking_and_a_sleeping_server_have_rows_of_their_own() {
    let results = measured(&["--transport=unix", "--section=asleep", "--section=checking"]);
    assert_eq!(
        cells(&results),
        [
            "asleep unix in 512 x 1 gadget-zero,pattern=2",
            "asleep unix in 4096 x 1 gadget-zero,pattern=2",
            "asleep unix out 512 x 1 gadget-zero,pattern=2",
            "asleep unix out 4096 x 1 gadget-zero,pattern=2",
            "checking unix in 65536 x 16 gadget-zero,pattern=0",
            "checking unix out 65536 x 16 gadget-zero,pattern=0",
            "checking unix in 65536 x 16 gadget-zero,pattern=1",
            "checking unix out 65536 x 16 gadget-zero,pattern=1",
        ]
    );
    assert_eq!(results["rows"][4]["against"], "gadget-zero,pattern=2");
}

#[test]
fn a_host_stack_is_measured_beside_a_programs_pipes() {
    let results = measured(&[
        "--transport=unix",
        "--section=stack",
        "--size=512,64k",
        "--depth=1,4",
    ]);
    let mut expected = Vec::new();
    for direction in ["in", "out"] {
        for (size, depth) in [(512, 1), (512, 4), (65536, 1), (65536, 4)] {
            expected.push(format!("stack unix {direction} {size} x {depth} stack"));
        }
    }
    assert_eq!(cells(&results), expected);
    for row in results["rows"].as_array().unwrap() {
        assert_eq!(row["against"], "pipes");
        assert!(row["throughput_ratio"].as_f64().unwrap() > 0.0, "{row:#}");
    }
}

#[test]
fn the_whole_way_of_requests_is_measured_beside_bare_exchanges() {
    let results = measured(&["--stack"]);
    let rows = results["way"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|it| it["what"].as_str().unwrap()).collect();
    let expected = [
        "512 B read × 1",
        "512 B read × 32",
        "1 MiB direct write",
        "1 MiB direct read",
        "port message and reply",
    ];
    assert_eq!(names, expected);
    for row in rows {
        for figure in ["ours", "floor", "ratio"] {
            assert!(row[figure].as_f64().unwrap() > 0.0, "{row:#}");
        }
    }
    assert_eq!(rows[0]["aim"]["at-most"], 1.5);
    let output = bench(&["--stack"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("ratio"), "{table}");
    assert!(table.lines().all(|it| it.chars().count() <= 100), "{table}");
}

#[test]
fn interrupt_endpoints_are_watched_at_1_khz_and_8_khz() {
    let results = measured(&["--transport=unix", "--section=interrupt"]);
    let rows = results["interrupts"].as_array().unwrap();
    let periods: Vec<_> = rows.iter().map(|row| row["period_us"].as_f64()).collect();
    assert_eq!(periods, [Some(1000.0), Some(125.0)]);
    for row in rows {
        // No endpoint is faster than its period; the runs are of 20 ms, and 16 transfers wait as they begin.
        let most = 1e6 / row["period_us"].as_f64().unwrap() * 2.0;
        let rate = row["per_s"].as_f64().unwrap();
        assert!(rate > 0.0 && rate < most, "{row:#}");
    }
}

#[test]
fn many_devices_are_measured_at_once_with_what_each_of_them_gets() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().to_str().unwrap();
    let results = measured(&["--devices", "3", "--size", "512", "--report", report]);
    let page = fs::read_to_string(folder.path().join("index.html")).unwrap();
    assert!(page.contains("Many devices at once"));
    let rows = results["crowd"].as_array().unwrap();
    let measured: Vec<_> = rows
        .iter()
        .map(|row| {
            format!(
                "{} {} {}",
                row["transport"], row["direction"], row["devices"]
            )
        })
        .collect();
    let expected = [
        r#""tcp" "in" 3"#,
        r#""tcp" "out" 3"#,
        r#""unix" "in" 3"#,
        r#""unix" "out" 3"#,
    ];
    assert_eq!(measured, expected);
    for row in rows {
        let share = |key: &str| row["ours"][key].as_f64().unwrap();
        assert!(0.0 < share("least_share") && share("least_share") <= 1.0);
        assert!((1.0..=3.0).contains(&share("most_share")));
        assert!(row["floor_ratio"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn the_report_tells_the_machine_and_loads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("new/report");
    let place = folder.to_str().unwrap();
    let arguments = [
        "--against=floor",
        "--size=512",
        "--depth=1",
        "--report",
        place,
    ];
    let output = bench(&arguments);
    assert!(output.status.success());
    let page = fs::read_to_string(folder.join("index.html")).unwrap();
    let results: Value =
        serde_json::from_slice(&fs::read(folder.join("results.json")).unwrap()).unwrap();
    assert_eq!(cells(&results).len(), 4);
    for key in ["processor", "kernel", "version"] {
        let told = results["machine"][key].as_str().unwrap();
        assert!(page.contains(told), "{key}: {told}");
    }
    for part in [
        "Throughput",
        "Latency, p99",
        "TCP, IN",
        "UNIX, OUT",
        "the floor",
        "<svg",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for loading in [
        "http:", "https:", "src=", "href=", "url(", "@import", "<script",
    ] {
        assert!(!page.contains(loading), "{loading}");
    }
}

#[test]
fn the_table_fits_100_columns() {
    let output = bench(&[
        "--against=floor",
        "--size=512,1M",
        "--depth=64",
        "--transport=tcp",
    ]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("\nTCP, IN\n") && table.contains("\nTCP, OUT\n"));
    for line in table.lines().skip_while(|line| *line != "TCP, IN") {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn any_server_is_driven_by_its_address_even_one_that_checks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _server = Process::serve(&path, "gadget-zero,pattern=1,busid=2-5");
    let device = format!("unix:{}/2-5", path.display());
    let results = measured(&[&device, "--against=floor"]);
    let cells = cells(&results);
    assert_eq!(cells.len(), 60 + 4);
    assert!(
        cells
            .iter()
            .all(|cell| cell.contains(" unix ") && cell.ends_with(&device))
    );
    let first = &results["rows"][0];
    assert_eq!(first["ours"]["server_cpu_s_per_gb"], Value::Null);
    assert_ne!(first["theirs"]["server_cpu_s_per_gb"], Value::Null);
}

#[test]
fn what_cannot_be_measured_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _server = Process::serve(&path, "gadget-zero");
    let other = Served::new(Place::Unix, vec![fragile()], Limits::default());
    let without_bulk = format!("{}/1-1", other.address);
    let (here, missing) = (format!("unix:{}/1-1", path.display()), "unix:/missing/1-1");
    let nothing = format!("unix:{}/7-7", path.display());
    for (arguments, expected) in [
        (
            &[missing][..],
            "can't reach a USB/IP server at unix:/missing",
        ),
        (&[&nothing], "can't import 7-7"),
        (&[&without_bulk], "no pair of bulk endpoints"),
        (
            &[&here, "--against=127.0.0.1:1/1-1"],
            "are not reached in the same way",
        ),
        (
            &[&here, "--transport=tcp"],
            "can't be reached by tcp: leave out --transport",
        ),
        (
            &[&here, "--section=checking"],
            "leave out DEVICE or that --section",
        ),
        (
            &[&here, "--section=stack"],
            "use --against libusb:… --section pipes --section stack",
        ),
        (
            &["--report=/proc/none"],
            "can't write a report into /proc/none",
        ),
    ] {
        let told = failure(arguments);
        assert!(told.contains(expected), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    let wrong = bench(&["here"]);
    assert_eq!(wrong.status.code(), Some(2));
    let told = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        told.contains("`here` names no device: use HOST:PORT/BUSID"),
        "{told}"
    );
}

/// A floor behind a relay, which calls `large` at the first transfer of 1 MiB, and goes on if that says so. Only reading is
/// relayed rightly.
fn relay(large: impl FnOnce() -> bool + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut floor = Process::start(&["bench", "floor", "--listen=127.0.0.1:0"]);
        let line = floor.lines.next().unwrap().unwrap();
        let mut server = TcpStream::connect(line.strip_prefix("listening at ").unwrap()).unwrap();
        let (mut client, _) = listener.accept().unwrap();
        let (mut replies, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut replies, &mut back));
        let mut import = [0; 40];
        client.read_exact(&mut import).unwrap();
        server.write_all(&import).unwrap();
        let mut large = Some(large);
        let mut command = [0; 48];
        while client.read_exact(&mut command).is_ok() {
            let goes_on = match &command[24..28] {
                [0, 0x10, 0, 0] => large.take().is_none_or(|large| large()),
                _ => true,
            };
            if !goes_on {
                client.shutdown(Shutdown::Both).unwrap();
                return;
            }
            server.write_all(&command).unwrap();
        }
    });
    format!("{address}/1-1")
}

const TWO_CELLS: [&str; 4] = ["--direction=in", "--size=512,1M", "--depth=1", "--json"];

#[test]
fn what_was_measured_before_a_server_died_is_told() {
    let device = relay(|| false);
    let output = bench(&[&[device.as_str()], &TWO_CELLS[..]].concat());
    let error = "tcp IN 1 MiB × 1: the server closed the connection";
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, format!("usbwright: error: {error}\n"));
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(cells(&results), [format!("grid tcp in 512 x 1 {device}")]);
    assert_eq!(results["error"], error);
}

#[test]
fn a_signal_ends_it_and_its_servers_and_what_was_measured_is_told() {
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let device = relay(move || {
        begun.send(()).unwrap();
        may_go_on.recv().is_ok()
    });
    let arguments = [
        &["bench"],
        &SHORT[..],
        &[&device, "--against=floor"],
        &TWO_CELLS,
    ];
    let child = usbwright(&arguments.concat())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    has_begun.recv().unwrap();
    let pid = Pid::from_child(&child);
    let list = format!("/proc/{0}/task/{0}/children", child.id());
    let servers = fs::read_to_string(list).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    go_on.send(()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("ended by a signal"), "{told}");
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(cells(&results).len(), 1);
    let servers: Vec<i32> = servers
        .split_whitespace()
        .map(|it| it.parse().unwrap())
        .collect();
    assert_eq!(servers.len(), 1);
    for server in servers {
        assert!(test_kill_process(Pid::from_raw(server).unwrap()).is_err());
    }
}

#[test]
fn whoever_reads_no_further_is_no_reason_to_panic() {
    let arguments = [
        &["bench"],
        &SHORT[..],
        &["--size=512", "--depth=1", "--json"],
    ];
    let mut child = usbwright(&arguments.concat())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
