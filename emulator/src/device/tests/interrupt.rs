//! Interrupt transfers, as their host sees them: one service opportunity in each interval.

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);
const MICROFRAME: Duration = Duration::from_micros(125);

/// The microframes, or frames, that the firmware was asked in.
fn frames(bench: &Bench) -> Vec<u64> {
    let calls = bench.firmware.calls();
    let frame = |call: &String| call.rsplit_once(" frame ")?.1.parse().ok();
    calls.iter().filter_map(frame).collect()
}

#[test]
fn a_read_moves_what_an_interval_carries_in_each_and_never_before_the_first() {
    let mut bench = Bench::configured(Speed::High);
    for data in [&b"12345678"[..], b"abcdefgh", b"last"] {
        bench.firmware.sends(data);
    }
    bench.read(INTERRUPT, 20);
    assert_eq!(bench.device.deadline(), Some(bench.now + MILLISECOND));
    bench.pass(MILLISECOND - Duration::from_nanos(1));
    assert!(bench.firmware.calls().is_empty());
    bench.pass(Duration::from_nanos(1));
    assert_eq!(bench.device.deadline(), Some(bench.now + MILLISECOND));
    bench.pass(MILLISECOND);
    assert!(bench.ended().is_empty());
    bench.pass(MILLISECOND);
    assert_eq!(bench.one().data.to_vec(), b"12345678abcdefghlast");
    assert_eq!(bench.device.deadline(), None);
    let asked = ["8 frame 8", "8 frame 16", "4 frame 24"];
    assert_eq!(
        bench.firmware.calls(),
        asked.map(|it| format!("send 0x83 {it}"))
    );
}

#[test]
fn a_transfer_waits_for_the_first_opportunity_that_begins_after_it_was_submitted() {
    let mut bench = Bench::configured(Speed::Full);
    // Every fourth frame of 1 ms; this one has begun.
    bench.pass(MILLISECOND * 4);
    bench.read(INTERRUPT, 8);
    assert_eq!(bench.device.deadline(), Some(bench.now + MILLISECOND * 4));
}

#[test]
fn a_short_packet_ends_a_read_in_its_interval() {
    let mut bench = Bench::configured(Speed::High);
    bench.firmware.sends(b"12345678");
    bench.firmware.sends(b"short");
    let read = bench.read(INTERRUPT, 4096);
    bench.pass(MILLISECOND * 2);
    assert_eq!(bench.ends(), [(read.0, Status::Done, 13)]);
}

#[test]
fn more_than_an_interval_carries_is_an_overflow() {
    let mut bench = Bench::configured(Speed::High);
    bench.firmware.sends(b"12345678");
    bench.firmware.sends(b"123456789");
    let read = bench.read(INTERRUPT, 100);
    bench.pass(MILLISECOND * 2);
    assert_eq!(bench.ends(), [(read.0, Status::Overflow, 16)]);
}

#[test]
fn opportunities_that_were_missed_are_caught_up_and_the_period_stays() {
    let mut bench = Bench::configured(Speed::High);
    for _ in 0..16 {
        bench.firmware.sends(b"report");
        bench.read(INTERRUPT, 8);
    }
    bench.pass(Duration::from_micros(10_300));
    assert_eq!(bench.ended().len(), 10);
    let due = bench.now + Duration::from_micros(700);
    assert_eq!(bench.device.deadline(), Some(due));
    bench.pass(Duration::from_micros(6_000));
    assert_eq!(bench.ended().len(), 6);
    let expected: Vec<u64> = (1..=16).map(|place| place * 8).collect();
    assert_eq!(frames(&bench), expected);
    // One that comes after the queue was empty has no claim on what has passed.
    bench.firmware.sends(b"report");
    bench.pass(MILLISECOND * 20);
    bench.read(INTERRUPT, 8);
    assert!(bench.ended().is_empty());
    bench.pass(MILLISECOND);
    assert_eq!(bench.ended().len(), 1);
}

#[test]
fn a_transfer_has_no_claim_on_opportunities_before_it_though_another_waited_for_them() {
    let mut bench = Bench::configured(Speed::High);
    for _ in 0..3 {
        bench.firmware.sends(b"report");
    }
    bench.read(INTERRUPT, 8);
    bench.now += Duration::from_micros(5_500);
    bench.read(INTERRUPT, 8);
    bench.read(INTERRUPT, 8);
    bench.pass(MILLISECOND * 5);
    assert_eq!(frames(&bench), [8, 48, 56]);
}

#[test]
fn a_firmware_that_is_not_ready_costs_no_timer_until_something_happens() {
    let mut bench = Bench::configured(Speed::High);
    let read = bench.read(INTERRUPT, 8);
    let behind = bench.read(INTERRUPT, 8);
    bench.pass(MILLISECOND * 5);
    assert_eq!(frames(&bench), [8]);
    assert_eq!(bench.device.deadline(), None);
    bench.pass(MILLISECOND * 5);
    assert!(bench.firmware.calls().is_empty());

    bench.now += MICROFRAME;
    bench.write(OUT, b"something");
    bench.firmware.calls();
    bench.firmware.sends(b"report");
    let due = bench.now + MICROFRAME * 7;
    assert_eq!(bench.device.deadline(), Some(due));
    bench.pass(MICROFRAME * 6);
    assert!(bench.firmware.calls().is_empty());
    bench.pass(MICROFRAME);
    assert_eq!(frames(&bench), [88]);
    assert_eq!(bench.ends()[1..], [(read.0, Status::Done, 6)]);

    // The one behind it is tried in the next interval, and waits for something to happen in its turn.
    bench.pass(MILLISECOND);
    assert_eq!(bench.device.deadline(), None);
    let waker = bench.firmware.with(|script| script.waker.clone()).unwrap();
    waker.wake();
    bench.firmware.sends(b"ring");
    bench.pass(Duration::ZERO);
    assert_eq!(bench.device.deadline(), Some(bench.now + MILLISECOND));
    bench.pass(MILLISECOND);
    assert_eq!(bench.ends(), [(behind.0, Status::Done, 4)]);
}

#[test]
fn a_write_moves_every_packet_of_a_microframe_at_once_and_the_rest_in_the_next_ones() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    bench.firmware.calls();
    let kind = TransferKind::Out {
        data: Bytes::from_static(&[9; 4000]).into(),
        zero_packet: true,
    };
    bench.submit(INTERRUPT_OUT, kind);
    bench
        .firmware
        .with(|script| script.out.push_back(Out::TakenPart(1000)));
    bench.pass(MICROFRAME * 4);
    assert_eq!(bench.one().actual_length, 4000);
    let asked = ["2000 frame 1", "2000 frame 2", "1000 frame 3", "0 frame 3"];
    assert_eq!(
        bench.firmware.calls(),
        asked.map(|it| format!("receive 0x03 {it}"))
    );
}

#[test]
fn a_zero_length_packet_after_a_full_interval_goes_in_the_next() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    bench.firmware.calls();
    let kind = TransferKind::Out {
        data: Bytes::from_static(&[9; 2000]).into(),
        zero_packet: true,
    };
    bench.submit(INTERRUPT_OUT, kind);
    bench.pass(MICROFRAME);
    assert!(bench.ended().is_empty());
    bench.pass(MICROFRAME);
    assert_eq!(bench.one().actual_length, 2000);
    let taken = bench.firmware.with(|script| script.taken.clone());
    assert_eq!(taken, [vec![9; 2000], vec![]]);
}

#[test]
fn what_is_written_late_is_answered_as_if_it_had_been_in_time() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    bench.firmware.calls();
    let answer = bench.read(INTERRUPT, 8);
    bench.pass(MILLISECOND);
    assert_eq!(bench.device.deadline(), None);
    let request = bench.write(INTERRUPT_OUT, b"request");
    bench.firmware.sends(b"answer");
    bench.firmware.calls();
    bench.pass(MILLISECOND * 7);
    assert_eq!(
        bench.ends(),
        [(request.0, Status::Done, 7), (answer.0, Status::Done, 6)]
    );
    assert_eq!(frames(&bench), [9, 16]);
}

#[test]
fn late_endpoints_are_served_in_the_order_of_time() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    bench.firmware.calls();
    for _ in 0..2 {
        bench.firmware.sends(b"report");
        bench.read(INTERRUPT, 8);
    }
    for _ in 0..10 {
        bench.write(INTERRUPT_OUT, b"x");
    }
    bench.pass(MILLISECOND * 9);
    assert_eq!(frames(&bench), [1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 16]);
}

#[test]
fn a_cancelled_transfer_tells_what_had_moved_and_the_next_keeps_the_period() {
    let mut bench = Bench::configured(Speed::High);
    bench.firmware.sends(b"12345678");
    let (first, second) = (bench.read(INTERRUPT, 16), bench.read(INTERRUPT, 16));
    bench.pass(Duration::from_micros(1_200));
    bench.device.cancel(first, bench.now);
    assert_eq!(bench.ends(), [(first.0, Status::Cancelled, 8)]);
    bench.firmware.sends(b"next");
    bench.pass(Duration::from_micros(799));
    assert!(bench.ended().is_empty());
    bench.pass(Duration::from_micros(1));
    assert_eq!(bench.ends(), [(second.0, Status::Done, 4)]);
}

#[test]
fn a_transfer_that_was_due_before_it_was_cancelled_has_ended() {
    let mut bench = Bench::configured(Speed::High);
    bench.firmware.sends(b"report");
    let read = bench.read(INTERRUPT, 8);
    bench.now += MILLISECOND;
    bench.device.cancel(read, bench.now);
    assert_eq!(bench.ends(), [(read.0, Status::Done, 6)]);
}

#[test]
fn the_last_transfer_that_is_cancelled_leaves_nothing_due() {
    let mut bench = Bench::configured(Speed::High);
    let read = bench.read(INTERRUPT, 8);
    bench.device.cancel(read, bench.now);
    assert_eq!(bench.ends(), [(read.0, Status::Cancelled, 0)]);
    assert_eq!(bench.device.deadline(), None);
    // The same where the firmware was asked and was not ready.
    let read = bench.read(INTERRUPT, 8);
    bench.pass(MILLISECOND);
    bench.device.cancel(read, bench.now);
    assert_eq!(bench.device.deadline(), None);
    bench.ended();
    bench.firmware.sends(b"report");
    let read = bench.read(INTERRUPT, 8);
    bench.pass(MILLISECOND);
    assert_eq!(bench.ends(), [(read.0, Status::Done, 6)]);
}

#[test]
fn a_halt_a_reset_and_an_unplugging_end_what_waits_for_its_interval() {
    let mut bench = Bench::configured(Speed::High);
    let (first, second) = (bench.read(INTERRUPT, 8), bench.read(INTERRUPT, 8));
    bench
        .firmware
        .with(|script| script.answers.push_back(In::Stall));
    bench.pass(MILLISECOND);
    assert_eq!(
        bench.ends(),
        [
            (first.0, Status::Stalled, 0),
            (second.0, Status::Stalled, 0)
        ]
    );
    assert_eq!(bench.device.deadline(), None);
    bench.done([0x02, 1, 0, 0, 0x83, 0, 0, 0]);
    let read = bench.read(INTERRUPT, 8);
    bench.device.reset(bench.now);
    assert_eq!(bench.ends(), [(read.0, Status::Disconnected, 0)]);
    assert_eq!(bench.device.deadline(), None);
    bench.done([0x00, 9, 1, 0, 0, 0, 0, 0]);
    let read = bench.read(INTERRUPT, 8);
    bench.device.unplug();
    assert_eq!(bench.ends(), [(read.0, Status::Disconnected, 0)]);
    assert_eq!(bench.device.deadline(), None);
}

#[test]
fn a_panic_while_a_submission_catches_up_ends_what_is_submitted_too() {
    let mut bench = Bench::configured(Speed::High);
    let due = bench.read(INTERRUPT, 8);
    bench.firmware.with(|script| script.panics = true);
    bench.now += MILLISECOND;
    let late = bench.read(IN, 8);
    assert_eq!(
        bench.ends(),
        [
            (due.0, Status::Disconnected, 0),
            (late.0, Status::Disconnected, 0)
        ]
    );
}
