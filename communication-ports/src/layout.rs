//! Filter manager's headers, byte for byte.

use usbwright_host_stack::status::NtStatus;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U32, U64},
};

/// The bytes of either header.
pub const HEADER_LENGTH: u32 = 16;

/// What a message in a get's buffer begins with (`fltUserStructures.h`, on 64-bit systems). It may lie at any address.
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
#[doc(alias = "FILTER_MESSAGE_HEADER")]
pub struct FilterMessageHeader {
    /// Room for the reply, *its header included*; 0 where no reply is wanted.
    #[doc(alias = "ReplyLength")]
    pub reply_length: U32,
    /// Nothing.
    pub padding: U32,
    /// The message's number, which its reply repeats.
    #[doc(alias = "MessageId")]
    pub message_id: U64,
}

/// What a reply begins with (`fltUserStructures.h`, on 64-bit systems). It may lie at any address.
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
#[doc(alias = "FILTER_REPLY_HEADER")]
pub struct FilterReplyHeader {
    /// What the sender is told of the message.
    #[doc(alias = "Status")]
    pub status: U32,
    /// Nothing; whatever is there is not looked at.
    pub padding: U32,
    /// The number of the message that is replied to.
    #[doc(alias = "MessageId")]
    pub message_id: U64,
}

const _: () = assert!(size_of::<FilterMessageHeader>() == HEADER_LENGTH as usize);
const _: () = assert!(size_of::<FilterReplyHeader>() == HEADER_LENGTH as usize);

impl FilterMessageHeader {
    /// Of a message that wants a reply of so many bytes besides the header, or none.
    pub(crate) fn new(message_id: u64, reply: Option<u32>) -> Self {
        Self {
            reply_length: reply.map_or(0, |room| room + HEADER_LENGTH).into(),
            padding: 0.into(),
            message_id: message_id.into(),
        }
    }
}

impl FilterReplyHeader {
    /// Of a reply to this message.
    pub fn new(message_id: u64, status: NtStatus) -> Self {
        Self {
            status: status.0.into(),
            padding: 0.into(),
            message_id: message_id.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_laid_out_as_on_windows() {
        let message = FilterMessageHeader::new(0x0102_0304_0506_0708, Some(4));
        let bytes = [20, 0, 0, 0, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1];
        assert_eq!(message.as_bytes(), bytes);
        let reply = FilterReplyHeader::new(9, NtStatus::DATATYPE_MISALIGNMENT);
        let bytes = [2, 0, 0, 0x80, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(reply.as_bytes(), bytes);
    }

    #[test]
    fn a_header_is_read_at_any_address() {
        let mut bytes = [0; 17];
        bytes[1..].copy_from_slice(FilterReplyHeader::new(7, NtStatus::SUCCESS).as_bytes());
        let (header, rest) = FilterReplyHeader::ref_from_prefix(&bytes[1..]).unwrap();
        assert_eq!((header.message_id.get(), rest.len()), (7, 0));
    }
}
