//! A device behind a USB/IP server: where it is, importing it, and its port.

mod describe;
mod exchange;
mod hang_up;
mod inlet;
mod operations;
mod outstanding;
mod patience;
mod port;
mod pump;
mod remote;
mod replies;
mod session;
mod settings;
mod window;
mod wire;

pub use exchange::Exchange;
pub use operations::RemoteError;
pub use port::{RemotePort, RemotePortError};
pub use remote::{Remote, RemoteAddressError, RemoteDevice, RemoteDeviceError};
pub use replies::PeerError;
pub use wire::Ended;
