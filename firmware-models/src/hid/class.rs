//! What all HID devices do alike: the class's descriptors and requests, and one interrupt endpoint (HID 1.11).

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use usbwright_emulator::{
    Context, Firmware, In, Out,
    protocol::{
        EndpointAddress, Recipient, RequestKind, Setup, Speed, descriptor::Device, request,
    },
};

use super::descriptors::{self, Description};
use crate::shared::{Handles, Held, Panel, Shared};

/// The requests of the class (§7.2).
mod class_request {
    pub(super) const GET_REPORT: u8 = 1;
    pub(super) const GET_IDLE: u8 = 2;
    pub(super) const GET_PROTOCOL: u8 = 3;
    pub(super) const SET_REPORT: u8 = 9;
    pub(super) const SET_IDLE: u8 = 10;
    pub(super) const SET_PROTOCOL: u8 = 11;
}

/// The report types of GET_REPORT and SET_REPORT (§7.2.1).
const INPUT: u8 = 1;
const OUTPUT: u8 = 2;
/// The unit of an idle rate.
const IDLE_UNIT: Duration = Duration::from_millis(4);

/// Which reports a device with a boot protocol sends (§7.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Boot,
    Report,
}

/// What a kind of device adds: the reports that are made of what its user does.
pub(super) trait Function: Panel + fmt::Debug {
    /// A host has configured the device, or has let go of it; what waited for the one before is forgotten.
    fn connect(&mut self, configured: bool);

    /// The next report that the host has not read.
    fn next(&mut self, protocol: Protocol) -> Option<Bytes>;

    /// The last report again, without what it told of motion.
    fn again(&self, protocol: Protocol) -> Bytes;

    /// The host's last output report, of a kind that has any.
    fn output(&self) -> Option<u8> {
        None
    }

    /// The host's new one. Only a kind that has any is asked.
    fn set_output(&mut self, report: u8) {
        let _ = report;
    }
}

/// The firmware of a HID device.
#[derive(Debug)]
pub(super) struct Hid<F: Function> {
    description: Description,
    shared: Arc<Shared<F>>,
    handles: Handles<F>,
    protocol: Protocol,
    /// Zero where reports are sent on changes alone.
    idle: Duration,
    /// When the last report was sent.
    last: Option<Instant>,
}

impl<F: Function> Hid<F> {
    /// A device, and what its handle is made of.
    pub(super) fn new(description: Description, function: F) -> (Self, Arc<Held<F>>) {
        let shared = Shared::new(function);
        let mut handles = Handles::default();
        let held = handles.held(&shared);
        let hid = Self {
            idle: description.idle,
            description,
            shared,
            handles,
            protocol: Protocol::Report,
            last: None,
        };
        (hid, held)
    }

    /// Begins anew, as a host has it.
    fn begin(&mut self, configured: bool, cx: &mut Context<'_>) {
        self.protocol = Protocol::Report;
        self.idle = self.description.idle;
        self.last = configured.then(|| cx.now());
        self.shared.listen(&self.handles, || cx.waker());
        self.shared.change(|function| function.connect(configured));
    }

    /// When the last report is due again.
    fn repeats_at(&self) -> Option<Instant> {
        let last = self.last.filter(|_| !self.idle.is_zero())?;
        Some(last + self.idle)
    }

    fn has_boot_protocol(&self) -> bool {
        self.description.class.subclass == descriptors::BOOT
    }

    fn report(&self, kind: u8) -> Option<Bytes> {
        let protocol = self.protocol;
        match kind {
            INPUT => Some(self.shared.look(|function| function.again(protocol))),
            OUTPUT => {
                let report = self.shared.look(Function::output)?;
                Some(Bytes::copy_from_slice(&[report]))
            }
            _ => None,
        }
    }

    /// A request that reads, of the class.
    fn read(&self, setup: &Setup) -> Option<Bytes> {
        let [id, kind] = setup.value.to_le_bytes();
        let byte = match setup.request {
            class_request::GET_REPORT if id == 0 => return self.report(kind),
            class_request::GET_IDLE if setup.value == 0 => {
                u8::try_from(self.idle.as_millis() / IDLE_UNIT.as_millis()).ok()?
            }
            class_request::GET_PROTOCOL if self.has_boot_protocol() && setup.value == 0 => {
                (self.protocol == Protocol::Report).into()
            }
            _ => return None,
        };
        Some(Bytes::copy_from_slice(&[byte]))
    }

    /// A request that writes, of the class.
    fn write(&mut self, setup: &Setup, data: &[u8]) -> Option<()> {
        let [id, upper] = setup.value.to_le_bytes();
        match (setup.request, data) {
            (class_request::SET_REPORT, [report]) if (upper, id) == (OUTPUT, 0) => {
                self.shared.look(Function::output)?;
                self.shared.change(|function| function.set_output(*report));
            }
            (class_request::SET_IDLE, []) if id == 0 => self.idle = IDLE_UNIT * upper.into(),
            (class_request::SET_PROTOCOL, []) if self.has_boot_protocol() => {
                self.protocol = match setup.value {
                    0 => Protocol::Boot,
                    1 => Protocol::Report,
                    _ => return None,
                };
            }
            _ => return None,
        }
        Some(())
    }
}

fn is_to_the_interface(setup: &Setup, kind: RequestKind) -> bool {
    setup.kind() == kind
        && setup.recipient() == Recipient::Interface
        && setup.interface() == descriptors::INTERFACE
}

impl<F: Function> Firmware for Hid<F> {
    fn describe(&self, speed: Speed) -> Device {
        self.description.describe(speed)
    }

    fn control_in(&mut self, setup: &Setup, _: &mut Context<'_>) -> In {
        let answer = if is_to_the_interface(setup, RequestKind::Class) {
            self.read(setup)
        } else if is_to_the_interface(setup, RequestKind::Standard)
            && setup.request == request::GET_DESCRIPTOR
        {
            self.description.of_the_class(setup.descriptor())
        } else {
            None
        };
        answer.map_or(In::Stall, In::Data)
    }

    fn control_out(&mut self, setup: &Setup, data: &Bytes, _: &mut Context<'_>) -> Out {
        match is_to_the_interface(setup, RequestKind::Class) {
            true => self.write(setup, data).map_or(Out::Stall, |()| Out::Taken),
            false => Out::Stall,
        }
    }

    fn send(&mut self, _: EndpointAddress, _: usize, cx: &mut Context<'_>) -> In {
        let protocol = self.protocol;
        let mut report = self.shared.change(|function| function.next(protocol));
        if report.is_none()
            && let Some(due) = self.repeats_at()
        {
            match due <= cx.now() {
                true => report = self.report(INPUT),
                false => cx.wake_at(due),
            }
        }
        match report {
            Some(report) => {
                self.last = Some(cx.now());
                In::Data(report)
            }
            None => In::NotYet,
        }
    }

    fn configured(&mut self, configuration: Option<u8>, cx: &mut Context<'_>) {
        self.begin(configuration.is_some(), cx);
    }

    fn reset(&mut self, cx: &mut Context<'_>) {
        self.begin(false, cx);
    }
}

impl<F: Function> Drop for Hid<F> {
    fn drop(&mut self) {
        self.shared.leave();
    }
}
