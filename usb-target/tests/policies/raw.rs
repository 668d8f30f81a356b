//! RAW_IO: reads that go to the device as they are.

use usbwright_target::{PipePolicy, TransferError, Wait, protocol::Status};

use crate::support::{Answer, Bench, LARGEST, PACKET, Polled, bytes, data, failure, refusal};

const ON: PipePolicy = PipePolicy {
    raw_io: true,
    ..PipePolicy::DEFAULT
};

#[test]
fn raw_io_on_refuses_lengths_that_are_no_multiple_of_the_packet_size() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    for length in [1, PACKET - 1, PACKET + 1, LARGEST - 1] {
        let refused = refusal(pipe.read(length).wait());
        let packet = PACKET;
        assert_eq!(refused, TransferError::NotWholePackets { length, packet });
    }
}

#[test]
fn raw_io_on_refuses_more_than_the_largest_transfer() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    for length in [LARGEST + PACKET, LARGEST + 1, usize::MAX] {
        let most = LARGEST;
        let refused = refusal(pipe.read(length).wait());
        assert_eq!(refused, TransferError::TooLong { length, most });
    }
    assert_eq!(pipe.largest_transfer(), LARGEST);
}

#[test]
fn raw_io_on_reads_whole_packets_up_to_the_largest_transfer() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    for length in [PACKET, 2 * PACKET, LARGEST] {
        bench.answers([Answer::Sends(bytes(length))]);
        assert_eq!(data(pipe.read(length).wait()), bytes(length));
    }
    bench.answers([Answer::sends(b"short")]);
    assert_eq!(data(pipe.read(LARGEST).wait()), b"short");
}

#[test]
fn raw_io_off_reads_any_length() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    for length in [1, PACKET - 1, PACKET + 1, LARGEST + PACKET, LARGEST + 1] {
        bench.answers([Answer::Sends(bytes(length))]);
        assert_eq!(data(pipe.read(length).wait()), bytes(length));
    }
}

#[test]
fn raw_io_on_has_reads_in_flight_side_by_side_and_passes_what_was_kept_by() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    bench.answers([Answer::sends(b"kept")]);
    assert_eq!(data(pipe.read(1).wait()), b"k");
    pipe.set_policy(ON).unwrap();
    let one = Polled::begin(pipe.read(PACKET));
    let other = Polled::begin(pipe.read(PACKET));
    bench.answers([Answer::sends(b"one"), Answer::sends(b"other")]);
    assert_eq!(data(one.end()), b"one");
    assert_eq!(data(other.end()), b"other");
    pipe.set_policy(PipePolicy::default()).unwrap();
    assert_eq!(data(pipe.read(9).wait()), b"ept");
}

#[test]
fn raw_io_on_tells_the_device_errors_as_they_are() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    bench.answers([Answer::Babbles(bytes(PACKET + 1))]);
    let sent = bytes(PACKET).to_vec();
    assert_eq!(failure(pipe.read(PACKET).wait()), (Status::Overflow, sent));
}
