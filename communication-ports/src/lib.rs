//! Communication ports: how a driver and the services of its machine send each other messages and answers.
//!
//! A driver's [`Filter`] makes a port with a name ([`Filter::create_port`]), to which services connect ([`Client::connect`]). Each connection has a queue
//! of its own and two ends, of which each can end it. The driver sends messages, which the service's *gets* take, and may want replies; the service sends
//! messages, which the driver's [`Callbacks`] answer. Both may be in different processes, and either may die at any time. The model is that of filter
//! manager of Windows (`FltSendMessage`, `FilterGetMessage` and so on).
//!
//! ```
//! use bytes::Bytes;
//! use usbwright_ports::{
//!     Callbacks, Client, Connection, Deadline, Filter, NameSpace, PortOptions, Sent,
//!     status::NtStatus,
//! };
//!
//! /// Hands connections on to whoever sends messages.
//! struct Accepting(std::sync::mpsc::SyncSender<Connection>);
//!
//! impl Callbacks for Accepting {
//!     type Session = ();
//!
//!     fn connect(&self, connection: &Connection, context: &[u8]) -> Result<(), NtStatus> {
//!         if context != b"scanner" {
//!             return Err(NtStatus::INVALID_PARAMETER);
//!         }
//!         self.0.send(connection.clone()).map_err(|_| NtStatus::DEVICE_NOT_READY)
//!     }
//! }
//!
//! # let directory = tempfile::tempdir()?;
//! # let space = NameSpace::at(directory.path());
//! // The driver.
//! let (connections, connected) = std::sync::mpsc::sync_channel(1);
//! let filter = Filter::new()?;
//! let options = PortOptions::new("ScannerPort".parse()?).name_space(space.clone());
//! let port = filter.create_port(options, Accepting(connections))?;
//!
//! // The service.
//! let client = Client::connect(&space, &"ScannerPort".parse()?, b"scanner")?;
//! let service = std::thread::spawn(move || {
//!     let message = client.get_message().wait().unwrap();
//!     let clean = !message.data.starts_with(b"foul");
//!     message.reply.unwrap().reply([u8::from(clean)].to_vec()).wait()
//! });
//!
//! let connection = connected.recv()?;
//! let sent = connection.send_message(&b"contents"[..], Some(1), Deadline::Never).wait()?;
//! let Sent::Replied(reply) = sent else { panic!("a reply was wanted") };
//! assert_eq!(reply.data, [1].to_vec());
//! # service.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Nothing is buffered
//!
//! A message stays with its sender until a get waits for it; only then is it on its way. So a send that ends before its delivery has not been and never will be seen.
//! One *deadline* holds for the delivery and the reply together, and a time that is up is an error ([`SendError`]), whatever the severity of `STATUS_TIMEOUT`
//! says. A service replies by a [`ReplyToken`], which can be used once and which no message has that wants no reply.
//!
//! # Blocking and async
//!
//! Every operation is a future, which runs on any runtime, and has a blocking form, `wait`. It begins when it is first polled or waited for, or at once with
//! `start`. A thread that waits reads the socket itself; where only tasks wait, a thread of the filter's or client's own does so. Deadlines go by a
//! [`Clock`], which a test can set itself ([`ManualClock`]).
//!
//! # Who may connect
//!
//! A name is a socket in a directory ([`NameSpace`]). The kernel tells who connects ([`Peer`]), and the port's [`SecurityDescriptor`] whether they may; by default
//! that is the server's own user, and root.
//!
//! # Limits
//!
//! Windows documents no longest message. Here it is [`LONGEST`], unless a port or a client says otherwise. What is longer than 32 KiB travels in a sealed memory
//! file, whose descriptor is passed. What one client can make a server keep is bounded: 1024 gets, 64 messages for the message callback (which stay in the client's memory
//! if they are long); more end with `STATUS_INSUFFICIENT_RESOURCES`. A peer that breaks the protocol loses its connection, and [`Ended`] tells why.
//!
//! # What no public source tells
//!
//! - Messages of a connection are delivered in the order in which their sends began, to gets in the order in which they were posted. They are numbered from 1.
//! - A reply that is longer than the room for it gives *both* sides `STATUS_BUFFER_OVERFLOW`; the sender has what there was room for.
//! - A connection that the driver closes itself has no disconnect callback.
//! - A connection whose [`Callbacks::connect`] fails has never counted. One that is about to end is waited for, before another is refused as one too many.
//! - A get that is too small stays so for no message but the next one, which is kept for the next get.

mod client;
mod deadline;
#[doc(hidden)]
pub mod exchange;
pub mod layout;
mod link;
mod name;
mod namespace;
mod peer;
mod security;
mod server;
mod socket;
mod sockopt;
mod violation;
#[doc(hidden)]
pub mod wire;

/// What the reflector's connections are made of as well. It may change at any time.
#[doc(hidden)]
pub mod parts {
    pub use crate::{
        link::{Call, Core, Link, Operation, Slots, State, Watch, Watched, Watcher, thread_waker},
        namespace::Listener,
        socket::{Delivery, Parcel, Received, Socket},
    };
}

pub use client::{
    AnswerError, Client, ConnectError, ConnectOptions, GetError, GetMessage, Message, ReplyError,
    ReplyMessage, ReplyToken, ReplyWithGet, SendToPort, filter_api,
};
pub use deadline::Deadline;
pub use name::{NameError, PortName};
pub use namespace::NameSpace;
pub use peer::Peer;
pub use security::{Denied, Rights, SecurityDescriptor, Subject};
pub use server::{
    Callbacks, Connection, CreateError, Filter, PortOptions, Reply, SendError, SendMessage, Sent,
    ServerPort,
};
pub use usbwright_host_stack::status;
pub use usbwright_target::{Clock, ManualClock};
pub use violation::{Ended, Violation};

/// The longest message, reply or answer, in bytes, unless a port or a client says otherwise: 16 MiB.
pub const LONGEST: usize = 16 * 1024 * 1024;

/// The longest context of a connection, in bytes: what a `WORD` can tell.
pub const LONGEST_CONTEXT: usize = 65535;
