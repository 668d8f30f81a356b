//! A device whose answers to control requests are a test's where the test wants that.

use std::{collections::VecDeque, task::Waker, time::Instant};

use usbwright_target::{
    Device, ManualClock, Options,
    protocol::{
        Completion, DeviceSummary, EndpointAddress, Now, Port, Setup, Speed, Status, Transfer,
        TransferId, TransferKind, TransferType, descriptor::kind,
    },
};

use crate::support::{Firmware, Script, now};

/// How a control transfer ends, and what comes.
pub(crate) type Answer = (Status, Vec<u8>);

/// Answers a request in the device's place, which was reset so many times.
type Edit = Box<dyn FnMut(&Setup, usize) -> Option<Answer> + Send>;

/// The port between.
pub(crate) struct Edited {
    device: usbwright_emulator::EmulatedDevice,
    edit: Edit,
    resets: usize,
    done: VecDeque<Completion>,
}

/// Opens the scripted device with these answers.
pub(crate) fn open(
    script: &Script,
    edit: impl FnMut(&Setup, usize) -> Option<Answer> + Send + 'static,
) -> Result<Device, usbwright_target::OpenError> {
    open_with(Options::new(), script, edit)
}

/// Opens it so.
pub(crate) fn open_with(
    options: Options,
    script: &Script,
    edit: impl FnMut(&Setup, usize) -> Option<Answer> + Send + 'static,
) -> Result<Device, usbwright_target::OpenError> {
    let clock = ManualClock::new();
    let firmware = Firmware(script.clone());
    let device =
        usbwright_emulator::EmulatedDevice::new(firmware, Speed::High, clock.now()).unwrap();
    let port = Edited {
        device,
        edit: Box::new(edit),
        resets: 0,
        done: VecDeque::new(),
    };
    now(options.clock(clock).open(port))
}

/// Whether a request asks for this descriptor.
pub(crate) fn asks(setup: &Setup, kind: u8) -> bool {
    setup.request_type == 0x80
        && setup.request == usbwright_target::protocol::request::GET_DESCRIPTOR
        && setup.descriptor().0 == kind
}

/// A device descriptor like the device's own, but for its release.
pub(crate) fn other_release(setup: &Setup) -> Option<Answer> {
    asks(setup, kind::DEVICE).then(|| {
        let bytes = vec![18, 1, 0, 2, 0, 0, 0, 64, 0x09, 0x12, 1, 0, 9, 9, 0, 1, 2, 2];
        (Status::Done, bytes)
    })
}

impl Port for Edited {
    fn summary(&self) -> DeviceSummary {
        self.device.summary()
    }

    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        self.device.transfer_type(endpoint)
    }

    fn submit(&mut self, transfer: Transfer, now: Now) {
        let answer = match &transfer.kind {
            TransferKind::Control { setup, .. } => (self.edit)(setup, self.resets),
            _ => None,
        };
        let Some((status, data)) = answer else {
            return self.device.submit(transfer, now);
        };
        self.done.push_back(Completion {
            actual_length: data.len() as u32,
            data: data.into(),
            ..Completion::empty(transfer.id, status)
        });
    }

    fn cancel(&mut self, id: TransferId, now: Instant) {
        self.device.cancel(id, now);
    }

    fn reset(&mut self, now: Instant) {
        self.resets += 1;
        self.device.reset(now);
    }

    fn poll(&mut self, now: Instant) {
        self.device.poll(now);
    }

    fn completion(&mut self) -> Option<Completion> {
        self.done.pop_front().or_else(|| self.device.completion())
    }

    fn deadline(&self) -> Option<Instant> {
        self.device.deadline()
    }

    fn set_waker(&mut self, waker: Waker) {
        self.device.set_waker(waker);
    }

    fn is_connected(&self) -> bool {
        self.device.is_connected()
    }
}
