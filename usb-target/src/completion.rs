//! How a transfer ended: what moved, and what went wrong, together.

use std::fmt;

use usbwright_protocol::{Direction, EndpointAddress, IsoOutcome, Payload, Status, TransferType};

/// The end of a transfer. What moved is told whether or not it ended well.
#[derive(Clone, Debug, Default)]
#[must_use = "a transfer may have failed"]
pub struct Completion {
    /// What went wrong, if anything did.
    pub error: Option<TransferError>,
    /// Bytes moved, either way.
    pub length: usize,
    /// What came, for IN: `data.len()` is `length`. For OUT it is empty.
    pub data: Payload,
    /// For an isochronous transfer, its packets.
    pub iso: Option<IsoOutcome>,
}

/// Why a transfer did not end well, or did not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// It ended so on the bus.
    #[error("{0}")]
    Usb(Status),
    /// The pipe belongs to a configuration or setting that is in force no more.
    #[error(
        "endpoint {0} is of a configuration or setting that is in force no more: get the pipe anew"
    )]
    Stale(EndpointAddress),
    /// The pipe goes the other way.
    #[error("endpoint {address} goes {}: it can't be {}", .address.direction(), verb(*.wanted))]
    Direction {
        /// The endpoint.
        address: EndpointAddress,
        /// Which way was wanted.
        wanted: Direction,
    },
    /// The pipe is of another type.
    #[error("endpoint {address} is of type {is:?}, which this transfer is not for")]
    Type {
        /// The endpoint.
        address: EndpointAddress,
        /// Its type.
        is: TransferType,
    },
    /// Raw reads are of whole packets.
    #[error("a raw read is of whole packets: {length} bytes are no multiple of {packet}")]
    NotWholePackets {
        /// Bytes asked for.
        length: usize,
        /// Bytes in a packet.
        packet: usize,
    },
    /// It is longer than a transfer may be.
    #[error("{length} bytes are more than a transfer may have, which is {most}")]
    TooLong {
        /// Bytes asked for.
        length: usize,
        /// The most.
        most: usize,
    },
    /// The data is not as long as the setup packet tells.
    #[error("the setup packet tells of {told} bytes (wLength), but the data has {given}")]
    DataStage {
        /// `wLength`.
        told: usize,
        /// Bytes given.
        given: usize,
    },
    /// There is data to go OUT, though the setup packet tells of a data stage IN.
    #[error("the setup packet tells of a data stage IN, but {0} bytes are given to go OUT")]
    DataForIn(usize),
    /// A request that changes what the host knows of the device.
    #[error("standard request {0} is the host's own: use set_configuration or set_alternate")]
    Reserved(u8),
    /// A continuous reader has the pipe.
    #[error("a continuous reader reads endpoint {0}: stop it first")]
    Reading(EndpointAddress),
}

fn verb(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "read",
        Direction::Out => "written",
    }
}

impl From<Status> for TransferError {
    fn from(status: Status) -> Self {
        Self::Usb(status)
    }
}

impl TransferError {
    /// The status on the bus; `None` where the transfer did not get there.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Usb(status) => Some(*status),
            _ => None,
        }
    }
}

/// What a transfer moved that ended well.
#[derive(Clone, Debug, Default)]
pub struct Transferred {
    /// Bytes moved, either way.
    pub length: usize,
    /// What came, for IN.
    pub data: Payload,
    /// For an isochronous transfer, its packets.
    pub iso: Option<IsoOutcome>,
}

/// A transfer that failed, with what had moved.
#[derive(Clone, Debug)]
pub struct TransferFailed {
    /// What went wrong.
    pub error: TransferError,
    /// Bytes moved, either way.
    pub length: usize,
    /// What came, for IN.
    pub data: Payload,
}

impl fmt::Display for TransferFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        match self.length {
            0 => Ok(()),
            bytes => write!(f, " (after {bytes} bytes)"),
        }
    }
}

impl std::error::Error for TransferFailed {}

impl Completion {
    pub(crate) fn failed(error: TransferError) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }

    /// What moved, or an error with what had moved.
    ///
    /// # Errors
    /// Where the transfer failed.
    pub fn ok(self) -> Result<Transferred, TransferFailed> {
        match self.error {
            None => Ok(Transferred {
                length: self.length,
                data: self.data,
                iso: self.iso,
            }),
            Some(error) => Err(TransferFailed {
                error,
                length: self.length,
                data: self.data,
            }),
        }
    }

    /// The status on the bus: `Done` where all is well, `None` where the transfer did not get there.
    pub fn status(&self) -> Option<Status> {
        match &self.error {
            None => Some(Status::Done),
            Some(error) => error.status(),
        }
    }

    /// Whether it ended with this status on the bus.
    pub fn ended(&self, status: Status) -> bool {
        self.status() == Some(status)
    }
}

impl From<usbwright_protocol::Completion> for Completion {
    fn from(ended: usbwright_protocol::Completion) -> Self {
        Self {
            error: match ended.status {
                Status::Done => None,
                status => Some(status.into()),
            },
            length: ended.actual_length as usize,
            data: ended.data,
            iso: ended.iso,
        }
    }
}
