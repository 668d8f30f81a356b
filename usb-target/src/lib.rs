//! The host's side of one USB device, with no kernel.

pub mod usbip;

pub use usbwright_protocol as protocol;
