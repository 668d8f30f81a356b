//! Reads, writes and control transfers that are cancelled: what had moved is told, and nothing is lost.

use std::{future::ready, time::Duration};

use bytes::Bytes;
use usbwright_target::{PipePolicy, Wait, protocol::Status};

use crate::support::{
    Answer, Bench, Button, LARGEST, PACKET, Polled, ScriptedPort, Taking, bytes, data, failure,
    vendor,
};

fn raw() -> PipePolicy {
    PipePolicy {
        raw_io: true,
        ..PipePolicy::DEFAULT
    }
}

#[test]
fn a_cancelled_read_tells_what_had_come_and_the_pipe_goes_on() {
    for length in [PACKET, 4 * PACKET, PACKET + 1, 1] {
        for policy in [PipePolicy::DEFAULT, raw()] {
            if policy.raw_io && !length.is_multiple_of(PACKET) {
                continue;
            }
            let bench = Bench::new();
            let (pipe, button) = (bench.source(policy), Button::default());
            let sent = bytes(length.saturating_sub(1) / PACKET * PACKET);
            let mut read = Polled::begin(pipe.read_cancelable(length, button.pressed()));
            if !sent.is_empty() {
                bench.answers([Answer::Sends(sent.clone())]);
            }
            assert!(read.poll().is_none());
            button.press();
            assert_eq!(failure(read.end()), (Status::Cancelled, sent.to_vec()));
            bench.answers([Answer::sends(b"d")]);
            assert_eq!(data(pipe.read(length).wait()), b"d");
        }
    }
}

#[test]
fn a_read_that_waits_for_its_turn_is_cancelled_at_once_and_takes_nothing() {
    let port = ScriptedPort::new();
    let (pipe, button) = (port.source(PipePolicy::DEFAULT), Button::default());
    let first = Polled::begin(pipe.read(PACKET + 1));
    let second = Polled::begin(pipe.read_cancelable(PACKET, button.pressed()));
    button.press();
    assert_eq!(failure(second.end()), (Status::Cancelled, Vec::new()));
    assert_eq!(port.lengths().len(), 1);
    port.end(0, Status::Done, bytes(5));
    assert_eq!(data(first.end()), bytes(5));
}

#[test]
fn what_is_cancelled_before_it_begins_does_not_begin() {
    let port = ScriptedPort::new();
    let source = port.source(PipePolicy::DEFAULT);
    let read = source.read_cancelable(PACKET, ready(())).wait();
    assert_eq!(failure(read).0, Status::Cancelled);
    let sink = port.sink(PipePolicy::DEFAULT);
    let write = sink.write_cancelable(bytes(9), ready(())).wait();
    assert_eq!((write.length, failure(write).0), (0, Status::Cancelled));
    assert!(port.lengths().is_empty());
}

#[test]
fn a_read_that_is_cancelled_too_late_ends_as_it_had_ended() {
    for length in [PACKET, PACKET + 1] {
        let port = ScriptedPort::new();
        let (pipe, button) = (port.source(PipePolicy::DEFAULT), Button::default());
        let mut read = Polled::begin(pipe.read_cancelable(length, button.pressed()));
        button.press();
        assert!(read.poll().is_none(), "the port has it");
        assert_eq!(port.script().cancelled.len(), 1);
        port.end(0, Status::Done, bytes(7));
        assert_eq!(data(read.end()), bytes(7));
    }
}

#[test]
fn a_cancelled_read_that_the_port_never_gives_back_is_given_up_after_a_second() {
    let port = ScriptedPort::new();
    let (pipe, button) = (port.source(PipePolicy::DEFAULT), Button::default());
    let mut read = Polled::begin(pipe.read_cancelable(PACKET, button.pressed()));
    button.press();
    assert!(read.poll().is_none());
    port.clock.advance(Duration::from_secs(1));
    assert_eq!(failure(read.end()), (Status::Cancelled, Vec::new()));
}

#[test]
fn all_transfers_of_a_cancelled_read_are_taken_back_and_their_data_is_told_in_order() {
    let port = ScriptedPort::new();
    let endless = PipePolicy {
        ignore_short_packets: true,
        ..PipePolicy::DEFAULT
    };
    let (pipe, button) = (port.source(endless), Button::default());
    let mut read = Polled::begin(pipe.read_cancelable(4 * LARGEST, button.pressed()));
    let submitted: Vec<_> = port.script().outstanding.iter().map(|it| it.id).collect();
    assert_eq!(submitted.len(), 4);
    button.press();
    assert!(read.poll().is_none());
    assert!(port.script().cancelled.iter().rev().eq(&submitted));
    let sent = bytes(PACKET + 3 * 9);
    port.end(0, Status::Done, sent.slice(..PACKET + 9));
    port.end(0, Status::Cancelled, sent.slice(PACKET + 9..PACKET + 18));
    port.end(0, Status::Cancelled, sent.slice(PACKET + 18..));
    port.end(0, Status::Cancelled, Bytes::new());
    assert_eq!(failure(read.end()), (Status::Cancelled, sent.to_vec()));
    assert!(port.lengths().is_empty(), "nothing more is asked for");
}

#[test]
fn what_a_cancelled_read_did_not_take_is_for_the_next() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::DEFAULT);
    bench.answers([Answer::Sends(bytes(100))]);
    assert_eq!(data(pipe.read(30).wait()), bytes(100)[..30]);
    let cancelled = pipe.read_cancelable(30, ready(())).wait();
    assert_eq!(failure(cancelled), (Status::Cancelled, Vec::new()));
    assert_eq!(data(pipe.read(100).wait()), bytes(100)[30..]);
}

#[test]
fn a_cancelled_write_tells_what_was_taken_and_leaves_no_hole() {
    for length in [10 * PACKET, 3 * LARGEST] {
        let bench = Bench::new();
        let (pipe, button) = (bench.sink(PipePolicy::DEFAULT), Button::default());
        bench.script.with(|it| it.taking = Taking::Only(3 * PACKET));
        let write = Polled::begin(pipe.write_cancelable(bytes(length), button.pressed()));
        bench.script.with(|it| it.taking = Taking::All);
        button.press();
        let ended = write.end();
        assert_eq!(bench.script.with(|it| it.written()), bytes(ended.length));
        assert!(ended.length < length);
        assert_eq!(failure(ended).0, Status::Cancelled);
    }
}

#[test]
fn a_cancelled_control_transfer_ends_at_once() {
    let bench = Bench::new();
    let button = Button::default();
    bench.script.with(|it| it.mute = true);
    let device = &bench.device;
    let ask = device.control_cancelable(vendor(0xc0, 1, 4), Bytes::new(), button.pressed());
    let ask = Polled::begin(ask);
    button.press();
    assert_eq!(failure(ask.end()), (Status::Cancelled, Vec::new()));
    bench.script.with(|it| it.mute = false);
    assert_eq!(
        data(device.control(vendor(0xc0, 1, 4), Bytes::new()).wait()),
        [7; 4]
    );
}

#[test]
fn a_dropped_read_that_could_be_cancelled_keeps_what_had_come() {
    let bench = Bench::new();
    let (pipe, button) = (bench.source(PipePolicy::DEFAULT), Button::default());
    let read = Polled::begin(pipe.read_cancelable(4 * PACKET, button.pressed()));
    bench.answers([Answer::Sends(bytes(PACKET))]);
    drop(read);
    bench.answers([Answer::sends(b"")]);
    assert_eq!(data(pipe.read(4 * PACKET).wait()), bytes(PACKET));
}
