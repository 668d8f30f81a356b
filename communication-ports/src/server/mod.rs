//! The driver's side: ports and their connections.

mod callbacks;
mod connection;
pub(crate) mod core;
mod filter;
mod outcome;
mod port;
mod service;

pub use callbacks::Callbacks;
pub use connection::{Connection, SendMessage};
pub use filter::Filter;
pub use outcome::{Reply, SendError, Sent};
pub use port::{CreateError, PortOptions, ServerPort};
