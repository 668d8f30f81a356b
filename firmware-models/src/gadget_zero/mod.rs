//! Gadget Zero: the test device that the Linux kernel's `usbtest` driver knows, as the kernel's own gadget is
//! (`drivers/usb/gadget/legacy/zero.c`, `f_sourcesink.c`, `f_loopback.c`).
//!
//! Configuration 3 is a source and a sink, configuration 2 a loopback.

mod descriptors;
mod loopback;
mod pattern;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use tracing::warn;
use usbwright_emulator::{
    Context, Firmware, In, Out,
    protocol::{EndpointAddress, RequestKind, Setup, Speed, descriptor::Device},
};

use self::{
    descriptors::{LOOPBACK, SOURCE_SINK},
    loopback::Loopback,
    pattern::Pattern,
};
use crate::{BuildError, Function, Model, Parameter, Parameters};

/// The vendor request that fills the control buffer (`f_sourcesink.c`).
const WRITE_BUFFER: u8 = 0x5b;
/// The vendor request that reads the control buffer.
const READ_BUFFER: u8 = 0x5c;
/// Bytes in the control buffer.
const CONTROL_BUFFER: usize = 4096;

/// Gadget Zero among the models.
pub(crate) const MODEL: Model = Model {
    name: "gadget-zero",
    summary: "the kernel's test device: bulk, isochronous and interrupt source and sink, and a bulk loopback",
    parameters: &[
        Parameter::once(
            "pattern",
            "0|1|2",
            "0",
            "data: 0 zeros, 1 mod 63 (both checked by the sink, which halts on a wrong byte), 2 zeros, unchecked",
        ),
        Parameter::once(
            "buflen",
            "512…1048576",
            "4096",
            "bytes in one buffer of the loopback",
        ),
        Parameter::once(
            "qlen",
            "1…1024",
            "32",
            "buffers that the loopback keeps before it takes no more",
        ),
        Parameter::once(
            "isoc_interval",
            "1…16",
            "4",
            "bInterval of the isochronous endpoints: 2^(n-1) frames or microframes",
        ),
        Parameter::once(
            "int_interval",
            "1…16",
            "4",
            "bInterval of the interrupt endpoints: n frames at full speed, 2^(n-1) microframes above",
        ),
    ],
    speeds: &[Speed::High, Speed::Full, Speed::Super, Speed::SuperPlus],
    make,
};

fn make(speed: Speed, parameters: &mut Parameters) -> Result<Function, BuildError> {
    let options = Options {
        pattern: match parameters.number("pattern", 0..=2, 0)? {
            0 => PatternKind::Zeros,
            1 => PatternKind::Mod63,
            _ => PatternKind::Unchecked,
        },
        buffer_length: parameters.number("buflen", 512..=1 << 20, 4096)? as usize,
        queue_length: parameters.number("qlen", 1..=1024, 32)? as usize,
        isochronous_interval: u8::try_from(parameters.number("isoc_interval", 1..=16, 4)?)
            .unwrap_or(16),
        interrupt_interval: u8::try_from(parameters.number("int_interval", 1..=16, 4)?)
            .unwrap_or(16),
    };
    Ok(Function::new(GadgetZero::new(speed, options)))
}

/// What the source sends and the sink expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PatternKind {
    /// Zeros.
    #[default]
    Zeros,
    /// Byte `i` of a transfer is `(i mod packet size) mod 63`.
    Mod63,
    /// The source sends zeros, the sink takes anything.
    Unchecked,
}

/// What a user may choose about a Gadget Zero.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the source sends and the sink expects.
    pub pattern: PatternKind,
    /// Bytes in one buffer of the loopback.
    #[doc(alias = "buflen")]
    pub buffer_length: usize,
    /// Buffers that the loopback keeps before it takes no more.
    #[doc(alias = "qlen")]
    pub queue_length: usize,
    /// `bInterval` of the isochronous endpoints.
    #[doc(alias = "isoc_interval")]
    pub isochronous_interval: u8,
    /// `bInterval` of the interrupt endpoints.
    #[doc(alias = "int_interval")]
    pub interrupt_interval: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pattern: PatternKind::Zeros,
            buffer_length: 4096,
            queue_length: 32,
            isochronous_interval: 4,
            interrupt_interval: 4,
        }
    }
}

/// The firmware of a Gadget Zero.
#[derive(Debug)]
pub struct GadgetZero {
    options: Options,
    pattern: Pattern,
    loopback: Loopback,
    /// What has been written to the control buffer; the rest of it is zeros.
    control: Vec<u8>,
}

impl GadgetZero {
    /// A Gadget Zero for a device that runs at `speed`.
    pub fn new(speed: Speed, options: Options) -> Self {
        let capacity = options.buffer_length * options.queue_length;
        Self {
            options,
            pattern: Pattern::new(options.pattern, speed),
            loopback: Loopback::new(capacity, descriptors::bulk_packet_size(speed)),
            control: Vec::new(),
        }
    }

    /// Whether a request is for the control buffer, and within it.
    fn takes(&self, setup: &Setup, request: u8, cx: &Context<'_>) -> bool {
        cx.configuration() == Some(SOURCE_SINK)
            && setup.kind() == RequestKind::Vendor
            && setup.request == request
            && (setup.value, setup.index) == (0, 0)
            && usize::from(setup.length) <= CONTROL_BUFFER
    }
}

impl Firmware for GadgetZero {
    fn describe(&self, speed: Speed) -> Device {
        descriptors::describe(speed, &self.options)
    }

    fn control_in(&mut self, setup: &Setup, cx: &mut Context<'_>) -> In {
        if self.takes(setup, READ_BUFFER, cx) {
            let length = usize::from(setup.length);
            let mut data = self.control[..length.min(self.control.len())].to_vec();
            data.resize(length, 0);
            In::Data(data.into())
        } else {
            In::Stall
        }
    }

    fn control_out(&mut self, setup: &Setup, data: &Bytes, cx: &mut Context<'_>) -> Out {
        if self.takes(setup, WRITE_BUFFER, cx) {
            let length = self.control.len().max(data.len());
            self.control.resize(length, 0);
            self.control[..data.len()].copy_from_slice(data);
            Out::Taken
        } else {
            Out::Stall
        }
    }

    fn send(&mut self, endpoint: EndpointAddress, room: usize, cx: &mut Context<'_>) -> In {
        if cx.configuration() == Some(LOOPBACK) {
            return self.loopback.send(room);
        }
        In::Data(self.pattern.data(endpoint, room))
    }

    fn receive(&mut self, endpoint: EndpointAddress, data: &Bytes, cx: &mut Context<'_>) -> Out {
        if cx.configuration() == Some(LOOPBACK) {
            return self.loopback.receive(data);
        }
        match self.pattern.mismatch(endpoint, data) {
            None => Out::Taken,
            Some(place) => {
                warn!(%endpoint, "sink halts: byte {place} of {} is {:#04x}, which is not of the pattern", data.len(), data[place]);
                Out::Stall
            }
        }
    }

    fn configured(&mut self, _: Option<u8>, _: &mut Context<'_>) {
        self.loopback.clear();
    }

    fn reset(&mut self, _: &mut Context<'_>) {
        self.loopback.clear();
        self.control.clear();
    }
}
