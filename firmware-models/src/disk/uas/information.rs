//! Information units: what host and device say to each other (UAS r04 §6.2).

use bytes::{BufMut, Bytes, BytesMut};

use crate::disk::scsi::Sense;

const COMMAND: u8 = 0x01;
const SENSE: u8 = 0x03;
const RESPONSE: u8 = 0x04;
const TASK_MANAGEMENT: u8 = 0x05;
const READ_READY: u8 = 0x06;
const WRITE_READY: u8 = 0x07;

/// What the host asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Command {
        tag: u16,
        /// The logical unit; `None` where it has none of the forms that a number has here.
        lun: Option<u8>,
        cdb: [u8; 16],
        /// Whether it is to come before those that wait.
        #[doc(alias = "HEAD OF QUEUE")]
        first: bool,
    },
    Manage {
        tag: u16,
        function: u8,
        /// The command it is about, for some functions.
        about: u16,
        lun: Option<u8>,
    },
    /// It is neither.
    Invalid { tag: u16 },
}

impl Request {
    pub(super) fn tag(&self) -> u16 {
        match self {
            Self::Command { tag, .. } | Self::Manage { tag, .. } | Self::Invalid { tag } => *tag,
        }
    }

    pub(super) fn read(bytes: &[u8]) -> Self {
        let number = |place: usize| match bytes.get(place..place + 2) {
            Some(number) => u16::from_be_bytes([number[0], number[1]]),
            None => 0,
        };
        let tag = number(2);
        match bytes.first() {
            // A command of more than 16 bytes has the rest behind them; none here is that long.
            Some(&COMMAND) if bytes.len() >= 32 && bytes[6] & 0xfc == 0 => {
                let mut cdb = [0; 16];
                cdb.copy_from_slice(&bytes[16..32]);
                Self::Command {
                    tag,
                    lun: lun(&bytes[8..16]),
                    cdb,
                    first: bytes[4] & 7 == 1,
                }
            }
            Some(&TASK_MANAGEMENT) if bytes.len() >= 16 => Self::Manage {
                tag,
                function: bytes[4],
                about: number(6),
                lun: lun(&bytes[8..16]),
            },
            _ => Self::Invalid { tag },
        }
    }
}

/// The number of a unit, by peripheral or by flat addressing (SAM-5 §4.7).
fn lun(bytes: &[u8]) -> Option<u8> {
    let rest_is_zero = bytes[2..].iter().all(|byte| *byte == 0);
    (rest_is_zero && matches!(bytes[0], 0 | 0x40)).then(|| bytes[1])
}

/// What became of a request that has no sense data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "RESPONSE CODE")]
pub(super) enum Answer {
    Complete = 0x00,
    InvalidInformationUnit = 0x02,
    NotSupported = 0x04,
    Succeeded = 0x08,
    IncorrectUnit = 0x09,
    OverlappedTag = 0x0a,
}

/// An information unit for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    ReadReady,
    WriteReady,
    /// A command has ended.
    Status(Result<(), Sense>),
    Response(Answer),
}

impl Reply {
    /// The information unit, in memory of `room`, which is used again.
    pub(super) fn bytes(self, tag: u16, room: &mut BytesMut) -> Bytes {
        const CHECK_CONDITION: u8 = 2;
        const LONGEST: usize = 34;
        let kind = match self {
            Self::ReadReady => READ_READY,
            Self::WriteReady => WRITE_READY,
            Self::Status(_) => SENSE,
            Self::Response(_) => RESPONSE,
        };
        room.reserve(LONGEST);
        room.extend_from_slice(&[kind, 0]);
        room.put_u16(tag);
        match self {
            Self::ReadReady | Self::WriteReady => {}
            Self::Response(answer) => room.extend_from_slice(&[0, 0, 0, answer as u8]),
            Self::Status(Ok(())) => room.put_bytes(0, 12),
            Self::Status(Err(sense)) => {
                let sense = sense.fixed();
                room.extend_from_slice(&[0, 0, CHECK_CONDITION, 0, 0, 0, 0, 0, 0, 0]);
                room.put_u16(sense.len() as u16);
                room.extend_from_slice(&sense);
            }
        }
        room.split().freeze()
    }
}
