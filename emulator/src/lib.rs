//! What makes a firmware model a USB device: the [`Firmware`] trait, the device core, the bus, the USB/IP server.
//!
//! The device core answers chapter 9 and keeps the endpoint queues, a [`Bus`] holds the devices that are plugged in, and a
//! [`Server`](server::Server) exports them over USB/IP. Nothing here knows any particular device.

mod bus;
mod device;
mod firmware;
pub mod server;
#[cfg(test)]
mod testing;

pub use bus::{Bus, BusId, BusIdError, Lease, LeaseError, PlugError, Plugged};
pub use device::EmulatedDevice;
pub use firmware::{Context, Firmware, In, Out};
pub use usbwright_protocol as protocol;
