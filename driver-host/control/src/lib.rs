//! What a driver manager and a host process say to each other: messages over one socket that keeps packets apart, with descriptors beside them.
//!
//! A packet is a header of 16 bytes (little-endian: the kind in 16 bits, 16 bits of zeros, the length of the body in 32 bits, the stack in 64 bits) and a body of JSON, which is
//! bounded ([`LONGEST_BODY`]). There are few of them, some for each device that comes or goes, so that what counts is that each is typed, bounded and can be read in a
//! trace; requests of applications go another way.
//!
//! The host begins with [`Hello`], and is told how to [confine](Confine) itself; once it has told what holds, it is asked to build stacks. Both sides know one
//! [`VERSION`]; a host of another one is refused by the manager, with both numbers.
//!
//! It never reads a clock, and makes no thread. Foreign bytes give a [`Malformed`], which names what is wrong.

mod channel;
mod header;
mod message;

pub use self::{
    channel::{Channel, Delivery, ReceiveError, Received},
    header::{HEADER_SIZE, LONGEST_BODY, Malformed},
    message::{
        Build, Change, Changed, Confine, DriverEntry, FromHost, Hello, Holds, Measure,
        MeasureState, Message, OperationKind, Phase, Report, ToHost, clip,
    },
};

/// The version of the messages.
pub const VERSION: u16 = 2;

/// The environment variable that tells a host the number of the descriptor by which it talks to its manager.
pub const DESCRIPTOR_VARIABLE: &str = "USBWRIGHT_HOST_CONTROL";
