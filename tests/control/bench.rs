//! A bench that a file describes.

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use usbwright::control::{Client, Event, Line, Request};

use crate::support::{Controlled, usbwright};

/// A bench's file, and its server.
struct Bench {
    folder: TempDir,
    server: Child,
    lines: Lines<BufReader<ChildStdout>>,
    client: Client,
}

impl Bench {
    const START: &'static str = "listen = \"127.0.0.1:0\"\ncontrol = \"unix:control\"\n[devices]\n";

    fn new(devices: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("bench.toml"),
            format!("{}{devices}", Self::START),
        )
        .unwrap();
        let mut server = Command::new(env!("CARGO_BIN_EXE_usbwright"))
            .args(["serve", "gadget-zero", "--config", "bench.toml"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        while lines.next().unwrap().unwrap() != "ready" {}
        let address = format!("unix:{}", folder.path().join("control").display());
        Self {
            client: Client::connect(&address.parse().unwrap()).unwrap(),
            folder,
            server,
            lines,
        }
    }

    fn write(&self, devices: &str) {
        let text = format!("{}{devices}", Self::START);
        fs::write(self.folder.path().join("bench.toml"), text).unwrap();
    }

    fn reload(&mut self) -> Result<Value, String> {
        let told = self.client.request(&Line::of(Request::Reload {}));
        told.map_err(|error| error.to_string())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.server);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.server.wait().unwrap().success());
        assert!(self.lines.next().is_none());
    }
}

#[test]
fn a_bench_is_described_by_a_file_and_what_changes_there_is_done() {
    let mut bench = Bench::new("1-1 = \"keyboard\"\n1-2 = \"mouse\"\n2-1 = \"tablet\"\n");
    let line = Line::of(Request::Events { follow: true });
    let address = format!("unix:{}", bench.folder.path().join("control").display());
    let mut events = Client::connect(&address.parse().unwrap()).unwrap();
    let past: Vec<Event> = serde_json::from_value(events.request(&line).unwrap()).unwrap();
    let names = past.iter().map(|event| match event {
        Event::Plugged { device, spec, .. } => (device.as_str(), spec.as_str()),
        other => panic!("{other:?}"),
    });
    // What the command line names takes a place that is free.
    let expected = [
        ("1-1", "keyboard"),
        ("1-2", "mouse"),
        ("2-1", "tablet"),
        ("1-3", "gadget-zero"),
    ];
    assert_eq!(names.collect::<Vec<_>>(), expected);

    bench.write("1-1 = \"keyboard\"\n1-2 = \"mouse,interval=8\"\n3-1 = \"gamepad\"\n");
    let told = bench.reload().unwrap();
    let (plugged, unplugged) = (json!(["1-2", "3-1"]), json!(["1-2", "2-1"]));
    assert_eq!(
        told,
        json!({ "plugged": plugged, "unplugged": unplugged, "kept": 1, "failed": [] })
    );

    // By a signal, and with a device that can't be had.
    bench.write("1-1 = \"keyboard\"\n1-2 = \"mouse,interval=8\"\n3-1 = \"disk,image=none\"\n");
    let pid = rustix::process::Pid::from_child(&bench.server);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    let mut next = || events.event().unwrap();
    for event in [
        unplugged_of("1-2"),
        unplugged_of("2-1"),
        plugged_of("1-2", "mouse,interval=8"),
        plugged_of("3-1", "gamepad"),
        unplugged_of("3-1"),
    ] {
        assert_eq!(event, named(&next()));
    }
    let told = bench.reload().unwrap();
    let failed = told["failed"][0].as_str().unwrap();
    assert!(
        failed.contains("can't open the image none") && failed.contains("bench.toml:6:7"),
        "{failed}"
    );

    // What is wrong with the file changes nothing.
    bench.write("1-1 = \"keyboard,layout=any\"\n1-2 = 7\n\"a b\" = \"mouse\"\n5-1 = \"mouse,busid=5-2\"\n[device]\n");
    let told = bench.reload().unwrap_err();
    for (line, what) in [
        ("bench.toml:5:7", "this is no text"),
        ("bench.toml:6:1", "`a b` is no bus id"),
        ("bench.toml:7:7", "the device has another bus id than 5-1"),
        ("bench.toml:8:2", "there is no key `device`"),
    ] {
        assert!(told.contains(line) && told.contains(what), "{told}");
    }
    bench.write("1-1 = \"keyboard\n");
    let told = bench.reload().unwrap_err();
    assert!(
        told.contains("bench.toml:4:16") && told.contains("write it as TOML"),
        "{told}"
    );
    let list = bench.client.request(&Line::of(Request::List {})).unwrap();
    let names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["device"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["1-1", "1-2", "1-3"]);
}

/// An event's name, device and SPEC.
type Named = (&'static str, String, String);

fn plugged_of(device: &str, spec: &str) -> Named {
    ("plugged", device.to_owned(), spec.to_owned())
}

fn unplugged_of(device: &str) -> Named {
    ("unplugged", device.to_owned(), String::new())
}

fn named(event: &Event) -> Named {
    match event {
        Event::Plugged { device, spec, .. } => plugged_of(device, spec),
        Event::Unplugged { device } => unplugged_of(device),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_does_not_start_with_a_bench_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let serve = ["serve", "--config", "bench.toml"];
    let (code, _, told) = usbwright(folder.path(), &serve);
    assert_eq!(code, Some(1));
    assert!(told.contains("can't read bench.toml"), "{told}");
    fs::write(
        folder.path().join("bench.toml"),
        "[devices]\n1-1 = \"disc\"\n",
    )
    .unwrap();
    let (code, _, told) = usbwright(folder.path(), &serve);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("there is no model `disc`") && told.contains("bench.toml:2:7"),
        "{told}"
    );
    let controlled = Controlled::new(&[]);
    let control = controlled.address.to_string();
    let (_, _, told) = usbwright(folder.path(), &["control", "--control", &control, "reload"]);
    assert!(
        told.contains("start the server with --config FILE"),
        "{told}"
    );
}
