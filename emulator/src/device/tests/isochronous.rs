//! Isochronous transfers, as their host sees them.

use super::*;

fn packets(count: u32, length: u32) -> Vec<IsoPacket> {
    let packet = |place| IsoPacket {
        offset: place * length,
        length,
        ..IsoPacket::default()
    };
    (0..count).map(packet).collect()
}

#[test]
fn isochronous_packets_move_in_their_microframes_and_not_before() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    bench.firmware.calls();
    for data in [b"a", b"b"] {
        bench.firmware.sends(data);
    }
    for _ in 0..2 {
        let kind = TransferKind::Isochronous {
            data: Bytes::new(),
            packets: packets(8, 100),
        };
        bench.submit(ISO_IN, kind);
    }
    // The first of eight microframes begins 125 µs from now; the last ends 8 × 125 µs later.
    let frame = Duration::from_micros(125);
    assert_eq!(bench.device.deadline(), Some(bench.now + frame * 9));
    bench.pass(frame * 9 - Duration::from_nanos(1));
    assert!(bench.ended().is_empty());
    bench.pass(Duration::from_nanos(1));
    let completion = bench.one();
    assert_eq!(
        (completion.status, completion.actual_length),
        (Status::Done, 2)
    );
    assert_eq!(completion.data.to_vec(), b"ab");
    let iso = completion.iso.unwrap();
    assert_eq!((iso.start_frame, iso.error_count), (1, 0));
    let lengths: Vec<_> = iso.packets.iter().map(|it| it.actual_length).collect();
    assert_eq!(lengths, [1, 1, 0, 0, 0, 0, 0, 0]);
    let calls = bench.firmware.calls();
    assert_eq!(
        calls[..2],
        ["send 0x82 100 frame 1", "send 0x82 100 frame 2"]
    );
    // The second transfer follows without a gap, though it is served late.
    bench.pass(frame * 80);
    assert_eq!(bench.one().iso.unwrap().start_frame, 9);
    assert_eq!(bench.device.deadline(), None);
}

#[test]
fn isochronous_packets_keep_to_their_interval_and_their_window() {
    let mut bench = Bench::configured(Speed::Full);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    bench.firmware.calls();
    let mut windows = packets(3, 4);
    windows[1].length = 2000;
    windows[2].offset = 11;
    let kind = TransferKind::Isochronous {
        data: Bytes::from_static(b"abcdefghijkl"),
        packets: windows,
    };
    bench.submit(ISO_OUT, kind);
    // bInterval 4 at full speed: a packet every 8 frames of 1 ms.
    assert_eq!(
        bench.device.deadline(),
        Some(bench.now + Duration::from_millis(8 + 3 * 8))
    );
    bench.pass(Duration::from_millis(40));
    let completion = bench.one();
    let iso = completion.iso.unwrap();
    let statuses: Vec<_> = iso.packets.iter().map(|it| it.status).collect();
    assert_eq!(
        statuses,
        [Status::Done, Status::Overflow, Status::ProtocolError]
    );
    assert_eq!((completion.actual_length, iso.error_count), (4, 2));
    assert_eq!(
        bench.firmware.with(|script| script.taken.clone()),
        [b"abcd"]
    );
}

#[test]
fn an_isochronous_packet_larger_than_its_window_overflows() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    bench.firmware.sends(b"too long");
    let kind = TransferKind::Isochronous {
        data: Bytes::new(),
        packets: packets(1, 3),
    };
    bench.submit(ISO_IN, kind);
    bench.pass(Duration::from_millis(1));
    let completion = bench.one();
    assert_eq!(
        (completion.actual_length, completion.data.to_vec()),
        (3, b"too".to_vec())
    );
    assert_eq!(completion.iso.unwrap().packets[0].status, Status::Overflow);
}

#[test]
fn a_cancelled_isochronous_transfer_gives_its_packets_back() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    let kind = TransferKind::Isochronous {
        data: Bytes::new(),
        packets: packets(2, 8),
    };
    let id = bench.submit(ISO_IN, kind);
    bench.device.cancel(id, bench.now);
    let completion = bench.one();
    assert_eq!(completion.status, Status::Cancelled);
    assert_eq!(completion.iso.unwrap().packets.len(), 2);
}

#[test]
fn synch_frame_tells_the_frame_of_an_isochronous_endpoint() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    bench.pass(Duration::from_millis(2050));
    assert_eq!(bench.done([0x82, 12, 0, 0, 0x82, 0, 2, 0]), [2, 0]);
    bench.stalls([0x82, 12, 0, 0, 0x81, 0, 2, 0]);
}

#[test]
fn what_an_isochronous_packet_brings_is_asked_for_by_the_endpoints_that_wait() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    let waits = bench.read(INTERRUPT, 8);
    bench.pass(Duration::from_millis(1));
    let kind = TransferKind::Isochronous {
        data: Bytes::from_static(b"note"),
        packets: packets(1, 4),
    };
    let stream = bench.submit(ISO_OUT, kind);
    bench.firmware.sends(b"seen");
    bench.pass(Duration::from_millis(5));
    assert_eq!(
        bench.ends(),
        [(stream.0, Status::Done, 4), (waits.0, Status::Done, 4)]
    );
}

/// The (micro)frames that transfers of eight packets have begun in.
fn starts(bench: &mut Bench) -> Vec<u32> {
    let ended = bench.ended();
    ended
        .into_iter()
        .map(|it| it.iso.unwrap().start_frame)
        .collect()
}

#[test]
fn a_hundred_streams_at_once_end_at_the_pace_of_the_frame_clock() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    for _ in 0..100 {
        let kind = TransferKind::Isochronous {
            data: Bytes::new(),
            packets: packets(8, 100),
        };
        bench.submit(ISO_IN, kind);
    }
    // Eight microframes each, from the one on that begins next.
    bench.pass(Duration::from_micros(125));
    for place in 0..100 {
        assert!(starts(&mut bench).is_empty());
        bench.pass(Duration::from_millis(1));
        assert_eq!(starts(&mut bench), [place * 8 + 1]);
    }
    assert_eq!(bench.device.deadline(), None);
}

#[test]
fn a_stream_that_is_submitted_late_misses_the_frames_that_have_passed() {
    let mut bench = Bench::configured(Speed::Full);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    let submit = |bench: &mut Bench| {
        let kind = TransferKind::Isochronous {
            data: Bytes::from_static(&[0; 80]),
            packets: packets(8, 10),
        };
        bench.submit(ISO_OUT, kind);
    };
    // A packet every 8 frames of 1 ms.
    submit(&mut bench);
    bench.pass(Duration::from_millis(72));
    assert_eq!(starts(&mut bench), [8]);
    bench.now += Duration::from_micros(10_500);
    submit(&mut bench);
    submit(&mut bench);
    bench.pass(Duration::from_millis(200));
    assert_eq!(starts(&mut bench), [88, 152]);
}

#[test]
fn a_stream_whose_time_was_over_before_it_was_cancelled_has_run() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    let kind = TransferKind::Isochronous {
        data: Bytes::new(),
        packets: packets(8, 100),
    };
    let stream = bench.submit(ISO_IN, kind);
    bench.now += Duration::from_millis(2);
    bench.device.cancel(stream, bench.now);
    assert_eq!(bench.ends(), [(stream.0, Status::Done, 0)]);
}

#[test]
fn what_a_late_isochronous_packet_asks_for_is_not_left_due() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    let early = bench.now + Duration::from_millis(6);
    bench.firmware.with(|script| script.wake_at = Some(early));
    let kind = TransferKind::Isochronous {
        data: Bytes::from_static(b"note"),
        packets: packets(1, 4),
    };
    bench.submit(ISO_OUT, kind);
    bench.pass(Duration::from_millis(50));
    assert_eq!(bench.device.deadline(), None);
    assert!(bench.firmware.calls().contains(&"woken".into()));
}

#[test]
fn frames_of_a_cancelled_isochronous_transfer_are_free_for_the_next() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    let stream = |count| TransferKind::Isochronous {
        data: Bytes::new(),
        packets: packets(count, 8),
    };
    let first = bench.submit(ISO_IN, stream(8));
    let due = bench.device.deadline();
    let long = bench.submit(ISO_IN, stream(1000));
    bench.device.cancel(long, bench.now);
    bench.device.cancel(first, bench.now);
    bench.submit(ISO_IN, stream(8));
    assert_eq!(bench.device.deadline(), due);
}

#[test]
fn lengths_that_a_host_left_in_its_packets_are_not_told_back() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    let mut windows = packets(1, 8);
    windows[0].actual_length = 77;
    let kind = TransferKind::Isochronous {
        data: Bytes::new(),
        packets: windows,
    };
    bench.submit(ISO_IN, kind);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.one().iso.unwrap().packets[0].actual_length, 0);
}
