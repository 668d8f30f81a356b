//! A server in this process, and a client that behaves, or does not, as a test wants it to.

pub(crate) mod client;
pub(crate) mod devices;
pub(crate) mod server;
pub(crate) mod urb;
pub(crate) mod vhci;
