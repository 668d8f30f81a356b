//! What clients do that ends their sessions.

use usbwright_protocol::usbip::urb::CommandError;

/// What a client did that no client may; its connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// A header that can't be meant.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A transfer larger than the server's limit.
    #[error("transfer {sequence} is of {length} bytes, over the limit of {limit}")]
    TooLong {
        /// The transfer's number.
        sequence: u32,
        /// Its length.
        length: u32,
        /// [`Limits::transfer`](crate::server::Limits::transfer).
        limit: u32,
    },
    /// More isochronous packets than the server's limit.
    #[error("transfer {sequence} has {packets} isochronous packets, over the limit of {limit}")]
    TooManyPackets {
        /// The transfer's number.
        sequence: u32,
        /// How many it has.
        packets: u32,
        /// [`Limits::iso_packets`](crate::server::Limits::iso_packets).
        limit: u32,
    },
    /// An isochronous packet outside its transfer's buffer, or packets that overlap.
    #[error(
        "transfer {sequence}: isochronous packet {packet} lies outside of the transfer's buffer or over another"
    )]
    PacketWindow {
        /// The transfer's number.
        sequence: u32,
        /// Which of its packets.
        packet: usize,
    },
    /// Two outstanding transfers of one number.
    #[error("transfer {0} was submitted while another of that number was under way")]
    Duplicate(u32),
}
