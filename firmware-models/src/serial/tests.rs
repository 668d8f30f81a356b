//! What a host and the other end of the line get of a serial port.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use usbwright_emulator::{
    EmulatedDevice,
    protocol::{Completion, Port, Speed, Status},
};

use super::{
    ControlLines, Serial, Signal, StatusLines, Strings, Terminal,
    descriptors::{DATA_IN, DATA_OUT, NOTIFICATIONS},
    queue::CAPACITY,
};
use crate::{Spec, testing::Host};

/// A port that is configured, and the other end of its line.
fn port(speed: Speed) -> (Host, Terminal) {
    let mut firmware = Serial::new(speed, Strings::default());
    let terminal = firmware.terminal();
    let mut host = Host::of(|now| EmulatedDevice::new(firmware, speed, now).unwrap());
    host.configure(1);
    (host, terminal)
}

fn loopback() -> Host {
    Host::new("serial,loopback", 1)
}

fn request(host: &mut Host, request: u8, value: u16, data: &[u8]) -> Status {
    let [low, high] = value.to_le_bytes();
    let length = u8::try_from(data.len()).unwrap();
    let setup = [0x21, request, low, high, 0, 0, length, 0];
    host.control(setup, data.to_vec()).status
}

fn told(completion: &Completion) -> Vec<u8> {
    assert_eq!(completion.status, Status::Done);
    completion.data.to_vec()
}

/// What a host reads that asks for a notification, once time passes.
fn notification(host: &mut Host) -> Option<Vec<u8>> {
    let read = host.read(NOTIFICATIONS, 16);
    host.pass(Duration::from_millis(8));
    if let Some(completion) = host.ended() {
        return Some(told(&completion));
    }
    host.device.cancel(read, host.now);
    assert_eq!(host.ended().unwrap().status, Status::Cancelled);
    None
}

/// A notification of the first interface.
fn serial_state(state: u8) -> Option<Vec<u8>> {
    Some(vec![0xa1, 0x20, 0, 0, 0, 0, 2, 0, state, 0])
}

/// Everything that the host has written.
fn read_all(terminal: &Terminal) -> Vec<u8> {
    let mut all = Vec::new();
    let cx = &mut Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(data)) = terminal.poll_read(cx, 1000) {
        all.extend_from_slice(&data);
    }
    all
}

/// Reads until so many bytes have come, while time passes.
fn got(host: &mut Host, length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < length {
        host.read(DATA_IN, u32::try_from(length - all.len()).unwrap());
        let completion = loop {
            match host.ended() {
                Some(completion) => break completion,
                None => host.pass(Duration::from_micros(125)),
            }
        };
        all.extend(told(&completion));
    }
    all
}

/// Gives bytes to the host, and tells how many were taken.
fn offer(terminal: &Terminal, data: Vec<u8>) -> usize {
    let (length, mut data) = (data.len(), Bytes::from(data));
    let cx = &mut Context::from_waker(Waker::noop());
    let _ = terminal.poll_write(cx, &mut data);
    length - data.len()
}

#[test]
fn bytes_pass_both_ways_as_they_are() {
    for speed in [Speed::Full, Speed::High, Speed::Super] {
        let (mut host, terminal) = port(speed);
        host.write(DATA_OUT, &b"\x11to \x00\xff the line\x13"[..], false);
        assert_eq!(host.ended().unwrap().status, Status::Done);
        assert_eq!(read_all(&terminal), b"\x11to \x00\xff the line\x13");
        let waits = host.read(DATA_IN, 2048);
        assert!(host.ended().is_none());
        assert_eq!(offer(&terminal, b"\x13to the host".to_vec()), 12);
        host.pass(Duration::ZERO);
        let came = host.ended().unwrap();
        assert_eq!((came.id, told(&came)), (waits, b"\x13to the host".to_vec()));
    }
}

#[test]
fn a_read_with_room_left_ends_also_where_the_last_packet_is_full() {
    let (mut host, terminal) = port(Speed::High);
    offer(&terminal, vec![7; 1024]);
    assert_eq!(host.got(DATA_IN, 4096), vec![7; 1024]);
    offer(&terminal, vec![8; 512]);
    assert_eq!(host.got(DATA_IN, 512), vec![8; 512]);
    // It was whole: no empty packet is owed to the next one.
    host.read(DATA_IN, 512);
    assert!(host.ended().is_none());
}

#[test]
fn a_host_whose_bytes_nobody_reads_waits_and_loses_none() {
    let (mut host, terminal) = port(Speed::High);
    let data: Vec<u8> = (0..CAPACITY * 2 + 700).map(|i| (i / 251) as u8).collect();
    for chunk in data.chunks(10_240) {
        host.write(DATA_OUT, chunk.to_vec(), false);
    }
    let ended = std::iter::from_fn(|| host.ended()).count();
    assert_eq!(ended, CAPACITY / 10_240);
    let mut got = Vec::new();
    while got.len() < data.len() {
        let more = read_all(&terminal);
        assert!(!more.is_empty());
        got.extend(more);
        host.pass(Duration::ZERO);
    }
    assert!(got == data);
}

#[test]
fn a_terminal_whose_bytes_no_host_reads_waits_and_loses_none() {
    let (mut host, terminal) = port(Speed::Super);
    let data: Vec<u8> = (0..CAPACITY * 2).map(|i| (i / 251) as u8).collect();
    let mut given = offer(&terminal, data.clone());
    assert_eq!((given, terminal.waiting()), (CAPACITY, CAPACITY));
    let mut all = Vec::new();
    while all.len() < data.len() {
        let length = (data.len() - all.len()).min(2048);
        all.extend(got(&mut host, length));
        given += offer(&terminal, data[given..].to_vec());
    }
    assert!(all == data);
}

/// How many transfers have ended, each of them full.
fn full(host: &mut Host, length: u32) -> usize {
    std::iter::from_fn(|| host.ended())
        .inspect(|it| assert_eq!((it.status, it.actual_length), (Status::Done, length)))
        .count()
}

#[test]
fn linux_has_no_more_under_way_than_its_terminal_takes() {
    for (speed, length, at_once) in [(Speed::High, 1024, 2), (Speed::Super, 2048, 1)] {
        let (mut host, terminal) = port(speed);
        offer(&terminal, vec![5; 256 << 10]);
        host.pass(Duration::ZERO);
        // It keeps sixteen here. Those that were answered come back once it has room again.
        let mut free = 0;
        while free < 32 {
            host.read(DATA_IN, length);
            free += full(&mut host, length);
        }
        for _ in 0..16 {
            host.read(DATA_IN, length);
        }
        for _ in 0..20 {
            assert_eq!(full(&mut host, length), at_once);
            host.pass(Duration::from_millis(200));
            assert_eq!(full(&mut host, length), 0);
            for _ in 0..at_once {
                host.read(DATA_IN, length);
            }
        }
    }
}

#[test]
fn linux_has_a_pause_in_which_it_moves_bytes_to_its_terminal() {
    let (mut host, terminal) = port(Speed::High);
    offer(&terminal, vec![5; 256 << 10]);
    host.pass(Duration::ZERO);
    let (mut came, mut due) = (0, 16);
    while due > 0 {
        for _ in 0..due {
            host.read(DATA_IN, 1024);
        }
        due = full(&mut host, 1024);
        came += due;
        offer(&terminal, vec![5; 16 << 10]);
    }
    assert_eq!(came, 256);
    host.pass(Duration::from_micros(3900));
    assert_eq!(full(&mut host, 1024), 0);
    host.pass(Duration::from_micros(100));
    assert!(full(&mut host, 1024) > 0);
}

#[test]
fn linux_whose_program_reads_now_and_then_gets_no_more_than_it_can_hold() {
    let (mut host, terminal) = port(Speed::High);
    offer(&terminal, vec![5; 256 << 10]);
    host.pass(Duration::ZERO);
    let (mut missing, mut holds) = (16, 0usize);
    for _ in 0..100 {
        for _ in 0..missing {
            host.read(DATA_IN, 1024);
        }
        missing = 0;
        for _ in 0..10 {
            missing += full(&mut host, 1024);
            host.pass(Duration::from_millis(100));
        }
        missing += full(&mut host, 1024);
        offer(&terminal, vec![5; 256 << 10]);
        // Somebody reads 4095 bytes, and it asks again.
        holds += missing;
        assert!(holds < 50, "{holds} KiB");
        holds = holds.saturating_sub(3);
    }
}

#[test]
fn a_host_that_keeps_fewer_transfers_here_than_linux_waits_for_that_once() {
    for kept in 1..14 {
        let (mut host, terminal) = port(Speed::High);
        offer(&terminal, vec![5; 256 << 10]);
        host.pass(Duration::ZERO);
        for _ in 0..kept {
            host.read(DATA_IN, 1024);
        }
        let mut came = full(&mut host, 1024);
        while came < 32 {
            host.read(DATA_IN, 1024);
            came += full(&mut host, 1024);
        }
        for _ in 0..kept {
            host.read(DATA_IN, 1024);
        }
        assert_eq!(full(&mut host, 1024), 0);
        host.pass(Duration::from_millis(250));
        while came < 200 {
            let more = full(&mut host, 1024);
            assert!(more > 0);
            came += more;
            for _ in 0..more {
                host.read(DATA_IN, 1024);
            }
        }
    }
}

#[test]
fn a_read_of_another_length_than_linux_has_gets_all_that_is_there() {
    let (mut host, terminal) = port(Speed::High);
    offer(&terminal, vec![5; 100_000]);
    assert_eq!(host.got(DATA_IN, 60_000).len(), 60_000);
    assert_eq!(host.got(DATA_IN, 512).len(), 512);
    let (mut host, terminal) = port(Speed::Full);
    offer(&terminal, vec![5; 100_000]);
    for _ in 0..50 {
        assert_eq!(host.got(DATA_IN, 128).len(), 128);
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The waker of a task that has the terminal, and is over.
struct Last(Terminal);

impl Wake for Last {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Last {
    fn drop(&mut self) {
        self.0.waiting();
    }
}

#[test]
fn the_last_waker_of_a_task_that_has_the_terminal_may_be_replaced() {
    let (_host, terminal) = port(Speed::High);
    let full = Bytes::from(vec![0; CAPACITY + 1]);
    for _ in 0..2 {
        let waker = Waker::from(Arc::new(Last(terminal.clone())));
        let cx = &mut Context::from_waker(&waker);
        assert!(terminal.poll_read(cx, 1).is_pending());
        assert!(terminal.poll_write(cx, &mut full.clone()).is_pending());
    }
}

#[test]
fn both_ends_are_woken_when_they_can_go_on() {
    let (mut host, terminal) = port(Speed::High);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let cx = &mut Context::from_waker(&waker);
    let woken = || count.0.swap(0, Ordering::SeqCst);
    {
        let mut read = pin!(terminal.read(100));
        assert!(read.as_mut().poll(cx).is_pending());
        host.write(DATA_OUT, &b"hello"[..], false);
        assert_eq!(woken(), 1);
        assert_eq!(read.poll(cx), Poll::Ready(Some(b"hello"[..].into())));
    }
    {
        let mut write = pin!(terminal.write(vec![1; CAPACITY + 1].into()));
        assert!(write.as_mut().poll(cx).is_pending());
        got(&mut host, 1024);
        assert_eq!(woken(), 0);
        got(&mut host, 200_000);
        assert_eq!(woken(), 1);
        assert_eq!(write.poll(cx), Poll::Ready(Ok(())));
    }
    // The device is woken where the host waits, and not where it does not.
    while host.ended().is_some() {}
    let device = Arc::new(Count::default());
    host.device.set_waker(Arc::clone(&device).into());
    let woken = || device.0.swap(0, Ordering::SeqCst);
    offer(&terminal, vec![2; 100]);
    assert_eq!(woken(), 0);
    let waiting = terminal.waiting();
    got(&mut host, waiting);
    host.pass(Duration::from_micros(125));
    host.read(DATA_IN, 100);
    offer(&terminal, vec![3; 100]);
    offer(&terminal, vec![4; 100]);
    assert_eq!(woken(), 1);
}

#[test]
fn line_codings_are_told_to_both_ends_and_those_that_are_none_stall() {
    let (mut host, terminal) = port(Speed::High);
    let mut changes = terminal.changes();
    let cx = &mut Context::from_waker(Waker::noop());
    let coding = [0x00, 0xc2, 0x01, 0x00, 2, 2, 7];
    assert_eq!(request(&mut host, 0x20, 0, &coding), Status::Done);
    assert_eq!(terminal.state().coding.to_string(), "115200 7E2");
    assert!(matches!(changes.poll_next(cx), Poll::Ready(Some(_))));
    for wrong in [
        &[0, 0, 0, 0, 0, 0, 8][..],
        &[0, 1, 0, 0, 3, 0, 8],
        &[0, 1, 0, 0, 0, 5, 8],
        &[0, 1, 0, 0, 0, 0, 9],
        &[0, 1, 0, 0, 0, 0],
        &[0, 1, 0, 0, 0, 0, 8, 0],
    ] {
        assert_eq!(request(&mut host, 0x20, 0, wrong), Status::Stalled);
    }
    let read = host.control([0xa1, 0x21, 0, 0, 0, 0, 7, 0], Vec::new());
    assert_eq!(told(&read), coding);
    assert!(changes.poll_next(cx).is_pending());
    for other in [[0xa1, 0x21, 0, 0, 1, 0, 7, 0], [0xa1, 1, 0, 0, 0, 0, 7, 0]] {
        assert_eq!(host.control(other, Vec::new()).status, Status::Stalled);
    }
}

#[test]
fn dtr_and_rts_are_seen_at_the_other_end() {
    let (mut host, terminal) = port(Speed::High);
    for (value, dtr, rts) in [
        (1, true, false),
        (3, true, true),
        (2, false, true),
        (0, false, false),
    ] {
        assert_eq!(request(&mut host, 0x22, value, &[]), Status::Done);
        let expected = ControlLines {
            data_terminal_ready: dtr,
            request_to_send: rts,
        };
        assert_eq!(terminal.state().control, expected);
    }
}

#[test]
fn a_break_lasts_as_long_as_the_host_says() {
    let (mut host, terminal) = port(Speed::High);
    assert_eq!(request(&mut host, 0x23, 250, &[]), Status::Done);
    assert!(terminal.state().breaking);
    host.pass(Duration::from_millis(249));
    assert!(terminal.state().breaking);
    host.pass(Duration::from_millis(1));
    assert!(!terminal.state().breaking);
    request(&mut host, 0x23, 0xffff, &[]);
    host.pass(Duration::from_secs(3600));
    assert!(terminal.state().breaking);
    request(&mut host, 0x23, 0, &[]);
    assert!(!terminal.state().breaking);
    assert_eq!(terminal.state().breaks, 2);
}

#[test]
fn the_host_is_told_of_lines_as_they_are_and_of_signals_as_often_as_they_came() {
    let (mut host, terminal) = port(Speed::High);
    assert_eq!(notification(&mut host), None);
    let lines = |dcd, dsr| {
        terminal.set_lines(StatusLines {
            data_carrier_detect: dcd,
            data_set_ready: dsr,
        });
    };
    lines(true, true);
    assert_eq!(notification(&mut host), serial_state(3));
    assert_eq!(notification(&mut host), None);
    lines(false, true);
    lines(true, true);
    assert_eq!(notification(&mut host), None);
    terminal.signal(Signal::Break);
    terminal.signal(Signal::Break);
    terminal.signal(Signal::Ring);
    lines(false, true);
    assert_eq!(notification(&mut host), serial_state(0x0e));
    assert_eq!(notification(&mut host), serial_state(0x06));
    assert_eq!(notification(&mut host), None);
    for (signal, bit) in [
        (Signal::FramingError, 0x10),
        (Signal::ParityError, 0x20),
        (Signal::Overrun, 0x40),
    ] {
        terminal.signal(signal);
        assert_eq!(notification(&mut host), serial_state(2 | bit));
    }
}

#[test]
fn a_host_that_begins_anew_finds_the_bytes_that_wait_and_the_lines_as_they_are() {
    let (mut host, terminal) = port(Speed::High);
    terminal.set_lines(StatusLines {
        data_carrier_detect: true,
        data_set_ready: false,
    });
    assert_eq!(notification(&mut host), serial_state(1));
    request(&mut host, 0x22, 3, &[]);
    request(&mut host, 0x20, 0, &[0, 1, 0, 0, 0, 0, 8]);
    host.write(DATA_OUT, &b"out"[..], false);
    offer(&terminal, b"in".to_vec());
    host.device.reset(host.now);
    assert!(!terminal.state().configured);
    while host.ended().is_some() {}
    host.configure(1);
    let state = terminal.state();
    assert!(state.configured && state.control == ControlLines::default());
    assert_eq!(state.coding.to_string(), "9600 8N1");
    assert_eq!(host.got(DATA_IN, 100), b"in");
    assert_eq!(read_all(&terminal), b"out");
    assert_eq!(notification(&mut host), serial_state(1));
}

#[test]
fn a_terminal_reads_what_is_left_of_a_device_that_is_gone() {
    let (mut host, terminal) = port(Speed::High);
    let mut changes = terminal.changes();
    host.write(DATA_OUT, &b"last words"[..], false);
    drop(host);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut read = || terminal.poll_read(cx, 100);
    assert_eq!(read(), Poll::Ready(Some(b"last words"[..].into())));
    assert_eq!(read(), Poll::Ready(None));
    let mut data = Bytes::from_static(b"to nobody");
    assert!(matches!(
        terminal.poll_write(cx, &mut data),
        Poll::Ready(Err(_))
    ));
    assert_eq!(changes.poll_next(cx), Poll::Ready(None));
}

#[test]
fn a_loopback_gives_back_bytes_lines_and_breaks() {
    let mut host = loopback();
    let data: Vec<u8> = (0..100_000u32).map(|i| (i / 7) as u8).collect();
    for chunk in data.chunks(2048) {
        host.write(DATA_OUT, chunk.to_vec(), false);
        assert_eq!(host.ended().unwrap().status, Status::Done);
    }
    assert!(got(&mut host, data.len()) == data);
    request(&mut host, 0x22, 1, &[]);
    assert_eq!(notification(&mut host), serial_state(3));
    request(&mut host, 0x23, 100, &[]);
    assert_eq!(notification(&mut host), serial_state(7));
    request(&mut host, 0x22, 0, &[]);
    assert_eq!(notification(&mut host), serial_state(0));
    assert!(!host.device.may_wake());
}

#[test]
fn a_loopback_that_is_full_takes_no_more_until_it_is_read() {
    let mut host = loopback();
    host.write(DATA_OUT, vec![1; CAPACITY + 5000], false);
    assert!(host.ended().is_none());
    let mut got = 0;
    while got < CAPACITY + 5000 {
        host.read(DATA_IN, 8192);
        host.pass(Duration::from_micros(125));
        while let Some(completion) = host.ended() {
            got += completion.data.to_vec().len();
        }
    }
    assert_eq!(got, CAPACITY + 5000);
}

#[test]
fn the_descriptors_are_those_of_an_abstract_control_model() {
    let mut host = loopback();
    let device = host.control([0x80, 6, 0, 1, 0, 0, 18, 0], Vec::new());
    assert_eq!(
        told(&device),
        [
            18, 1, 0, 2, 0xef, 2, 1, 64, 0x25, 0x05, 0xa7, 0xa4, 0, 1, 1, 2, 3, 1
        ]
    );
    let configuration = told(&host.control([0x80, 6, 0, 2, 0, 0, 255, 0], Vec::new()));
    #[rustfmt::skip]
    assert_eq!(
        configuration,
        [
            9, 2, 75, 0, 2, 1, 0, 0xc0, 0,
            8, 11, 0, 2, 2, 2, 0, 2,
            9, 4, 0, 0, 1, 2, 2, 0, 0,
            5, 0x24, 0, 0x20, 1,
            5, 0x24, 1, 0, 1,
            4, 0x24, 2, 6,
            5, 0x24, 6, 0, 1,
            7, 5, 0x82, 3, 16, 0, 6,
            9, 4, 1, 0, 2, 10, 0, 0, 0,
            7, 5, 0x81, 2, 0, 2, 0,
            7, 5, 0x01, 2, 0, 2, 0,
        ]
    );
}

#[test]
fn what_is_wrong_with_a_spec_is_told_with_what_would_do() {
    for (spec, told) in [
        (
            "serial",
            "use pty, tcp=[HOST:]PORT, unix=PATH, stdio or loopback, one of them",
        ),
        ("serial,loopback,stdio", "one of them"),
        (
            "serial,tcp=pc",
            "`pc` is no value for parameter `tcp`: it takes PORT or HOST:PORT",
        ),
        ("serial,tcp=:7", "it takes PORT or HOST:PORT"),
        ("serial,unix", "parameter `unix` needs a value"),
        ("serial,loopback=1", "write loopback alone"),
        (
            "serial,pty,connect",
            "connect goes with tcp=HOST:PORT or unix=PATH",
        ),
        ("serial,loopback,product=\u{e9}", "printable ASCII"),
    ] {
        let made = spec
            .parse::<Spec>()
            .unwrap()
            .build(std::time::Instant::now());
        let error = made.unwrap_err().to_string();
        assert!(error.contains(told), "{spec}: {error}");
    }
}
