//! What the two ends of a connection send each other; `docs/ports.md` describes it.

mod header;
mod packet;
mod payload;

pub use header::{HEADER_SIZE, Header};
pub use packet::{Packet, PostedGet, ToClient, ToServer};
pub use payload::{INLINE, Payload};

use crate::Violation;

/// The protocol's version. Ends of different versions do not talk to each other.
pub const VERSION: u32 = 1;

/// What a first packet begins with, either way: `usbports`, as bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"usbports");

/// The room that any packet fits into.
pub const PACKET_SIZE: usize = HEADER_SIZE + INLINE;

/// Reads a packet's header and payload; `limit` is the longest payload that is taken.
///
/// # Errors
/// What the packet breaks.
pub fn open(
    bytes: &[u8],
    descriptors: Vec<std::os::fd::OwnedFd>,
    limit: usize,
) -> Result<Packet, Violation> {
    let (header, inline) = Header::split(bytes)?;
    let payload = Payload::open(&header, inline, descriptors, limit)?;
    Ok(Packet { header, payload })
}
