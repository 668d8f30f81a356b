//! A disk: USB mass storage with a SCSI target behind it.
//!
//! ```text
//!  host ◄─► bulk_only: wrappers, stages ◄─┬─► scsi: commands, sense ◄─► Drive ◄─► Medium: memory, a file, a snapshot
//!       ◄─► uas: information units, tags ◄┘
//! ```
//!
//! The firmware reads and writes its media where it is called. That may block, which holds up this device alone: a server has a
//! thread for each attached device, and a program that has the device in its own process waits for what it asked for. No
//! call moves more than 256 KiB from a medium, or more to it than the host sent in one transfer; long commands are worked on in
//! steps, between which the host is heard.
//!
//! A program makes a disk of [`Unit`]s, each with a [`Drive`]; whoever keeps the drive changes the medium while the disk runs:
//!
//! ```
//! use std::time::Instant;
//! use usbwright_emulator::{EmulatedDevice, protocol::Speed};
//! use usbwright_models::{Strings, disk::{BlockSize, Disk, Drive, Identity, Unit, medium::Sparse}};
//!
//! let strings = Strings { vendor: "ACME".into(), product: "Reader".into(), serial: "0123456789AB".into() };
//! let identity = Identity {
//!     vendor: strings.vendor.clone(),
//!     product: strings.product.clone(),
//!     revision: "0100".into(),
//!     serial: strings.serial.clone(),
//! };
//! let drive = Drive::new(Some(Box::new(Sparse::new(64 << 20))));
//! let unit = Unit::new(drive.clone(), BlockSize::B512, identity).removable();
//! let disk = Disk::new(Speed::High, strings, vec![unit]);
//! let device = EmulatedDevice::new(disk, Speed::High, Instant::now())?;
//! // Later, perhaps on another thread:
//! drive.take(true)?;
//! drive.insert(Box::new(Sparse::new(8 << 30)))?;
//! # drop(device);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What was decided
//!
//! Where the specifications leave a choice, this is ours:
//!
//! - **Where host and device disagree about the data** (Bulk-Only Transport §6.7): a host that moves more than the command does gets
//!   what there is, and a stall for the rest; otherwise nothing is done, and the status is a phase error.
//! - **A command wrapper that is valid and not meaningful** (a unit that is not there, reserved bits) is treated as one that is not
//!   valid: everything stalls until the transport is reset.
//! - **Flushing**: SYNCHRONIZE CACHE flushes the whole medium before it is answered, IMMED or not; so do a write with FUA, a stop
//!   and an eject. Other writes are answered once the medium has them.
//! - **Zeros**: UNMAP and WRITE SAME of zeros give room back where the medium can, UNMAP set or not. UNMAP is a command only there.
//! - **UAS** is offered at high speed alone, in alternate setting 1, and works on one command at a time.
//! - **An ejected medium** stays in the open tray until the host loads it, the [`Drive`]'s owner takes it, or the disk is attached
//!   again.

mod bulk_only;
mod descriptors;
mod drive;
mod media;
pub mod medium;
mod options;
mod scsi;
#[cfg(test)]
mod tests;
mod uas;

use bytes::Bytes;
use usbwright_emulator::{
    Context, Firmware, In, Out,
    protocol::{EndpointAddress, Recipient, RequestKind, Setup, Speed, descriptor::Device},
};

use self::{bulk_only::BulkOnly, scsi::Target, uas::Uas};
pub use self::{
    drive::{Drive, DriveError, DriveState, Place},
    media::{Media, MediaChanges, MediaError},
    scsi::{BlockSize, Identity, Unit},
};
use crate::{BuildError, Function, Handle, Model, Parameters, Strings};

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

fn make(speed: Speed, parameters: &mut Parameters) -> Result<Function, BuildError> {
    let uas = options::take_uas(parameters)?;
    let (strings, units) = options::take(parameters)?;
    let media = Handle::Disk(Media::of(&units));
    let mut disk = Disk::new(speed, strings, units);
    if !uas {
        disk = disk.bulk_only();
    }
    Ok(Function::new(disk).handle(media))
}

/// The firmware of a disk.
#[derive(Debug)]
pub struct Disk {
    strings: Strings,
    target: Target,
    /// Whether UAS is offered, at high speed.
    uas: bool,
    transport: Transport,
    /// Bytes in a packet.
    packet: usize,
}

/// The transport of the present setting.
#[derive(Debug)]
enum Transport {
    BulkOnly(BulkOnly),
    Uas(Uas),
}

impl Disk {
    /// A disk of these logical units, numbered from 0, for a device that runs at `speed`. Units beyond [`MOST_UNITS`] are
    /// left out.
    pub fn new(speed: Speed, strings: Strings, mut units: Vec<Unit>) -> Self {
        units.truncate(MOST_UNITS);
        let packet = descriptors::packet_size(speed);
        Self {
            strings,
            target: Target::new(units),
            uas: true,
            transport: Transport::BulkOnly(BulkOnly::new(packet)),
            packet,
        }
    }

    /// Offers Bulk-Only Transport alone, where it would offer UAS as well: that is at high speed. (At SuperSpeed UAS needs streams,
    /// which USB/IP does not carry.)
    pub fn bulk_only(mut self) -> Self {
        self.uas = false;
        self
    }

    /// Begins anew, with the transport of an alternate setting.
    fn restart(&mut self, alternate: u8) {
        self.transport = match alternate {
            descriptors::UAS_SETTING => Transport::Uas(Uas::new(self.packet)),
            _ => Transport::BulkOnly(BulkOnly::new(self.packet)),
        };
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
        descriptors::describe(speed, &self.strings, self.uas)
    }

    fn control_in(&mut self, setup: &Setup, _: &mut Context<'_>) -> In {
        match &self.transport {
            Transport::BulkOnly(_) if Self::takes(setup, GET_MAX_LUN, 1) => {
                In::Data(Bytes::copy_from_slice(&[self.target.highest_unit()]))
            }
            _ => In::Stall,
        }
    }

    fn control_out(&mut self, setup: &Setup, _: &Bytes, _: &mut Context<'_>) -> Out {
        match &mut self.transport {
            Transport::BulkOnly(transport) if Self::takes(setup, RESET, 0) => {
                transport.reset();
                Out::Taken
            }
            _ => Out::Stall,
        }
    }

    fn send(&mut self, endpoint: EndpointAddress, room: usize, cx: &mut Context<'_>) -> In {
        match &mut self.transport {
            Transport::BulkOnly(transport) => transport.send(&mut self.target, room, cx),
            Transport::Uas(transport) if endpoint == descriptors::STATUS_IN => transport.status(),
            Transport::Uas(transport) => transport.send(&mut self.target, room, cx),
        }
    }

    fn receive(&mut self, endpoint: EndpointAddress, data: &Bytes, cx: &mut Context<'_>) -> Out {
        let target = &mut self.target;
        match &mut self.transport {
            Transport::BulkOnly(transport) => transport.receive(target, data, cx),
            Transport::Uas(transport) if endpoint == descriptors::COMMAND_OUT => {
                transport.request(target, data, cx)
            }
            Transport::Uas(transport) => transport.receive(target, data, cx),
        }
    }

    fn configured(&mut self, _: Option<u8>, _: &mut Context<'_>) {
        self.restart(0);
    }

    fn setting_chosen(&mut self, _: u8, alternate: u8, _: &mut Context<'_>) {
        self.restart(alternate);
    }

    fn reset(&mut self, _: &mut Context<'_>) {
        self.restart(0);
        self.target.reset();
    }

    fn woken(&mut self, cx: &mut Context<'_>) {
        match &mut self.transport {
            Transport::BulkOnly(transport) => transport.woken(&mut self.target, cx),
            Transport::Uas(transport) => transport.woken(&mut self.target, cx),
        }
    }
}
