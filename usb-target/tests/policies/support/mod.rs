//! A device that answers by a script, its host, and the host's clock.

mod firmware;
mod port;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use usbwright_emulator::EmulatedDevice;
use usbwright_target::{
    Bulk, Completion, Device, In, Interface, ManualClock, Options, Out, Pipe, PipePolicy,
    TransferError, Wait,
    protocol::{Setup, Speed, Status},
};

pub(crate) use self::{
    firmware::{Answer, BULK_IN, BULK_OUT, INTERRUPT_IN, ISO_IN, ISO_OUT, Scripted, Taking},
    port::ScriptedPort,
};

/// Bytes in a packet of the bulk pipes, at high speed.
pub(crate) const PACKET: usize = 512;
/// The most bytes in one transfer at high speed.
pub(crate) const LARGEST: usize = 2 << 20;
/// The vendor request that only gives the device something to react to.
const POKE: u8 = 1;

/// A scripted device in process, opened.
pub(crate) struct Bench {
    pub(crate) script: Scripted,
    pub(crate) clock: ManualClock,
    pub(crate) device: Device,
    pub(crate) interface: Interface,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let script = Scripted::default();
        let clock = ManualClock::new();
        let emulated = EmulatedDevice::new(script.clone(), Speed::High, clock.now()).unwrap();
        let options = Options::new().clock(clock.clone());
        let device = options.open(emulated).wait().unwrap();
        let interface = device.interface(0).wait().unwrap();
        script.calls();
        Self {
            script,
            clock,
            device,
            interface,
        }
    }

    /// The bulk IN pipe, with these policies.
    pub(crate) fn source(&self, policy: PipePolicy) -> Pipe<Bulk, In> {
        let pipe = self.interface.pipe(BULK_IN).unwrap();
        pipe.set_policy(policy).unwrap();
        pipe
    }

    /// The bulk OUT pipe, with these policies.
    pub(crate) fn sink(&self, policy: PipePolicy) -> Pipe<Bulk, Out> {
        let pipe = self.interface.pipe(BULK_OUT).unwrap();
        pipe.set_policy(policy).unwrap();
        pipe
    }

    /// Has the device do something next, and look whether it can.
    pub(crate) fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.with(|script| script.answers.extend(answers));
        self.poke();
    }

    /// Gives the device something to react to.
    pub(crate) fn poke(&self) {
        poke(&self.device);
    }

    pub(crate) fn advance(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    /// How often the bulk IN endpoint's halt was cleared since this was last asked.
    pub(crate) fn clears(&self) -> usize {
        let calls = self.script.calls();
        calls.iter().filter(|it| **it == "halt cleared").count()
    }
}

/// Gives a device something to react to; what it brings about has ended when this returns.
pub(crate) fn poke(device: &Device) {
    let setup = vendor(0x40, POKE, 0);
    let poked = device.control(setup, Bytes::new()).wait();
    assert!(poked.error.is_none() || !device.is_connected());
}

/// A vendor request to the device.
pub(crate) fn vendor(request_type: u8, request: u8, length: u16) -> Setup {
    Setup {
        request_type,
        request,
        value: 0,
        index: 0,
        length,
    }
}

/// A future that is polled by hand.
pub(crate) struct Polled<'a, T>(pub(crate) Pin<Box<dyn Future<Output = T> + 'a>>);

impl<'a, T> Polled<'a, T> {
    /// Begins it: it is polled once, and must not have ended then.
    pub(crate) fn begin(future: impl Future<Output = T> + 'a) -> Self {
        let mut this = Self(Box::pin(future));
        assert!(this.poll().is_none(), "it waits");
        this
    }

    pub(crate) fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self(Box::pin(future))
    }

    /// Polls it, and has something happen where it waits.
    pub(crate) fn end_after(mut self, happens: impl FnOnce()) -> T {
        match self.poll() {
            Some(output) => output,
            None => {
                happens();
                self.end()
            }
        }
    }

    pub(crate) fn poll(&mut self) -> Option<T> {
        let mut cx = Context::from_waker(Waker::noop());
        match self.0.as_mut().poll(&mut cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// What it has come to, though it may give way to other tasks some times before it tells.
    pub(crate) fn end(mut self) -> T {
        let mut polls = (0..100).map(|_| self.poll());
        polls.find_map(|it| it).expect("it has ended")
    }
}

/// What a test cancels with. Who has it polled looks again.
#[derive(Default)]
pub(crate) struct Button(AtomicBool);

impl Button {
    pub(crate) fn press(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn pressed(&self) -> impl Future<Output = ()> + Send + '_ {
        poll_fn(|_| match self.0.load(Ordering::Relaxed) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
    }
}

/// The data of a transfer that ended well.
pub(crate) fn data(completion: Completion) -> Vec<u8> {
    let completion = completion.ok().unwrap();
    assert_eq!(completion.length, completion.data.len());
    completion.data.to_vec()
}

/// How a transfer failed on the bus, with what had moved.
pub(crate) fn failure(completion: Completion) -> (Status, Vec<u8>) {
    let failed = completion.ok().unwrap_err();
    let Some(status) = failed.error.status() else {
        panic!("it did not get to the bus: {}", failed.error);
    };
    assert!(failed.data.is_empty() || failed.data.len() == failed.length);
    (status, failed.data.to_vec())
}

/// Why a transfer was refused before it got to the bus.
pub(crate) fn refusal(completion: Completion) -> TransferError {
    assert_eq!(completion.length, 0);
    let error = completion.error.unwrap();
    assert_eq!(error.status(), None);
    error
}

/// So many bytes, each of which can be told from those near it.
pub(crate) fn bytes(length: usize) -> Bytes {
    (0..length).map(byte).collect()
}

/// A stream's byte at a place.
pub(crate) fn byte(place: usize) -> u8 {
    (place % 251) as u8
}
