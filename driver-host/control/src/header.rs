//! The header of a packet, and what is wrong with bytes that are none.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, LE, Unaligned,
    byteorder::{U16, U32, U64},
};

/// How many bytes a header has.
pub const HEADER_SIZE: usize = 16;

/// How many bytes a body may have.
pub const LONGEST_BODY: usize = 64 << 10;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) kind: U16<LE>,
    pub(crate) reserved: U16<LE>,
    pub(crate) length: U32<LE>,
    pub(crate) stack: U64<LE>,
}

/// Bytes that are no message.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// They are too few for a header.
    #[error("the packet has {0} bytes, and its header would have {HEADER_SIZE}")]
    Short(usize),
    /// The packet was longer than one may be.
    #[error("the packet's body is longer than {LONGEST_BODY} bytes")]
    TooLong,
    /// The body has another length than the header says.
    #[error("the header tells a body of {told} bytes, and {came} have come")]
    Length {
        /// The length in the header.
        told: u32,
        /// The length of what has come.
        came: usize,
    },
    /// Bits that are zero are not.
    #[error("the header has {0:#06x} where zeros should be")]
    Reserved(u16),
    /// There is no such message in this direction.
    #[error("there is no message of kind {0:#06x} in this direction")]
    Kind(u16),
    /// The body is not that of its kind.
    #[error("the body of message {kind:#06x} can't be read: {cause}")]
    Body {
        /// The message's kind.
        kind: u16,
        /// What is wrong with the body.
        cause: serde_json::Error,
    },
    /// There are too many or too few descriptors.
    #[error("message {kind:#06x} has come with {came} descriptors instead of {wanted}")]
    Descriptors {
        /// The message's kind.
        kind: u16,
        /// How many belong to it.
        wanted: usize,
        /// How many have come.
        came: usize,
    },
}

/// Cuts a packet into its header and its body.
pub(crate) fn open(packet: &[u8]) -> Result<(Header, &[u8]), Malformed> {
    let short = || Malformed::Short(packet.len());
    let (header, body) = Header::read_from_prefix(packet).map_err(|_| short())?;
    if header.reserved.get() != 0 {
        return Err(Malformed::Reserved(header.reserved.get()));
    }
    if header.length.get() as usize != body.len() {
        return Err(Malformed::Length {
            told: header.length.get(),
            came: body.len(),
        });
    }
    if body.len() > LONGEST_BODY {
        return Err(Malformed::TooLong);
    }
    Ok((header, body))
}
