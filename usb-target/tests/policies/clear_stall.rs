//! AUTO_CLEAR_STALL: what becomes of a pipe after a read that failed.

use usbwright_target::{PipePolicy, Wait, protocol::Status};

use crate::support::{Answer, Bench, PACKET, Polled, ScriptedPort, bytes, data, failure};

const ON: PipePolicy = PipePolicy {
    auto_clear_stall: true,
    ..PipePolicy::DEFAULT
};

#[test]
fn auto_clear_stall_off_leaves_the_endpoint_halted_until_it_is_reset() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy::default());
    bench.answers([Answer::Stalls, Answer::sends(b"data")]);
    for _ in 0..3 {
        assert_eq!(failure(pipe.read(PACKET).wait()).0, Status::Stalled);
    }
    assert_eq!(bench.clears(), 0);
    let _ = pipe.reset().wait().ok().unwrap();
    assert_eq!(data(pipe.read(PACKET).wait()), b"data");
}

#[test]
fn auto_clear_stall_on_has_the_next_read_succeed() {
    for length in [PACKET, 1, 3 * PACKET] {
        let bench = Bench::new();
        let pipe = bench.source(ON);
        bench.answers([Answer::Stalls, Answer::sends(b"d")]);
        assert_eq!(failure(pipe.read(length).wait()).0, Status::Stalled);
        assert_eq!(bench.clears(), 1);
        assert_eq!(data(pipe.read(length).wait()), b"d");
        assert_eq!(bench.clears(), 0, "all was well");
    }
}

#[test]
fn auto_clear_stall_on_tells_what_came_before_the_stall() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    bench.answers([Answer::Sends(bytes(2 * PACKET)), Answer::Stalls]);
    let sent = bytes(2 * PACKET).to_vec();
    assert_eq!(
        failure(pipe.read(3 * PACKET).wait()),
        (Status::Stalled, sent)
    );
    assert_eq!(bench.clears(), 1);
}

#[test]
fn auto_clear_stall_on_clears_once_where_many_reads_stall_together() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    let mut reads: Vec<_> = (0..3).map(|_| Polled::begin(pipe.read(PACKET))).collect();
    bench.answers([Answer::Stalls]);
    for read in &mut reads {
        assert_eq!(failure(read.poll().unwrap()).0, Status::Stalled);
    }
    assert_eq!(bench.clears(), 1);
}

#[test]
fn auto_clear_stall_on_clears_after_babble() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    bench.answers([Answer::Babbles(bytes(PACKET + 1))]);
    assert_eq!(failure(pipe.read(PACKET).wait()).0, Status::Overflow);
    assert_eq!(bench.clears(), 1);
}

#[test]
fn auto_clear_stall_on_clears_after_every_error_of_the_bus() {
    let port = ScriptedPort::new();
    let pipe = port.source(ON);
    for status in [
        Status::Crc,
        Status::NoResponse,
        Status::DataOverrun,
        Status::ProtocolError,
    ] {
        let read = Polled::begin(pipe.read(PACKET));
        port.end(0, status, bytes(0));
        assert_eq!(failure(read.end()).0, status);
        assert_eq!(port.device_calls(), ["halt cleared"]);
    }
}

#[test]
fn auto_clear_stall_on_does_not_clear_after_a_cancellation() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    for length in [PACKET, 1] {
        let read = Polled::begin(pipe.read(length));
        pipe.abort().wait();
        assert_eq!(failure(read.end()).0, Status::Cancelled);
        drop(Polled::begin(pipe.read(length)));
    }
    assert_eq!(bench.clears(), 0);
}

#[test]
fn auto_clear_stall_on_does_not_clear_after_a_timeout() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy {
        transfer_timeout: Some(std::time::Duration::from_millis(10)),
        ..ON
    });
    let read = Polled::begin(pipe.read(PACKET));
    bench.advance(10);
    assert_eq!(failure(read.end()).0, Status::TimedOut);
    assert_eq!(bench.clears(), 0);
}

#[test]
fn auto_clear_stall_on_does_not_clear_where_the_device_is_gone() {
    let bench = Bench::new();
    let pipe = bench.source(ON);
    bench.answers([Answer::Panics]);
    assert_eq!(failure(pipe.read(PACKET).wait()).0, Status::Disconnected);
    assert_eq!(bench.clears(), 0);
    assert!(!bench.device.is_connected());
}

#[test]
fn auto_clear_stall_on_is_without_effect_with_raw_io() {
    let bench = Bench::new();
    let pipe = bench.source(PipePolicy { raw_io: true, ..ON });
    bench.answers([Answer::Stalls]);
    assert_eq!(failure(pipe.read(PACKET).wait()).0, Status::Stalled);
    assert_eq!(failure(pipe.read(PACKET).wait()).0, Status::Stalled);
    assert_eq!(bench.clears(), 0);
}

#[test]
fn what_a_failed_read_brought_is_kept_where_the_read_is_dropped_while_the_halt_is_cleared() {
    let port = ScriptedPort::new();
    let pipe = port.source(ON);
    let mut read = Polled::begin(pipe.read(PACKET));
    port.holds_control(true);
    port.end_unseen(0, Status::Crc, bytes(7));
    assert!(read.poll().is_none(), "it waits for the clear");
    drop(read);
    port.holds_control(false);
    assert_eq!(data(pipe.read(PACKET).wait()), bytes(7));
}
