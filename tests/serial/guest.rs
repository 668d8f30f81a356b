//! What runs in the lab: the kernel's driver has the port, and the test the other end of its line.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustix::{
    fs::{OFlags, fcntl_setfl},
    termios::tcsendbreak,
};
use usbwright::{
    emulator::{BusId, EmulatedDevice, server::Limits},
    models::{
        Strings,
        serial::{Serial, Signal, State, StatusLines, Terminal},
    },
    protocol::Speed,
    target::Wait,
};

use super::{
    modem,
    server::{Place, Served},
};

const PORT: &str = "/dev/ttyACM0";
const SPEEDS: [Speed; 3] = [Speed::Full, Speed::High, Speed::Super];
/// How long anything may take; nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port that the kernel has, and the other end of its line.
struct Attached {
    terminal: Terminal,
    server: Served,
    bus_id: BusId,
}

impl Attached {
    fn new(speed: Speed) -> Self {
        let mut firmware = Serial::new(speed, Strings::of("Serial port"));
        let terminal = firmware.terminal();
        let device = EmulatedDevice::new(firmware, speed, Instant::now()).unwrap();
        let server = Served::new(Place::Unix, vec![], Limits::default());
        let bus_id = server.bus.plug(Box::new(device), None).unwrap();
        let address = server.address.to_string();
        let mut attach = Command::new("usbwright");
        attach.args(["attach", "-r", &address, "-b", bus_id.as_str()]);
        assert!(attach.status().unwrap().success());
        shell(&format!("until [ -c {PORT} ]; do sleep 0.02; done"));
        Self {
            terminal,
            server,
            bus_id,
        }
    }

    /// Opens the port, in raw mode.
    fn open(&self) -> File {
        let port = open();
        stty("raw -echo");
        port
    }

    /// Waits until the host has set the port so.
    fn wait_for(&self, set: impl Fn(&State) -> bool) {
        let mut changes = self.terminal.changes();
        let mut state = self.terminal.state();
        while !set(&state) {
            state = changes.next().wait().expect("the device is gone");
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.server.bus.unplug(&self.bus_id);
        shell(&format!("while [ -e {PORT} ]; do sleep 0.02; done"));
    }
}

fn shell(script: &str) {
    let status = Command::new("sh").args(["-c", script]).status().unwrap();
    assert!(status.success(), "{script}: {status}");
}

fn stty(settings: &str) {
    shell(&format!("stty -F {PORT} {settings}"));
}

fn open() -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    options.open(PORT).unwrap()
}

/// Looks until it is so.
fn until(mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < PATIENCE, "it does not come");
        thread::yield_now();
    }
}

fn read_exactly(mut port: &File, length: usize) -> Vec<u8> {
    let mut data = vec![0; length];
    port.read_exact(&mut data).unwrap();
    data
}

/// Bytes of which each value occurs, without a period that a buffer has.
fn bytes(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn read_from(terminal: &Terminal, length: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(length);
    while data.len() < length {
        let more = terminal.read(length - data.len()).wait();
        data.extend_from_slice(&more.expect("the device is gone"));
    }
    data
}

#[test]
#[ignore = "it runs in the lab"]
fn what_stty_sets_is_seen_at_the_other_end() {
    for speed in SPEEDS {
        let attached = Attached::new(speed);
        for (settings, coding) in [
            ("115200 cs7 parenb -parodd cstopb", "115200 7E2"),
            ("300 cs5 parenb parodd -cstopb", "300 5O1"),
            ("4000000 cs8 -parenb", "4000000 8N1"),
            ("9600 cs6 parenb cmspar parodd", "9600 6M1"),
        ] {
            stty(settings);
            attached.wait_for(|state| state.coding.to_string() == coding);
        }
        stty("-cmspar -parenb cs8");
    }
}

#[test]
#[ignore = "it runs in the lab"]
fn modem_lines_are_seen_both_ways() {
    let attached = Attached::new(Speed::High);
    let terminal = &attached.terminal;
    let port = attached.open();
    let control = |dtr, rts| {
        attached.wait_for(|state| {
            let control = state.control;
            (control.data_terminal_ready, control.request_to_send) == (dtr, rts)
        });
    };
    control(true, true);
    modem::set(&port, modem::TIOCM_RTS, false);
    control(true, false);
    modem::set(&port, modem::TIOCM_DTR, false);
    control(false, false);
    modem::set(&port, modem::TIOCM_DTR | modem::TIOCM_RTS, true);
    control(true, true);
    let both = modem::TIOCM_CAR | modem::TIOCM_DSR;
    for (dcd, dsr, expected) in [
        (true, true, both),
        (true, false, modem::TIOCM_CAR),
        (false, true, modem::TIOCM_DSR),
        (false, false, 0),
    ] {
        terminal.set_lines(StatusLines {
            data_carrier_detect: dcd,
            data_set_ready: dsr,
        });
        until(|| modem::lines(&port) & both == expected);
    }
    for _ in 0..3 {
        terminal.signal(Signal::Ring);
    }
    terminal.signal(Signal::Overrun);
    until(|| modem::counters(&port).rng == 3);
    let counters = modem::counters(&port);
    assert_eq!((counters.overrun, counters.dcd, counters.dsr), (1, 2, 4));
    drop(port);
    control(false, false);
}

#[test]
#[ignore = "it runs in the lab"]
fn breaks_and_errors_are_told_both_ways() {
    let attached = Attached::new(Speed::High);
    let port = attached.open();
    tcsendbreak(&port).unwrap();
    attached.wait_for(|state| state.breaks == 1 && !state.breaking);
    // A break is marked among the characters.
    stty("parmrk -ignbrk -brkint");
    attached.terminal.signal(Signal::Break);
    assert_eq!(read_exactly(&port, 3), [0xff, 0, 0]);
    attached.terminal.signal(Signal::FramingError);
    attached.terminal.signal(Signal::ParityError);
    until(|| modem::counters(&port).parity == 1);
    let counters = modem::counters(&port);
    assert_eq!((counters.brk, counters.frame), (1, 1));
    stty("-parmrk");
}

/// Moves that many bytes both ways at once.
fn both_ways(speed: Speed, length: usize) {
    let attached = Attached::new(speed);
    let port = attached.open();
    let (out, back) = (bytes(length, 1), bytes(length, 2));
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| (&port).write_all(&out).unwrap());
        scope.spawn(|| {
            let data = Bytes::copy_from_slice(&back);
            attached.terminal.write(data).wait().unwrap();
        });
        let read = scope.spawn(|| assert!(read_exactly(&port, length) == back));
        assert!(read_from(&attached.terminal, length) == out);
        read.join().unwrap();
    });
    let rate = length as f64 / begin.elapsed().as_secs_f64() / 1e6;
    println!("{speed} speed: {length} bytes each way at once, {rate:.0} MB/s each way");
}

#[test]
#[ignore = "it runs in the lab"]
fn bytes_pass_both_ways_at_once() {
    for speed in SPEEDS {
        both_ways(speed, 4_000_003);
    }
}

#[test]
#[ignore = "it runs in the lab"]
fn a_hundred_megabytes_pass_both_ways_at_once() {
    for speed in SPEEDS {
        both_ways(speed, 100_000_000);
    }
}

#[test]
#[ignore = "it runs in the lab"]
fn a_terminal_that_stops_reading_makes_programs_wait() {
    let attached = Attached::new(Speed::High);
    let mut port = attached.open();
    fcntl_setfl(&port, OFlags::NONBLOCK | OFlags::RDWR).unwrap();
    let data = bytes(4 << 20, 3);
    let mut written = 0;
    let mut stuck = 0;
    // The queue and the driver's buffers are full, and stay so.
    while stuck < 1000 {
        match port.write(&data[written..]) {
            Ok(count) => (written, stuck) = (written + count, 0),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                stuck += 1;
                thread::yield_now();
            }
        }
    }
    assert!((256 << 10..1 << 20).contains(&written), "{written}");
    fcntl_setfl(&port, OFlags::RDWR).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| (&port).write_all(&data[written..]).unwrap());
        assert!(read_from(&attached.terminal, data.len()) == data);
    });
}

#[test]
#[ignore = "it runs in the lab"]
fn a_program_that_stops_reading_makes_the_terminal_wait() {
    let attached = Attached::new(Speed::High);
    let port = attached.open();
    let data = bytes(4 << 20, 4);
    thread::scope(|scope| {
        let writes = scope.spawn(|| {
            let data = Bytes::copy_from_slice(&data);
            attached.terminal.write(data).wait().unwrap();
        });
        // What is not taken stays where it is.
        let (mut waiting, mut still) = (0, 0);
        until(|| {
            let now = attached.terminal.waiting();
            still = if now == waiting && now > 0 {
                still + 1
            } else {
                0
            };
            waiting = now;
            still == 1000
        });
        assert!(waiting >= 128 << 10 && !writes.is_finished());
        assert!(read_exactly(&port, data.len()) == data);
    });
}

#[test]
#[ignore = "it runs in the lab"]
fn a_program_that_reads_slowly_loses_nothing() {
    for speed in SPEEDS {
        let attached = Attached::new(speed);
        let port = attached.open();
        let data = bytes(2 << 20, 6);
        thread::scope(|scope| {
            scope.spawn(|| {
                let data = Bytes::copy_from_slice(&data);
                attached.terminal.write(data).wait().unwrap();
            });
            for expected in data.chunks(1000) {
                // Others have their turn before each read: here is one processor.
                (0..4).for_each(|_| thread::yield_now());
                assert!(read_exactly(&port, expected.len()) == expected);
            }
        });
    }
}

#[test]
#[ignore = "it runs in the lab"]
fn a_port_that_is_unplugged_in_the_middle_ends_its_programs_and_loses_nothing_before() {
    let data = bytes(4 << 20, 5);
    for round in 0..6 {
        let attached = Attached::new(Speed::High);
        let port = attached.open();
        let got = thread::scope(|scope| {
            let writes = scope.spawn(|| (&port).write_all(&data));
            let mut got = read_from(&attached.terminal, 100_000 << (round % 4));
            attached.server.bus.unplug(&attached.bus_id);
            while let Some(more) = attached.terminal.read(1 << 20).wait() {
                got.extend_from_slice(&more);
            }
            assert!(writes.join().unwrap().is_err());
            got
        });
        assert!(data.starts_with(&got));
    }
}
