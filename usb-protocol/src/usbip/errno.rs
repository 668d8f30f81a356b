//! Statuses as USB/IP carries them: negative Linux error numbers, whatever system either side runs on.

use crate::Status;

/// Out of memory.
pub const ENOMEM: i32 = 12;
/// The endpoint stalled.
pub const EPIPE: i32 = 32;
/// An isochronous packet was missed.
pub const EXDEV: i32 = 18;
/// The bus's rules were broken, or nobody answered.
pub const EPROTO: i32 = 71;
/// More came than there was room for.
pub const EOVERFLOW: i32 = 75;
/// The transfer was unlinked.
pub const ECONNRESET: i32 = 104;
/// The device or its endpoint is gone.
pub const ESHUTDOWN: i32 = 108;

impl Status {
    /// The status as USB/IP carries it: 0 or a negative Linux error number (`Documentation/driver-api/usb/error-codes.rst`).
    ///
    /// An endpoint that does not exist is told as a stall, as Linux drivers take that for final and not for a glitch.
    pub const fn to_wire(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Stalled | Self::NoEndpoint => -EPIPE,
            Self::Overflow => -EOVERFLOW,
            Self::Cancelled => -ECONNRESET,
            Self::Disconnected => -ESHUTDOWN,
            Self::ProtocolError => -EPROTO,
            Self::Missed => -EXDEV,
        }
    }
}
