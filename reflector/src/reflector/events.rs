//! What a manager is told.

use std::{fmt, time::Instant};

use usbwright_host_stack::status::NtStatus;
use usbwright_ports::Violation;

use crate::relay::Critical;

/// A device of a reflector. No two ever have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceKey(pub(super) u64);

impl fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The process of an application, as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// Its id; none where its PID namespace is another.
    pub pid: Option<u32>,
    /// Its effective user.
    pub uid: u32,
}

/// Something that has come about at a device.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// An application has opened the device.
    Opened {
        /// The number of the open file.
        file: u64,
        /// Who.
        by: Who,
    },
    /// Somebody was not let in, for this reason.
    Refused {
        /// Who.
        by: Who,
        /// The rule.
        why: String,
    },
    /// A file is closed at the host: by its application, or after that has gone.
    Closed {
        /// The number of the open file.
        file: u64,
        /// Whether no other is open.
        last: bool,
    },
    /// An application has ended its connection: it closed the file before, or has died.
    Left {
        /// The number of the file.
        file: u64,
        /// Who.
        by: Who,
    },
    /// An application broke the protocol, and lost its connection.
    BadRequest {
        /// Who.
        by: Who,
        /// What it did.
        violation: Violation,
    },
    /// The host answered what makes no sense (problem `BadReply`). All its requests have ended, with 1291; it is to be killed.
    BadReply {
        /// What it did.
        violation: Violation,
    },
    /// The host's end of a channel was closed, mostly as it has died (problem `HostDisconnect`). All its requests have ended, with 1291.
    HostDisconnected,
}

/// What a device's present host has, and owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceStatus {
    /// The device.
    pub key: DeviceKey,
    /// Its name.
    pub name: String,
    /// What opening it ends with, as there is no host; none where there is one.
    pub gone: Option<NtStatus>,
    /// The id of the host's process.
    pub host: u32,
    /// Applications that are connected, those with handles of a host that is gone included.
    pub applications: usize,
    /// Files that are open at the host.
    pub open_files: usize,
    /// Requests that the host has.
    pub outstanding: usize,
    /// Requests that the host has been sent.
    pub sent: u64,
    /// A cancel or close that the host owes, and since when: what a manager's deadline is for.
    pub critical: Option<(Critical, Instant)>,
}
