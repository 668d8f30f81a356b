//! What runs in the lab.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;
use usbwright::{
    emulator::{
        Bus,
        server::{Limits, Server},
    },
    models::{
        Handle, Spec,
        hid::{Axis, Button, Gamepad, Hat, Key, Keyboard, Mouse, Tablet},
    },
};

/// How long anything may take; nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The event types and codes of `linux/input-event-codes.h` that are looked for.
const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const EV_REL: u16 = 2;
const EV_ABS: u16 = 3;
const EV_MSC: u16 = 4;
const EV_LED: u16 = 0x11;

/// A device at the kernel.
struct Attached {
    handle: Handle,
    _runtime: Runtime,
    _server: Server,
}

impl Attached {
    /// Makes a device, exports it, and has the kernel attach it.
    fn new(spec: &str) -> Self {
        let made = spec.parse::<Spec>().unwrap();
        let mut made = made.build_with_handles(Instant::now()).unwrap();
        let bus = Bus::new();
        bus.plug(Box::new(made.device), None).unwrap();
        let runtime = Runtime::new().unwrap();
        let mut server = Server::new(bus, Limits::default());
        let address = "127.0.0.1:0".parse().unwrap();
        let address = runtime.block_on(server.listen(&address)).unwrap();
        let attach = Command::new("usbwright")
            .args(["attach", "-r", &address.to_string(), "-b", "1-1"])
            .status();
        assert!(attach.unwrap().success());
        Self {
            handle: made.handles.remove(0),
            _runtime: runtime,
            _server: server,
        }
    }

    fn keyboard(&self) -> &Keyboard {
        match &self.handle {
            Handle::Keyboard(keyboard) => keyboard,
            other => panic!("{other:?}"),
        }
    }

    fn mouse(&self) -> &Mouse {
        match &self.handle {
            Handle::Mouse(mouse) => mouse,
            other => panic!("{other:?}"),
        }
    }

    fn tablet(&self) -> &Tablet {
        match &self.handle {
            Handle::Tablet(tablet) => tablet,
            other => panic!("{other:?}"),
        }
    }

    fn gamepad(&self) -> &Gamepad {
        match &self.handle {
            Handle::Gamepad(gamepad) => gamepad,
            other => panic!("{other:?}"),
        }
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

fn keys(names: &str) -> Vec<Key> {
    names.split('+').map(|name| name.parse().unwrap()).collect()
}

#[test]
#[ignore = "runs in the lab"]
fn keys_and_leds() {
    for speed in ["full", "low", "high", "super"] {
        let attached = Attached::new(&format!("keyboard,speed={speed}"));
        let keyboard = attached.keyboard();
        let mut events = Events::of("usbwright Keyboard");
        keyboard.tap(&keys("ctrl+alt+a")).unwrap();
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
        until(|| keyboard.leds().caps_lock().then_some(()));
        events.write(EV_LED, 0, 1);
        until(|| keyboard.leds().num_lock().then_some(()));
        events.write(EV_LED, 1, 0);
        until(|| (!keyboard.leds().caps_lock()).then_some(()));
        // A key that is held: the kernel repeats it by itself, until it is released.
        while events.events.try_recv().is_ok() {}
        keyboard.press(&keys("b")).unwrap();
        let mut held = Vec::new();
        while held.len() < 5 {
            match events.next() {
                (EV_LED, _, _) => {}
                event => held.push(event),
            }
        }
        assert_eq!(
            held,
            [(1, 48, 1), (1, 48, 2), (1, 48, 2), (1, 48, 2), (1, 48, 2)]
        );
        keyboard.release(&keys("b")).unwrap();
        until(|| (events.next() == (EV_KEY, 48, 0)).then_some(()));
        drop(attached);
        until(|| {
            fs::read_dir("/sys/class/hidraw")
                .ok()?
                .next()
                .is_none()
                .then_some(())
        });
    }
}

#[test]
#[ignore = "runs in the lab"]
fn hidraw() {
    let attached = Attached::new("keyboard");
    let keyboard = attached.keyboard();
    let file = device_file("hidraw", "usbwright Keyboard");
    let options = OpenOptions::new().read(true).write(true).open(file);
    let mut file = options.unwrap();
    keyboard.type_text("aB").unwrap();
    let mut reports = [[0; 8]; 6];
    for report in &mut reports {
        file.read_exact(report).unwrap();
    }
    let expected = [(0, 4), (0, 0), (2, 0), (2, 5), (2, 0), (0, 0)];
    assert_eq!(reports.map(|report| (report[0], report[2])), expected);
    // The report's id, which it does not have, and the LEDs.
    file.write_all(&[0, 0b10101]).unwrap();
    until(|| (keyboard.leds().to_string() == "num-lock, scroll-lock, kana").then_some(()));
}

#[test]
#[ignore = "runs in the lab"]
fn pointers() {
    let attached = Attached::new("mouse");
    let (mouse, events) = (attached.mouse(), Events::of("usbwright Mouse"));
    mouse.move_by(1, -2000).unwrap();
    events.expect(&[(EV_REL, 0, 1), (EV_REL, 1, -2000)]);
    mouse.click(Button::Back).unwrap();
    // BTN_SIDE, as the fourth button is called.
    events.expect(&[(EV_KEY, 0x113, 1), (EV_KEY, 0x113, 0)]);
    mouse.wheel(-3, 2).unwrap();
    // REL_WHEEL and REL_HWHEEL, each with its high resolution.
    let mut wheels = [events.next(), events.next(), events.next(), events.next()];
    wheels.sort_unstable();
    assert_eq!(wheels, [(2, 6, 2), (2, 8, -3), (2, 11, -360), (2, 12, 240)]);

    let attached = Attached::new("tablet");
    let (tablet, events) = (attached.tablet(), Events::of("usbwright Tablet"));
    tablet.move_to(0x7fff, 12).unwrap();
    tablet.move_to(3, 12).unwrap();
    tablet.click(Button::Right).unwrap();
    events.expect(&[
        (EV_ABS, 0, 0x7fff),
        (EV_ABS, 1, 12),
        (EV_ABS, 0, 3),
        (EV_KEY, 0x111, 1),
        (EV_KEY, 0x111, 0),
    ]);

    let attached = Attached::new("gamepad");
    let (pad, events) = (attached.gamepad(), Events::of("usbwright Gamepad"));
    pad.click("a".parse().unwrap()).unwrap();
    pad.click("start".parse().unwrap()).unwrap();
    // BTN_SOUTH, BTN_START.
    events.expect(&[(1, 0x130, 1), (1, 0x130, 0), (1, 0x13b, 1), (1, 0x13b, 0)]);
    pad.set_hat(Hat::UpRight).unwrap();
    pad.set_hat(Hat::Center).unwrap();
    events.expect(&[(3, 16, 1), (3, 17, -1), (3, 16, 0), (3, 17, 0)]);
    let axes = [
        (Axis::X, 0, -32767),
        (Axis::Y, 1, 32767),
        (Axis::Z, 2, 255),
        (Axis::Rx, 3, -4000),
        (Axis::Ry, 4, 4001),
        (Axis::Rz, 5, 7),
    ];
    for (axis, code, value) in axes {
        pad.set_axis(axis, value).unwrap();
        events.expect(&[(EV_ABS, code, value.into())]);
    }
}

#[test]
#[ignore = "runs in the lab"]
fn slow_host() {
    // A host that may ask every 255 ms.
    let attached = Attached::new("mouse,interval=255");
    let (mouse, events) = (attached.mouse(), Events::of("usbwright Mouse"));
    for _ in 0..1000 {
        mouse.move_by(100, 1).unwrap();
    }
    mouse.click(Button::Left).unwrap();
    mouse.click(Button::Left).unwrap();
    mouse.move_by(-5, 0).unwrap();
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
    let attached = Attached::new("keyboard,interval=1");
    let (keyboard, events) = (attached.keyboard(), Events::of("usbwright Keyboard"));
    let mut took = Vec::new();
    for round in 0..1000u32 {
        // At another place between the frames each time.
        thread::sleep(Duration::from_micros(u64::from(round * 7919 % 2000)));
        let begin = Instant::now();
        match round % 2 {
            0 => keyboard.press(&[Key::TAB]).unwrap(),
            _ => keyboard.release(&[Key::TAB]).unwrap(),
        }
        let (at, _) = events.events.recv_timeout(PATIENCE).unwrap();
        took.push(at - begin);
    }
    took.sort_unstable();
    let (median, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!(
        "p99 {p99:?}, median {median:?}, most {:?}",
        took[took.len() - 1]
    );
    assert!(p99 < Duration::from_millis(2), "{took:?}");
}
