//! Bulk transfers, halts, cancellation, wake-ups and panics, as a host sees them.

use super::*;

#[test]
fn a_halt_ends_what_is_queued_and_holds_until_cleared() {
    let mut bench = Bench::configured(Speed::High);
    let (first, second) = (bench.read(IN, 64), bench.read(IN, 64));
    assert!(bench.ends().is_empty());
    let setup = Setup::from_bytes([0x02, 3, 0, 0, 0x81, 0, 0, 0]);
    let halt = TransferKind::Control {
        setup,
        data: Bytes::new(),
        room: 0,
    };
    let halt = bench.submit(EndpointAddress::CONTROL, halt);
    assert_eq!(
        bench.ends(),
        [
            (first.0, Status::Stalled, 0),
            (second.0, Status::Stalled, 0),
            (halt.0, Status::Done, 0)
        ]
    );
    assert_eq!(bench.done([0x82, 0, 0, 0, 0x81, 0, 2, 0]), [1, 0]);
    let third = bench.read(IN, 64);
    assert_eq!(bench.ends(), [(third.0, Status::Stalled, 0)]);
    bench.done([0x02, 1, 0, 0, 0x81, 0, 0, 0]);
    assert_eq!(bench.done([0x82, 0, 0, 0, 0x81, 0, 2, 0]), [0, 0]);
    bench.firmware.sends(b"on");
    bench.read(IN, 64);
    assert_eq!(bench.one().data.to_vec(), b"on");
}

#[test]
fn a_stall_of_the_firmware_keeps_what_came_before_it() {
    let mut bench = Bench::configured(Speed::High);
    bench.firmware.sends(&[7; 512]);
    bench
        .firmware
        .with(|script| script.answers.push_back(In::Stall));
    bench.read(IN, 2048);
    let completion = bench.one();
    assert_eq!(
        (completion.status, completion.actual_length),
        (Status::Stalled, 512)
    );
    assert_eq!(completion.data.len(), 512);
    assert_eq!(bench.device.is_halted(IN), Some(true));
}

#[test]
fn a_short_or_zero_length_packet_ends_a_read_and_a_full_one_does_not() {
    let mut bench = Bench::configured(Speed::High);
    bench.firmware.sends(&[1; 512]);
    bench.firmware.sends(&[2; 100]);
    bench.read(IN, 4096);
    assert_eq!(bench.ends(), [(2, Status::Done, 612)]);
    bench.firmware.sends(&[1; 1024]);
    bench.read(IN, 4096);
    assert!(bench.ends().is_empty());
    bench.firmware.sends(b"");
    bench.device.cancel(TransferId(0), bench.now);
    bench.firmware.with(|script| script.waker = None);
    bench.write(OUT, b"anything happens");
    assert_eq!(
        bench.ends(),
        [(4, Status::Done, 16), (3, Status::Done, 1024)]
    );
}

#[test]
fn more_than_there_is_room_for_is_an_overflow_of_no_more_than_the_room() {
    let mut bench = Bench::configured(Speed::High);
    bench.firmware.sends(&[1; 512]);
    bench.read(IN, 100);
    let completion = bench.one();
    assert_eq!(
        (completion.status, completion.actual_length),
        (Status::Overflow, 100)
    );
    assert_eq!(completion.data.len(), 100);
    assert_eq!(bench.device.is_halted(IN), Some(false));
}

#[test]
fn a_write_is_taken_in_parts_and_its_zero_length_packet_is_seen() {
    let mut bench = Bench::configured(Speed::High);
    let parts = [
        Out::TakenPart(512),
        Out::NotYet,
        Out::TakenPart(512),
        Out::Taken,
    ];
    bench.firmware.with(|script| script.out.extend(parts));
    let kind = TransferKind::Out {
        data: Bytes::from_static(&[9; 1024]).into(),
        zero_packet: true,
    };
    bench.submit(OUT, kind);
    assert!(bench.ends().is_empty());
    bench.read(INTERRUPT, 8);
    bench.device.cancel(TransferId(3), bench.now);
    assert_eq!(
        bench.ends(),
        [(3, Status::Cancelled, 0), (2, Status::Done, 1024)]
    );
    let taken = bench.firmware.with(|script| script.taken.clone());
    assert_eq!(taken, [vec![9; 512], vec![9; 512], vec![]]);
}

#[test]
fn data_in_pieces_comes_as_whole_packets_and_is_one_transfer() {
    let mut bench = Bench::configured(Speed::High);
    let mut data = Payload::new();
    for piece in [&[1; 1024][..], &[2; 100], &[3; 500]] {
        data.push(Bytes::copy_from_slice(piece));
    }
    let kind = TransferKind::Out {
        data,
        zero_packet: false,
    };
    bench.submit(OUT, kind);
    assert_eq!(bench.ends(), [(2, Status::Done, 1624)]);
    let taken = bench.firmware.with(|script| script.taken.clone());
    let packets: Vec<_> = taken.iter().map(Vec::len).collect();
    assert_eq!(packets, [1024, 512, 88]);
    assert_eq!(
        taken.concat(),
        [&[1; 1024][..], &[2; 100], &[3; 500]].concat()
    );
}

#[test]
fn a_waiting_endpoint_delays_no_other() {
    let mut bench = Bench::configured(Speed::High);
    let idle = bench.read(INTERRUPT, 8);
    for _ in 0..3 {
        bench.write(OUT, b"data");
    }
    assert_eq!(bench.ends().len(), 3);
    bench.device.cancel(idle, bench.now);
    assert_eq!(bench.ends(), [(idle.0, Status::Cancelled, 0)]);
}

#[test]
fn a_cancelled_transfer_tells_what_had_moved_and_lets_the_next_one_go_on() {
    let mut bench = Bench::configured(Speed::High);
    bench.firmware.sends(&[1; 512]);
    let first = bench.read(IN, 4096);
    let second = bench.read(IN, 4096);
    bench.firmware.sends(b"short");
    bench.device.cancel(first, bench.now);
    assert_eq!(
        bench.ends(),
        [
            (first.0, Status::Cancelled, 512),
            (second.0, Status::Done, 5)
        ]
    );
    bench.device.cancel(first, bench.now);
    assert!(bench.ends().is_empty());
}

#[test]
fn transfers_to_endpoints_that_are_not_there_end_at_once() {
    let mut bench = Bench::new(Speed::High);
    bench.read(IN, 8);
    assert_eq!(bench.ends(), [(1, Status::NoEndpoint, 0)]);
    bench.done([0x00, 9, 1, 0, 0, 0, 0, 0]);
    bench.read(OUT, 8);
    bench.read(ISO_IN, 8);
    bench.write(IN, b"x");
    assert_eq!(bench.ends().len(), 3);
    assert_eq!(
        bench.device.transfer_type(ISO_IN),
        Some(TransferType::Isochronous)
    );
    assert_eq!(
        bench.device.transfer_type(EndpointAddress::from_byte(9)),
        None
    );
}

#[test]
fn a_new_setting_ends_the_transfers_of_its_interface_alone() {
    let mut bench = Bench::configured(Speed::High);
    let (bulk, interrupt) = (bench.read(IN, 8), bench.read(INTERRUPT, 8));
    let setup = Setup::from_bytes([0x01, 11, 1, 0, 0, 0, 0, 0]);
    let kind = TransferKind::Control {
        setup,
        data: Bytes::new(),
        room: 0,
    };
    let set = bench.submit(EndpointAddress::CONTROL, kind);
    assert_eq!(
        bench.ends(),
        [(bulk.0, Status::Disconnected, 0), (set.0, Status::Done, 0)]
    );
    bench.device.reset(bench.now);
    assert_eq!(bench.ends(), [(interrupt.0, Status::Disconnected, 0)]);
    assert_eq!(bench.done([0x80, 8, 0, 0, 0, 0, 1, 0]), [0]);
    assert_eq!(bench.device.is_halted(IN), None);
}

#[test]
fn toggles_count_packets_and_begin_anew() {
    let mut bench = Bench::configured(Speed::High);
    bench.write(OUT, &[0; 513]);
    assert_eq!(bench.device.toggle(OUT), Some(false));
    bench.write(OUT, &[0; 512]);
    assert_eq!(bench.device.toggle(OUT), Some(true));
    bench.ended();
    bench.done([0x02, 1, 0, 0, 1, 0, 0, 0]);
    assert_eq!(bench.device.toggle(OUT), Some(false));
    bench.write(OUT, b"");
    assert_eq!(bench.device.toggle(OUT), Some(true));
    bench.ended();
    bench.done([0x01, 11, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bench.device.toggle(OUT), Some(false));
}

#[test]
fn a_timer_and_a_waker_bring_a_waiting_transfer_to_its_end() {
    struct Count(AtomicU32);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let mut bench = Bench::configured(Speed::High);
    let count = Arc::new(Count(AtomicU32::new(0)));
    bench.device.set_waker(Waker::from(Arc::clone(&count)));
    let due = bench.now + Duration::from_secs(5);
    bench.firmware.with(|script| script.wake_at = Some(due));
    bench.write(OUT, b"x");
    bench.read(IN, 8);
    bench.ended();
    assert_eq!(bench.device.deadline(), Some(due));
    bench.firmware.sends(b"tick");
    bench.pass(Duration::from_secs(4));
    assert!(bench.ended().is_empty());
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.one().data.to_vec(), b"tick");
    assert_eq!(bench.device.deadline(), None);

    bench.read(IN, 8);
    bench.firmware.sends(b"ring");
    let waker = bench.firmware.with(|script| script.waker.clone()).unwrap();
    waker.wake();
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    bench.pass(Duration::ZERO);
    assert_eq!(bench.one().data.to_vec(), b"ring");
}

#[test]
fn a_panic_of_the_firmware_unplugs_the_device_and_ends_its_transfers() {
    let mut bench = Bench::configured(Speed::High);
    let waits = bench.read(INTERRUPT, 8);
    bench.firmware.with(|script| script.panics = true);
    let fatal = bench.read(IN, 8);
    let ends = bench.ends();
    assert_eq!(
        ends,
        [
            (fatal.0, Status::Disconnected, 0),
            (waits.0, Status::Disconnected, 0)
        ]
    );
    assert!(!bench.device.is_connected());
    let late = bench.read(IN, 8);
    assert_eq!(bench.ends(), [(late.0, Status::Disconnected, 0)]);
}

#[test]
fn an_unplugged_device_has_nothing_due() {
    let mut bench = Bench::configured(Speed::High);
    let time = bench.now + Duration::from_millis(5);
    bench.firmware.with(|script| script.wake_at = Some(time));
    bench.write(OUT, b"x");
    assert_eq!(bench.device.deadline(), Some(time));
    bench.device.unplug();
    assert_eq!(bench.device.deadline(), None);
}

#[test]
fn a_firmware_that_takes_no_byte_has_taken_no_packet() {
    let mut bench = Bench::configured(Speed::High);
    bench
        .firmware
        .with(|script| script.out.push_back(Out::TakenPart(0)));
    bench.write(OUT, b"x");
    assert!(bench.ended().is_empty());
    assert_eq!(bench.device.toggle(OUT), Some(false));
}

/// A firmware that answers once so many transfers wait, and tells how many there were at each call.
struct Awaits(usize, Arc<Mutex<Vec<usize>>>);

impl Firmware for Awaits {
    fn describe(&self, speed: Speed) -> Device {
        Scripted::default().describe(speed)
    }

    fn send(&mut self, _: EndpointAddress, _: usize, cx: &mut Context<'_>) -> In {
        self.1.lock().unwrap().push(cx.queued());
        if cx.queued() >= self.0 {
            return In::Data(Bytes::from_static(b"now"));
        }
        cx.call_when_queued(self.0);
        In::NotYet
    }
}

#[test]
fn a_firmware_may_wait_for_more_transfers() {
    let calls = Arc::default();
    let now = Instant::now();
    let mut device = EmulatedDevice::new(Awaits(3, Arc::clone(&calls)), Speed::High, now).unwrap();
    let mut id = 0;
    let mut submit = |device: &mut EmulatedDevice, endpoint, kind| {
        id += 1;
        let id = TransferId(id);
        device.submit(Transfer { id, endpoint, kind }, now.into());
    };
    let setup = Setup::from_bytes([0, 9, 1, 0, 0, 0, 0, 0]);
    let configure = TransferKind::Control {
        setup,
        data: Bytes::new(),
        room: 0,
    };
    submit(&mut device, EndpointAddress::CONTROL, configure);
    assert_eq!(device.completion().unwrap().status, Status::Done);
    for _ in 0..3 {
        assert!(device.completion().is_none());
        submit(&mut device, IN, TransferKind::In { length: 64 });
    }
    assert_eq!(device.completion().unwrap().data.to_vec(), b"now");
    assert!(device.completion().is_none());
    // Not asked at the second one, which was not enough; asked about the next one once the first had ended.
    let calls = calls.lock().unwrap();
    assert!(
        calls.starts_with(&[1, 3, 2]) && !calls[2..].iter().any(|it| *it != 2),
        "{calls:?}"
    );
}
