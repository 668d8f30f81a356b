//! The header that every packet begins with.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

use crate::Violation;

/// The bytes of a [`Header`].
pub const HEADER_SIZE: usize = size_of::<Header>();

/// What every packet begins with: numbers in little-endian order. A field that a kind of packet does not use is zero.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub struct Header {
    /// What kind of packet it is.
    pub kind: U16,
    /// See [`Self::SEALED`], [`Self::AND_GET`] and [`Self::REPLIED`].
    pub flags: U16,
    /// An `NTSTATUS`, or the version in a first packet.
    pub status: U32,
    /// The number of the operation that the packet is about, or what a first packet begins with.
    pub operation: U64,
    /// The number of the message that the packet is about.
    pub message: U64,
    /// The number of the get that the packet is about.
    pub get: U64,
    /// The bytes of the payload.
    pub length: U32,
    /// Room for bytes to come.
    pub capacity: U32,
}

const _: () = assert!(HEADER_SIZE == 40);

impl Header {
    /// The payload is in a sealed file, whose descriptor comes with the packet.
    pub const SEALED: u16 = 1;
    /// A get is posted together with a reply.
    pub const AND_GET: u16 = 2;
    /// The packet tells how a reply ended, too.
    pub const REPLIED: u16 = 4;

    /// A packet's header, and what follows it.
    pub(super) fn split(bytes: &[u8]) -> Result<(Self, &[u8]), Violation> {
        Self::read_from_prefix(bytes).map_err(|_| Violation::Short(bytes.len()))
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }
}
