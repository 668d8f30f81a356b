//! The messages, in both directions.

mod build;
mod from_host;
mod parts;
mod to_host;

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};
use usbwright_host_stack::IoType;
use usbwright_protocol::usbip::operation::ExportedDevice;

pub use self::{from_host::FromHost, to_host::ToHost};
use crate::header::Malformed;

/// A message of one direction.
pub trait Message: Sized {
    /// Its bytes, as one packet.
    ///
    /// # Errors
    /// Where it is longer than one may be ([`LONGEST_BODY`](crate::LONGEST_BODY)).
    fn encode(&self) -> Result<Vec<u8>, Malformed>;

    /// The message of a packet, with which so many descriptors have come.
    ///
    /// # Errors
    /// Where it is none.
    fn decode(packet: &[u8], descriptors: usize) -> Result<Self, Malformed>;

    /// How many descriptors go with it.
    fn descriptors(&self) -> usize {
        0
    }
}

/// What a host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The version of the messages that it knows.
    pub version: u16,
    /// Its process, as it knows it.
    pub pid: u32,
    /// The drivers that its executable has.
    pub drivers: Vec<String>,
}

/// What a host may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confine {
    /// Memory of its own, in bytes.
    pub memory: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u32>,
    /// Files and folders that may be read.
    pub read: Vec<PathBuf>,
    /// Files and folders that may be read and written.
    pub write: Vec<PathBuf>,
    /// The manager's process: where another one is the parent, the manager has died.
    pub manager: u32,
}

/// A way to confine a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Measure {
    /// It can gain no privileges by executing something (`PR_SET_NO_NEW_PRIVS`).
    NoNewPrivileges,
    /// It is killed when its manager dies (`PR_SET_PDEATHSIG`).
    DiesWithManager,
    /// It has a session of its own, and no terminal.
    Session,
    /// It has no descriptors but its own, and may have so many.
    Descriptors,
    /// It may have so much memory of its own (`RLIMIT_DATA`), and leaves no core file.
    Memory,
    /// It has no capabilities.
    Capabilities,
    /// It can open only what its package lists.
    Landlock,
    /// It can't make system calls that no driver needs.
    Seccomp,
    /// It is in a control group of its own, with limits for memory and processors.
    Cgroup,
}

/// Whether a measure holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MeasureState {
    /// It does.
    Held,
    /// Some of it does, and why not all.
    Partly(String),
    /// It does not, and why.
    Missing(String),
}

/// Which measures hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Holds(pub Vec<(Measure, MeasureState)>);

/// A stack to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Its number, by which all else is told of it.
    pub stack: u64,
    /// The device's name, for people.
    pub name: String,
    /// Its drivers, the lowest first.
    pub drivers: Vec<DriverEntry>,
    /// Whether control codes of method "neither" have their data copied.
    pub copies_neither: bool,
    /// The device, which has been imported over the socket that comes with the message.
    pub device: ExportedDevice,
    /// Whether two more sockets come, over which applications reach the stack: that of the data, and that of the cancels.
    pub has_channels: bool,
}

/// A driver of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverEntry {
    /// Its name.
    pub name: String,
    /// How it gets at data.
    pub io_type: IoType,
}

/// A change of a stack's state, which its device survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The system goes to sleep: the devices leave D0.
    #[doc(alias = "IRP_MN_SET_POWER")]
    Suspend,
    /// The system has woken: the devices come back to D0.
    #[doc(alias = "IRP_MN_SET_POWER")]
    Resume,
    /// The drivers let go of their hardware, as for a rebalance; files stay open, and requests wait.
    #[doc(alias = "IRP_MN_STOP_DEVICE")]
    Stop,
    /// The port of the device of a stopped stack is reset.
    Reset,
    /// A stopped stack starts again.
    #[doc(alias = "IRP_MN_START_DEVICE")]
    Restart,
}

impl Change {
    /// What the drivers are about meanwhile.
    pub fn operation(self) -> OperationKind {
        match self {
            Self::Suspend | Self::Resume => OperationKind::Power,
            Self::Stop | Self::Reset | Self::Restart => OperationKind::Pnp,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Reset => "reset",
            Self::Restart => "restart",
        })
    }
}

/// A change was made, or why it was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The stack.
    pub stack: u64,
    /// Why it is not as it was to be, for people.
    pub error: Option<String>,
}

/// A critical operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationKind {
    /// Plug and play.
    Pnp,
    /// Power.
    Power,
    /// A cancel.
    Cancel,
    /// The last handle of a file was closed.
    Cleanup,
    /// A file is closed.
    Close,
}

/// A critical operation has begun, or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The stack.
    pub stack: u64,
    /// The operation's number, of the host's choice; no two of a stack under way have the same.
    pub number: u64,
    /// What has begun; `None` where the operation has ended.
    pub begun: Option<OperationKind>,
}

/// Something that is told of a stack, or of the host (stack 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The stack.
    pub stack: u64,
    /// What, for people.
    pub text: String,
}

/// The beginning of a text that is not too long for a report.
pub fn clip(text: &str) -> String {
    const LONGEST: usize = 4 << 10;
    match text.len() <= LONGEST {
        true => text.to_owned(),
        false => format!("{}…", &text[..text.floor_char_boundary(LONGEST)]),
    }
}
