//! IGNORE_SHORT_PACKETS: reads that end when they have all of their bytes.

use std::time::Duration;

use usbwright_target::{PipePolicy, Wait, protocol::Status};

use crate::support::{Answer, Bench, LARGEST, PACKET, Polled, bytes, data, failure};

const ON: PipePolicy = PipePolicy {
    ignore_short_packets: true,
    ..PipePolicy::DEFAULT
};

/// Sends so many bytes in messages of this length.
fn messages(total: usize, length: usize) -> Vec<Answer> {
    let sent = bytes(total);
    let parts = sent.chunks(length).map(Answer::sends);
    parts.collect()
}

#[test]
fn ignore_short_packets_off_ends_a_read_with_a_short_packet() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    bench.answers([
        Answer::sends(b"abc"),
        Answer::sends(b""),
        Answer::sends(b"def"),
    ]);
    for expected in [&b"abc"[..], b"", b"def"] {
        assert_eq!(data(pipe.read(PACKET).wait()), expected);
    }
}

#[test]
fn ignore_short_packets_on_reads_until_all_has_come() {
    for length in [1, PACKET - 1, PACKET, PACKET + 1, 3 * PACKET] {
        let bench = Bench::new();
        let pipe = bench.source(ON);
        bench.answers(messages(length, 100));
        assert_eq!(data(pipe.read(length).wait()), bytes(length));
    }
}

#[test]
fn ignore_short_packets_on_ignores_zero_length_packets() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    bench.answers([
        Answer::sends(b""),
        Answer::sends(b"abc"),
        Answer::sends(b""),
    ]);
    let read = Polled::begin(pipe.read(PACKET));
    bench.answers([Answer::Sends(bytes(PACKET - 3))]);
    assert_eq!(data(read.end()).len(), PACKET);
}

#[test]
fn ignore_short_packets_on_waits_for_the_rest() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    let mut read = Polled::begin(pipe.read(6));
    bench.answers([Answer::sends(b"abc")]);
    assert!(read.poll().is_none());
    bench.answers([Answer::sends(b"defgh")]);
    assert_eq!(data(read.end()), b"abcdef");
    assert_eq!(pipe.flush(), 2, "the excess is kept");
}

#[test]
fn ignore_short_packets_on_reads_across_several_transfers() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    let length = 2 * LARGEST + 1000;
    bench.answers(messages(length, 100_001));
    assert_eq!(data(pipe.read(length).wait()), bytes(length));
}

#[test]
fn ignore_short_packets_on_joins_what_was_kept() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    bench.answers([
        Answer::sends(b"abc"),
        Answer::sends(b"def"),
        Answer::sends(b"ghi"),
    ]);
    assert_eq!(data(pipe.read(1).wait()), b"a");
    assert_eq!(data(pipe.read(7).wait()), b"bcdefgh");
    assert_eq!(data(pipe.read(1).wait()), b"i");
}

#[test]
fn ignore_short_packets_on_keeps_partial_bytes_in_the_completion_of_a_timeout() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy {
        transfer_timeout: Some(Duration::from_millis(100)),
        ..ON
    });
    let mut read = Polled::begin(pipe.read(LARGEST + PACKET));
    bench.answers([Answer::sends(b"abc"), Answer::sends(b"defg")]);
    bench.advance(99);
    assert!(read.poll().is_none());
    bench.answers([Answer::sends(b"h")]);
    bench.advance(1);
    assert_eq!(
        failure(read.end()),
        (Status::TimedOut, b"abcdefgh".to_vec())
    );
    assert_eq!(pipe.flush(), 0);
}

#[test]
fn ignore_short_packets_on_tells_what_came_before_a_stall() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    bench.answers([Answer::sends(b"abc"), Answer::sends(b"de"), Answer::Stalls]);
    let ended = failure(pipe.read(PACKET).wait());
    assert_eq!(ended, (Status::Stalled, b"abcde".to_vec()));
}

#[test]
fn ignore_short_packets_on_ends_in_time_though_the_device_sends_nothing_but_zero_length_packets() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy {
        transfer_timeout: Some(Duration::from_millis(100)),
        ..ON
    });
    bench.script.with(|it| it.always = Some(Answer::sends(b"")));
    let mut read = Polled::begin(pipe.read(1));
    assert!(read.poll().is_none(), "other tasks have their turn");
    bench.advance(100);
    assert_eq!(failure(read.end()), (Status::TimedOut, Vec::new()));
}

#[test]
fn ignore_short_packets_is_without_effect_with_raw_io() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy { raw_io: true, ..ON });
    bench.answers([Answer::sends(b"abc")]);
    assert_eq!(data(pipe.read(PACKET).wait()), b"abc");
}
