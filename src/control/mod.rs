//! A running server's control socket: devices plugged and unplugged, used and watched while hosts have them.
//!
//! [`Devices`] is a bus with what its devices' users have of them; [`Listener`] lets programs of the same user at it, by lines of JSON over
//! a UNIX socket, as `docs/control.md` tells; [`Client`] is such a program's side. Who may connect may do everything: the socket is its
//! owner's alone.

mod bench;
mod client;
mod connection;
mod device;
mod devices;
mod events;
mod input;
mod listener;
mod request;
mod watched;

pub use bench::{Applied, Bench, BenchError};
pub use client::{Client, ClientError};
pub use devices::Devices;
pub use events::Event;
pub use listener::{ControlAddress, ControlAddressError, Listener};
pub use request::{ControlError, Line, Request};
