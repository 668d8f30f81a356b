//! What runs in the lab.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use usbwright::control::{Client, Line, Request};

/// How long anything may take; nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The event types and codes of `linux/input-event-codes.h` that are looked for.
const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const EV_REL: u16 = 2;
const EV_ABS: u16 = 3;
const EV_MSC: u16 = 4;
const EV_LED: u16 = 0x11;

/// A device at the kernel, and its user's side. The server is another process: a kernel that closes a device's file waits for the
/// device, which must not end with the file's owner.
struct Attached {
    server: Child,
    client: Client,
    _folder: TempDir,
}

impl Attached {
    /// Has a server make a device, and the kernel attach it.
    fn new(spec: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = format!("unix:{}/control", folder.path().display());
        let mut server = Command::new("usbwright")
            .args([
                "serve",
                spec,
                "--listen",
                "127.0.0.1:0",
                "--control",
                &control,
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = None;
        let lines = BufReader::new(server.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            if let Some(told) = line.strip_prefix("listening at ") {
                address = Some(told.to_owned());
            }
            if line == "ready" {
                break;
            }
        }
        let attach = Command::new("usbwright")
            .args(["attach", "-r", &address.unwrap(), "-b", "1-1"])
            .status();
        assert!(attach.unwrap().success());
        Self {
            server,
            client: Client::connect(&control.parse().unwrap()).unwrap(),
            _folder: folder,
        }
    }

    /// Does something with the device.
    fn act(&mut self, request: Value) -> Value {
        let mut request = request;
        request["device"] = "1-1".into();
        let request: Request = serde_json::from_value(request).unwrap();
        self.client.request(&Line::of(request)).unwrap()
    }

    /// The LEDs that the server tells of, once they are these.
    fn until_lit(&mut self, leds: &[&str]) {
        until(|| {
            let state = self.act(json!({ "do": "state" }));
            (state[0]["state"]["leds"] == json!(leds)).then_some(())
        });
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Waits until something is there.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it does not come");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The device file of the input or hidraw device of that name, once it may be opened.
fn device_file(class: &str, name: &str) -> PathBuf {
    until(|| {
        let entries = fs::read_dir(format!("/sys/class/{class}")).ok()?;
        let mut entries = entries.flatten().map(|entry| entry.path());
        let found = entries.find(|path| {
            let told = ["device/name", "device/uevent"]
                .iter()
                .filter_map(|file| fs::read_to_string(path.join(file)).ok());
            let is_event = class != "input" || path.display().to_string().contains("/event");
            is_event && told.into_iter().any(|told| told.contains(name))
        })?;
        let folder = if class == "input" {
            "/dev/input"
        } else {
            "/dev"
        };
        let file = Path::new(folder).join(found.file_name()?);
        OpenOptions::new().read(true).write(true).open(&file).ok()?;
        Some(file)
    })
}

/// An event: type, code, value.
type Event = (u16, u16, i32);

/// The events of an input device, with when they were read. Those that separate and those that tell the scan code are left out.
struct Events {
    file: File,
    events: Receiver<(Instant, Event)>,
}

impl Events {
    fn of(name: &str) -> Self {
        let file = device_file("input", name);
        let options = OpenOptions::new().read(true).write(true).open(file);
        let file = options.unwrap();
        let mut reader = file.try_clone().unwrap();
        let (tell, events) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 24];
            while reader.read_exact(&mut bytes).is_ok() {
                let at = Instant::now();
                let [
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    kind_low,
                    kind_high,
                    code_low,
                    code_high,
                    a,
                    b,
                    c,
                    d,
                ] = bytes;
                let kind = u16::from_le_bytes([kind_low, kind_high]);
                let code = u16::from_le_bytes([code_low, code_high]);
                let value = i32::from_le_bytes([a, b, c, d]);
                assert!(kind != EV_SYN || code == 0, "events were dropped");
                if ![EV_SYN, EV_MSC].contains(&kind)
                    && tell.send((at, (kind, code, value))).is_err()
                {
                    return;
                }
            }
        });
        Self { file, events }
    }

    fn next(&self) -> Event {
        self.events.recv_timeout(PATIENCE).unwrap().1
    }

    fn expect(&self, expected: &[Event]) {
        for event in expected {
            assert_eq!(self.next(), *event);
        }
    }

    fn write(&mut self, kind: u16, code: u16, value: i32) {
        let mut bytes = [0; 24];
        bytes[16..18].copy_from_slice(&kind.to_le_bytes());
        bytes[18..20].copy_from_slice(&code.to_le_bytes());
        bytes[20..24].copy_from_slice(&value.to_le_bytes());
        self.file.write_all(&bytes).unwrap();
    }
}

#[test]
#[ignore = "runs in the lab"]
fn keys_and_leds() {
    for speed in ["full", "low", "high", "super"] {
        let mut keyboard = Attached::new(&format!("keyboard,speed={speed}"));
        let mut events = Events::of("usbwright Keyboard");
        keyboard.act(json!({ "do": "press", "keys": "ctrl+alt+a" }));
        // KEY_LEFTCTRL, KEY_LEFTALT, KEY_A.
        events.expect(&[
            (1, 29, 1),
            (1, 56, 1),
            (1, 30, 1),
            (1, 30, 0),
            (1, 56, 0),
            (1, 29, 0),
        ]);
        // LED_CAPSL, LED_NUML.
        events.write(EV_LED, 1, 1);
        keyboard.until_lit(&["caps-lock"]);
        events.write(EV_LED, 0, 1);
        keyboard.until_lit(&["num-lock", "caps-lock"]);
        events.write(EV_LED, 1, 0);
        keyboard.until_lit(&["num-lock"]);
        // A key that is held: the kernel repeats it by itself, until it is released.
        keyboard.act(json!({ "do": "hold", "keys": "b" }));
        let mut held = Vec::new();
        while held.len() < 5 {
            match events.next() {
                (EV_LED, _, _) => {}
                event => held.push(event),
            }
        }
        let repeated = (EV_KEY, 48, 2);
        assert_eq!(held[0], (EV_KEY, 48, 1));
        assert_eq!(held[1..], [repeated; 4]);
        keyboard.act(json!({ "do": "release", "keys": "b" }));
        until(|| (events.next() == (EV_KEY, 48, 0)).then_some(()));
        drop(keyboard);
        until(|| {
            let mut left = fs::read_dir("/sys/class/hidraw").ok()?;
            left.next().is_none().then_some(())
        });
    }
}

#[test]
#[ignore = "runs in the lab"]
fn hidraw() {
    let mut keyboard = Attached::new("keyboard");
    let file = device_file("hidraw", "usbwright Keyboard");
    let options = OpenOptions::new().read(true).write(true).open(file);
    let mut file = options.unwrap();
    keyboard.act(json!({ "do": "type", "text": "aB" }));
    let mut reports = [[0; 8]; 6];
    for report in &mut reports {
        file.read_exact(report).unwrap();
    }
    let expected = [(0, 4), (0, 0), (2, 0), (2, 5), (2, 0), (0, 0)];
    assert_eq!(reports.map(|report| (report[0], report[2])), expected);
    // The report's id, which it does not have, and the LEDs.
    file.write_all(&[0, 0b10101]).unwrap();
    keyboard.until_lit(&["num-lock", "scroll-lock", "kana"]);
}

#[test]
#[ignore = "runs in the lab"]
fn pointers() {
    let mut mouse = Attached::new("mouse");
    let events = Events::of("usbwright Mouse");
    mouse.act(json!({ "do": "move", "x": 1, "y": -2000 }));
    events.expect(&[(EV_REL, 0, 1), (EV_REL, 1, -2000)]);
    mouse.act(json!({ "do": "click", "button": "back" }));
    // BTN_SIDE, as the fourth button is called.
    events.expect(&[(EV_KEY, 0x113, 1), (EV_KEY, 0x113, 0)]);
    mouse.act(json!({ "do": "wheel", "up": -3, "right": 2 }));
    // REL_WHEEL and REL_HWHEEL, each with its high resolution.
    let mut wheels = [events.next(), events.next(), events.next(), events.next()];
    wheels.sort_unstable();
    assert_eq!(wheels, [(2, 6, 2), (2, 8, -3), (2, 11, -360), (2, 12, 240)]);

    let mut tablet = Attached::new("tablet");
    let events = Events::of("usbwright Tablet");
    tablet.act(json!({ "do": "move", "x": 32767, "y": 12 }));
    tablet.act(json!({ "do": "move", "x": 3, "y": 12 }));
    tablet.act(json!({ "do": "click", "button": "right" }));
    events.expect(&[
        (EV_ABS, 0, 32767),
        (EV_ABS, 1, 12),
        (EV_ABS, 0, 3),
        (EV_KEY, 0x111, 1),
        (EV_KEY, 0x111, 0),
    ]);
    gamepad();
}

fn gamepad() {
    let mut pad = Attached::new("gamepad");
    let events = Events::of("usbwright Gamepad");
    pad.act(json!({ "do": "press", "keys": "a" }));
    pad.act(json!({ "do": "press", "keys": "start" }));
    // BTN_SOUTH, BTN_START.
    events.expect(&[(1, 0x130, 1), (1, 0x130, 0), (1, 0x13b, 1), (1, 0x13b, 0)]);
    pad.act(json!({ "do": "hat", "to": "up-right" }));
    pad.act(json!({ "do": "hat", "to": "center" }));
    events.expect(&[(3, 16, 1), (3, 17, -1), (3, 16, 0), (3, 17, 0)]);
    for (axis, code, value) in [
        ("x", 0, -32767),
        ("y", 1, 32767),
        ("z", 2, 255),
        ("rx", 3, -4000),
        ("ry", 4, 4001),
        ("rz", 5, 7),
    ] {
        pad.act(json!({ "do": "axis", "axis": axis, "value": value }));
        events.expect(&[(EV_ABS, code, value)]);
    }
}

#[test]
#[ignore = "runs in the lab"]
fn slow_host() {
    // A host that may ask every 255 ms.
    let mut mouse = Attached::new("mouse,interval=255");
    let events = Events::of("usbwright Mouse");
    let mut later = |request| {
        let request = serde_json::from_value(request).unwrap();
        let wait = Some(false);
        let line = Line {
            wait,
            ..Line::of(request)
        };
        mouse.client.request(&line).unwrap();
    };
    for _ in 0..1000 {
        later(json!({ "do": "move", "device": "1-1", "x": 100, "y": 1 }));
    }
    for _ in 0..2 {
        later(json!({ "do": "click", "device": "1-1" }));
    }
    later(json!({ "do": "move", "device": "1-1", "x": -5, "y": 0 }));
    let mut told = (0, 0);
    let mut event = events.next();
    while event.0 == EV_REL {
        match event.1 {
            0 => told.0 += event.2,
            _ => told.1 += event.2,
        }
        event = events.next();
    }
    assert_eq!((told, event), ((100_000, 1000), (EV_KEY, 0x110, 1)));
    events.expect(&[(1, 0x110, 0), (1, 0x110, 1), (1, 0x110, 0), (EV_REL, 0, -5)]);
}

#[test]
#[ignore = "runs in the lab"]
fn latency() {
    let mut keyboard = Attached::new("keyboard,interval=1");
    let events = Events::of("usbwright Keyboard");
    let mut took = Vec::new();
    for round in 0..1000u32 {
        // At another place between the frames each time.
        thread::sleep(Duration::from_micros(u64::from(round * 7919 % 2000)));
        let verb = if round % 2 == 0 { "hold" } else { "release" };
        let request = json!({ "do": verb, "device": "1-1", "keys": "tab" });
        let line = Line {
            wait: Some(false),
            ..Line::of(serde_json::from_value(request).unwrap())
        };
        let begin = Instant::now();
        keyboard.client.request(&line).unwrap();
        // A key that is held while the machine does something else is repeated by the kernel.
        let value = i32::from(round % 2 == 0);
        let at = loop {
            let (at, event) = events.events.recv_timeout(PATIENCE).unwrap();
            if event.2 == value {
                break at;
            }
        };
        took.push(at - begin);
    }
    took.sort_unstable();
    let [median, p90, p99, most] = [500, 900, 990, 999].map(|place| took[place]);
    println!("\np99 {p99:?}, median {median:?}, p90 {p90:?}, most {most:?}");
    // The machine may have much else to do, which the quickest tenth is safe from.
    let quick = took[took.len() / 10];
    assert!(
        quick < Duration::from_millis(2),
        "{quick:?}, {median:?}, {p99:?}"
    );
}
