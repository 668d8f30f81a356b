//! USB/IP 1.1.1: the messages between a server that exports devices and a client that attaches them.
//!
//! A connection begins with operations ([`operation`]): the client lists the devices or imports one. After an import the
//! same connection carries transfers ([`urb`]) until it is closed. All numbers are big-endian but the setup packet's.
//! Source: `Documentation/usb/usbip_protocol.rst` and `drivers/usb/usbip/` of the Linux kernel.

pub mod errno;
pub mod operation;
pub mod urb;

/// The protocol's version, 1.1.1, as its messages carry it.
pub const VERSION: u16 = 0x0111;

/// The TCP port registered for USB/IP.
pub const PORT: u16 = 3240;
