//! PIPE_TRANSFER_TIMEOUT, by a clock that the tests move.

use std::time::Duration;

use bytes::Bytes;
use usbwright_target::{Completion, PipePolicy, PolicyId, Wait, protocol::Status};

use crate::support::{
    Answer, Bench, LARGEST, PACKET, Polled, ScriptedPort, Taking, bytes, data, failure, vendor,
};

fn policy(millis: u64) -> PipePolicy {
    PipePolicy {
        transfer_timeout: Some(Duration::from_millis(millis)),
        ..PipePolicy::DEFAULT
    }
}

/// How long it takes until it has timed out, in ms.
fn times_out(bench: &Bench, mut call: Polled<'_, Completion>, millis: u64) -> Completion {
    bench.advance(millis - 1);
    assert!(call.poll().is_none(), "not before its time");
    bench.advance(1);
    call.end()
}

#[test]
fn a_read_times_out_and_tells_what_had_come() {
    for length in [PACKET, 4 * PACKET, PACKET + 1, 1] {
        let bench = Bench::new();
        let pipe = bench.source(policy(50));
        let sent = bytes(length.saturating_sub(1) / PACKET * PACKET);
        let read = Polled::begin(pipe.read(length));
        if !sent.is_empty() {
            bench.answers([Answer::Sends(sent.clone())]);
        }
        let ended = times_out(&bench, read, 50);
        assert_eq!(failure(ended), (Status::TimedOut, sent.to_vec()));
        bench.answers([Answer::sends(b"d")]);
        assert_eq!(data(pipe.read(length).wait()), b"d", "the pipe goes on");
    }
}

#[test]
fn a_write_times_out_and_tells_what_was_taken() {
    let bench = Bench::new();
    let pipe = bench.sink(policy(50));
    bench.script.with(|it| it.taking = Taking::Only(3 * PACKET));
    let write = Polled::begin(pipe.write(bytes(10 * PACKET)));
    let ended = times_out(&bench, write, 50);
    assert_eq!(ended.length, 3 * PACKET);
    assert_eq!(failure(ended).0, Status::TimedOut);
}

#[test]
fn no_timeout_waits_for_ever() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    pipe.set_policy_value(PolicyId::TransferTimeout, &[0; 4])
        .unwrap();
    let mut read = Polled::begin(pipe.read(PACKET));
    bench.advance(1_000_000_000);
    assert!(read.poll().is_none());
    bench.answers([Answer::sends(b"at last")]);
    assert_eq!(data(read.end()), b"at last");
}

#[test]
fn a_timeout_that_no_clock_reaches_is_none() {
    let bench = Bench::new();
    let endless = PipePolicy {
        transfer_timeout: Some(Duration::MAX),
        ..PipePolicy::DEFAULT
    };
    let pipe = bench.source(endless);
    let mut read = Polled::begin(pipe.read(PACKET));
    bench.advance(1_000_000_000);
    assert!(read.poll().is_none());
    bench.device.set_control_timeout(Some(Duration::MAX));
    bench.poke();
}

#[test]
fn a_timeout_counts_from_a_calls_turn_and_not_from_when_it_queued() {
    let bench = Bench::new();
    let pipe = bench.source(policy(50));
    let first = Polled::begin(pipe.read(1));
    bench.advance(30);
    let mut second = Polled::begin(pipe.read(1));
    bench.advance(20);
    assert_eq!(failure(first.end()).0, Status::TimedOut);
    assert!(second.poll().is_none(), "its turn begins here");
    assert_eq!(failure(times_out(&bench, second, 50)).0, Status::TimedOut);
}

#[test]
fn a_timeout_is_of_the_whole_call_and_not_of_each_of_its_transfers() {
    let bench = Bench::new();
    let pipe = bench.source(policy(50));
    let mut read = Polled::begin(pipe.read(2 * LARGEST));
    bench.advance(30);
    bench.answers([Answer::Sends(bytes(LARGEST))]);
    assert!(read.poll().is_none(), "the second transfer is on its way");
    let ended = times_out(&bench, read, 20);
    assert_eq!(failure(ended), (Status::TimedOut, bytes(LARGEST).to_vec()));

    let pipe = bench.sink(policy(50));
    bench.script.with(|it| it.taking = Taking::Only(LARGEST));
    let mut write = Polled::begin(pipe.write(bytes(2 * LARGEST)));
    bench.advance(30);
    assert!(write.poll().is_none());
    assert_eq!(times_out(&bench, write, 20).length, LARGEST);
}

#[test]
fn a_write_that_times_out_leaves_no_hole_in_what_the_device_took() {
    let bench = Bench::new();
    let pipe = bench.sink(policy(50));
    bench.script.with(|it| it.taking = Taking::Only(3 * PACKET));
    let write = Polled::begin(pipe.write(bytes(3 * LARGEST)));
    // What is asked once more, when the first transfer is taken back, would take the second one.
    bench.script.with(|it| it.taking = Taking::All);
    bench.advance(50);
    let ended = write.end();
    assert_eq!(bench.script.with(|it| it.written()), bytes(ended.length));
    assert_eq!(failure(ended).0, Status::TimedOut);
}

#[test]
fn a_device_that_takes_each_transfer_in_time_but_not_all_of_them_times_out() {
    let port = ScriptedPort::new();
    let pipe = port.sink(policy(50));
    let mut write = Polled::begin(pipe.write(bytes(8 * LARGEST)));
    for _ in 0..4 {
        port.end(0, Status::Done, bytes(LARGEST));
        port.clock.advance(Duration::from_millis(10));
        assert!(write.poll().is_none());
    }
    port.clock.advance(Duration::from_millis(10));
    for _ in 0..4 {
        port.end(0, Status::Cancelled, Bytes::new());
    }
    let ended = write.end();
    assert_eq!(ended.length, 4 * LARGEST);
    assert_eq!(failure(ended).0, Status::TimedOut);
}

#[test]
fn control_transfers_time_out_after_5_s_unless_told_otherwise() {
    let bench = Bench::new();
    bench.script.with(|it| it.mute = true);
    let ask = || bench.device.control(vendor(0xc0, 1, 4), Bytes::new());
    assert_eq!(bench.device.control_timeout(), Some(Duration::from_secs(5)));
    let ended = times_out(&bench, Polled::begin(ask()), 5000);
    assert_eq!(failure(ended).0, Status::TimedOut);
    let other = Some(Duration::from_millis(20));
    bench.device.set_control_timeout(other);
    let ended = times_out(&bench, Polled::begin(ask()), 20);
    assert_eq!(failure(ended).0, Status::TimedOut);
    bench.device.set_control_timeout(None);
    let mut endless = Polled::begin(ask());
    bench.advance(1_000_000_000);
    assert!(endless.poll().is_none());
    bench.script.with(|it| it.mute = false);
    // Anything that happens has the device look again.
    let _ = bench.sink(PipePolicy::default()).write(bytes(1)).wait();
    assert_eq!(data(endless.end()), [7; 4]);
}

#[test]
fn a_queues_transfers_time_out_each_from_when_it_was_submitted() {
    let bench = Bench::new();
    let pipe = bench.source(policy(50));
    let mut queue = pipe.queue();
    let first = queue.read(PACKET).unwrap();
    bench.advance(20);
    let second = queue.read(PACKET).unwrap();
    bench.advance(30);
    let (ticket, ended) = Polled::new(queue.next()).end().unwrap();
    assert_eq!((ticket, failure(ended).0), (first, Status::TimedOut));
    bench.answers([Answer::sends(b"in time")]);
    let (ticket, ended) = Polled::new(queue.next()).end().unwrap();
    assert_eq!((ticket, data(ended)), (second, b"in time".to_vec()));
}
