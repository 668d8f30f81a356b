//! What applications, the reflector and hosts send each other; `docs/reflector.md` describes it.

mod header;
pub mod kind;
mod packet;

pub use header::{HEADER_SIZE, Header, Part};
pub use kind::Way;
pub use packet::Packet;
pub(crate) use packet::one_descriptor;

/// The protocol's version. Ends of different versions do not talk to each other.
pub const VERSION: u32 = 2;

/// What a greeting has for its request's number: `usbwrefl`, as bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"usbwrefl");

/// The most bytes that travel within a packet; what is longer is in shared memory.
pub const INLINE: usize = 64 * 1024;

/// Another message follows in the same packet only where those before it have no more bytes than this.
pub const TOGETHER: usize = 16 * 1024;

/// The room that any packet fits into.
pub const PACKET_SIZE: usize = TOGETHER + HEADER_SIZE + INLINE;

/// The most requests of one open file that may be outstanding.
pub const MOST_REQUESTS: usize = 4096;

/// The most regions of shared memory that one open file may have.
pub const MOST_REGIONS: usize = 64;

/// The longest region, and the most that all of an open file may have together, in bytes.
pub const LONGEST_REGION: u64 = 1 << 30;
