//! What can go wrong with the virtual host controller, and what to do about it.

use std::time::Duration;

use crate::{protocol::Speed, sysfs::SysfsError};

/// Why vhci_hcd did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum VhciError {
    /// The kernel has no vhci_hcd.
    #[error("vhci_hcd is not there: `modprobe vhci-hcd` as root, or use `usbwright lab`")]
    NotLoaded,
    /// Only root may write to vhci_hcd.
    #[error("only root may {0}: run this as root, such as with sudo")]
    NotRoot(&'static str),
    /// The file system is mounted read-only, as in most containers.
    #[error(
        "can't {0}: /sys is mounted read-only here, as in most containers; run this outside, or in a privileged container"
    )]
    ReadOnly(&'static str),
    /// Every port of the hub that the speed needs is taken.
    #[error(
        "no port is free for a device of {0} speed: detach one first (`usbwright port` lists them)"
    )]
    NoFreePort(Speed),
    /// There is no port of that number.
    #[error("there is no port {port}: the ports are 0 to {last}")]
    NoPort {
        /// The number that was asked for.
        port: u32,
        /// The last there is.
        last: u32,
    },
    /// The kernel does not want the device.
    #[error("vhci_hcd refused the device at port {port}: {cause}; `dmesg` may say more")]
    Refused {
        /// The port.
        port: u32,
        /// What the kernel said.
        cause: SysfsError,
    },
    /// The port was free, or became so, when it was not to be.
    #[error("port {0} is free: its device is detached")]
    Detached(u32),
    /// The port did not become free in time.
    #[error("port {port} is still in use {} s after it was detached: `dmesg` may say why", .waited.as_secs())]
    StillInUse {
        /// The port.
        port: u32,
        /// How long was waited.
        waited: Duration,
    },
    /// Linux did not configure the device in time.
    #[error(
        "Linux has not configured the device at port {port} within {} s: `dmesg` may say why", .waited.as_secs()
    )]
    NotConfigured {
        /// The port.
        port: u32,
        /// How long was waited.
        waited: Duration,
    },
    /// The status is in a form that is not known here.
    #[error("can't understand `{0}` in vhci_hcd's status: kernels before 4.13 are not supported")]
    Status(String),
    /// A file of sysfs can't be read.
    #[error(transparent)]
    Sysfs(#[from] SysfsError),
}
