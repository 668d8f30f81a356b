//! ALLOW_PARTIAL_READS and AUTO_FLUSH: devices that send more than they are asked for.

use usbwright_target::{PipePolicy, Wait, protocol::Status};

use crate::support::{Answer, Bench, PACKET, Polled, bytes, data, failure};

const LENGTHS: [usize; 5] = [0, 1, PACKET - 1, PACKET, PACKET + 1];

const fn policy(allow_partial_reads: bool, auto_flush: bool) -> PipePolicy {
    PipePolicy {
        allow_partial_reads,
        auto_flush,
        ..PipePolicy::DEFAULT
    }
}

/// A device that sends two packets, the second one short, and then one more message.
fn bench() -> (Bench, Vec<u8>) {
    let bench = Bench::new();
    let sent = bytes(PACKET + 100);
    bench.answers([Answer::sends(&sent), Answer::sends(b"next")]);
    (bench, sent.to_vec())
}

#[test]
fn partial_reads_without_flush_keep_the_excess_for_the_next_reads() {
    for length in LENGTHS {
        let (bench, sent) = bench();
        let pipe = bench.source(policy(true, false));
        let first = data(pipe.read(length).wait());
        assert_eq!(first, sent[..length]);
        let rest = data(pipe.read(4 * PACKET).wait());
        assert_eq!(rest, sent[length..], "after {length}");
        assert_eq!(data(pipe.read(PACKET).wait()), b"next");
    }
}

#[test]
fn partial_reads_with_flush_throw_the_excess_of_the_packets_they_took_away() {
    for length in LENGTHS {
        let (bench, sent) = bench();
        let pipe = bench.source(policy(true, true));
        assert_eq!(data(pipe.read(length).wait()), sent[..length]);
        let packets = length.next_multiple_of(PACKET).min(sent.len());
        let rest = &sent[packets..];
        if !rest.is_empty() {
            assert_eq!(
                data(pipe.read(PACKET).wait()),
                rest[..rest.len().min(PACKET)]
            );
        }
        assert_eq!(pipe.flush(), 0, "nothing is kept");
    }
}

#[test]
fn no_partial_reads_fail_where_more_came_and_lose_nothing() {
    for auto_flush in [false, true] {
        for length in LENGTHS {
            let (bench, sent) = bench();
            let pipe = bench.source(policy(false, auto_flush));
            let first = pipe.read(length).wait();
            if length == PACKET {
                assert_eq!(data(first), sent[..length], "no more came in that packet");
            } else {
                assert_eq!(failure(first), (Status::Overflow, sent[..length].to_vec()));
            }
            let rest = data(pipe.read(4 * PACKET).wait());
            assert_eq!(rest, sent[length..], "after {length}, {auto_flush}");
        }
    }
}

#[test]
fn no_partial_reads_succeed_where_just_enough_came() {
    for length in LENGTHS {
        let bench = Bench::new();
        bench.answers([Answer::Sends(bytes(length))]);
        let pipe = bench.source(policy(false, false));
        assert_eq!(data(pipe.read(length).wait()), bytes(length));
    }
}

#[test]
fn a_read_of_nothing_ends_at_once_with_partial_reads() {
    let bench = Bench::new();
    let pipe = bench.source(policy(true, false));
    assert!(data(pipe.read(0).wait()).is_empty());
    let _pending = Polled::begin(pipe.read(PACKET));
    assert!(data(Polled::new(pipe.read(0)).end()).is_empty());
}

#[test]
fn a_read_of_nothing_asks_the_device_without_partial_reads() {
    let bench = Bench::new();
    let pipe = bench.source(policy(false, false));
    let read = Polled::begin(pipe.read(0));
    bench.answers([Answer::sends(b"")]);
    assert!(data(read.end()).is_empty());
}

#[test]
fn what_is_kept_can_be_flushed() {
    let (bench, _) = bench();
    let pipe = bench.source(policy(true, false));
    assert_eq!(data(pipe.read(PACKET + 1).wait()).len(), PACKET + 1);
    assert_eq!(pipe.flush(), 99);
    assert_eq!(data(pipe.read(PACKET).wait()), b"next");
}

#[test]
fn a_read_ends_with_a_short_packet_within_what_was_kept() {
    let bench = Bench::new();
    let pipe = bench.source(policy(true, false));
    bench.answers([Answer::sends(b"abcdef"), Answer::sends(b"gh")]);
    assert_eq!(data(pipe.read(1).wait()), b"a");
    assert_eq!(data(pipe.read(2).wait()), b"bc");
    assert_eq!(data(pipe.read(9).wait()), b"def");
    assert_eq!(data(pipe.read(9).wait()), b"gh");
}

#[test]
fn kept_data_that_a_full_packet_ended_is_continued_on_the_bus() {
    let bench = Bench::new();
    let pipe = bench.source(policy(true, false));
    let sent = bytes(PACKET + 5);
    bench.answers([Answer::Sends(sent.clone())]);
    assert_eq!(data(pipe.read(PACKET - 1).wait()), sent[..PACKET - 1]);
    assert_eq!(data(pipe.read(100).wait()), sent[PACKET - 1..]);
}
