//! A firmware that answers as the script tells, and remembers what has passed through it.

use std::{
    cell::Cell,
    collections::BTreeMap,
    panic::resume_unwind,
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
    time::Duration,
};

use bytes::Bytes;
use usbwright_emulator::{
    Context, Firmware, In, Out,
    protocol::{
        Class, Direction, EndpointAddress, Setup, Speed,
        descriptor::{Configuration, Device, Endpoint, Interface, Setting},
    },
};

/// Bytes in a packet of the interrupt endpoints.
pub(super) const INTERRUPT_PACKET: usize = 8;

/// The script and what the firmware has done, in the hands of the host and the firmware.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

struct State {
    script: Vec<u8>,
    place: usize,
    counter: Cell<u8>,
    /// What the firmware has sent or taken on each endpoint, and the host has not accounted for yet.
    passed: BTreeMap<EndpointAddress, Vec<u8>>,
    waker: Option<Waker>,
    connected: bool,
}

impl Shared {
    pub(super) fn new(script: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(State {
            script: script.to_vec(),
            place: 0,
            counter: Cell::new(0),
            passed: BTreeMap::new(),
            waker: None,
            connected: true,
        })))
    }

    fn with<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The script's next byte.
    pub(super) fn next(&self) -> Option<u8> {
        self.with(|state| {
            let byte = state.script.get(state.place).copied();
            state.place += 1;
            byte
        })
    }

    /// The script's next byte, or 0 where it has ended.
    pub(super) fn byte(&self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// A length around those that matter: none, a few bytes, whole packets, more.
    pub(super) fn length(&self) -> usize {
        let (kind, value) = (self.byte(), usize::from(self.byte()));
        match kind % 4 {
            0 => value % 9,
            1 => value,
            2 => (value % 9) * 512,
            _ => value * 17,
        }
    }

    /// Bytes that can be told apart.
    pub(super) fn data(&self, length: usize) -> Bytes {
        self.with(|state| {
            let byte = |_| state.counter.replace(state.counter.get().wrapping_add(1));
            (0..length).map(byte).collect()
        })
    }

    fn pass(&self, endpoint: EndpointAddress, data: &[u8]) {
        self.with(|state| {
            let passed = state.passed.entry(endpoint).or_default();
            passed.extend_from_slice(data);
        });
    }

    /// The first bytes that have passed through an endpoint and are not accounted for.
    pub(super) fn passed(&self, endpoint: EndpointAddress, count: usize) -> Vec<u8> {
        self.with(|state| {
            let passed = state.passed.entry(endpoint).or_default();
            assert!(passed.len() >= count, "bytes out of nowhere at {endpoint}");
            passed.drain(..count).collect()
        })
    }

    /// Wakes the device from outside, as a thread of the firmware's would.
    pub(super) fn ring(&self) {
        let waker = self.with(|state| state.waker.clone());
        waker.iter().for_each(Waker::wake_by_ref);
    }

    /// Whether the device was connected when this was last told.
    pub(super) fn note_connected(&self, connected: bool) -> bool {
        self.with(|state| std::mem::replace(&mut state.connected, connected))
    }
}

/// The firmware.
pub(super) struct Driven(pub(super) Shared);

impl Driven {
    /// What every call may do besides answering: ask for time, keep the waker, panic.
    fn side(&self, cx: &mut Context<'_>) -> u8 {
        let Some(byte) = self.0.next() else {
            return 0;
        };
        if byte == 0xff && self.0.byte() > 0xe0 {
            // Not `panic!`, whose hook would print thousands of messages or end the fuzzer.
            resume_unwind(Box::new("told to panic"));
        }
        if byte & 0x80 != 0 {
            let delay = Duration::from_micros(1 + 100 * u64::from(self.0.byte()));
            cx.wake_at(cx.now() + delay);
        }
        self.0.with(|state| state.waker = Some(cx.waker()));
        byte
    }

    fn answer(&self, room: usize, cx: &mut Context<'_>) -> In {
        let length = match self.side(cx) % 16 {
            0..=4 => return In::NotYet,
            5 => return In::Stall,
            6 => 0,
            7 => room + 1 + self.0.length(),
            8 | 9 => room,
            10 | 11 => room.min(1024),
            12 => room.min(512),
            _ => self.0.length(),
        };
        In::Data(self.0.data(length))
    }

    fn take(&self, length: usize, cx: &mut Context<'_>) -> Out {
        match self.side(cx) % 16 {
            0..=4 => Out::NotYet,
            5 => Out::Stall,
            6 => Out::TakenPart(0),
            7 => Out::TakenPart(length + self.0.length()),
            8..=11 => Out::TakenPart(self.0.length() / 512 * 512),
            _ => Out::Taken,
        }
    }
}

fn pair(setting: Setting, number: u8, make: impl Fn(EndpointAddress) -> Endpoint) -> Setting {
    setting
        .endpoint(make(EndpointAddress::new(number, Direction::In)))
        .endpoint(make(EndpointAddress::new(number, Direction::Out)))
}

impl Firmware for Driven {
    fn describe(&self, speed: Speed) -> Device {
        let size = if speed < Speed::High { 512 } else { 1024 };
        let bulk = || pair(Setting::new(Class::VENDOR), 1, Endpoint::bulk);
        let streams = pair(bulk(), 2, |address| match address.direction() {
            Direction::In => Endpoint::isochronous(address, size, 1),
            Direction::Out => Endpoint::isochronous(address, size, 4),
        });
        let events = pair(Setting::new(Class::VENDOR), 3, |address| {
            Endpoint::interrupt(address, INTERRUPT_PACKET as u16, 4)
        });
        let first = Configuration::new(1)
            .interface(Interface::new(0).setting(bulk()).setting(streams))
            .interface(Interface::new(1).setting(events));
        let second = Configuration::new(7).interface(Interface::new(0).setting(bulk()));
        Device::new(1, 2).configuration(first).configuration(second)
    }

    fn control_in(&mut self, setup: &Setup, cx: &mut Context<'_>) -> In {
        self.answer(setup.length.into(), cx)
    }

    fn control_out(&mut self, _: &Setup, data: &Bytes, cx: &mut Context<'_>) -> Out {
        self.take(data.len(), cx)
    }

    fn send(&mut self, endpoint: EndpointAddress, room: usize, cx: &mut Context<'_>) -> In {
        let answer = self.answer(room, cx);
        match &answer {
            // A stall of a packet that no handshake answers is no stall.
            In::Data(data) => self.0.pass(endpoint, &data[..data.len().min(room)]),
            In::NotYet | In::Stall => {}
        }
        answer
    }

    fn receive(&mut self, endpoint: EndpointAddress, data: &Bytes, cx: &mut Context<'_>) -> Out {
        let answer = self.take(data.len(), cx);
        let taken = match answer {
            // Isochronous packets have been carried, whether or not they were of use.
            _ if endpoint.number() == 2 => data.len(),
            Out::Taken => data.len(),
            Out::TakenPart(part) => part.min(data.len()),
            Out::NotYet | Out::Stall => 0,
        };
        self.0.pass(endpoint, &data[..taken]);
        answer
    }

    fn configured(&mut self, _: Option<u8>, cx: &mut Context<'_>) {
        self.side(cx);
    }

    fn setting_chosen(&mut self, _: u8, _: u8, cx: &mut Context<'_>) {
        self.side(cx);
    }

    fn halt_cleared(&mut self, _: EndpointAddress, cx: &mut Context<'_>) {
        self.side(cx);
    }

    fn woken(&mut self, cx: &mut Context<'_>) {
        self.side(cx);
    }
}
