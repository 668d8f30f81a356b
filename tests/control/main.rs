//! The control socket: devices of a running server plugged, used and watched.

mod bench;
mod command;
mod socket;
mod support;
mod using;
