//! Devices that break the rules, under every policy.

use std::time::Duration;

use usbwright_target::{In, Interrupt, PipePolicy, Wait, protocol::Status};

use crate::support::{Answer, Bench, LARGEST, PACKET, Polled, Taking, bytes, data, failure};

/// Every set of an IN pipe's flags, each with a timeout.
fn policies() -> impl Iterator<Item = PipePolicy> {
    (0..32).map(|bits| PipePolicy {
        auto_clear_stall: bits & 1 != 0,
        ignore_short_packets: bits & 2 != 0,
        allow_partial_reads: bits & 4 != 0,
        auto_flush: bits & 8 != 0,
        raw_io: bits & 16 != 0,
        transfer_timeout: Some(Duration::from_millis(100)),
        ..PipePolicy::DEFAULT
    })
}

#[test]
fn a_device_that_sends_too_much_fails_the_read_and_not_the_next_one() {
    for policy in policies() {
        let bench = Bench::new();
        let pipe = bench.source(policy);
        bench.answers([Answer::Babbles(bytes(3 * PACKET))]);
        let ended = pipe.read(PACKET).wait();
        let sent = bytes(PACKET).to_vec();
        assert_eq!(failure(ended), (Status::Overflow, sent), "{policy:?}");
        bench.answers([Answer::Sends(bytes(PACKET))]);
        assert_eq!(data(pipe.read(PACKET).wait()), bytes(PACKET), "{policy:?}");
    }
}

#[test]
fn a_device_that_never_answers_costs_the_read_its_timeout() {
    for policy in policies() {
        let bench = Bench::new();
        let pipe = bench.source(policy);
        for length in [PACKET, 4 * PACKET] {
            let mut read = Polled::begin(pipe.read(length));
            bench.advance(99);
            assert!(read.poll().is_none(), "{policy:?}");
            bench.advance(1);
            assert_eq!(failure(read.end()), (Status::TimedOut, Vec::new()));
        }
    }
}

#[test]
fn a_device_that_answers_after_a_cancellation_is_heard_by_the_next_read() {
    for policy in policies() {
        let bench = Bench::new();
        let pipe = bench.source(policy);
        drop(Polled::begin(pipe.read(PACKET)));
        let read = Polled::begin(pipe.read(PACKET));
        pipe.abort().wait();
        assert_eq!(failure(read.end()).0, Status::Cancelled);
        bench.answers([Answer::Sends(bytes(PACKET))]);
        assert_eq!(data(pipe.read(PACKET).wait()), bytes(PACKET), "{policy:?}");
    }
}

#[test]
fn a_device_that_vanishes_while_it_sends_ends_every_read() {
    for policy in policies() {
        let bench = Bench::new();
        let pipe = bench.source(policy);
        let reads = [(); 3].map(|()| Polled::begin(pipe.read(4 * PACKET)));
        bench.script.with(|it| it.answers = [Answer::Panics].into());
        let _ = bench
            .device
            .control(crate::support::vendor(0x40, 1, 0), bytes(0))
            .wait();
        for read in reads {
            assert_eq!(failure(read.end()).0, Status::Disconnected, "{policy:?}");
        }
        let later = failure(pipe.read(PACKET).wait());
        assert_eq!(later, (Status::Disconnected, Vec::new()));
        assert!(!bench.device.is_connected());
    }
}

#[test]
fn a_device_that_vanishes_while_it_is_written_to_ends_every_write() {
    let bench = Bench::new();
    let pipe = bench.sink(PipePolicy::default());
    bench.script.with(|it| it.taking = Taking::Only(PACKET));
    let writes = [2 * LARGEST, PACKET].map(|length| Polled::begin(pipe.write(bytes(length))));
    bench.answers([Answer::Panics]);
    let source = bench.source(PipePolicy::default());
    assert_eq!(failure(source.read(1).wait()).0, Status::Disconnected);
    for write in writes {
        assert_eq!(failure(write.end()).0, Status::Disconnected);
    }
}

#[test]
fn a_device_that_stalls_now_and_then_is_read_to_the_end_with_auto_clear_stall() {
    for policy in policies().filter(|it| it.auto_clear_stall && !it.raw_io) {
        let bench = Bench::new();
        let pipe = bench.source(policy);
        let sent = bytes(20 * PACKET);
        let packets = sent
            .chunks(PACKET)
            .enumerate()
            .flat_map(|(number, packet)| {
                let stall = (number % 3 == 2).then_some(Answer::Stalls);
                stall.into_iter().chain([Answer::sends(packet)])
            });
        bench.answers(packets);
        let mut came = Vec::new();
        let mut stalls = 0;
        while came.len() < sent.len() {
            let ended = pipe.read(PACKET).wait();
            assert!(
                ended.ended(Status::Done) || ended.ended(Status::Stalled),
                "{policy:?}"
            );
            stalls += usize::from(ended.ended(Status::Stalled));
            came.extend(ended.data.to_vec());
        }
        assert_eq!((came, stalls), (sent.to_vec(), 6), "{policy:?}");
    }
}

#[test]
fn a_device_that_sends_nothing_but_zero_length_packets_holds_nobody_up() {
    let bench = Bench::new();
    bench.script.with(|it| it.always = Some(Answer::sends(b"")));
    let endless = bench.source(PipePolicy {
        ignore_short_packets: true,
        ..PipePolicy::DEFAULT
    });
    let mut read = Polled::begin(endless.read(PACKET));
    for _ in 0..1000 {
        assert!(read.poll().is_none());
    }
    drop(read);
    assert_eq!(endless.flush(), 0);
}

#[test]
fn an_interrupt_pipe_follows_the_same_policies() {
    let bench = Bench::new();
    bench.interface.set_alternate(1).wait().unwrap();
    let pipe = bench.interface.first::<Interrupt, In>().unwrap();
    let policy = PipePolicy {
        auto_clear_stall: true,
        ignore_short_packets: true,
        transfer_timeout: Some(Duration::from_millis(100)),
        ..PipePolicy::DEFAULT
    };
    pipe.set_policy(policy).unwrap();
    let reads = [5, 8].map(|length| Polled::begin(pipe.read(length)));
    bench.answers([
        Answer::sends(b"abc"),
        Answer::sends(b"defg"),
        Answer::Stalls,
    ]);
    let [mut first, mut second] = reads;
    // It is served in its intervals only, and each transfer that ends brings the next about.
    let came = (0..20).find_map(|_| {
        bench.advance(1);
        first.poll()
    });
    assert_eq!(data(came.unwrap()), b"abcde");
    let came = (0..20).find_map(|_| {
        bench.advance(1);
        second.poll()
    });
    assert_eq!(failure(came.unwrap()), (Status::Stalled, b"fg".to_vec()));
    assert_eq!(bench.clears(), 1);
    let read = Polled::begin(pipe.read(8));
    bench.advance(100);
    assert_eq!(failure(read.end()).0, Status::TimedOut);
}
