//! What a host gets from an emulated device, with a fake clock.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Wake, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use usbwright_protocol::{
    Class, Completion, Direction, EndpointAddress, IsoPacket, Port, Setup, Speed, Status, Transfer,
    TransferId, TransferKind, TransferType,
    descriptor::{
        Configuration, Device, Endpoint, Interface, MicrosoftFeatures, MicrosoftOs10,
        MicrosoftOs20, Setting, WebUsb,
    },
};

use super::EmulatedDevice;
use crate::{Context, Firmware, In, Out};

const IN: EndpointAddress = EndpointAddress::new(1, Direction::In);
const OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);
const ISO_IN: EndpointAddress = EndpointAddress::new(2, Direction::In);
const ISO_OUT: EndpointAddress = EndpointAddress::new(2, Direction::Out);
const INTERRUPT: EndpointAddress = EndpointAddress::new(3, Direction::In);

/// What the tests tell the firmware to answer, and what it has seen.
#[derive(Default)]
struct Script {
    answers: VecDeque<In>,
    taken: Vec<Vec<u8>>,
    out: VecDeque<Out>,
    calls: Vec<String>,
    wake_at: Option<Instant>,
    waker: Option<Waker>,
    panics: bool,
}

#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    fn with<T>(&self, action: impl FnOnce(&mut Script) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(|it| it.into_inner()))
    }

    fn sends(&self, data: &'static [u8]) {
        self.with(|script| script.answers.push_back(In::Data(Bytes::from_static(data))));
    }

    fn calls(&self) -> Vec<String> {
        self.with(|script| std::mem::take(&mut script.calls))
    }
}

impl Firmware for Scripted {
    fn describe(&self, speed: Speed) -> Device {
        let iso = if speed < Speed::High { 1023 } else { 1024 };
        let bulk = || {
            Setting::new(Class::VENDOR)
                .endpoint(Endpoint::bulk(IN))
                .endpoint(Endpoint::bulk(OUT))
        };
        let first = Interface::new(0).setting(bulk()).setting(
            bulk()
                .endpoint(Endpoint::isochronous(ISO_IN, iso, 1))
                .endpoint(Endpoint::isochronous(ISO_OUT, iso, 4)),
        );
        let second = Interface::new(1)
            .setting(Setting::new(Class::VENDOR).endpoint(Endpoint::interrupt(INTERRUPT, 8, 4)));
        Device::new(1, 2)
            .product("scripted")
            .configuration(
                Configuration::new(1)
                    .self_powered()
                    .remote_wakeup()
                    .interface(first)
                    .interface(second),
            )
            .configuration(Configuration::new(7).interface(Interface::new(0).setting(bulk())))
    }

    fn control_in(&mut self, setup: &Setup, _: &mut Context<'_>) -> In {
        self.with(|script| {
            script
                .calls
                .push(format!("control_in {:#04x}", setup.request));
            script.answers.pop_front().unwrap_or(In::NotYet)
        })
    }

    fn control_out(&mut self, _: &Setup, data: &Bytes, _: &mut Context<'_>) -> Out {
        self.with(|script| {
            script.taken.push(data.to_vec());
            script.out.pop_front().unwrap_or(Out::Taken)
        })
    }

    fn send(&mut self, endpoint: EndpointAddress, room: usize, cx: &mut Context<'_>) -> In {
        self.with(|script| {
            assert!(!script.panics, "told to panic");
            script
                .calls
                .push(format!("send {endpoint} {room} frame {}", cx.frame()));
            script.answers.pop_front().unwrap_or(In::NotYet)
        })
    }

    fn receive(&mut self, endpoint: EndpointAddress, data: &Bytes, cx: &mut Context<'_>) -> Out {
        self.with(|script| {
            script
                .calls
                .push(format!("receive {endpoint} {}", data.len()));
            script.waker = Some(cx.waker());
            if let Some(time) = script.wake_at.take() {
                cx.wake_at(time);
            }
            let answer = script.out.pop_front().unwrap_or(Out::Taken);
            match answer {
                Out::Taken => script.taken.push(data.to_vec()),
                Out::TakenPart(part) => script.taken.push(data[..part].to_vec()),
                Out::NotYet | Out::Stall => {}
            }
            answer
        })
    }

    fn configured(&mut self, configuration: Option<u8>, _: &mut Context<'_>) {
        self.with(|script| script.calls.push(format!("configured {configuration:?}")));
    }

    fn setting_chosen(&mut self, interface: u8, alternate: u8, _: &mut Context<'_>) {
        self.with(|script| {
            script
                .calls
                .push(format!("setting {interface}.{alternate}"));
        });
    }

    fn halt_cleared(&mut self, endpoint: EndpointAddress, _: &mut Context<'_>) {
        self.with(|script| script.calls.push(format!("halt cleared {endpoint}")));
    }

    fn reset(&mut self, _: &mut Context<'_>) {
        self.with(|script| script.calls.push("reset".into()));
    }

    fn woken(&mut self, _: &mut Context<'_>) {
        self.with(|script| script.calls.push("woken".into()));
    }
}

/// A device, its host and the host's clock.
struct Bench {
    firmware: Scripted,
    device: EmulatedDevice,
    now: Instant,
    next: u64,
}

impl Bench {
    fn new(speed: Speed) -> Self {
        let firmware = Scripted::default();
        let now = Instant::now();
        Self {
            device: EmulatedDevice::new(firmware.clone(), speed, now).unwrap(),
            firmware,
            now,
            next: 0,
        }
    }

    fn configured(speed: Speed) -> Self {
        let mut bench = Self::new(speed);
        bench.done([0x00, 9, 1, 0, 0, 0, 0, 0]);
        bench.firmware.calls();
        bench
    }

    fn submit(&mut self, endpoint: EndpointAddress, kind: TransferKind) -> TransferId {
        self.next += 1;
        let id = TransferId(self.next);
        let transfer = Transfer { id, endpoint, kind };
        self.device.submit(transfer, self.now);
        id
    }

    fn read(&mut self, endpoint: EndpointAddress, length: u32) -> TransferId {
        self.submit(endpoint, TransferKind::In { length })
    }

    fn write(&mut self, endpoint: EndpointAddress, data: &'static [u8]) -> TransferId {
        let kind = TransferKind::Out {
            data: Bytes::from_static(data),
            zero_packet: false,
        };
        self.submit(endpoint, kind)
    }

    fn ended(&mut self) -> Vec<Completion> {
        std::iter::from_fn(|| self.device.completion()).collect()
    }

    /// The ids, statuses and lengths of what has ended.
    fn ends(&mut self) -> Vec<(u64, Status, u32)> {
        let ended = self.ended();
        ended
            .iter()
            .map(|it| (it.id.0, it.status, it.actual_length))
            .collect()
    }

    fn one(&mut self) -> Completion {
        let mut ended = self.ended();
        assert_eq!(ended.len(), 1, "{ended:?}");
        ended.pop().unwrap()
    }

    fn control(&mut self, setup: [u8; 8], data: &'static [u8]) -> Completion {
        let setup = Setup::from_bytes(setup);
        let kind = TransferKind::Control {
            setup,
            data: Bytes::from_static(data),
            room: setup.length.into(),
        };
        self.submit(EndpointAddress::CONTROL, kind);
        self.one()
    }

    /// A request that is to succeed; its data.
    #[track_caller]
    fn done(&mut self, setup: [u8; 8]) -> Vec<u8> {
        let completion = self.control(setup, b"");
        assert_eq!(completion.status, Status::Done, "{setup:02x?}");
        completion.data.to_vec()
    }

    #[track_caller]
    fn stalls(&mut self, setup: [u8; 8]) {
        let completion = self.control(setup, b"");
        assert_eq!(completion.status, Status::Stalled, "{setup:02x?}");
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.device.poll(self.now);
    }
}

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

impl Bench {
    #[track_caller]
    fn done_or_stalls(&mut self, setup: [u8; 8], done: bool) {
        if done {
            self.done(setup);
        } else {
            self.stalls_quietly(setup);
        }
    }

    /// As [`Self::stalls`], where the firmware is asked first.
    #[track_caller]
    fn stalls_quietly(&mut self, setup: [u8; 8]) {
        self.firmware
            .with(|script| script.out.push_back(Out::Stall));
        self.stalls(setup);
        self.firmware.with(|script| script.out.clear());
    }
}

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
        data: Bytes::from_static(&[9; 1024]),
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
fn what_an_isochronous_packet_brings_is_asked_for_by_the_endpoints_that_wait() {
    let mut bench = Bench::configured(Speed::High);
    bench.done([0x01, 11, 1, 0, 0, 0, 0, 0]);
    let waits = bench.read(INTERRUPT, 8);
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
fn a_firmware_that_takes_no_byte_has_taken_no_packet() {
    let mut bench = Bench::configured(Speed::High);
    bench
        .firmware
        .with(|script| script.out.push_back(Out::TakenPart(0)));
    bench.write(OUT, b"x");
    assert!(bench.ended().is_empty());
    assert_eq!(bench.device.toggle(OUT), Some(false));
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
