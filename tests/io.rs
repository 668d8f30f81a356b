//! `usbwright io`, `show` and `tree` of devices of every kind that needs no hardware: made in process, and behind a server.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

fn usbwright(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usbwright"));
    command
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("RUST_LOG");
    command
}

fn output(arguments: &str) -> Output {
    usbwright(arguments).output().unwrap()
}

/// What a command writes to its standard output that ends well.
fn read(arguments: &str) -> Vec<u8> {
    let output = output(arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments}: {told}");
    output.stdout
}

fn text(arguments: &str) -> String {
    String::from_utf8(read(arguments)).unwrap()
}

/// The exit code of a command that fails, its output and the last thing that it says.
fn failure(arguments: &str) -> (Option<i32>, Vec<u8>, String) {
    let output = output(arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    let last = told.lines().last().unwrap_or_default().to_owned();
    (output.status.code(), output.stdout, last)
}

/// The lines of JSON that a command prints, however it ends.
fn lines(arguments: &str) -> Vec<Value> {
    let text = String::from_utf8(output(arguments).stdout).unwrap();
    let lines = text.lines();
    lines.map(|it| serde_json::from_str(it).unwrap()).collect()
}

/// A server with one device, at a TCP port and a UNIX socket.
struct Server {
    child: Child,
    _out: BufReader<ChildStdout>,
    devices: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(spec: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listen = format!("--listen unix:{} --listen 127.0.0.1:0", socket.display());
        let mut child = usbwright(&format!("serve {spec} {listen}"))
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut devices = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "it ended early");
            if line == "ready\n" {
                break;
            }
            let address = line.trim_end().strip_prefix("listening at ");
            devices.extend(address.map(|it| format!("{it}/1-1")));
        }
        Self {
            child,
            _out: out,
            devices,
            _folder: folder,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_device_is_used_the_same_wherever_it_is() {
    let server = Server::start("gadget-zero,pattern=1");
    let mut devices = server.devices.clone();
    devices.push("gadget-zero,pattern=1".to_owned());
    assert_eq!(devices.len(), 3);
    for device in devices {
        let data = read(&format!("io {device} 0x81 read 1000 then 1in read 24"));
        // What goes beyond the first read is kept for the next.
        let expected = (0..1024).map(|i: usize| (i % 512 % 63) as u8);
        assert!(data.into_iter().eq(expected), "{device}");
        assert_eq!(text(&format!("io {device} 0x01 write --data 000102")), "");
        let kept =
            format!("io {device} control 0x40 0x5b 0 0 --text hello then control 0xc0 0x5c 0 0 5");
        assert_eq!(text(&kept), "hello");
        let looped = format!("io --configuration 2 {device} 1out write --text hi then 81 read 64");
        assert_eq!(text(&looped), "hi");
        assert!(text(&format!("tree {device}")).starts_with("0525:a4a0"));
        assert!(text(&format!("show {device}")).contains("Gadget Zero"));
    }
}

#[test]
fn a_transfer_that_fails_is_told_with_what_had_moved() {
    let refused = "io gadget-zero 0x01 write --data 0001 then 0x81 read";
    let (code, printed, told) = failure(refused);
    assert_eq!((code, printed), (Some(1), vec![]));
    assert_eq!(told, "usbwright: error: 0x01: it stalled");
    // What came before the error is printed.
    let late = "io gadget-zero --configuration 2 --timeout 50 1out write --text hi then 1in read 4 --count 2";
    let (code, printed, told) = failure(late);
    assert_eq!((code, printed), (Some(1), b"hi".to_vec()));
    assert_eq!(
        told,
        "usbwright: error: 0x81: it took too long after 2 bytes"
    );
    let (_, printed, told) = failure("io gadget-zero control 0xc0 1 0 0 4");
    assert_eq!(
        (printed, told),
        (vec![], "usbwright: error: control: it stalled".to_owned())
    );
}

#[test]
fn a_halt_is_cleared_by_a_reset_where_steps_go_on() {
    let steps = "io gadget-zero --json --keep-going 1out write --data 01 then 1out write --data 00 \
                 then 1out reset then 1out write --data 00";
    let status: Vec<_> = lines(steps).iter().map(|it| it["status"].clone()).collect();
    assert_eq!(status, ["stalled", "stalled", "done", "done"]);
    assert_eq!(failure(steps).0, Some(1));
}

#[test]
fn each_step_is_an_object_of_json() {
    let told = lines(
        "io --json gadget-zero control get-configuration then 0x81 read 2 then 1out write --data 01",
    );
    assert_eq!(
        told,
        [
            json!({"step": "control get-configuration", "status": "done", "error": null, "length": 1, "data": "03"}),
            json!({"step": "0x81 read 2", "status": "done", "error": null, "length": 2, "data": "0000"}),
            json!({"step": "1out write --data 01", "status": "stalled", "error": "0x01: it stalled", "length": 0}),
        ]
    );
    let refused = lines("io --json gadget-zero 0x85 read");
    assert_eq!((&refused[0]["status"], refused.len()), (&Value::Null, 1));
    let packets = lines("io --json gadget-zero --alternate 1 0x82 packets 2");
    let packet = json!({"length": 1024, "status": "done"});
    assert_eq!(packets[0]["packets"], json!([packet, packet]));
}

#[test]
fn data_is_dumped_or_goes_to_a_file() {
    let dump = text("io gadget-zero --configuration 2 1out write --text usb then 1in read 8 --hex");
    assert!(dump.starts_with("00000000  75 73 62  "), "{dump}");
    assert!(dump.ends_with("|usb|\n"), "{dump}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    let shown = file.display();
    assert_eq!(
        text(&format!(
            "io gadget-zero 0x81 read 512 --count 9 --output {shown}"
        )),
        ""
    );
    assert_eq!(fs::read(&file).unwrap(), vec![0; 9 * 512]);
    assert_eq!(
        text(&format!("io gadget-zero 0x01 write --file {shown}")),
        ""
    );
}

#[test]
fn what_a_read_has_left_comes_first_in_the_next_ones() {
    let data = read("io gadget-zero,pattern=1 1in read 1000 then 1in read 512 --count 4");
    let expected = (0..1000 + 4 * 512).map(|i: usize| (i % 512 % 63) as u8);
    assert!(data.into_iter().eq(expected));
}

#[test]
fn short_packets_end_reads_or_are_passed_over() {
    let written =
        "io gadget-zero --configuration 2 1out write --text abc then 1out write --text de";
    assert_eq!(
        text(&format!("{written} then 1in read 5 --ignore-short")),
        "abcde"
    );
    assert_eq!(
        text(&format!(
            "{written} then 1in read 512 --count 0 --until-short"
        )),
        "abc"
    );
}

#[test]
fn what_is_wrong_is_told_with_what_would_do() {
    for (arguments, code, told) in [
        (
            "io disc 0x81 read",
            2,
            "HOST[:PORT]/BUSID or unix:/PATH/BUSID",
        ),
        ("io pc/ 0x81 read", 2, "use HOST:PORT/BUSID"),
        ("io gadget-zero", 2, "<STEP>"),
        ("io gadget-zero 0x00 read", 2, "use `control`"),
        (
            "io gadget-zero 0x81 read --json",
            2,
            "such options stand before the first step",
        ),
        ("io gadget-zero 0x81 read 0", 2, "`0` is no size"),
        ("io gadget-zero 0x01 write", 2, "--data <HEX>"),
        (
            "io --json gadget-zero 0x81 read --count 0",
            2,
            "use --output FILE",
        ),
        (
            "io gadget-zero 0x85 read",
            1,
            "the configuration has 0x01 (bulk, interface 0)",
        ),
        ("io gadget-zero 0x82 packets 1", 1, "--alternate 1"),
        (
            "io gadget-zero --alternate 1 0x82 read",
            1,
            "`packets` reads isochronous endpoints",
        ),
        (
            "io gadget-zero --alternate 7 0x81 read",
            1,
            "it has [0, 1, 2]",
        ),
        (
            "io gadget-zero --interface 3 0x81 read",
            1,
            "no endpoint 0x81 in interface 3",
        ),
        (
            "io gadget-zero --configuration 9 0x81 read",
            1,
            "it has [3, 2]",
        ),
        (
            "io gadget-zero 0x01 read",
            1,
            "0x01 goes OUT: it can't be read",
        ),
        (
            "io gadget-zero 0x81 write --data 00",
            1,
            "0x81 goes IN: it can't be written",
        ),
        (
            "io gadget-zero control 0 9 3 0",
            1,
            "use --configuration or --alternate",
        ),
        (
            "io gadget-zero 0x01 write --file /nowhere",
            1,
            "can't read /nowhere",
        ),
        (
            "io unix:/nowhere/1-1 0x81 read",
            1,
            "can't reach a USB/IP server at unix:/nowhere",
        ),
    ] {
        let output = output(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {error}");
        assert!(error.contains(told), "{arguments}: {error}");
        assert!(output.stdout.is_empty(), "{arguments}");
    }
}

/// Bytes that do not repeat soon.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// Runs a command with that input, and tells what it prints.
fn piped(arguments: &str, input: &[u8]) -> Vec<u8> {
    let mut command = usbwright(arguments);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments}: {told}");
    output.stdout
}

#[test]
fn a_hundred_megabytes_go_in_and_come_back_byte_by_byte() {
    const LENGTH: usize = 1600 * 65536;
    let input = noise(LENGTH);
    let server = Server::start("gadget-zero,buflen=65536");
    for device in [
        &server.devices[0],
        &server.devices[1],
        "gadget-zero,buflen=65536",
    ] {
        let steps =
            format!("io --configuration 2 {device} 1out write - and 1in read 65536 --count 1600");
        assert!(piped(&steps, &input) == input, "{device}");
    }
}

#[test]
fn a_hundred_megabytes_go_into_a_sink() {
    let server = Server::start("gadget-zero");
    let zeros = vec![0; 100_000_000];
    let arguments = format!("io --json {} 0x01 write - --zero-packet", server.devices[0]);
    let told = piped(&arguments, &zeros);
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(
        (&told["length"], &told["status"]),
        (&json!(100_000_000), &json!("done"))
    );
}

#[test]
fn a_signal_ends_a_read_that_waits_with_what_had_come() {
    let server = Server::start("gadget-zero");
    for (device, count, code) in [
        ("gadget-zero", 0, 0),
        (server.devices[0].as_str(), 0, 0),
        (server.devices[1].as_str(), 2, 1),
    ] {
        let steps = format!(
            "io --configuration 2 {device} 1out write --text hi then 1in read 512 --count {count}"
        );
        let mut child = usbwright(&steps).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut came = [0; 2];
        out.read_exact(&mut came).unwrap();
        assert_eq!(&came, b"hi");
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let ended = child.wait_with_output().unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{steps}: {told}");
        let expected = "0x81: it was ended by a signal after 2 bytes";
        assert_eq!(told.contains(expected), code == 1, "{told}");
    }
}

#[test]
fn a_step_that_fails_ends_those_beside_it() {
    let steps = "io --configuration 2 gadget-zero --json 1in read 64 and control 0xc0 1 0 0 4";
    let mut told = lines(steps);
    told.sort_by_key(|line| line["step"].to_string());
    let told: Vec<_> = told
        .iter()
        .map(|line| (&line["status"], &line["error"]))
        .collect();
    assert_eq!(
        told,
        [
            (
                &json!("cancelled"),
                &json!("0x81: it was ended, as a step beside it failed")
            ),
            (&json!("stalled"), &json!("control: it stalled")),
        ]
    );
    let (code, _, told) = failure(&steps.replace("--json", ""));
    assert_eq!(code, Some(1));
    assert_eq!(told, "usbwright: error: control: it stalled");
}

#[test]
fn a_server_that_ends_is_told() {
    let server = Server::start("gadget-zero");
    let device = &server.devices[0];
    let steps =
        format!("io --configuration 2 {device} 1out write --text hi then 1in read --count 0");
    let mut child = usbwright(&steps).spawn().unwrap();
    let mut came = [0; 2];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut came)
        .unwrap();
    drop(server);
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(
        told.contains("0x81: the device is gone after 2 bytes"),
        "{told}"
    );
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let mut child = usbwright("io gadget-zero 0x81 read 65536 --count 0")
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 1000]).unwrap();
    drop(out);
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), told.as_str()), (Some(0), ""));
}

#[test]
fn the_demonstration_needs_no_kernel_and_fits_on_a_screen() {
    let text = text("demo");
    let lines = text.lines().count();
    assert!(lines <= 25, "{lines} lines:\n{text}");
    for part in [
        "Made a device of the model gadget-zero: 0525:a4a0",
        "Exported it over USB/IP: 127.0.0.1:",
        "configuration 3",
        "\"Hello, device!\"",
        "0x01 written:",
        "0x81 read:",
        "usbwright demo --kernel",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 110));
}
