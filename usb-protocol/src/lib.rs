//! The vocabulary of USB and of USB/IP: what every other crate of usbwright speaks.
//!
//! Speeds and addresses, setup packets, descriptors (built and parsed), transfers and completions, the [`Port`] seam
//! between a device and its host, and the USB/IP messages. Nothing here does I/O, reads a clock or knows a runtime.

mod address;
pub mod descriptor;
mod now;
mod port;
mod setup;
mod speed;
mod transfer;
pub mod usbip;

pub use address::{Direction, EndpointAddress, TransferType};
pub use now::Now;
pub use port::{Class, DeviceSummary, Outside, Port};
pub use setup::{Feature, Recipient, RequestKind, Setup, request};
pub use speed::Speed;
pub use transfer::{
    Completion, IsoOutcome, IsoPacket, Payload, Status, Transfer, TransferId, TransferKind,
};
