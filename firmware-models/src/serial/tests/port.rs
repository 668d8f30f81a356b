//! A port that begins anew, is gone, is joined with itself, and what it is.

use super::*;

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
