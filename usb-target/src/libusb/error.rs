//! Why a real device can't be had.

use std::fmt;

use super::{LibusbDevice, Selector};

/// Why a real device can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibusbError {
    /// libusb can't start: the system has no USB, or hides it.
    #[error("this system has no USB, or hides it: on Linux it is at /dev/bus/usb (libusb: {0})")]
    NoUsb(rusb::Error),
    /// The devices can't be listed.
    #[error("can't list the USB devices: {0}")]
    List(rusb::Error),
    /// No device is as was asked for.
    #[error("no USB device has {selector}{present}")]
    NotFound {
        /// What was asked for.
        selector: Box<Selector>,
        /// What there is.
        present: Listing,
    },
    /// Several devices are as was asked for.
    #[error(
        "more than one USB device has {selector}: add path=… of the one that is meant{matching}"
    )]
    Ambiguous {
        /// What was asked for.
        selector: Box<Selector>,
        /// Those that it fits.
        matching: Listing,
    },
    /// The user may not open the device.
    #[error(
        "can't open {device}: permission denied; be root, or have this line in /etc/udev/rules.d/70-usbwright.rules and plug \
         the device in again: SUBSYSTEM==\"usb\", ATTR{{idVendor}}==\"{:04x}\", ATTR{{idProduct}}==\"{:04x}\", MODE=\"0660\", \
         TAG+=\"uaccess\"",
        .device.vendor_id, .device.product_id
    )]
    Denied {
        /// The device.
        device: Box<LibusbDevice>,
    },
    /// Another program uses an interface.
    #[error("interface {interface} of {device} is in use by another program: end that first")]
    InUse {
        /// The device.
        device: Box<LibusbDevice>,
        /// The interface's number.
        interface: u8,
    },
    /// Something else that libusb refused.
    #[error("can't {action} {device}: {cause}")]
    Refused {
        /// What was to be done.
        action: &'static str,
        /// The device.
        device: Box<LibusbDevice>,
        /// What libusb said.
        cause: rusb::Error,
    },
    /// A thread can't be started.
    #[error("can't start a thread: {0}")]
    Thread(std::io::Error),
}

/// Devices, a line for each, as messages tell them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing(pub Vec<LibusbDevice>);

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("; there is none at all");
        }
        f.write_str("; there is:")?;
        self.0
            .iter()
            .try_for_each(|device| write!(f, "\n  {device}"))
    }
}
