//! The line coding and the signals.

use super::*;

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
