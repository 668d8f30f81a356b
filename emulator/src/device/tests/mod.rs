//! What a host gets from an emulated device, with a fake clock.

mod control;
mod interrupt;
mod isochronous;
mod transfers;

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
    Class, Completion, Direction, EndpointAddress, IsoPacket, Payload, Port, Setup, Speed, Status,
    Transfer, TransferId, TransferKind, TransferType,
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
/// 8 bytes, every 8 microframes or 4 frames: every 1 ms or 4 ms.
const INTERRUPT: EndpointAddress = EndpointAddress::new(3, Direction::In);
/// In interface 0's alternate setting 1; at high speed twice 1000 bytes, every microframe.
const INTERRUPT_OUT: EndpointAddress = EndpointAddress::new(3, Direction::Out);

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
        let (packet, transactions) = match speed {
            Speed::High => (1000, 2),
            _ => (64, 1),
        };
        let first = Interface::new(0).setting(bulk()).setting(
            bulk()
                .endpoint(Endpoint::isochronous(ISO_IN, iso, 1))
                .endpoint(Endpoint::isochronous(ISO_OUT, iso, 4))
                .endpoint(Endpoint::interrupt(INTERRUPT_OUT, packet, 1).transactions(transactions)),
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
            script.calls.push(format!(
                "receive {endpoint} {} frame {}",
                data.len(),
                cx.frame()
            ));
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
        self.device.submit(transfer, self.now.into());
        id
    }

    fn read(&mut self, endpoint: EndpointAddress, length: u32) -> TransferId {
        self.submit(endpoint, TransferKind::In { length })
    }

    fn write(&mut self, endpoint: EndpointAddress, data: &'static [u8]) -> TransferId {
        let kind = TransferKind::Out {
            data: Bytes::from_static(data).into(),
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
