//! SHORT_PACKET_TERMINATE: zero-length packets behind writes.

use usbwright_target::{PipePolicy, Wait};

use crate::support::{Bench, LARGEST, PACKET, bytes};

const ON: PipePolicy = PipePolicy {
    short_packet_terminate: true,
    ..PipePolicy::DEFAULT
};

/// What the device is given when it is written so many bytes.
fn given(policy: PipePolicy, length: usize) -> Vec<usize> {
    let bench = Bench::new();
    let written = bench.sink(policy).write(bytes(length)).wait();
    assert_eq!(written.ok().unwrap().length, length);
    assert_eq!(bench.script.with(|it| it.written()), bytes(length));
    bench.script.lengths()
}

#[test]
fn short_packet_terminate_off_sends_what_it_is_given() {
    for length in [0, 1, PACKET - 1, PACKET, PACKET + 1, 4 * PACKET] {
        assert_eq!(given(PipePolicy::default(), length), [length]);
    }
    assert_eq!(
        given(PipePolicy::default(), LARGEST + PACKET),
        [LARGEST, PACKET]
    );
}

#[test]
fn short_packet_terminate_on_ends_whole_packets_with_a_zero_length_one() {
    for length in [PACKET, 4 * PACKET, LARGEST] {
        assert_eq!(given(ON, length), [length, 0]);
    }
}

#[test]
fn short_packet_terminate_on_adds_nothing_behind_a_short_packet() {
    for length in [1, PACKET - 1, PACKET + 1] {
        assert_eq!(given(ON, length), [length]);
    }
}

#[test]
fn short_packet_terminate_on_sends_no_second_zero_length_packet() {
    assert_eq!(given(ON, 0), [0]);
}

#[test]
fn short_packet_terminate_on_ends_only_the_last_transfer_of_a_long_write() {
    assert_eq!(given(ON, 3 * LARGEST), [LARGEST, LARGEST, LARGEST, 0]);
    assert_eq!(given(ON, LARGEST + PACKET), [LARGEST, PACKET, 0]);
    assert_eq!(given(ON, LARGEST + 1), [LARGEST, 1]);
}

#[test]
fn a_write_may_be_terminated_whatever_the_policy() {
    let bench = Bench::new();
    let sink = bench.sink(PipePolicy::default());
    let _ = sink.write_terminated(bytes(PACKET)).wait().ok().unwrap();
    let _ = sink.write_terminated(bytes(1)).wait().ok().unwrap();
    assert_eq!(bench.script.lengths(), [PACKET, 0, 1]);
}
