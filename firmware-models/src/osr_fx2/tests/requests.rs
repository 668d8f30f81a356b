//! Descriptors and the board's own requests.

use super::*;

const READ_SEVEN_SEGMENTS: u8 = 0xd4;
const READ_SWITCHES: u8 = 0xd6;
const READ_BAR_GRAPH: u8 = 0xd7;
const SET_BAR_GRAPH: u8 = 0xd8;
const IS_HIGH_SPEED: u8 = 0xd9;
const REENUMERATE: u8 = 0xda;
const SET_SEVEN_SEGMENTS: u8 = 0xdb;

fn descriptor(host: &mut Host, kind: u8) -> Vec<u8> {
    let completion = host.control([0x80, 6, 0, kind, 0, 0, 255, 0], Vec::new());
    assert_eq!(completion.status, Status::Done);
    completion.data.to_vec()
}

/// A configuration descriptor with what follows it: its type, its name's index, and the bulk endpoints' packet size.
fn configuration(kind: u8, name: u8, [low, high]: [u8; 2]) -> Vec<u8> {
    let parts: [&[u8]; 5] = [
        &[9, kind, 39, 0, 1, 1, name, 0xa0, 0x32],
        &[9, 4, 0, 0, 3, 0xff, 0, 0, 0],
        &[7, 5, 0x81, 3, 1, 0, 1],
        &[7, 5, 0x06, 2, low, high, 0],
        &[7, 5, 0x88, 2, low, high, 0],
    ];
    parts.concat()
}

#[test]
fn the_descriptors_are_the_boards() {
    const FULL: (u8, [u8; 2]) = (3, [64, 0]);
    const HIGH: (u8, [u8; 2]) = (4, [0, 2]);
    for (speed, own, other) in [("high", HIGH, FULL), ("full", FULL, HIGH)] {
        let mut host = Host::new(&format!("osr-fx2,speed={speed}"), 1);
        assert_eq!(
            descriptor(&mut host, 1),
            [
                18, 1, 0, 2, 0, 0, 0, 64, 0x47, 0x05, 0x02, 0x10, 0, 0, 1, 2, 0, 1
            ]
        );
        assert_eq!(descriptor(&mut host, 2), configuration(2, own.0, own.1));
        assert_eq!(descriptor(&mut host, 7), configuration(7, other.0, other.1));
        assert_eq!(descriptor(&mut host, 6), [10, 6, 0, 2, 0, 0, 0, 64, 1, 0]);
    }
}

#[test]
fn remote_wakeup_can_be_enabled() {
    let mut host = host();
    host.control([0x00, 3, 1, 0, 0, 0, 0, 0], Vec::new());
    let status = host.control([0x80, 0, 0, 0, 0, 0, 2, 0], Vec::new());
    assert_eq!(status.data.to_vec(), [2, 0]);
}

#[test]
fn every_read_is_answered_with_a_byte_whichever_type_it_has() {
    for (speed, high) in [("high", 1), ("full", 0)] {
        let mut host = Host::new(&format!("osr-fx2,speed={speed},switches=0x12"), 1);
        set(&mut host, SET_SEVEN_SEGMENTS, 0x34);
        set(&mut host, SET_BAR_GRAPH, 0x56);
        for (request, byte) in [
            (READ_SEVEN_SEGMENTS, 0x34),
            (READ_SWITCHES, 0x12),
            (READ_BAR_GRAPH, 0x56),
            (IS_HIGH_SPEED, high),
        ] {
            for kind in [0x80, 0xc0] {
                let read = host.control([kind, request, 0, 0, 0, 0, 1, 0], Vec::new());
                assert_eq!(read.data.to_vec(), [byte]);
                let read = host.control([kind, request, 0, 0, 0, 0, 8, 0], Vec::new());
                assert_eq!(read.data.to_vec(), [byte]);
            }
        }
    }
}

#[test]
fn every_set_is_taken_whichever_type_it_has_and_however_its_value_comes() {
    let mut host = host();
    for (write, read) in [
        (SET_BAR_GRAPH, READ_BAR_GRAPH),
        (SET_SEVEN_SEGMENTS, READ_SEVEN_SEGMENTS),
    ] {
        for (kind, byte) in [(0x00, 0x11), (0x40, 0x22)] {
            // Of wValue, the upper byte does not matter; where there is data, none of it does.
            let set = host.control([kind, write, byte, 0xee, 0, 0, 0, 0], Vec::new());
            assert_eq!(set.status, Status::Done);
            assert_eq!(ask(&mut host, read), byte);
            let set = host.control([kind, write, 0xee, 0, 0, 0, 1, 0], vec![byte + 1]);
            assert_eq!(set.status, Status::Done);
            assert_eq!(ask(&mut host, read), byte + 1);
            let set = host.control([kind, write, 0, 0, 0, 0, 2, 0], vec![byte + 2, 0xee]);
            assert_eq!(set.status, Status::Done);
            assert_eq!(ask(&mut host, read), byte + 2);
        }
    }
}

#[test]
fn the_switches_are_read_by_a_request_while_a_byte_waits() {
    let (mut host, board) = configured();
    board.set_switches(Switches::new(0x01));
    board.set_switches(Switches::new(0x02));
    assert_eq!(ask(&mut host, READ_SWITCHES), 0x02);
    assert_eq!(told(&mut host), Some(0x01));
}

#[test]
fn anything_else_stalls() {
    let mut host = host();
    let refused = |setup: [u8; 8]| {
        let inward = setup[0] & 0x80 != 0;
        let length = if inward { 0 } else { setup[6].into() };
        let status = host.control(setup, vec![0; length]).status;
        assert_eq!(status, Status::Stalled, "{setup:02x?}");
    };
    let unknown = [0xd3, 0xd5, 0xdc, 0x00, 0xff];
    let wrong_way = [READ_SWITCHES, READ_BAR_GRAPH, IS_HIGH_SPEED];
    let setups = unknown
        .into_iter()
        .chain(wrong_way)
        .flat_map(|request| {
            [
                [0x40, request, 0, 0, 0, 0, 0, 0],
                [0x40, request, 0, 0, 0, 0, 1, 0],
            ]
        })
        .chain(unknown.map(|request| [0xc0, request, 0, 0, 0, 0, 1, 0]))
        .chain(
            [SET_BAR_GRAPH, SET_SEVEN_SEGMENTS, REENUMERATE]
                .map(|request| [0xc0, request, 0, 0, 0, 0, 1, 0]),
        )
        .chain([
            // To an interface, of a class, with data that it has none of, and a read of nothing.
            [0xc1, READ_SWITCHES, 0, 0, 0, 0, 1, 0],
            [0x41, SET_BAR_GRAPH, 0, 0, 0, 0, 0, 0],
            [0xa0, READ_SWITCHES, 0, 0, 0, 0, 1, 0],
            [0x20, SET_BAR_GRAPH, 0, 0, 0, 0, 0, 0],
            [0x40, REENUMERATE, 0, 0, 0, 0, 1, 0],
            [0xc0, READ_SWITCHES, 0, 0, 0, 0, 0, 0],
        ]);
    setups.for_each(refused);
}

#[test]
fn reenumeration_begins_everything_anew_but_the_switches() {
    let (mut host, board) = configured();
    for kind in [0x00, 0x40] {
        board.set_switches(Switches::new(kind | 1));
        assert_eq!(told(&mut host), Some(kind | 1));
        set(&mut host, SET_BAR_GRAPH, 0xff);
        set(&mut host, SET_SEVEN_SEGMENTS, 0xff);
        host.write(LOOP_OUT, vec![1; 512], false);
        host.ended().unwrap();
        let done = host.control([kind, REENUMERATE, 0, 0, 0, 0, 0, 0], Vec::new());
        assert_eq!(done.status, Status::Done);
        let state = board.state();
        assert_eq!(state.bar_graph.bits(), 0);
        assert_eq!(state.segments.character(), Some('1'));
        assert_eq!(told(&mut host), Some(kind | 1));
        let read = host.read(LOOP_IN, 512);
        assert!(host.ended().is_none());
        host.device.cancel(read, host.now);
        host.ended().unwrap();
    }
    assert_eq!(board.state().reenumerations, 2);
}
