//! A disk: USB mass storage with a SCSI target behind it.
//!
//! ```text
//!  host ◄─► bulk_only: wrappers, stages ◄─► scsi: commands, sense ◄─► Drive ◄─► Medium: memory, a file, a snapshot
//! ```
//!
//! The firmware reads and writes its media where it is called. That may block, which holds up this device alone: a server has a
//! thread for each attached device, and a program that has the device in its own process waits for what it asked for. No
//! call moves more than 256 KiB from a medium, or more to it than the host sent in one transfer; long commands are worked on in
//! steps, between which the host is heard.

mod bulk_only;
mod descriptors;
mod drive;
pub mod medium;
mod options;
mod scsi;
#[cfg(test)]
mod tests;

use std::time::Instant;

use bytes::Bytes;
use usbwright_emulator::{
    Context, EmulatedDevice, Firmware, In, Out,
    protocol::{EndpointAddress, Recipient, RequestKind, Setup, Speed, descriptor::Device},
};

use self::{bulk_only::BulkOnly, scsi::Target};
pub use self::{
    drive::{Drive, DriveError},
    scsi::{BlockSize, Identity, Unit},
};
use crate::{BuildError, Model, Parameters};

/// Bulk-Only Mass Storage Reset (Bulk-Only Transport 1.0 §3.1).
const RESET: u8 = 0xff;
/// Get Max LUN (§3.2).
const GET_MAX_LUN: u8 = 0xfe;
/// Logical units of one disk at the most.
pub const MOST_UNITS: usize = 15;

/// The disk among the models.
pub(crate) const MODEL: Model = Model {
    name: "disk",
    summary: "USB mass storage: a disk in memory or in an image file, of one or several logical units",
    parameters: options::PARAMETERS,
    speeds: &[Speed::High, Speed::Full, Speed::Super, Speed::SuperPlus],
    make,
};

fn make(
    speed: Speed,
    parameters: &mut Parameters,
    now: Instant,
) -> Result<EmulatedDevice, BuildError> {
    let (strings, units) = options::take(parameters)?;
    let disk = Disk::new(speed, strings, units);
    Ok(EmulatedDevice::new(disk, speed, now)?)
}

/// What a disk is called, in its USB descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strings {
    /// Who made it.
    #[doc(alias = "iManufacturer")]
    pub vendor: String,
    /// What it is.
    #[doc(alias = "iProduct")]
    pub product: String,
    /// Its serial number. Bulk-Only Transport asks for at least twelve hexadecimal digits (§4.1.1), and hosts tell disks apart by it.
    #[doc(alias = "iSerialNumber")]
    pub serial: String,
}

/// The firmware of a disk.
#[derive(Debug)]
pub struct Disk {
    strings: Strings,
    target: Target,
    transport: BulkOnly,
}

impl Disk {
    /// A disk of these logical units, numbered from 0, for a device that runs at `speed`. Units beyond [`MOST_UNITS`] are
    /// left out.
    pub fn new(speed: Speed, strings: Strings, mut units: Vec<Unit>) -> Self {
        units.truncate(MOST_UNITS);
        Self {
            strings,
            target: Target::new(units),
            transport: BulkOnly::new(descriptors::packet_size(speed)),
        }
    }

    /// Whether a class request is one of the transport's, with these fields.
    fn takes(setup: &Setup, request: u8, length: u16) -> bool {
        setup.kind() == RequestKind::Class
            && setup.recipient() == Recipient::Interface
            && setup.interface() == descriptors::INTERFACE
            && (setup.request, setup.value, setup.length) == (request, 0, length)
    }
}

impl Firmware for Disk {
    fn describe(&self, speed: Speed) -> Device {
        descriptors::describe(speed, &self.strings)
    }

    fn control_in(&mut self, setup: &Setup, _: &mut Context<'_>) -> In {
        match Self::takes(setup, GET_MAX_LUN, 1) {
            true => In::Data(Bytes::copy_from_slice(&[self.target.highest_unit()])),
            false => In::Stall,
        }
    }

    fn control_out(&mut self, setup: &Setup, _: &Bytes, _: &mut Context<'_>) -> Out {
        if Self::takes(setup, RESET, 0) {
            self.transport.reset();
            Out::Taken
        } else {
            Out::Stall
        }
    }

    fn send(&mut self, _: EndpointAddress, room: usize, cx: &mut Context<'_>) -> In {
        self.transport.send(&mut self.target, room, cx)
    }

    fn receive(&mut self, _: EndpointAddress, data: &Bytes, cx: &mut Context<'_>) -> Out {
        self.transport.receive(&mut self.target, data, cx)
    }

    fn configured(&mut self, _: Option<u8>, _: &mut Context<'_>) {
        self.transport.reset();
    }

    fn setting_chosen(&mut self, _: u8, _: u8, _: &mut Context<'_>) {
        self.transport.reset();
    }

    fn reset(&mut self, _: &mut Context<'_>) {
        self.transport.reset();
        self.target.reset();
    }

    fn woken(&mut self, cx: &mut Context<'_>) {
        self.transport.woken(&mut self.target, cx);
    }
}
