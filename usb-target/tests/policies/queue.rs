//! Queues: many transfers in flight, and their ends in order.

use usbwright_target::{PipePolicy, ReaderConfig, TransferError, Wait, protocol::Status};

use crate::support::{Answer, Bench, LARGEST, PACKET, Polled, ScriptedPort, bytes, data, failure};

#[test]
fn transfers_end_in_the_order_in_which_they_were_submitted() {
    let bench = Bench::new();
    let mut queue = bench.source(PipePolicy::default()).queue();
    let tickets = [(); 3].map(|()| queue.read(PACKET).unwrap());
    assert_eq!(queue.len(), 3);
    bench.answers([&b"a"[..], b"b", b"c"].map(Answer::sends));
    for (ticket, sent) in tickets.into_iter().zip([b"a", b"b", b"c"]) {
        let (told, ended) = queue.next().wait().unwrap();
        assert_eq!((told, data(ended)), (ticket, sent.to_vec()));
    }
    assert!(queue.is_empty() && queue.next().wait().is_none());
}

#[test]
fn one_transfer_may_be_taken_back_and_those_behind_it_go_on() {
    let bench = Bench::new();
    let mut queue = bench.source(PipePolicy::default()).queue();
    let tickets = [(); 3].map(|()| queue.read(PACKET).unwrap());
    queue.cancel(tickets[1]);
    bench.answers([&b"a"[..], b"b"].map(Answer::sends));
    let mut next = || queue.next().wait().unwrap();
    assert_eq!(data(next().1), b"a");
    let (told, ended) = next();
    assert_eq!((told, failure(ended).0), (tickets[1], Status::Cancelled));
    assert_eq!(data(next().1), b"b");
}

#[test]
fn all_transfers_may_be_taken_back_but_for_those_that_have_ended() {
    let bench = Bench::new();
    let mut queue = bench.source(PipePolicy::default()).queue();
    for _ in 0..3 {
        queue.read(PACKET).unwrap();
    }
    bench.answers([Answer::sends(b"a")]);
    queue.cancel_all();
    assert_eq!(data(queue.next().wait().unwrap().1), b"a");
    for _ in 0..2 {
        let (_, ended) = queue.next().wait().unwrap();
        assert_eq!(failure(ended).0, Status::Cancelled);
    }
}

#[test]
fn a_queue_does_not_read_where_a_continuous_reader_does() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let mut queue = pipe.queue();
    let reader = pipe.reader(ReaderConfig::new(PACKET)).unwrap();
    reader.start();
    let refused = queue.read(PACKET).unwrap_err();
    assert_eq!(refused, TransferError::Reading(pipe.address()));
    drop(reader);
    assert!(queue.read(PACKET).is_ok());
}

#[test]
fn what_a_dropped_queue_has_read_is_kept_in_order_for_the_next_reads() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    let mut queue = pipe.queue();
    for _ in 0..4 {
        queue.read(2 * PACKET).unwrap();
    }
    bench.answers([
        Answer::sends(b"ab"),
        Answer::sends(b""),
        Answer::sends(b"cd"),
    ]);
    bench.answers([Answer::Sends(bytes(PACKET))]);
    drop(queue);
    assert_eq!(data(pipe.read(PACKET).wait()), b"ab");
    assert_eq!(data(pipe.read(PACKET).wait()), b"");
    assert_eq!(data(pipe.read(PACKET).wait()), b"cd");
    assert_eq!(data(pipe.read(PACKET).wait()), bytes(PACKET));
}

#[test]
fn a_dropped_wait_for_the_next_end_loses_nothing() {
    let bench = Bench::new();
    let mut queue = bench.source(PipePolicy::default()).queue();
    queue.read(PACKET).unwrap();
    drop(Polled::begin(queue.next()));
    bench.answers([Answer::sends(b"a")]);
    assert_eq!(data(queue.next().wait().unwrap().1), b"a");
}

#[test]
fn a_queues_writes_follow_the_policy_for_zero_length_packets() {
    let bench = Bench::new();
    let pipe = bench.sink(PipePolicy {
        short_packet_terminate: true,
        ..PipePolicy::DEFAULT
    });
    let mut queue = pipe.queue();
    for length in [PACKET, 1, 0, LARGEST] {
        queue.write(bytes(length)).unwrap();
    }
    assert_eq!(bench.script.lengths(), [PACKET, 0, 1, 0, LARGEST, 0]);
}

#[test]
fn many_transfers_are_in_flight_at_once() {
    let port = ScriptedPort::new();
    let mut queue = port.source(PipePolicy::default()).queue();
    for _ in 0..1000 {
        queue.read(LARGEST).unwrap();
    }
    assert_eq!(port.lengths().len(), 1000);
    drop(queue);
    assert_eq!(port.script().cancelled.len(), 1000);
}
