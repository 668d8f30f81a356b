//! Measuring through a kernel: its `usbtest` driver drives our device and others, in pairs, in the same boot.
//!
//! Ours is attached as `usbwright attach SPEC` does it, by a process of its own. Its [`Peer`]s are brought up one after the
//! other: the floor in the same way, and the kernel's own emulated devices.

mod error;
mod gadget;
mod pairs;
mod subject;
mod vudc;

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::error::KernelError;
use self::subject::Start;
use super::{Cell, KernelRow};
use crate::{
    protocol::Direction,
    sysfs::Sysfs,
    usbtest::{choose_pattern, pattern},
};

/// What ours is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The floor, attached in the same way.
    Floor,
    /// The kernel's emulated host controller, with its own Gadget Zero: no USB/IP.
    DummyHcd,
    /// The kernel's USB/IP device controller, with its own Gadget Zero, over loopback TCP.
    UsbipVudc,
}

impl Peer {
    /// Every peer, the fastest first.
    pub const ALL: [Self; 3] = [Self::Floor, Self::DummyHcd, Self::UsbipVudc];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::DummyHcd => "dummy_hcd",
            Self::UsbipVudc => "usbip-vudc",
        }
    }
}

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program that attaches our device and the floor: this one.
    pub program: PathBuf,
    /// Our device, as `usbwright attach` takes it: a Gadget Zero that sends zeros and takes anything.
    pub spec: String,
    /// What ours is compared with.
    pub peers: Vec<Peer>,
    /// The cells: a depth of 1 is case 1 or 2, any other is the queue of case 27 or 28.
    pub cells: Vec<Cell>,
    /// How often each cell is run on each device.
    pub pairs: u32,
    /// About how long a run takes.
    pub duration: Duration,
}

impl Plan {
    /// How many runs it takes, where no peer is lacking.
    pub fn runs(&self) -> u64 {
        (self.peers.len() * self.cells.len()) as u64 * u64::from(self.pairs) * 2
    }
}

/// What has happened, as it happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The measurement has begun, on a kernel of this name and release.
    Kernel(String),
    /// A cell has begun.
    Cell(String),
    /// A run of a cell has ended.
    Run,
    /// A cell has been measured.
    Row(KernelRow),
    /// A peer is left out, for this reason.
    Lacking(String),
}

/// Measures, as root, on the kernel that this process runs on.
///
/// # Errors
/// Where our device can't be attached, or a case fails. A peer that is not to be had is told and left out.
pub fn measure(plan: &Plan, mut tell: impl FnMut(Event)) -> Result<(), KernelError> {
    let sysfs = Sysfs::default();
    let system = rustix::system::uname();
    let (name, release) = (
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
    );
    tell(Event::Kernel(format!("{name} {release}")));
    let before = pattern(&sysfs)?;
    choose_pattern(&sysfs, 0)?;
    let measured = measure_with_zeros(plan, &sysfs, &mut tell);
    choose_pattern(&sysfs, before)?;
    measured
}

fn measure_with_zeros(
    plan: &Plan,
    sysfs: &Sysfs,
    tell: &mut impl FnMut(Event),
) -> Result<(), KernelError> {
    let start = Start {
        sysfs,
        program: &plan.program,
    };
    let ours = start.ours(&plan.spec)?;
    for peer in &plan.peers {
        for direction in [Direction::Out, Direction::In] {
            let mut cells = plan.cells.iter().filter(|it| it.direction == direction);
            let Some(first) = cells.next() else { continue };
            let theirs = match start.peer(*peer, direction) {
                Ok(theirs) => theirs,
                Err(error) => {
                    tell(Event::Lacking(format!("{}: {error}", peer.name())));
                    break;
                }
            };
            for cell in [first].into_iter().chain(cells) {
                tell(Event::Cell(format!("{} {cell}", peer.name())));
                let (pairs, duration) = (plan.pairs, plan.duration);
                let row = pairs::compare(&ours, &theirs, cell, pairs, duration, || {
                    tell(Event::Run);
                })?;
                tell(Event::Row(row));
            }
            theirs.end()?;
        }
    }
    ours.end()
}
