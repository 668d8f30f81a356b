//! How a program talks to one USB device, with no kernel: emulated in the same process, behind any USB/IP server, or real.
//!
//! A device is whatever is a [`Port`](protocol::Port). [`Device::open`] enumerates it as a host does; an [`Interface`] is claimed, and its
//! [`Pipe`]s move data.
//!
//! ```
//! use std::time::Instant;
//! use usbwright_models::Spec;
//! use usbwright_target::{Bulk, In, Options, Out, Wait};
//!
//! // A Gadget Zero whose second configuration sends back what it is sent.
//! let port = "gadget-zero".parse::<Spec>()?.build(Instant::now())?;
//! let device = Options::new().configuration(2).open(port).wait()?;
//! let loopback = device.interface(0).wait()?;
//! let output = loopback.first::<Bulk, Out>()?;
//! let input = loopback.first::<Bulk, In>()?;
//!
//! output.write(b"hello").wait().ok()?;
//! let answer = input.read(64).wait().ok()?;
//! assert_eq!(answer.data.to_vec(), b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Backends
//!
//! | backend | port | where |
//! |---|---|---|
//! | in process | any port: an emulated device, a wrapper around one | no socket, no thread for what ends at once |
//! | USB/IP | [`usbip::RemotePort`] | ours, Linux' `usbipd`, the crate `usbip`'s server; TCP and UNIX sockets |
//! | libusb | `libusb::LibusbPort`, with the feature `libusb` | a real device, or one that a kernel has attached |
//!
//! Each is a port, so that a server can export it again; `docs/backends.md` tells what each can't do.
//!
//! # Blocking and async
//!
//! Every operation is a future, which runs on any runtime; [`Wait::wait`] is the blocking form of the same call. A thread that blocks
//! drives the device itself: in process it runs the device, and over USB/IP it reads the socket, so that nothing is handed from thread to thread.
//! Where only tasks wait, a thread of the device's own does so. One transfer alone is a call ([`Pipe::read`], [`Pipe::write`]); many in flight are a
//! [`Queue`]; and a [`ContinuousReader`] reads all the time.
//!
//! # What moved and how it ended, together
//!
//! A [`Completion`] tells the bytes that moved and the error, if there is one, in one value. The [status](protocol::Status) on the bus is kept as it was: a
//! stall, babble, a damaged packet and a device that has gone can be told apart. No byte that came is lost: a read that timed out or was
//! [cancelled](Pipe::read_cancelable) tells what it had brought, and what one had that was dropped is the beginning of the next.
//!
//! # Time
//!
//! Timeouts and emulated devices go by a [`Clock`]. With a [`ManualClock`] a test lets time pass as it likes.

mod cancel;
mod completion;
mod control;
mod device;
mod engine;
pub mod enumerate;
mod interface;
#[cfg(feature = "libusb")]
pub mod libusb;
mod pipe;
mod power;
mod reader;
pub mod usbip;

pub use completion::{Completion, TransferError, TransferFailed, Transferred};
pub use device::{ClaimError, ConfigurationError, Device, OpenError, Options, ResetOutcome};
pub use engine::{Clock, Gone, ManualClock, Timed, Wait};
pub use interface::{Interface, PipeError, SettingError};
pub use pipe::{
    AnyKind, AnyWay, Bulk, In, Interrupt, Isochronous, Kind, MovesBytes, MovesPackets, Out, Pipe,
    PipePolicy, PolicyError, PolicyId, Queue, Reads, Ticket, Way, Writes,
};
pub use power::{PowerPolicy, PowerUnsupported};
pub use reader::{
    ContinuousReader, Message, ReaderConfig, ReaderError, ReaderFailure, ReaderHandle,
};
pub use usbwright_protocol as protocol;
