//! The firmware: what it is, and what it answers, is in the test's hands.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use bytes::Bytes;
use usbwright_emulator::{Context, In, Out};
use usbwright_target::protocol::{
    Class, Direction, EndpointAddress, Setup, Speed,
    descriptor::{Configuration, Device, Endpoint, Interface, Setting},
};

/// The device's endpoints: bulk both ways, interrupt, and isochronous in setting 1 only.
pub(crate) const BULK: EndpointAddress = EndpointAddress::new(1, Direction::In);
pub(crate) const BULK_OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);
pub(crate) const POLLED: EndpointAddress = EndpointAddress::new(2, Direction::In);
pub(crate) const ISO: EndpointAddress = EndpointAddress::new(3, Direction::In);

/// What an endpoint does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// It sends these bytes, in as many transfers as that takes; none at all are a zero-length packet.
    Data(Bytes),
    /// It halts.
    Stall,
}

/// Bytes that can be told from others.
pub(crate) fn data(first: u8, length: usize) -> Bytes {
    (0..length).map(|at| first.wrapping_add(at as u8)).collect()
}

/// What the test lays down, and what it hears.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    /// What the IN endpoints, which are one here, do next.
    pub(crate) steps: VecDeque<Step>,
    /// The endpoints whose halts were cleared.
    pub(crate) cleared: Vec<EndpointAddress>,
    /// The settings that were chosen, as interface and setting.
    pub(crate) settings: Vec<(u8, u8)>,
    /// The configurations that were chosen.
    pub(crate) configurations: Vec<Option<u8>>,
    /// The firmware crashes when the bus is reset.
    pub(crate) dies: bool,
    waker: Option<Waker>,
}

impl Script {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has this done after what is to be done before.
    pub(crate) fn then(&self, step: Step) {
        let mut state = self.state();
        state.steps.push_back(step);
        let waker = state.waker.clone();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn sends(&self, bytes: impl Into<Bytes>) {
        self.then(Step::Data(bytes.into()));
    }

    pub(crate) fn stalls(&self) {
        self.then(Step::Stall);
    }

    pub(crate) fn cleared(&self) -> usize {
        self.state().cleared.len()
    }
}

/// A firmware that does what its script says. Its second configuration has one interface with no endpoints.
pub(crate) struct Firmware(pub(crate) Script);

impl usbwright_emulator::Firmware for Firmware {
    fn describe(&self, _: Speed) -> Device {
        let setting = || {
            Setting::new(Class::VENDOR)
                .endpoint(Endpoint::bulk(BULK))
                .endpoint(Endpoint::bulk(BULK_OUT))
                .endpoint(Endpoint::interrupt(POLLED, 64, 1))
        };
        let first = Interface::new(0)
            .setting(setting())
            .setting(setting().endpoint(Endpoint::isochronous(ISO, 64, 1)));
        let second = Interface::new(1).setting(Setting::new(Class::VENDOR));
        Device::new(0x1209, 1)
            .product("scripted")
            .serial("1")
            .configuration(Configuration::new(1).interface(first).interface(second))
            .configuration(
                Configuration::new(2)
                    .interface(Interface::new(0).setting(Setting::new(Class::VENDOR))),
            )
    }

    fn control_in(&mut self, setup: &Setup, _: &mut Context<'_>) -> In {
        match setup.request {
            1 => In::Data(Bytes::from_static(b"answer")),
            2 => In::NotYet,
            _ => In::Stall,
        }
    }

    fn control_out(&mut self, _: &Setup, _: &Bytes, _: &mut Context<'_>) -> Out {
        Out::Taken
    }

    fn send(&mut self, _: EndpointAddress, room: usize, cx: &mut Context<'_>) -> In {
        let mut state = self.0.state();
        state.waker.get_or_insert_with(|| cx.waker());
        match state.steps.pop_front() {
            None => In::NotYet,
            Some(Step::Stall) => In::Stall,
            Some(Step::Data(mut bytes)) => {
                let first = bytes.split_to(room.min(bytes.len()));
                if !bytes.is_empty() {
                    state.steps.push_front(Step::Data(bytes));
                }
                In::Data(first)
            }
        }
    }

    fn receive(&mut self, _: EndpointAddress, _: &Bytes, _: &mut Context<'_>) -> Out {
        Out::Taken
    }

    fn configured(&mut self, configuration: Option<u8>, _: &mut Context<'_>) {
        self.0.state().configurations.push(configuration);
    }

    fn setting_chosen(&mut self, interface: u8, alternate: u8, _: &mut Context<'_>) {
        self.0.state().settings.push((interface, alternate));
    }

    fn reset(&mut self, _: &mut Context<'_>) {
        assert!(!self.0.state().dies, "laid down by the test");
    }

    fn halt_cleared(&mut self, endpoint: EndpointAddress, _: &mut Context<'_>) {
        self.0.state().cleared.push(endpoint);
    }
}
