//! Transfers, which a host sends to a device, and the completions that end them.

use std::fmt;

use bytes::Bytes;

use crate::{EndpointAddress, Setup};

/// Names a transfer between [`Port::submit`](crate::Port::submit) and its completion; the submitter picks it, and no two
/// outstanding transfers of a port share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferId(pub u64);

/// One transfer, as a host submits it.
#[derive(Clone, Debug)]
#[doc(alias = "URB")]
pub struct Transfer {
    /// The submitter's name for it.
    pub id: TransferId,
    /// The endpoint; [`EndpointAddress::CONTROL`] for a control transfer.
    pub endpoint: EndpointAddress,
    /// What to move.
    pub kind: TransferKind,
}

/// What a transfer moves.
#[derive(Clone, Debug)]
pub enum TransferKind {
    /// A control transfer on endpoint zero.
    Control {
        /// Its setup packet.
        setup: Setup,
        /// The data stage, where it goes OUT.
        data: Bytes,
        /// How many bytes of an IN data stage the host has room for; never more than `setup.length` are sent.
        room: u32,
    },
    /// A bulk or interrupt transfer from the device.
    In {
        /// The most that the host takes, in bytes.
        length: u32,
    },
    /// A bulk or interrupt transfer to the device.
    Out {
        /// The payload, in one piece or in several.
        data: Payload,
        /// End with a zero-length packet where the payload is a multiple of the packet size.
        #[doc(alias = "URB_ZERO_PACKET")]
        zero_packet: bool,
    },
    /// An isochronous transfer, either way.
    Isochronous {
        /// The whole buffer, padding and all, for OUT; empty for IN.
        data: Bytes,
        /// The packets, each a window of the buffer. They come back, filled in, with the completion.
        packets: Vec<IsoPacket>,
    },
}

/// One packet of an isochronous transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct IsoPacket {
    /// Where its window begins in the transfer's buffer, in bytes.
    pub offset: u32,
    /// Its window's length: for IN the most that may come, for OUT what is sent, in bytes.
    pub length: u32,
    /// What moved, in bytes.
    pub actual_length: u32,
    /// How it ended.
    pub status: Status,
}

/// How a transfer, or an isochronous packet, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Status {
    /// All is well; an IN transfer may be short.
    #[default]
    Done,
    /// The endpoint stalled: it is halted, or a control request was refused.
    Stalled,
    /// The device sent a packet larger than the room left (babble).
    #[doc(alias = "babble")]
    Overflow,
    /// The transfer was taken back.
    Cancelled,
    /// The device is gone, or the configuration or setting that the endpoint belonged to is.
    Disconnected,
    /// The current configuration and settings have no such endpoint, or it is of another type.
    NoEndpoint,
    /// The bus's rules were broken, in a way that nobody told apart; or the device answered what no device may.
    ProtocolError,
    /// A packet came damaged, again and again.
    #[doc(alias = "USBD_STATUS_CRC")]
    Crc,
    /// The device did not answer.
    #[doc(alias = "USBD_STATUS_DEV_NOT_RESPONDING")]
    NoResponse,
    /// The host could not take the data as fast as it came.
    #[doc(alias = "USBD_STATUS_DATA_OVERRUN")]
    DataOverrun,
    /// The host could not give the data as fast as it was to go.
    #[doc(alias = "USBD_STATUS_DATA_UNDERRUN")]
    DataUnderrun,
    /// The host took the transfer back, as it had lasted too long.
    #[doc(alias = "USBD_STATUS_TIMEOUT")]
    TimedOut,
    /// An isochronous packet had no slot or no data in its frame.
    Missed,
    /// Whoever has the device lacks memory for it.
    #[doc(alias = "USBD_STATUS_INSUFFICIENT_RESOURCES")]
    NoMemory,
    /// Whoever has the device can't do this.
    #[doc(alias = "USBD_STATUS_NOT_SUPPORTED")]
    Unsupported,
    /// Something else, which is told by a number of Linux (`errno`).
    Other(u16),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Stalled => "it stalled",
            Self::Overflow => "it sent more than it was asked for (babble)",
            Self::Cancelled => "the transfer was taken back",
            Self::Disconnected => "the device is gone",
            Self::NoEndpoint => "it has no such endpoint",
            Self::ProtocolError => "it broke the bus's rules",
            Self::Crc => "packets came damaged",
            Self::NoResponse => "it did not answer",
            Self::DataOverrun => "the host could not take the data as fast as it came",
            Self::DataUnderrun => "the host could not give the data as fast as it was to go",
            Self::TimedOut => "it took too long",
            Self::Missed => "its frame was missed",
            Self::NoMemory => "the host lacks memory",
            Self::Unsupported => "the host can't do this",
            Self::Other(errno) => return write!(f, "error {errno}"),
        })
    }
}

/// The end of a transfer. Data may have come even where `status` tells of an error.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The transfer that ended.
    pub id: TransferId,
    /// How.
    pub status: Status,
    /// Bytes moved, either way; never more than were asked for.
    pub actual_length: u32,
    /// What came, for IN; `data.len()` is `actual_length`. Empty for OUT.
    pub data: Payload,
    /// For an isochronous transfer, its packets.
    pub iso: Option<IsoOutcome>,
}

impl Completion {
    /// A completion in which nothing moved.
    #[inline]
    pub fn empty(id: TransferId, status: Status) -> Self {
        Self {
            id,
            status,
            actual_length: 0,
            data: Payload::new(),
            iso: None,
        }
    }
}

/// What became of an isochronous transfer's packets.
#[derive(Clone, Debug, Default)]
pub struct IsoOutcome {
    /// The (micro)frame of the first packet.
    pub start_frame: u32,
    /// How many packets ended in error.
    pub error_count: u32,
    /// The packets in the order of the transfer. For IN the payload holds their data without gaps.
    pub packets: Vec<IsoPacket>,
}

/// Bytes that came from a device, in pieces: each a shared slice of where it was, so that nothing is copied.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    pieces: Pieces,
    length: usize,
}

/// The common payloads have one piece at the most: it is kept small for them, as it is moved about with each transfer.
#[derive(Clone, Debug, Default)]
enum Pieces {
    #[default]
    None,
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Payload {
    /// An empty payload.
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a piece; an empty one is dropped.
    #[inline]
    pub fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.length += piece.len();
        match &mut self.pieces {
            Pieces::None => self.pieces = Pieces::One(piece),
            Pieces::One(first) => {
                let first = std::mem::take(first);
                self.pieces = Pieces::Many(vec![first, piece]);
            }
            Pieces::Many(pieces) => pieces.push(piece),
        }
    }

    /// All of its bytes, counted.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The pieces in order, none of them empty.
    pub fn pieces(&self) -> &[Bytes] {
        match &self.pieces {
            Pieces::None => &[],
            Pieces::One(piece) => std::slice::from_ref(piece),
            Pieces::Many(pieces) => pieces,
        }
    }

    /// Takes the pieces out, in order.
    #[inline]
    pub fn into_pieces(self) -> impl Iterator<Item = Bytes> {
        let (one, many) = match self.pieces {
            Pieces::None => (None, Vec::new()),
            Pieces::One(piece) => (Some(piece), Vec::new()),
            Pieces::Many(pieces) => (None, pieces),
        };
        one.into_iter().chain(many)
    }

    /// Appends another payload's pieces.
    pub fn append(&mut self, other: Self) {
        other.into_pieces().for_each(|piece| self.push(piece));
    }

    /// Splits it in two: what comes after the first `at` bytes is taken out. Nothing is copied.
    pub fn split_off(&mut self, at: usize) -> Self {
        let mut after = Self::new();
        if at >= self.length {
            return after;
        }
        let mut before = Self::new();
        for mut piece in std::mem::take(self).into_pieces() {
            let room = at - before.len();
            if room == 0 {
                after.push(piece);
            } else if piece.len() <= room {
                before.push(piece);
            } else {
                after.push(piece.split_off(room));
                before.push(piece);
            }
        }
        *self = before;
        after
    }

    /// All bytes in one piece; copied only where there are several.
    pub fn into_bytes(self) -> Bytes {
        match self.pieces {
            Pieces::None => Bytes::new(),
            Pieces::One(piece) => piece,
            Pieces::Many(pieces) => pieces.concat().into(),
        }
    }

    /// A copy of all bytes in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces().concat()
    }
}

impl PartialEq<[u8]> for Payload {
    fn eq(&self, other: &[u8]) -> bool {
        let mut rest = other;
        self.length == other.len()
            && self.pieces().iter().all(|piece| {
                let (first, after) = rest.split_at(piece.len());
                rest = after;
                first == piece
            })
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static [u8]> for Payload {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl<const N: usize> From<&'static [u8; N]> for Payload {
    fn from(bytes: &'static [u8; N]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl FromIterator<Bytes> for Payload {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut payload = Self::new();
        pieces.into_iter().for_each(|piece| payload.push(piece));
        payload
    }
}

impl From<Bytes> for Payload {
    #[inline]
    fn from(piece: Bytes) -> Self {
        let length = piece.len();
        let pieces = match length {
            0 => Pieces::None,
            _ => Pieces::One(piece),
        };
        Self { pieces, length }
    }
}
