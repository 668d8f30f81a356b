//! The host's side of one USB device, with no kernel.

pub use usbwright_protocol as protocol;

#[cfg(feature = "libusb")]
pub mod libusb;
