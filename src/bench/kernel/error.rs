//! Why a kernel can't be measured with, and what to do about it.

use std::{io, path::PathBuf, time::Duration};

use crate::{
    sysfs::SysfsError,
    usbtest::{Outcome, UsbtestError},
    vhci::VhciError,
};

/// Why a measurement through a kernel ended, or a device is left out of it.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The kernel's USB/IP host controller did not do what it was asked.
    #[error(transparent)]
    Vhci(#[from] VhciError),
    /// The kernel's test driver did not.
    #[error(transparent)]
    Usbtest(#[from] UsbtestError),
    /// A file of sysfs or configfs can't be read or written.
    #[error(transparent)]
    Sysfs(#[from] SysfsError),
    /// The kernel lacks something.
    #[error("the kernel lacks {option} (`modprobe {module}`, where it is a module)")]
    Lacks {
        /// The option of its configuration.
        option: &'static str,
        /// The module that has it.
        module: &'static str,
    },
    /// A folder or a link of configfs can't be made.
    #[error("can't make {path}: {cause}")]
    Make {
        /// What was to be made.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A TCP connection within this machine can't be made.
    #[error("can't make a TCP connection over loopback: {0}")]
    Loopback(io::Error),
    /// A process that attaches a device can't be started.
    #[error("can't start `{command}`: {cause}")]
    NotStarted {
        /// How it was to be started.
        command: String,
        /// Why not.
        cause: io::Error,
    },
    /// It ended before its device was there.
    #[error("`{command}` ended before its device was there ({status})")]
    Ended {
        /// How it was started.
        command: String,
        /// How it ended.
        status: String,
    },
    /// The test driver does not take the device, or let go of it.
    #[error("the kernel has not {verb} the device within {} s: `dmesg` may say why", .waited.as_secs())]
    Waited {
        /// What has not been done.
        verb: &'static str,
        /// How long was waited.
        waited: Duration,
    },
    /// A case did not pass.
    #[error("case {case} of {cell} on {device} did not pass: {outcome:?}")]
    Case {
        /// The case's number.
        case: u8,
        /// The cell.
        cell: String,
        /// Whose device it was.
        device: &'static str,
        /// What became of it.
        outcome: Outcome,
    },
}
