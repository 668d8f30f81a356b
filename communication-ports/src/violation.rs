//! What a peer may not do, and how connections end.

use std::io;

use thiserror::Error;

/// What a peer sent that breaks the protocol. Its connection ends; nothing else does.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Violation {
    /// A packet is shorter than its header.
    #[error("a packet of {0} bytes, which is shorter than a header")]
    Short(usize),
    /// A packet is longer than any may be.
    #[error("a packet that is longer than any may be")]
    Truncated,
    /// There is no such kind of packet, or not in this direction.
    #[error("a packet of the kind {0:#06x}, which this end takes from nobody")]
    Kind(u16),
    /// A kind of packet that must not come now.
    #[error("a packet of the kind {0:#06x}, for which it is the wrong time")]
    Time(u16),
    /// A field that the kind of packet does not use is not zero, or a flag is unknown.
    #[error("a packet of the kind {0:#06x} with a field or flag that it has no use for")]
    Fields(u16),
    /// A payload is not as long as its header tells.
    #[error("a payload of {came} bytes within the packet where there should be {told}")]
    Length {
        /// How long it should be.
        told: usize,
        /// How long it is.
        came: usize,
    },
    /// A payload is longer than this end takes.
    #[error("a payload of {length} bytes, where {limit} are the most")]
    Long {
        /// How long it is.
        length: usize,
        /// The most that is taken.
        limit: usize,
    },
    /// More or fewer file descriptors came than the header tells.
    #[error("{0} file descriptors with a packet, which are too many or too few")]
    Descriptors(usize),
    /// A descriptor is not a sealed file of the length told.
    #[error("a descriptor that is no sealed memfd of the length that the packet tells")]
    NotSealed,
    /// What is answered was never asked.
    #[error("an answer to the operation {0}, of which nobody knows")]
    Unasked(u64),
    /// A number is in use already.
    #[error("the number {0} a second time, while the first is in use")]
    Again(u64),
    /// The length of a reply leaves no room for its header.
    #[error("a reply of {0} bytes is wanted, which is less than a reply's header")]
    ReplyLength(u32),
    /// A message is longer than the get that it is for has room.
    #[error("a message of {length} bytes for a get of {capacity}")]
    Overfull {
        /// The message's length.
        length: usize,
        /// The get's room.
        capacity: u32,
    },
    /// More was moved than was asked for.
    #[error("{moved} bytes were moved, of {most} at the most")]
    Excess {
        /// How many were moved.
        moved: u64,
        /// The most that could be.
        most: u64,
    },
    /// The peer speaks another version of the protocol.
    #[error("a greeting of the version {0}, which this end does not speak")]
    Version(u32),
    /// The peer asks on and on and takes no answers.
    #[error("{0} answers that the peer does not take")]
    NotReading(usize),
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Ended {
    /// The other end was closed, or its process died.
    #[error("the other end was closed")]
    ByPeer,
    /// This end was closed.
    #[error("this end was closed")]
    Closed,
    /// The filter was unloaded.
    #[error("the filter was unloaded")]
    Unloaded,
    /// The other end broke the protocol.
    #[error("the other end sent {0}")]
    Violation(#[from] Violation),
    /// The system failed.
    #[error("the socket failed: {0}")]
    Socket(io::ErrorKind),
}
