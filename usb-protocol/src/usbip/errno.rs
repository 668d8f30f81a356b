//! Statuses as USB/IP carries them: negative Linux error numbers, whatever system either side runs on.

use crate::Status;

/// The transfer was taken back, and whoever did so waited for it.
pub const ENOENT: i32 = 2;
/// Out of memory.
pub const ENOMEM: i32 = 12;
/// The endpoint stalled.
pub const EPIPE: i32 = 32;
/// An isochronous packet was missed.
pub const EXDEV: i32 = 18;
/// The device is gone.
pub const ENODEV: i32 = 19;
/// The data could not be given in time.
pub const ENOSR: i32 = 63;
/// The device did not answer.
pub const ETIME: i32 = 62;
/// The data could not be taken in time.
pub const ECOMM: i32 = 70;
/// The bus's rules were broken, or nobody answered.
pub const EPROTO: i32 = 71;
/// More came than there was room for.
pub const EOVERFLOW: i32 = 75;
/// A packet came damaged.
pub const EILSEQ: i32 = 84;
/// This can't be done.
pub const EOPNOTSUPP: i32 = 95;
/// The transfer was unlinked.
pub const ECONNRESET: i32 = 104;
/// The device or its endpoint is gone.
pub const ESHUTDOWN: i32 = 108;
/// The host took the transfer back as it had lasted too long.
pub const ETIMEDOUT: i32 = 110;
/// Less came than was wanted. Where the client says that it wants all of it, Linux' servers tell so.
pub const EREMOTEIO: i32 = 121;

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
            Self::Crc => -EILSEQ,
            Self::NoResponse => -ETIME,
            Self::DataOverrun => -ECOMM,
            Self::DataUnderrun => -ENOSR,
            Self::TimedOut => -ETIMEDOUT,
            Self::Missed => -EXDEV,
            Self::NoMemory => -ENOMEM,
            Self::Unsupported => -EOPNOTSUPP,
            Self::Other(errno) => -(errno as i32),
        }
    }

    /// What a status means that came over USB/IP. Short transfers are well ended, whatever the client had asked for.
    pub const fn from_wire(status: i32) -> Self {
        match status.wrapping_neg() {
            0 | EREMOTEIO => Self::Done,
            EPIPE => Self::Stalled,
            EOVERFLOW => Self::Overflow,
            ECONNRESET | ENOENT => Self::Cancelled,
            ESHUTDOWN | ENODEV => Self::Disconnected,
            EPROTO => Self::ProtocolError,
            EILSEQ => Self::Crc,
            ETIME => Self::NoResponse,
            ECOMM => Self::DataOverrun,
            ENOSR => Self::DataUnderrun,
            ETIMEDOUT => Self::TimedOut,
            EXDEV => Self::Missed,
            ENOMEM => Self::NoMemory,
            EOPNOTSUPP => Self::Unsupported,
            errno if errno > 0 && errno <= u16::MAX as i32 => Self::Other(errno as u16),
            _ => Self::ProtocolError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_the_wire() {
        for errno in 0..=u16::MAX {
            let wire = -i32::from(errno);
            let status = Status::from_wire(wire);
            assert_eq!(Status::from_wire(status.to_wire()), status, "{wire}");
        }
    }

    #[test]
    fn what_no_server_may_send_is_an_error() {
        for wire in [1, 32, i32::MIN, i32::MAX, -0x1_0000] {
            assert_eq!(Status::from_wire(wire), Status::ProtocolError);
        }
    }
}
