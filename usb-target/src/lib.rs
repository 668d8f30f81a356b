//! The host's side of one USB device, with no kernel.

mod completion;
mod control;
mod device;
mod engine;
pub mod enumerate;
mod interface;
#[cfg(feature = "libusb")]
pub mod libusb;
mod pipe;
mod reader;
pub mod usbip;

pub use completion::{Completion, TransferError, TransferFailed};
pub use device::{ClaimError, ConfigurationError, Device, OpenError, Options, ResetOutcome};
pub use engine::{Clock, ManualClock, Timed, Wait};
pub use interface::{Interface, PipeError, SettingError};
pub use pipe::{
    AnyKind, AnyWay, Bulk, In, Interrupt, Isochronous, Kind, MovesBytes, MovesPackets, Out, Pipe,
    PipePolicy, PolicyError, PolicyId, Queue, Reads, Ticket, Way, Writes,
};
pub use reader::{
    ContinuousReader, Message, ReaderConfig, ReaderError, ReaderFailure, ReaderHandle,
};
pub use usbwright_protocol as protocol;
