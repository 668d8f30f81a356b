//! What the policy wants done.

use usbwright_host_control::Change;

use super::{DeviceKey, HostKey};
use crate::record::{DetectedBy, Operation, Problem};

/// Something to be done. What cannot be done is told as what has come of it: a host that can't be started [is gone](super::Policy::gone).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a host with what the package of this device says.
    Start {
        /// Its key from now on.
        host: HostKey,
        /// The device that needs it first.
        device: DeviceKey,
    },
    /// Have a host build a device's stack.
    Build {
        /// The host.
        host: HostKey,
        /// The device.
        device: DeviceKey,
    },
    /// Have a host take a device's stack down.
    TearDown {
        /// The host.
        host: HostKey,
        /// The device.
        device: DeviceKey,
        /// How.
        removal: Removal,
    },
    /// Have a host change the state of a device's stack.
    Change {
        /// The host.
        host: HostKey,
        /// The device.
        device: DeviceKey,
        /// What is to be done.
        change: Change,
    },
    /// Have a host end. It has no devices.
    End {
        /// The host.
        host: HostKey,
    },
    /// Kill a host.
    Kill {
        /// The host.
        host: HostKey,
    },
    /// Tell that a host has failed.
    Failed(HostFailure),
    /// All has ended.
    Finished {
        /// Hosts that don't go though they were killed.
        left: Vec<HostKey>,
    },
}

/// How a device goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is still there; its drivers put it to rest.
    Orderly,
    /// It is gone.
    Surprise,
}

/// A host that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFailure {
    /// The host.
    pub host: HostKey,
    /// What went wrong.
    pub problem: Problem,
    /// Who saw it.
    pub detected_by: DetectedBy,
    /// What it was about.
    pub operation: Operation,
    /// More about it, for people.
    pub detail: String,
    /// The device that has caused it, where that is known.
    pub cause: Option<DeviceKey>,
    /// Its devices, and what becomes of each.
    pub fates: Vec<(DeviceKey, Fate)>,
}

/// What becomes of a device whose host has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It starts again in its pool.
    Pooled {
        /// How often it can be started again after that.
        left: u32,
    },
    /// It starts again, in a host of its own.
    Alone {
        /// How often it can be started again after that.
        left: u32,
    },
    /// It does not start again: it has done so often enough.
    Offline,
    /// It was about to go, and is gone.
    Gone,
}
