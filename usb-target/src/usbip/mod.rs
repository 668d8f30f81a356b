//! A device behind a USB/IP server: where it is, importing it, and its port.

mod operations;
mod remote;
mod socket;

pub use operations::RemoteError;
pub use remote::{Remote, RemoteAddressError, RemoteDevice, RemoteDeviceError};
