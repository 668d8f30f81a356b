//! The scripted firmware: what it is told to do on its bulk endpoints, and what it has seen.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use usbwright_emulator::{Context, Firmware, In, Out};
use usbwright_target::protocol::{
    Class, Direction, EndpointAddress, Setup, Speed,
    descriptor::{Configuration, Device, Endpoint, Interface, Setting},
};

pub(crate) const BULK_IN: EndpointAddress = EndpointAddress::new(1, Direction::In);
pub(crate) const BULK_OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);
/// 8 bytes, every 8 microframes.
pub(crate) const INTERRUPT_IN: EndpointAddress = EndpointAddress::new(3, Direction::In);
pub(crate) const INTERRUPT_OUT: EndpointAddress = EndpointAddress::new(3, Direction::Out);
/// 1000 bytes, every 8 microframes.
pub(crate) const ISO_IN: EndpointAddress = EndpointAddress::new(2, Direction::In);
pub(crate) const ISO_OUT: EndpointAddress = EndpointAddress::new(2, Direction::Out);

/// What the device does where the host reads.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Sends this: as much as there is room for, and the rest when it is asked again.
    Sends(Bytes),
    /// Sends all of this, whatever there is room for.
    Babbles(Bytes),
    /// Has nothing to send yet, once.
    NotYet,
    /// Halts.
    Stalls,
    /// Crashes, and is gone.
    Panics,
}

impl Answer {
    pub(crate) fn sends(data: impl AsRef<[u8]>) -> Self {
        Self::Sends(Bytes::copy_from_slice(data.as_ref()))
    }
}

/// What the device does where the host writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Taking {
    /// Takes all of it.
    #[default]
    All,
    /// Takes so many bytes in all, and no more.
    Only(usize),
    /// Takes so many bytes in all, and halts.
    UntilStall(usize),
}

#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) answers: VecDeque<Answer>,
    /// What it does without any of these.
    pub(crate) always: Option<Answer>,
    pub(crate) taking: Taking,
    /// What it was written, in one call each.
    pub(crate) taken: Vec<Bytes>,
    calls: Vec<&'static str>,
    /// The last request for data that was made of it.
    pub(crate) asked: Option<Setup>,
    /// Whether requests of its own are never answered.
    pub(crate) mute: bool,
}

impl Script {
    fn answer(&mut self, room: usize) -> In {
        let Some(answer) = self.answers.pop_front().or_else(|| self.always.clone()) else {
            return In::NotYet;
        };
        match answer {
            Answer::Sends(mut data) => {
                let part = data.split_to(room.min(data.len()));
                if !data.is_empty() {
                    self.answers.push_front(Answer::Sends(data));
                }
                In::Data(part)
            }
            Answer::Babbles(data) => In::Data(data),
            Answer::NotYet => In::NotYet,
            Answer::Stalls => In::Stall,
            Answer::Panics => panic!("told to crash"),
        }
    }

    /// All that it was written.
    pub(crate) fn written(&self) -> Vec<u8> {
        self.taken.concat()
    }

    fn take(&mut self, data: &Bytes) -> Out {
        let taken: usize = self.taken.iter().map(Bytes::len).sum();
        let room = match self.taking {
            Taking::All => usize::MAX,
            Taking::Only(most) | Taking::UntilStall(most) => most - taken,
        };
        if room >= data.len() && (room > 0 || data.is_empty()) {
            self.taken.push(data.clone());
            return Out::Taken;
        }
        if room > 0 {
            self.taken.push(data.slice(..room));
            return Out::TakenPart(room);
        }
        match self.taking {
            Taking::UntilStall(_) => Out::Stall,
            _ => Out::NotYet,
        }
    }
}

/// A device that does what it is told; clones are handles of the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    pub(crate) fn with<T>(&self, action: impl FnOnce(&mut Script) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(|it| it.into_inner()))
    }

    /// What else has happened to it since this was last asked.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.with(|script| std::mem::take(&mut script.calls))
    }

    /// The lengths of what it was written.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        self.with(|script| script.taken.iter().map(Bytes::len).collect())
    }
}

impl Firmware for Scripted {
    fn describe(&self, _: Speed) -> Device {
        let bulk = || {
            Setting::new(Class::VENDOR)
                .endpoint(Endpoint::bulk(BULK_IN))
                .endpoint(Endpoint::bulk(BULK_OUT))
        };
        let periodic = bulk()
            .endpoint(Endpoint::interrupt(INTERRUPT_IN, 8, 4))
            .endpoint(Endpoint::interrupt(INTERRUPT_OUT, 8, 4))
            .endpoint(Endpoint::isochronous(ISO_IN, 1000, 4))
            .endpoint(Endpoint::isochronous(ISO_OUT, 1000, 4));
        let interface = Interface::new(0).setting(bulk()).setting(periodic);
        Device::new(1, 2).configuration(Configuration::new(1).interface(interface))
    }

    fn control_in(&mut self, setup: &Setup, _: &mut Context<'_>) -> In {
        self.with(|script| script.asked = Some(*setup));
        match self.with(|script| script.mute) {
            true => In::NotYet,
            false if setup.request == 1 => In::Data(Bytes::from(vec![7; setup.length.into()])),
            false => In::Stall,
        }
    }

    fn control_out(&mut self, setup: &Setup, _: &Bytes, _: &mut Context<'_>) -> Out {
        match setup.request {
            1 => Out::Taken,
            _ => Out::Stall,
        }
    }

    fn send(&mut self, _: EndpointAddress, room: usize, _: &mut Context<'_>) -> In {
        self.with(|script| script.answer(room))
    }

    fn receive(&mut self, _: EndpointAddress, data: &Bytes, _: &mut Context<'_>) -> Out {
        self.with(|script| script.take(data))
    }

    fn halt_cleared(&mut self, _: EndpointAddress, _: &mut Context<'_>) {
        self.with(|script| script.calls.push("halt cleared"));
    }
}
