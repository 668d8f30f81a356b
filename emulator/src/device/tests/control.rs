//! Endpoint zero, as its host sees it.

use super::*;

#[test]
fn configurations_are_set_unset_and_refused() {
    let mut bench = Bench::new(Speed::High);
    assert_eq!(bench.done([0x80, 8, 0, 0, 0, 0, 1, 0]), [0]);
    bench.stalls([0x00, 9, 2, 0, 0, 0, 0, 0]);
    assert_eq!(bench.done([0x80, 8, 0, 0, 0, 0, 1, 0]), [0]);
    for value in [1, 7, 7, 0] {
        bench.done([0x00, 9, value, 0, 0, 0, 0, 0]);
        assert_eq!(bench.done([0x80, 8, 0, 0, 0, 0, 1, 0]), [value]);
    }
    assert_eq!(
        bench.firmware.calls(),
        [
            "configured Some(1)",
            "configured Some(7)",
            "configured Some(7)",
            "configured None"
        ]
    );
}

#[test]
fn interfaces_exist_in_a_configuration_only() {
    let mut bench = Bench::new(Speed::High);
    bench.stalls([0x81, 10, 0, 0, 0, 0, 1, 0]);
    bench.stalls([0x01, 11, 0, 0, 0, 0, 0, 0]);
    bench.stalls([0x81, 0, 0, 0, 0, 0, 2, 0]);
    bench.done([0x00, 9, 1, 0, 0, 0, 0, 0]);
    assert_eq!(bench.done([0x81, 10, 0, 0, 0, 0, 1, 0]), [0]);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    assert_eq!(bench.done([0x81, 10, 0, 0, 0, 0, 1, 0]), [1]);
    assert_eq!(bench.done([0x81, 10, 0, 0, 1, 0, 1, 0]), [0]);
    bench.stalls([0x01, 11, 2, 0, 0, 0, 0, 0]);
    bench.stalls([0x01, 11, 0, 0, 2, 0, 0, 0]);
    assert_eq!(bench.done([0x81, 0, 0, 0, 1, 0, 2, 0]), [0, 0]);
    bench.done([0x00, 9, 1, 0, 0, 0, 0, 0]);
    assert_eq!(bench.done([0x81, 10, 0, 0, 0, 0, 1, 0]), [0]);
}

#[test]
fn descriptors_are_cut_to_what_the_host_asked_for() {
    let mut bench = Bench::new(Speed::High);
    assert_eq!(bench.done([0x80, 6, 0, 1, 0, 0, 64, 0]).len(), 18);
    assert_eq!(bench.done([0x80, 6, 0, 1, 0, 0, 8, 0]).len(), 8);
    let configuration = bench.done([0x80, 6, 0, 2, 0, 0, 255, 0]);
    assert_eq!(configuration[..2], [9, 2]);
    assert_eq!(bench.done([0x80, 6, 0, 6, 0, 0, 10, 0])[..2], [10, 6]);
    assert_eq!(bench.done([0x80, 6, 1, 7, 0, 0, 255, 0])[..2], [9, 7]);
    assert_eq!(bench.done([0x80, 6, 0, 3, 0, 0, 255, 0]), [4, 3, 9, 4]);
    for kind in [4, 5, 15] {
        bench.stalls([0x80, 6, 0, kind, 0, 0, 18, 0]);
    }
    bench.stalls([0x80, 6, 2, 2, 0, 0, 9, 0]);
}

#[test]
fn a_data_stage_has_room_for_what_the_buffer_holds_whatever_w_length_says() {
    let mut bench = Bench::new(Speed::High);
    let setup = Setup::from_bytes([0x80, 6, 0, 1, 0, 0, 64, 0]);
    let kind = TransferKind::Control {
        setup,
        data: Bytes::new(),
        room: 4,
    };
    bench.submit(EndpointAddress::CONTROL, kind);
    assert_eq!(bench.one().actual_length, 4);
}

#[test]
fn the_devices_status_tells_of_power_and_remote_wakeup() {
    let mut bench = Bench::configured(Speed::High);
    assert_eq!(bench.done([0x80, 0, 0, 0, 0, 0, 2, 0]), [1, 0]);
    bench.done([0x00, 3, 1, 0, 0, 0, 0, 0]);
    assert_eq!(bench.done([0x80, 0, 0, 0, 0, 0, 2, 0]), [3, 0]);
    bench.done([0x00, 1, 1, 0, 0, 0, 0, 0]);
    assert_eq!(bench.done([0x80, 0, 0, 0, 0, 0, 2, 0]), [1, 0]);
    bench.done([0x00, 9, 7, 0, 0, 0, 0, 0]);
    bench.stalls([0x00, 3, 1, 0, 0, 0, 0, 0]);
    assert_eq!(bench.done([0x80, 0, 0, 0, 0, 0, 2, 0]), [0, 0]);
}

#[test]
fn what_only_superspeed_knows_is_refused_below() {
    let features = [[0x00, 3, 48, 0, 0, 0, 0, 0], [0x00, 3, 49, 0, 0, 0, 0, 0]];
    let delay = [0x00, 49, 40, 0, 0, 0, 0, 0];
    let mut high = Bench::configured(Speed::High);
    let mut fast = Bench::configured(Speed::Super);
    for setup in features.into_iter().chain([delay]) {
        high.done_or_stalls(setup, false);
        fast.done_or_stalls(setup, true);
    }
    assert_eq!(fast.done([0x80, 0, 0, 0, 0, 0, 2, 0]), [0b1101, 0]);
    let exit_latencies = fast.control([0x00, 48, 0, 0, 0, 0, 6, 0], &[1, 2, 3, 4, 5, 6]);
    assert_eq!(exit_latencies.status, Status::Done);
}

#[test]
fn halts_are_refused_where_there_is_none() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    for endpoint in [0x00, 0x80, 0x82, 0x05] {
        bench.stalls([0x02, 3, 0, 0, endpoint, 0, 0, 0]);
    }
    bench.done([0x02, 1, 0, 0, 0x00, 0, 0, 0]);
    assert_eq!(bench.done([0x82, 0, 0, 0, 0x80, 0, 2, 0]), [0, 0]);
    bench.stalls([0x82, 0, 0, 0, 0x05, 0, 2, 0]);
}

#[test]
fn control_transfers_end_in_order_even_where_the_first_has_to_wait() {
    let mut bench = Bench::configured(Speed::High);
    let vendor = |length| TransferKind::Control {
        setup: Setup::from_bytes([0xc0, 1, 0, 0, 0, 0, length, 0]),
        data: Bytes::new(),
        room: length.into(),
    };
    let waits = bench.submit(EndpointAddress::CONTROL, vendor(8));
    let status = TransferKind::Control {
        setup: Setup::from_bytes([0x80, 0, 0, 0, 0, 0, 2, 0]),
        data: Bytes::new(),
        room: 2,
    };
    let after = bench.submit(EndpointAddress::CONTROL, status);
    assert!(bench.ends().is_empty());
    bench.firmware.sends(b"0123456789");
    bench.write(OUT, b"x");
    assert_eq!(
        bench.ends(),
        [
            (4, Status::Done, 1),
            (waits.0, Status::Done, 8),
            (after.0, Status::Done, 2)
        ]
    );
}

#[test]
fn a_control_write_whose_data_is_not_of_its_length_is_no_transfer() {
    let mut bench = Bench::configured(Speed::High);
    let completion = bench.control([0x40, 1, 0, 0, 0, 0, 4, 0], b"abc");
    assert_eq!(completion.status, Status::ProtocolError);
    let completion = bench.control([0x40, 1, 0, 0, 0, 0, 3, 0], b"abc");
    assert_eq!(
        (completion.status, completion.actual_length),
        (Status::Done, 3)
    );
}

#[test]
fn a_standard_request_whose_data_goes_the_wrong_way_is_refused() {
    let mut bench = Bench::configured(Speed::High);
    let status = bench.control([0x00, 0, 0, 0, 0, 0, 2, 0], b"xx");
    assert_eq!(
        (status.status, status.data.len()),
        (Status::Stalled, 0),
        "a client that writes expects no data, and takes it for the next reply"
    );
    let descriptor = bench.control([0x00, 6, 0, 1, 0, 0, 4, 0], b"xxxx");
    assert_eq!(descriptor.status, Status::Stalled);
    bench.stalls([0x80, 9, 7, 0, 0, 0, 1, 0]);
    assert_eq!(bench.done([0x80, 8, 0, 0, 0, 0, 1, 0]), [1]);
}

#[test]
fn a_request_of_the_standard_kind_that_chapter_9_does_not_know_is_the_firmwares() {
    let mut bench = Bench::configured(Speed::High);
    bench.firmware.sends(b"!");
    assert_eq!(bench.done([0x80, 0xd6, 0, 0, 0, 0, 1, 0]), b"!");
    bench.done([0x00, 0xd8, 7, 0, 0, 0, 0, 0]);
    bench.control([0x00, 0xd8, 0, 0, 0, 0, 1, 0], b"x");
    let taken = bench.firmware.with(|script| script.taken.clone());
    assert_eq!(taken, [b"".to_vec(), b"x".to_vec()]);
}

#[test]
fn a_control_write_of_the_wrong_length_does_not_overtake_the_requests_before_it() {
    let mut bench = Bench::configured(Speed::High);
    let request = |setup: [u8; 8]| TransferKind::Control {
        setup: Setup::from_bytes(setup),
        data: Bytes::new(),
        room: 8,
    };
    let waits = request([0xc0, 1, 0, 0, 0, 0, 8, 0]);
    let waits = bench.submit(EndpointAddress::CONTROL, waits);
    let wrong = request([0x40, 1, 0, 0, 0, 0, 4, 0]);
    let wrong = bench.submit(EndpointAddress::CONTROL, wrong);
    assert!(bench.ends().is_empty());
    bench.firmware.sends(b"ready");
    bench.write(OUT, b"x");
    let ends = bench.ends().into_iter().map(|(id, ..)| id);
    let ends: Vec<_> = ends.filter(|id| [waits.0, wrong.0].contains(id)).collect();
    assert_eq!(ends, [waits.0, wrong.0]);
}

#[test]
fn a_low_speed_device_moves_eight_bytes_at_a_time() {
    struct Mouse;
    impl Firmware for Mouse {
        fn describe(&self, _: Speed) -> Device {
            let setting =
                Setting::new(Class::VENDOR).endpoint(Endpoint::interrupt(INTERRUPT, 8, 10));
            Device::new(1, 3)
                .configuration(Configuration::new(1).interface(Interface::new(0).setting(setting)))
        }

        fn send(&mut self, _: EndpointAddress, _: usize, _: &mut Context<'_>) -> In {
            In::Data(Bytes::from_static(b"12345"))
        }
    }
    let now = Instant::now();
    let mut bench = Bench {
        firmware: Scripted::default(),
        device: EmulatedDevice::new(Mouse, Speed::Low, now).unwrap(),
        now,
        next: 0,
    };
    assert_eq!(bench.done([0x80, 6, 0, 1, 0, 0, 18, 0])[7], 8);
    bench.done([0x00, 9, 1, 0, 0, 0, 0, 0]);
    bench.read(INTERRUPT, 8);
    bench.pass(Duration::from_millis(10));
    assert_eq!(bench.one().data.to_vec(), b"12345");
    bench.stalls([0x80, 6, 0, 6, 0, 0, 10, 0]);
}

#[test]
fn descriptors_of_microsoft_and_webusb_are_served_with_the_rest() {
    struct Marked;
    impl Firmware for Marked {
        fn describe(&self, _: Speed) -> Device {
            let interface = Interface::new(0).setting(Setting::new(Class::VENDOR));
            let winusb = MicrosoftFeatures::new().compatible_id("WINUSB");
            Device::new(1, 4)
                .microsoft_os_10(MicrosoftOs10::new(0x20).function(0, "WINUSB", ""))
                .microsoft_os_20(MicrosoftOs20::new(0x21).device(winusb))
                .webusb(WebUsb::new(0x22).landing_page("https://example.org/"))
                .configuration(Configuration::new(1).interface(interface))
        }
    }
    let now = Instant::now();
    let mut bench = Bench {
        firmware: Scripted::default(),
        device: EmulatedDevice::new(Marked, Speed::High, now).unwrap(),
        now,
        next: 0,
    };
    let signature = bench.done([0x80, 6, 0xee, 3, 0, 0, 18, 0]);
    assert_eq!(signature[2..], *b"M\0S\0F\0T\x001\x000\x000\0\x20\0");
    let bos = bench.done([0x80, 6, 0, 15, 0, 0, 255, 0]);
    assert_eq!(usize::from(bos[2]), bos.len());
    assert_eq!(
        bench.done([0xc0, 0x20, 0, 0, 4, 0, 255, 0])[..4],
        [40, 0, 0, 0]
    );
    assert_eq!(
        bench.done([0xc0, 0x21, 0, 0, 7, 0, 255, 0])[..4],
        [10, 0, 0, 0]
    );
    assert_eq!(
        bench.done([0xc0, 0x22, 1, 0, 2, 0, 255, 0])[3..],
        *b"example.org/"
    );
    bench.stalls([0xc0, 0x23, 0, 0, 4, 0, 16, 0]);
}
