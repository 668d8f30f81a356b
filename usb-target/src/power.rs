//! Power policies, which no backend can follow yet.

use std::time::Duration;

/// When a device is to be suspended (WinUSB's power policies).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerPolicy {
    /// It is suspended while it is idle: no transfer is pending, or only reads of bulk and interrupt pipes.
    #[doc(alias = "AUTO_SUSPEND")]
    pub auto_suspend: bool,
    /// How long it is idle before.
    #[doc(alias = "SUSPEND_DELAY")]
    pub suspend_delay: Duration,
}

impl Default for PowerPolicy {
    /// As WinUSB has it: suspended after 5 s.
    fn default() -> Self {
        Self {
            auto_suspend: true,
            suspend_delay: Duration::from_secs(5),
        }
    }
}

/// A policy that the device's backend can't follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the device can't be suspended: USB/IP carries no suspend, libusb offers none, and an emulated device is told of none"
)]
pub struct PowerUnsupported;
