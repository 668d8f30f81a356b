//! Ports that give transfers back late, never, out of order, or with errors of the bus.

use std::time::Duration;

use usbwright_target::{PipePolicy, protocol::Status};

use crate::support::{LARGEST, PACKET, Polled, ScriptedPort, bytes, data, failure};

const SECOND: Duration = Duration::from_secs(1);

fn timeout() -> PipePolicy {
    PipePolicy {
        transfer_timeout: Some(Duration::from_millis(50)),
        ..PipePolicy::DEFAULT
    }
}

#[test]
fn what_a_dropped_read_brings_late_comes_before_what_is_read_next() {
    for length in [PACKET, 4 * PACKET, 100] {
        let port = ScriptedPort::new();
        let pipe = port.source(PipePolicy::default());
        drop(Polled::begin(pipe.read(PACKET)));
        assert_eq!(port.script().cancelled.len(), 1);
        let mut next = Polled::begin(pipe.read(length));
        assert_eq!(
            port.lengths(),
            [PACKET],
            "the next one waits for what may come"
        );
        port.end(0, Status::Done, bytes(7));
        let came = next.poll().expect("a short packet ended it");
        assert_eq!(data(came), bytes(7), "{length}");
    }
}

#[test]
fn what_a_dropped_read_brings_in_part_is_continued_by_the_next() {
    let port = ScriptedPort::new();
    let pipe = port.source(PipePolicy::default());
    drop(Polled::begin(pipe.read(4 * PACKET)));
    let mut next = Polled::begin(pipe.read(4 * PACKET));
    let sent = bytes(3 * PACKET);
    port.end(0, Status::Cancelled, sent.slice(..PACKET));
    assert!(next.poll().is_none());
    assert_eq!(port.lengths(), [3 * PACKET]);
    port.end(0, Status::Done, sent.slice(PACKET..));
    assert_eq!(data(next.end()), sent);
}

#[test]
fn a_zero_length_packet_that_a_dropped_read_brings_ends_the_next() {
    let port = ScriptedPort::new();
    let pipe = port.source(PipePolicy::default());
    drop(Polled::begin(pipe.read(PACKET)));
    let next = Polled::begin(pipe.read(PACKET));
    port.end(0, Status::Done, bytes(0));
    assert!(data(next.end()).is_empty());
}

#[test]
fn a_stall_that_a_dropped_read_has_met_is_left_for_the_next_to_meet() {
    let port = ScriptedPort::new();
    let pipe = port.source(PipePolicy::default());
    drop(Polled::begin(pipe.read(PACKET)));
    let mut next = Polled::begin(pipe.read(PACKET));
    port.end(0, Status::Stalled, bytes(0));
    assert!(next.poll().is_none());
    port.end(0, Status::Stalled, bytes(0));
    assert_eq!(failure(next.end()).0, Status::Stalled);
}

#[test]
fn a_read_that_the_port_never_gives_back_is_given_up_after_a_second() {
    for length in [PACKET, 4 * PACKET, 1] {
        let port = ScriptedPort::new();
        let pipe = port.source(timeout());
        let mut read = Polled::begin(pipe.read(length));
        port.clock.advance(Duration::from_millis(50));
        assert_eq!(port.script().cancelled.len(), 1);
        assert!(read.poll().is_none(), "it may bring something yet");
        port.clock.advance(SECOND);
        assert_eq!(failure(read.end()), (Status::TimedOut, Vec::new()));
    }
}

#[test]
fn an_abort_that_the_port_never_answers_ends_after_a_second() {
    let port = ScriptedPort::new();
    let pipe = port.source(PipePolicy::default());
    let read = Polled::begin(pipe.read(PACKET));
    let mut abort = Polled::begin(pipe.abort());
    port.clock.advance(SECOND - Duration::from_millis(1));
    assert!(abort.poll().is_none());
    port.clock.advance(Duration::from_millis(1));
    abort.end();
    assert_eq!(failure(read.end()).0, Status::Cancelled);
}

#[test]
fn a_dropped_read_that_the_port_never_gives_back_holds_the_next_for_a_second() {
    let port = ScriptedPort::new();
    let pipe = port.source(timeout());
    drop(Polled::begin(pipe.read(PACKET)));
    let mut next = Polled::begin(pipe.read(PACKET));
    port.clock.advance(SECOND);
    assert!(next.poll().is_none());
    assert_eq!(port.lengths(), [PACKET, PACKET], "the next is on its way");
    port.end(1, Status::Done, bytes(3));
    assert_eq!(data(next.end()), bytes(3));
    port.end(0, Status::Done, bytes(5));
    assert_eq!(pipe.flush(), 0, "what comes later still is lost");
}

#[test]
fn a_timeout_that_comes_too_late_leaves_the_read_as_it_ended() {
    let port = ScriptedPort::new();
    let pipe = port.source(timeout());
    let read = Polled::begin(pipe.read(PACKET));
    port.clock.advance(Duration::from_millis(50));
    port.end(0, Status::Done, bytes(PACKET));
    assert_eq!(data(read.end()), bytes(PACKET));
}

#[test]
fn every_status_is_told_as_it_is_with_what_had_moved() {
    let statuses = [
        Status::Stalled,
        Status::Overflow,
        Status::Disconnected,
        Status::NoEndpoint,
        Status::ProtocolError,
        Status::Crc,
        Status::NoResponse,
        Status::DataOverrun,
        Status::DataUnderrun,
        Status::NoMemory,
        Status::Unsupported,
        Status::Other(71),
    ];
    for status in statuses {
        let port = ScriptedPort::new();
        for length in [PACKET, 3 * PACKET - 1] {
            let read = port.source(PipePolicy::default());
            let read = Polled::begin(read.read(length));
            port.end(0, status, bytes(100));
            assert_eq!(failure(read.end()), (status, bytes(100).to_vec()));
        }
        let pipe = port.sink(PipePolicy::default());
        let write = Polled::begin(pipe.write(bytes(PACKET)));
        port.end(0, status, bytes(100));
        let ended = write.end();
        assert_eq!(ended.length, 100);
        assert_eq!(failure(ended).0, status);
    }
}

#[test]
fn endpoints_do_not_wait_for_one_another() {
    let port = ScriptedPort::new();
    let source = port.source(PipePolicy::default());
    let sink = port.sink(PipePolicy::default());
    let mut read = Polled::begin(source.read(PACKET));
    let write = Polled::begin(sink.write(bytes(PACKET)));
    port.end(1, Status::Done, bytes(PACKET));
    assert_eq!(write.end().ok().unwrap().length, PACKET);
    assert!(read.poll().is_none());
    port.end(0, Status::Done, bytes(1));
    assert_eq!(data(read.end()), bytes(1));
}

#[test]
fn a_long_write_has_several_transfers_on_their_way_and_takes_the_latest_back_first() {
    let port = ScriptedPort::new();
    let pipe = port.sink(PipePolicy {
        short_packet_terminate: true,
        ..PipePolicy::DEFAULT
    });
    let write = Polled::begin(pipe.write(bytes(8 * LARGEST)));
    assert_eq!(port.lengths(), [LARGEST; 4]);
    drop(write);
    let script = port.script();
    let submitted: Vec<_> = script.outstanding.iter().rev().map(|it| it.id).collect();
    assert_eq!(script.cancelled, submitted);
}

#[test]
fn a_write_that_fails_counts_what_its_later_transfers_moved() {
    let port = ScriptedPort::new();
    let pipe = port.sink(timeout());
    let mut write = Polled::begin(pipe.write(bytes(2 * LARGEST)));
    port.clock.advance(Duration::from_millis(50));
    port.end(0, Status::Done, bytes(LARGEST));
    assert!(write.poll().is_none());
    port.end(0, Status::Cancelled, bytes(PACKET));
    let ended = write.end();
    assert_eq!(ended.length, LARGEST + PACKET);
    assert_eq!(failure(ended).0, Status::TimedOut);
}
