//! What the devices are busy with. Whatever moves is compared.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Advice, OFlags, fadvise},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use serde_json::{Value, json};
use usbwright::control::{Client, Line, Request};

use super::{PATIENCE, attached::Attached};

/// Something that a device is to do, again and again.
pub(super) struct Load {
    name: String,
    round: Box<dyn FnMut(u64) + Send>,
}

impl Load {
    fn new(device: &Attached, what: &str, round: impl FnMut(u64) + Send + 'static) -> Self {
        Self {
            name: format!("{} {what}", device.bus_id),
            round: Box::new(round),
        }
    }

    /// Does it until that time; gives what it is, and how often it was done.
    pub(super) fn run(mut self, end: Instant) -> (String, u64) {
        let mut rounds = 0;
        while Instant::now() < end {
            (self.round)(rounds);
            rounds += 1;
        }
        (self.name, rounds)
    }
}

/// Data of which each round's differs from all others.
fn data(length: usize, round: u64, seed: u64) -> Vec<u8> {
    let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// The kernel's own test driver, with the cases of bulk and control transfers, queues, and unlinking.
pub(super) fn usbtest(device: &Attached, _: &str) -> Vec<Load> {
    let spot = device.spot.clone();
    let round = move |_| {
        let ran = Command::new("usbwright")
            .args(["usbtest", "--device", &spot, "--case", "1-14,17-21,24"])
            .args(["--iterations", "4", "--length", "4096", "--vary", "101"])
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{told}");
    };
    vec![Load::new(device, "usbtest", round)]
}

/// A disk that is written to, flushed, and read again, past the kernel's cache.
pub(super) fn disk(device: &Attached, _: &str) -> Vec<Load> {
    const LENGTH: usize = 256 << 10;
    const PLACES: u64 = 8;
    let path = device.file("block", "sd", "");
    let options = OpenOptions::new().read(true).write(true).open(path);
    let mut file = options.unwrap();
    // A disk in memory takes what is written to it: from here on it does not grow.
    file.write_all(&vec![0xff; LENGTH * PLACES as usize])
        .unwrap();
    file.sync_all().unwrap();
    let round = move |round| {
        let place = round % PLACES * LENGTH as u64;
        let written = data(LENGTH, round, 1);
        file.seek(SeekFrom::Start(place)).unwrap();
        file.write_all(&written).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        let mut read = vec![0; LENGTH];
        file.seek(SeekFrom::Start(place)).unwrap();
        file.read_exact(&mut read).unwrap();
        assert!(read == written, "the disk has other data at {place}");
    };
    vec![Load::new(device, "disk", round)]
}

/// A port and the terminal at its other end, with data both ways at once.
pub(super) fn serial(device: &Attached, spec: &str) -> Vec<Load> {
    let link = spec.split(',').find_map(|it| it.strip_prefix("pty="));
    let port = terminal(&device.file("tty", "ttyACM", ""));
    let other = terminal(Path::new(link.unwrap()));
    let again = |file: &File| file.try_clone().unwrap();
    vec![
        Load::new(
            device,
            "from the port",
            line(again(&port), again(&other), 2),
        ),
        Load::new(device, "to the port", line(other, port, 3)),
    ]
}

/// A line: a block goes in at the one end, and comes out at the other before the next one goes.
fn line(mut from: File, mut to: File, seed: u64) -> impl FnMut(u64) + Send {
    const LENGTH: usize = 512;
    move |round| {
        let written = data(LENGTH, round, seed);
        from.write_all(&written).unwrap();
        let mut read = [0; LENGTH];
        let mut length = 0;
        while length < LENGTH {
            wait_for(&to, length);
            length += to.read(&mut read[length..]).unwrap();
        }
        assert!(read == written[..], "other bytes came in block {round}");
    }
}

/// Waits until a terminal has something.
fn wait_for(terminal: &File, length: usize) {
    let mut events = [PollFd::new(terminal, PollFlags::IN)];
    let patience = Timespec::try_from(PATIENCE).unwrap();
    let ready = poll(&mut events, Some(&patience)).unwrap();
    assert!(ready > 0, "bytes are lost: {length} of a block have come");
}

fn terminal(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options.custom_flags(OFlags::NOCTTY.bits().cast_signed());
    let file = options.open(path).unwrap();
    let mut settings = tcgetattr(file.as_fd()).unwrap();
    settings.make_raw();
    tcsetattr(file.as_fd(), OptionalActions::Now, &settings).unwrap();
    file
}

/// The types of `linux/input-event-codes.h` that are compared, and what a key's value is that the kernel repeats.
const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const EV_REL: u16 = 2;
const REPEATED: i32 = 2;

/// An event: type, code, value.
type Event = (u16, u16, i32);

/// A device with a user, who does the same again and again, and whose doing the kernel tells as these events.
fn input(device: &Attached, what: &str, requests: Vec<Value>, expected: Vec<Event>) -> Vec<Load> {
    let mut client = Client::connect(&device.control).unwrap();
    let events = events(File::open(device.file("input", "event", "input")).unwrap());
    let bus_id = device.bus_id.clone();
    let round = move |_| {
        for request in &requests {
            let mut request = request.clone();
            request["device"] = bus_id.as_str().into();
            let request: Request = serde_json::from_value(request).unwrap();
            client.request(&Line::of(request)).unwrap();
        }
        for event in &expected {
            assert_eq!(events.recv_timeout(PATIENCE), Ok(*event));
        }
    };
    vec![Load::new(device, what, round)]
}

/// The events that are compared. They are read as they come: the kernel keeps few, and tells of keys that it repeats, too.
fn events(mut file: File) -> Receiver<Event> {
    let (tell, events) = channel();
    thread::spawn(move || {
        let mut event = [0; 24];
        while file.read_exact(&mut event).is_ok() {
            let number = |at: usize| u16::from_le_bytes([event[at], event[at + 1]]);
            let value = i32::from_le_bytes([event[20], event[21], event[22], event[23]]);
            let (kind, code) = (number(16), number(18));
            assert!(kind != EV_SYN || code == 0, "events were dropped");
            let compared = kind == EV_REL || kind == EV_KEY && value != REPEATED;
            if compared && tell.send((kind, code, value)).is_err() {
                return;
            }
        }
    });
    events
}

pub(super) fn keyboard(device: &Attached, _: &str) -> Vec<Load> {
    // KEY_H, KEY_E, KEY_L, KEY_O.
    let keys = [35, 18, 38, 38, 24];
    let expected = keys.map(|key| [(EV_KEY, key, 1), (EV_KEY, key, 0)]);
    let request = json!({ "do": "type", "text": "hello" });
    input(device, "keyboard", vec![request], expected.concat())
}

pub(super) fn mouse(device: &Attached, _: &str) -> Vec<Load> {
    let requests = vec![
        json!({ "do": "move", "x": 5, "y": -3 }),
        json!({ "do": "click", "button": "left" }),
    ];
    // REL_X, REL_Y, BTN_LEFT.
    let expected = vec![
        (EV_REL, 0, 5),
        (EV_REL, 1, -3),
        (EV_KEY, 0x110, 1),
        (EV_KEY, 0x110, 0),
    ];
    input(device, "mouse", requests, expected)
}

pub(super) fn gamepad(device: &Attached, _: &str) -> Vec<Load> {
    // BTN_SOUTH.
    let expected = vec![(EV_KEY, 0x130, 1), (EV_KEY, 0x130, 0)];
    let request = json!({ "do": "press", "keys": "a" });
    input(device, "gamepad", vec![request], expected)
}

/// A keyboard, a serial port and a disk in one.
pub(super) fn composite(device: &Attached, spec: &str) -> Vec<Load> {
    let mut loads = keyboard(device, spec);
    loads.extend(serial(device, spec));
    loads.extend(disk(device, spec));
    loads
}
