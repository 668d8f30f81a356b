//! The control socket: devices of a running server plugged, used and watched.

use std::{
    fs,
    io::{BufRead, BufReader, Lines, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use usbwright::{
    control::{Client, ClientError, ControlAddress, Devices, Event, Line, Listener, Request},
    emulator::{
        Bus,
        server::{Limits, Server},
    },
    protocol::Setup,
    remote::{RemoteDevice, RemotePort},
    target::{Device, In, Interrupt, Wait},
};

/// A server that is controlled.
struct Controlled {
    address: ControlAddress,
    served_at: String,
    devices: Devices,
    client: Client,
    listener: Listener,
    _server: Server,
    _runtime: Runtime,
    folder: TempDir,
}

impl Controlled {
    fn new(specs: &[&str]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let address: ControlAddress = format!("unix:{}/control", folder.path().display())
            .parse()
            .unwrap();
        let bus = Bus::new();
        let devices = Devices::new(bus.clone(), runtime.handle().clone());
        for spec in specs {
            devices.plug(&spec.parse().unwrap()).unwrap();
        }
        let server = Server::new(bus, Limits::default());
        let mut server = server.observed_by(Arc::new(devices.clone()));
        let listen = "127.0.0.1:0".parse().unwrap();
        let served_at = runtime
            .block_on(server.listen(&listen))
            .unwrap()
            .to_string();
        let entered = runtime.enter();
        let listener = Listener::bind(&address, &devices).unwrap();
        drop(entered);
        Self {
            client: Client::connect(&address).unwrap(),
            address,
            served_at,
            devices,
            listener,
            _server: server,
            folder,
            _runtime: runtime,
        }
    }

    fn ask(&mut self, request: Value) -> Result<Value, String> {
        let request: Request = serde_json::from_value(request).unwrap();
        match self.client.request(&Line::of(request)) {
            Ok(answer) => Ok(answer),
            Err(ClientError::Refused(refused)) => Err(refused),
            Err(other) => panic!("{other}"),
        }
    }

    fn refused(&mut self, request: Value) -> String {
        self.ask(request).unwrap_err()
    }

    /// Has a host attach a device and configure it.
    fn attach(&self, device: &str) -> Device {
        let device = RemoteDevice {
            remote: self.served_at.parse().unwrap(),
            bus_id: device.to_owned(),
        };
        Device::open(RemotePort::open(&device).unwrap())
            .wait()
            .unwrap()
    }

    /// A connection that is told of everything, from the beginning.
    fn watch(&self) -> Watch {
        let mut client = Client::connect(&self.address).unwrap();
        let line = Line::of(Request::Events { follow: true });
        let past = client.request(&line).unwrap();
        let past: Vec<Event> = serde_json::from_value(past).unwrap();
        Watch {
            past: past.into_iter(),
            client,
        }
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.address.path()).unwrap()
    }
}

struct Watch {
    past: std::vec::IntoIter<Event>,
    client: Client,
}

impl Watch {
    fn next(&mut self) -> Event {
        let past = self.past.next();
        past.unwrap_or_else(|| self.client.event().unwrap())
    }
}

fn plugged(device: &str, spec: &str, speed: &str) -> Event {
    Event::Plugged {
        device: device.to_owned(),
        spec: spec.to_owned(),
        speed: speed.to_owned(),
    }
}

fn unplugged(device: &str) -> Event {
    let device = device.to_owned();
    Event::Unplugged { device }
}

#[test]
fn a_list_tells_what_there_is_and_what_each_can_do() {
    let mut controlled = Controlled::new(&["keyboard,layout=de", "gadget-zero,busid=3-1"]);
    let list = controlled.ask(json!({ "do": "list" })).unwrap();
    assert_eq!(
        list,
        json!([
            {
                "device": "1-1", "spec": "keyboard,layout=de", "id": "0525:a4ac", "speed": "full",
                "in_use": false, "by": null,
                "functions": [
                    { "kind": "keyboard", "can": ["state", "type", "press", "hold", "release"] }
                ],
            },
            {
                "device": "3-1", "spec": "gadget-zero,busid=3-1", "id": "0525:a4a0", "speed": "high",
                "in_use": false, "by": null, "functions": [],
            },
        ])
    );
}

#[test]
fn devices_are_plugged_in_and_taken_off_and_plugged_in_at_another_speed() {
    let mut controlled = Controlled::new(&["mouse"]);
    let mut watch = controlled.watch();
    let plug = json!({ "do": "plug", "spec": "keyboard,busid=2-7" });
    assert_eq!(controlled.ask(plug).unwrap(), json!({ "device": "2-7" }));
    let replug = json!({ "do": "replug", "device": "2-7", "speed": "low" });
    assert_eq!(controlled.ask(replug).unwrap(), json!({ "device": "2-7" }));
    controlled
        .ask(json!({ "do": "unplug", "device": "1-1" }))
        .unwrap();
    for event in [
        plugged("1-1", "mouse", "full"),
        plugged("2-7", "keyboard,busid=2-7", "full"),
        unplugged("2-7"),
        plugged("2-7", "keyboard,speed=low,busid=2-7", "low"),
        unplugged("1-1"),
    ] {
        assert_eq!(watch.next(), event);
    }
    let list = controlled.ask(json!({ "do": "list" })).unwrap();
    assert_eq!(
        (list[0]["speed"].as_str(), list.as_array().unwrap().len()),
        (Some("low"), 1)
    );
}

#[test]
fn what_is_typed_is_read_by_the_host_and_the_answer_waits_for_that() {
    let mut controlled = Controlled::new(&["keyboard"]);
    let not_yet = json!({ "do": "type", "device": "1-1", "text": "a" });
    let told = controlled.refused(not_yet.clone());
    assert_eq!(told, "1-1: no host uses the device: attach it first");
    let host = controlled.attach("1-1");
    let interface = host.interface(0).wait().unwrap();
    let reports = interface.first::<Interrupt, In>().unwrap();
    let reader = std::thread::spawn(move || {
        let read = || reports.read(8).wait().ok().unwrap().data.to_vec();
        (read(), read())
    });
    controlled.ask(not_yet).unwrap();
    let (down, up) = reader.join().unwrap();
    assert_eq!((down[2], up[2]), (4, 0));
}

#[test]
fn a_wait_for_the_host_ends_when_the_device_is_reset_or_unplugged() {
    for end in ["released", "unplugged"] {
        let mut controlled = Controlled::new(&["keyboard"]);
        let host = controlled.attach("1-1");
        let mut typing = controlled.connect();
        let mut typed = BufReader::new(typing.try_clone().unwrap());
        typing
            .write_all(b"{\"do\":\"type\",\"device\":\"1-1\",\"text\":\"abc\",\"id\":[7]}\n")
            .unwrap();
        let waits = |state: Value| state[0]["state"]["waiting"] == 6;
        while !waits(
            controlled
                .ask(json!({ "do": "state", "device": "1-1" }))
                .unwrap(),
        ) {}
        let (expected, _again) = match end {
            "released" => {
                drop(host);
                // The next host resets it.
                let again = loop {
                    let device = RemoteDevice {
                        remote: controlled.served_at.parse().unwrap(),
                        bus_id: "1-1".to_owned(),
                    };
                    if let Ok(port) = RemotePort::open(&device) {
                        break port;
                    }
                };
                (
                    "1-1: the host has reset the device before it had read all of it",
                    Some(again),
                )
            }
            _ => {
                controlled
                    .ask(json!({ "do": "unplug", "device": "1-1" }))
                    .unwrap();
                ("1-1: the device was unplugged meanwhile", None)
            }
        };
        let mut line = String::new();
        typed.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer, json!({ "error": expected, "id": [7] }));
    }
}

#[test]
fn events_tell_who_attaches_a_device_what_it_configures_and_what_its_user_sees() {
    let controlled = Controlled::new(&["keyboard"]);
    let mut watch = controlled.watch();
    assert_eq!(watch.next(), plugged("1-1", "keyboard", "full"));
    let host = controlled.attach("1-1");
    let Event::Attached { device, by } = watch.next() else {
        panic!("it is not told who has the device");
    };
    assert!(
        device == "1-1" && by.starts_with("127.0.0.1:"),
        "{device} {by}"
    );
    let configured = Event::Configured {
        device: "1-1".to_owned(),
        configuration: 1,
    };
    assert_eq!(watch.next(), configured);
    let light = Setup::from_bytes([0x21, 9, 0, 2, 0, 0, 1, 0]);
    host.control(light, vec![2]).wait().ok().unwrap();
    let Event::Changed {
        function,
        kind,
        state,
        ..
    } = watch.next()
    else {
        panic!("it is not told what the user sees");
    };
    assert_eq!((function, kind.as_str()), (1, "keyboard"));
    assert_eq!(state, json!({ "leds": ["caps-lock"] }));
    drop(host);
    let released = loop {
        // The lights go out where the next host resets the device, not here.
        if let Event::Released { reason, .. } = watch.next() {
            break reason;
        }
    };
    assert_eq!(released, "the client closed the connection");
}

#[test]
fn switches_of_a_board_are_flipped_and_its_displays_seen() {
    let mut controlled = Controlled::new(&["osr-fx2"]);
    let mut watch = controlled.watch();
    watch.next();
    let flip = json!({ "do": "switch", "device": "1-1", "switch": 3, "on": true });
    controlled.ask(flip).unwrap();
    let Event::Changed { state, .. } = watch.next() else {
        panic!("it is not told what the user sees");
    };
    assert_eq!(state["switches"], 0x20);
    let state = controlled
        .ask(json!({ "do": "state", "device": "1-1" }))
        .unwrap();
    assert_eq!(state[0]["kind"], "osr-fx2");
    assert_eq!(state[0]["state"]["switches"], 0x20);
}

#[test]
fn a_removable_disk_has_its_image_changed() {
    let mut controlled = Controlled::new(&["disk,removable", "disk,size=1M"]);
    let image = controlled.folder.path().join("image");
    fs::write(&image, vec![0; 4096]).unwrap();
    let mut watch = controlled.watch();
    let mut seen = || loop {
        if let Event::Changed { state, .. } = watch.next() {
            return state[0]["medium"].as_str().unwrap().to_owned();
        }
    };
    let insert = json!({ "do": "insert", "device": "1-1", "image": image });
    controlled.ask(insert.clone()).unwrap();
    assert_eq!(seen(), "in");
    let told = controlled.refused(insert);
    assert_eq!(told, "1-1: the drive has a medium: take it out first");
    controlled
        .ask(json!({ "do": "eject", "device": "1-1" }))
        .unwrap();
    assert_eq!(seen(), "none");
    let told = controlled.refused(json!({ "do": "eject", "device": "1-1" }));
    assert_eq!(told, "1-1: the drive is empty");
    let fixed = controlled.refused(json!({ "do": "eject", "device": "1-2" }));
    assert!(fixed.contains("made with `removable`"), "{fixed}");
    let unit = controlled.refused(json!({ "do": "eject", "device": "1-1", "unit": 3 }));
    assert_eq!(unit, "1-1: there is no logical unit 3: the last is 0");
    let replug = json!({ "do": "replug", "device": "1-1", "speed": "super" });
    controlled
        .ask(json!({ "do": "insert", "device": "1-1", "image": image }))
        .unwrap();
    controlled.ask(replug).unwrap();
    let state = controlled
        .ask(json!({ "do": "state", "device": "1-1" }))
        .unwrap();
    assert_eq!(
        state[0]["state"][0]["medium"], "in",
        "a replugged disk keeps its medium"
    );
    controlled
        .ask(json!({ "do": "eject", "device": "1-1" }))
        .unwrap();
    fs::write(&image, vec![0; 1000]).unwrap();
    let odd = json!({ "do": "insert", "device": "1-1", "image": image });
    assert!(
        controlled
            .refused(odd)
            .contains("1000 bytes has no whole number of blocks")
    );
}

#[test]
fn what_can_not_be_done_is_told_with_what_can() {
    let mut controlled = Controlled::new(&["mouse", "gadget-zero", "gamepad"]);
    for (request, told) in [
        (
            json!({ "do": "state", "device": "1-9" }),
            "there is no device 1-9: there is 1-1, 1-2, 1-3",
        ),
        (
            json!({ "do": "type", "device": "1-1", "text": "a" }),
            "1-1 (mouse) can't type: it can unplug, replug, state, move, click",
        ),
        (
            json!({ "do": "switch", "device": "1-2", "switch": 1, "on": true }),
            "1-2 (which nobody here uses) can't switch: it can unplug, replug",
        ),
        (
            json!({ "do": "state", "device": "1-1/2" }),
            "1-1 has 1 functions to be used, and none is 2",
        ),
        (
            json!({ "do": "click", "device": "1-1/1", "button": "top" }),
            "1-1/1: `top` will not do: a button is left, right, middle, back or forward",
        ),
        (
            json!({ "do": "axis", "device": "1-3", "axis": "z", "value": -1 }),
            "1-3: Z reaches from 0 to 255, and not to -1",
        ),
        (
            json!({ "do": "replug", "device": "1-3", "speed": "low" }),
            "it takes one of full, high, super, super-plus",
        ),
        (
            json!({ "do": "plug", "spec": "disc" }),
            "there is no model `disc`",
        ),
        (
            json!({ "do": "plug", "spec": "disk" }),
            "can't have disk: image=FILE or size=N",
        ),
        (
            json!({ "do": "plug", "spec": "mouse,busid=1-1" }),
            "can't plug mouse,busid=1-1 in: bus id 1-1 is taken",
        ),
    ] {
        let refused = controlled.refused(request.clone());
        assert!(refused.contains(told), "{request}: {refused}");
    }
}

#[test]
fn a_line_that_is_no_request_is_answered_and_the_next_one_is_heard() {
    let controlled = Controlled::new(&[]);
    let mut stream = controlled.connect();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut ask = |line: &str| {
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        reader.read_line(&mut answer).unwrap();
        answer
    };
    for (line, told) in [
        ("here\n", "this is no request: expected value at line 1"),
        ("[]\n", "this is no request: invalid type"),
        (
            "{\"do\":\"fly\",\"id\":1}\n",
            "unknown variant `fly`, expected one of `list`, `plug`",
        ),
        ("{\"do\":\"list\",\"of\":1,\"id\":1}\n", "\"id\":1"),
        (
            "{\"do\":\"click\",\"device\":\"1-1\",\"buton\":\"left\"}\n",
            "unknown field `buton`",
        ),
        (
            "{\"do\":\"type\",\"device\":\"1-1\"}\n",
            "missing field `text`",
        ),
        ("{\"do\":\"list\",\"wait\":1}\n", "expected a boolean"),
        (
            "\n  \n{\"do\":\"list\",\"id\":\"x\"}\n",
            "{\"id\":\"x\",\"ok\":[]}",
        ),
    ] {
        let answer = ask(line);
        assert!(answer.contains(told), "{line}: {answer}");
    }
}

#[test]
fn a_line_that_is_too_long_is_refused() {
    let controlled = Controlled::new(&[]);
    let mut stream = controlled.connect();
    // Who is refused may no more be read from.
    let _ = stream.write_all(&vec![b' '; 2 << 20]);
    let mut answer = String::new();
    let _ = BufReader::new(stream).read_line(&mut answer);
    assert!(
        answer.is_empty() || answer.contains("a line has less than 1048576 bytes"),
        "{answer}"
    );
}

#[test]
fn a_client_that_does_not_read_its_events_is_dropped() {
    let controlled = Controlled::new(&[]);
    let mut stream = controlled.connect();
    stream
        .write_all(b"{\"do\":\"events\",\"follow\":true}\n")
        .unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mouse = "mouse".parse().unwrap();
    for _ in 0..6000 {
        let device = controlled.devices.plug(&mouse).unwrap();
        controlled.devices.unplug(device.as_str()).unwrap();
    }
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    let last = rest.lines().last().unwrap();
    assert!(last.contains("it did not read its events, and"), "{last}");
}

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_the_server() {
    let controlled = Controlled::new(&[]);
    let path = controlled.address.path().to_owned();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(controlled.listener.address(), &controlled.address);
    drop(controlled);
    assert!(!path.exists());
}

/// Runs the command, and gives its exit code and what it printed: on stdout, and on stderr.
fn usbwright(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_usbwright"))
        .args(arguments)
        .env_remove("USBWRIGHT_CONTROL")
        .env_remove("XDG_RUNTIME_DIR")
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}

#[test]
fn the_command_controls_a_server() {
    let controlled = Controlled::new(&["keyboard", "disk,removable"]);
    let folder = controlled.folder.path();
    fs::write(folder.join("image"), vec![0; 512]).unwrap();
    let control = controlled.address.to_string();
    let run = |arguments: &[&str]| {
        let all = [&["control", "--control", &control], arguments].concat();
        usbwright(folder, &all)
    };
    let (code, out, _) = run(&["list"]);
    assert_eq!(
        (code, out.as_str()),
        (
            Some(0),
            "1-1: keyboard, 0525:a4ac, full speed, free; keyboard: state, type, press, hold, release\n\
             1-2: disk,removable, 0525:a4a5, high speed, free; disk: state, insert, eject\n"
        )
    );
    assert_eq!(run(&["plug", "mouse"]).1, "1-3\n");
    assert_eq!(
        run(&["insert", "1-2", "image"]),
        (Some(0), String::new(), String::new())
    );
    assert_eq!(run(&["unplug", "1-3"]).0, Some(0));
    let (code, _, told) = run(&["move", "1-1", "-5", "7"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        told,
        "usbwright: error: 1-1 (keyboard) can't move: it can unplug, replug, state, type, press, hold, release\n"
    );
    let (_, events, _) = run(&["events"]);
    let last: Vec<_> = events.lines().rev().take(2).collect();
    assert_eq!(
        last,
        [
            "1-3: unplugged",
            "1-2/1: disk: [{\"flushes\":0,\"medium\":\"in\"}]"
        ]
    );
}

#[test]
fn a_command_that_finds_no_server_says_how_to_have_one() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, told) = usbwright(folder.path(), &["control", "list"]);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("which server is not said: use --control unix:/PATH"),
        "{told}"
    );
    let list = ["control", "--control", "unix:none", "list"];
    let (code, _, told) = usbwright(folder.path(), &list);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("`usbwright serve --control unix:none` listens there"),
        "{told}"
    );
}

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
        let told = self.client.request(&Line::of(Request::Reload));
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
    let list = bench.client.request(&Line::of(Request::List)).unwrap();
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
