//! Moving bytes between stream sockets and buffers, for both ends of a USB/IP connection.
//!
//! An [`Intake`] is read into, and cut into messages; an [`Outbox`] gathers messages, and is written. No payload is copied, and
//! nothing is allocated once both have seen the traffic. A [`Linger`] says when to look for input again before sleeping, and a
//! [`Bell`] wakes whoever sleeps. [`listen`](fn@listen) makes a UNIX socket where the file of an old one may be. What a message is, and what else there is to wait for, is for others to know.

mod bell;
mod intake;
mod linger;
mod listen;
mod outbox;
mod receive;
mod socket;

pub use bell::Bell;
pub use intake::{Intake, LARGE};
pub use linger::{Awake, Linger, longest};
pub use listen::listen;
pub use outbox::Outbox;
pub use receive::{Wait, receive};
pub use socket::widen;
