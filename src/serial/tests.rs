//! What a program at the other end of a port's line gets, and what the host gets of it.

use std::{
    fs::{File, OpenOptions, read_link},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::symlink, net::UnixStream},
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::OFlags;

use crate::{
    emulator::EmulatedDevice,
    models::{
        Handle, Spec,
        serial::{StatusLines, Terminal},
    },
    serial::{Connected, connect},
    target::{Bulk, Device, In, Interface, Interrupt, Out, PipePolicy, Wait},
};

/// A port's host, and what is at the other end of its line.
struct Bench {
    interface: Interface,
    notifications: Interface,
    terminal: Terminal,
    connected: Connected,
    device: Device,
}

fn made(spec: &str) -> (EmulatedDevice, Terminal) {
    let spec: Spec = spec.parse().unwrap();
    let made = spec.build_with_handles(Instant::now()).unwrap();
    let Some(Handle::Serial(terminal)) = made.handles.into_iter().next() else {
        panic!("a serial port has a terminal");
    };
    (made.device, terminal)
}

impl Bench {
    fn new(spec: &str) -> Self {
        let (port, terminal) = made(spec);
        let connected = connect(&terminal).unwrap().unwrap();
        let device = Device::open(port).wait().unwrap();
        let bench = Self {
            interface: device.interface(1).wait().unwrap(),
            notifications: device.interface(0).wait().unwrap(),
            terminal,
            connected,
            device,
        };
        let pipe = bench.interface.first::<Bulk, In>().unwrap();
        pipe.set_policy(patient(pipe.policy())).unwrap();
        bench
    }

    /// The last word of what is told of where the other end is.
    fn place(&self) -> String {
        let told = self.connected.to_string();
        told.rsplit(' ').next().unwrap().to_owned()
    }

    fn write(&self, data: &[u8]) {
        let pipe = self.interface.first::<Bulk, Out>().unwrap();
        pipe.write(data.to_vec()).wait().ok().unwrap();
    }

    /// Reads until so many bytes have come.
    fn read(&self, length: usize) -> Vec<u8> {
        let pipe = self.interface.first::<Bulk, In>().unwrap();
        let mut all = Vec::new();
        while all.len() < length {
            let read = pipe.read(512 << 3).wait();
            all.extend(read.ok().unwrap().data.to_vec());
        }
        all
    }

    /// Waits until the host is told of this state of the line.
    fn wait_for_state(&self, state: u8) {
        let pipe = self.notifications.first::<Interrupt, In>().unwrap();
        pipe.set_policy(patient(pipe.policy())).unwrap();
        while pipe.read(16).wait().ok().unwrap().data.to_vec()[8] != state {}
    }
}

/// Only for the case that nothing comes.
fn patient(policy: PipePolicy) -> PipePolicy {
    PipePolicy {
        transfer_timeout: Some(Duration::from_secs(60)),
        ..policy
    }
}

fn open(path: impl AsRef<Path>) -> File {
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true).write(true), flags);
    options.open(path).unwrap()
}

/// Bytes of which each value occurs, so that a terminal that is not in raw mode would change some.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i + i / 251) as u8).collect()
}

fn exchange(bench: &Bench, peer: &mut (impl Read + Write)) {
    let data = bytes(3000);
    bench.write(&data);
    let mut got = vec![0; data.len()];
    peer.read_exact(&mut got).unwrap();
    assert!(got == data);
    peer.write_all(&data).unwrap();
    assert!(bench.read(data.len()) == data);
}

#[test]
fn a_program_has_a_terminal_at_the_other_end_and_no_byte_is_special() {
    let bench = Bench::new("serial,pty");
    exchange(&bench, &mut open(bench.place()));
}

#[test]
fn another_program_opens_the_terminal_and_finds_what_the_one_before_has_left() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("tty");
    let bench = Bench::new(&format!("serial,pty={}", link.display()));
    let first = open(&link);
    bench.wait_for_state(3);
    drop(first);
    bench.wait_for_state(0);
    bench.write(b"for whoever comes");
    let mut second = open(&link);
    let mut got = [0; 17];
    second.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"for whoever comes");
    exchange(&bench, &mut second);
}

#[test]
fn what_a_program_writes_before_it_closes_its_terminal_reaches_the_host() {
    let bench = Bench::new("serial,pty");
    for round in 0..50u8 {
        open(bench.place()).write_all(&[round; 100]).unwrap();
    }
    let all = bench.read(5000);
    let expected: Vec<u8> = (0..50u8).flat_map(|round| [round; 100]).collect();
    assert!(all == expected);
}

#[test]
fn a_link_to_the_terminal_is_there_as_long_as_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("tty");
    // What a server has left that was killed is replaced, anything else is not.
    symlink("/dev/pts/9999", &link).unwrap();
    let bench = Bench::new(&format!("serial,pty={}", link.display()));
    assert!(read_link(&link).unwrap().starts_with("/dev/pts"));
    drop(bench);
    assert!(read_link(&link).is_err());
    for there in ["a file", "a link"] {
        if there == "a file" {
            std::fs::write(&link, "mine").unwrap();
        } else {
            std::fs::remove_file(&link).unwrap();
            symlink("/etc/hostname", &link).unwrap();
        }
        let (_port, terminal) = made(&format!("serial,pty={}", link.display()));
        let error = connect(&terminal).unwrap_err().to_string();
        assert!(error.contains("can't make the link"), "{error}");
        assert!(link.symlink_metadata().is_ok());
    }
}

#[test]
fn a_tcp_client_after_the_other_is_at_the_other_end() {
    let bench = Bench::new("serial,tcp=0");
    assert!(bench.place().starts_with("127.0.0.1:"));
    let first = TcpStream::connect(bench.place()).unwrap();
    bench.wait_for_state(3);
    exchange(&bench, &mut &first);
    drop(first);
    bench.wait_for_state(0);
    bench.write(b"later");
    let mut second = TcpStream::connect(bench.place()).unwrap();
    let mut got = [0; 5];
    second.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"later");
    exchange(&bench, &mut second);
}

#[test]
fn a_client_of_a_unix_socket_is_at_the_other_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line");
    let bench = Bench::new(&format!("serial,unix={}", path.display()));
    exchange(&bench, &mut UnixStream::connect(&path).unwrap());
    drop(bench);
    assert!(!path.exists());
}

#[test]
fn a_port_connects_to_a_server_and_again_where_that_has_hung_up() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let bench = Bench::new(&format!("serial,tcp={port},connect"));
    for _ in 0..2 {
        exchange(&bench, &mut server.accept().unwrap().0);
    }
    drop(server);
    let folder = tempfile::tempdir().unwrap();
    let nobody = folder.path().join("nobody");
    for (spec, told) in [
        (
            format!("serial,tcp={port},connect"),
            format!("127.0.0.1:{port}: Connection refused"),
        ),
        (
            format!("serial,unix={},connect", nobody.display()),
            "No such file".to_owned(),
        ),
    ] {
        let (_port, terminal) = made(&spec);
        let error = connect(&terminal).unwrap_err().to_string();
        assert!(error.contains(&told), "{error}");
    }
}

#[test]
fn a_peer_that_stops_reading_makes_the_host_wait_and_nothing_is_lost() {
    let bench = Bench::new("serial,tcp=0");
    let mut peer = TcpStream::connect(bench.place()).unwrap();
    let data = bytes(16 << 20);
    let pipe = bench.interface.first::<Bulk, Out>().unwrap();
    std::thread::scope(|scope| {
        let writes = scope.spawn(|| {
            for chunk in data.chunks(64 << 10) {
                pipe.write(chunk.to_vec()).wait().ok().unwrap();
            }
        });
        // The sockets' buffers and the queue hold less than that: the host waits.
        assert!(!writes.is_finished());
        let mut got = vec![0; data.len()];
        peer.read_exact(&mut got).unwrap();
        assert!(got == data);
    });
}

#[test]
fn a_host_that_stops_reading_makes_the_peer_wait_and_nothing_is_lost() {
    let bench = Bench::new("serial,tcp=0");
    let mut peer = TcpStream::connect(bench.place()).unwrap();
    let data = bytes(16 << 20);
    std::thread::scope(|scope| {
        let writes = scope.spawn(|| peer.write_all(&data).unwrap());
        let mut changes = 0;
        while bench.terminal.waiting() < 256 << 10 && changes < 60_000 {
            std::thread::yield_now();
            changes += 1;
        }
        assert!(!writes.is_finished());
        assert!(bench.read(data.len()) == data);
    });
}

#[test]
fn a_line_that_is_disconnected_or_whose_device_is_gone_ends() {
    let bench = Bench::new("serial,tcp=0");
    let mut peer = TcpStream::connect(bench.place()).unwrap();
    bench.wait_for_state(3);
    bench.write(b"last words");
    let Bench {
        connected,
        terminal,
        device,
        interface,
        notifications,
        ..
    } = bench;
    drop((interface, notifications, device));
    let mut got = Vec::new();
    peer.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"last words");
    drop(connected);
    assert_eq!(terminal.lines(), StatusLines::default());

    let bench = Bench::new("serial,tcp=0");
    let mut peer = TcpStream::connect(bench.place()).unwrap();
    bench.wait_for_state(3);
    drop(bench.connected);
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn only_one_line_has_the_commands_input_and_output() {
    let (_first, terminal) = made("serial,stdio");
    let (_second, other) = made("serial,stdio");
    // The test's own output is not touched: nothing is written to the port.
    let connected = connect(&terminal).unwrap().unwrap();
    assert!(super::stdio_is_taken());
    let error = connect(&other).unwrap_err().to_string();
    assert!(error.contains("give stdio once"), "{error}");
    drop(connected);
}

#[test]
fn a_socket_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (_port, terminal) = made(&format!("serial,tcp={address}"));
    let error = connect(&terminal).unwrap_err().to_string();
    let told = format!("can't listen at {address} for the serial port: Address already in use");
    assert!(error.contains(&told), "{error}");
}
