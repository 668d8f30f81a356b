//! The transfer phase: submitting and unlinking transfers, and their replies.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::{BE, U32},
};

use crate::{Direction, IsoPacket, Setup, Status};

/// The bytes of every message's header.
pub const HEADER_SIZE: usize = size_of::<RawHeader>();
/// The bytes that describe an isochronous packet.
pub const ISO_PACKET_SIZE: usize = size_of::<RawIsoPacket>();

const SUBMIT: u32 = 1;
const UNLINK: u32 = 2;
const SUBMIT_REPLY: u32 = 3;
const UNLINK_REPLY: u32 = 4;

/// A transfer flag: an isochronous transfer begins as soon as it can.
#[doc(alias = "USBIP_URB_ISO_ASAP")]
pub const ISO_ASAP: u32 = 0x0002;
/// A transfer flag: the data goes IN.
#[doc(alias = "USBIP_URB_DIR_IN")]
pub const DIRECTION_IN: u32 = 0x0200;
/// A transfer flag: an OUT transfer ends with a zero-length packet where it fills its last packet.
pub const ZERO_PACKET: u32 = 0x0040;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHeader {
    command: U32<BE>,
    sequence: U32<BE>,
    device_id: U32<BE>,
    direction: U32<BE>,
    endpoint: U32<BE>,
    words: [U32<BE>; 5],
    setup: [u8; 8],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawIsoPacket {
    offset: U32<BE>,
    length: U32<BE>,
    actual_length: U32<BE>,
    status: U32<BE>,
}

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start a transfer. OUT data and isochronous packets follow.
    #[doc(alias = "USBIP_CMD_SUBMIT")]
    Submit(Submit),
    /// Take a transfer back.
    #[doc(alias = "USBIP_CMD_UNLINK")]
    Unlink {
        /// This message's own number.
        sequence: u32,
        /// The number of the submit to take back.
        target: u32,
    },
}

/// The header of a submitted transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submit {
    /// The transfer's number.
    #[doc(alias = "seqnum")]
    pub sequence: u32,
    /// The device, as the import told it.
    #[doc(alias = "devid")]
    pub device_id: u32,
    /// Which way the data goes.
    pub direction: Direction,
    /// The endpoint's number.
    pub endpoint: u8,
    /// See [`ZERO_PACKET`]; the client's own system sees to the others.
    pub flags: u32,
    /// Bytes in the transfer's buffer.
    #[doc(alias = "transfer_buffer_length")]
    pub length: u32,
    /// Isochronous: packets that follow. Others: 0, -1 or anything.
    #[doc(alias = "number_of_packets")]
    pub packets: u32,
    /// In (micro)frames; not to be relied upon.
    pub interval: u32,
    /// Control: the setup packet, as it is on the bus.
    pub setup: [u8; 8],
}

/// The most isochronous packets that Linux' servers take in a transfer; they lose their place in the stream over more.
#[doc(alias = "USBIP_MAX_ISO_PACKETS")]
pub const ISO_PACKETS_MOST: usize = 1024;

/// A message of a client whose header can't be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Neither submit nor unlink.
    #[error("message {sequence}: {command:#010x} is no command (1 submits, 2 unlinks)")]
    Command {
        /// What stands in the command's place.
        command: u32,
        /// The message's number.
        sequence: u32,
    },
    /// A direction other than 0 and 1.
    #[error("message {sequence}: {direction} is no direction (0 is OUT, 1 is IN)")]
    Direction {
        /// What stands in the direction's place.
        direction: u32,
        /// The message's number.
        sequence: u32,
    },
    /// An endpoint over 15.
    #[error("message {sequence}: {endpoint} is no endpoint number (0 to 15)")]
    Endpoint {
        /// What stands in the endpoint's place.
        endpoint: u32,
        /// The message's number.
        sequence: u32,
    },
}

impl Command {
    /// Reads a message's header.
    #[inline]
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Result<Self, CommandError> {
        let raw = RawHeader::ref_from_bytes(bytes).expect("the array has the struct's size");
        let sequence = raw.sequence.get();
        match raw.command.get() {
            SUBMIT => Submit::from_raw(raw).map(Self::Submit),
            UNLINK => Ok(Self::Unlink {
                sequence,
                target: raw.words[0].get(),
            }),
            command => Err(CommandError::Command { command, sequence }),
        }
    }

    /// Writes a message's header; for clients.
    #[inline]
    pub fn encode(self) -> [u8; HEADER_SIZE] {
        match self {
            Self::Submit(submit) => submit.encode(),
            Self::Unlink { sequence, target } => {
                encode(UNLINK, sequence, [target, 0, 0, 0, 0], [0; 8])
            }
        }
    }
}

impl Submit {
    fn from_raw(raw: &RawHeader) -> Result<Self, CommandError> {
        let sequence = raw.sequence.get();
        let direction = match raw.direction.get() {
            0 => Direction::Out,
            1 => Direction::In,
            direction => {
                return Err(CommandError::Direction {
                    direction,
                    sequence,
                });
            }
        };
        let endpoint = raw.endpoint.get();
        let [flags, length, _start_frame, packets, interval] = raw.words;
        Ok(Self {
            sequence,
            device_id: raw.device_id.get(),
            direction,
            endpoint: u8::try_from(endpoint)
                .ok()
                .filter(|endpoint| *endpoint < 16)
                .ok_or(CommandError::Endpoint { endpoint, sequence })?,
            flags: flags.get(),
            length: length.get(),
            packets: packets.get(),
            interval: interval.get(),
            setup: raw.setup,
        })
    }

    fn encode(self) -> [u8; HEADER_SIZE] {
        let mut bytes = encode(
            SUBMIT,
            self.sequence,
            [self.flags, self.length, 0, self.packets, self.interval],
            self.setup,
        );
        let raw = RawHeader::mut_from_bytes(&mut bytes).expect("the array has the struct's size");
        raw.device_id = self.device_id.into();
        raw.direction = (self.direction as u32).into();
        raw.endpoint = u32::from(self.endpoint).into();
        bytes
    }

    /// The setup packet, decoded.
    pub fn setup(&self) -> Setup {
        Setup::from_bytes(self.setup)
    }
}

/// A message of a server that is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message {sequence}: {reply:#010x} is no reply (3 ends a transfer, 4 answers an unlink)")]
pub struct ReplyError {
    /// What stands in the reply's place.
    pub reply: u32,
    /// The message's number.
    pub sequence: u32,
}

/// What a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A transfer has ended. IN data and isochronous packets follow.
    #[doc(alias = "USBIP_RET_SUBMIT")]
    Submit(SubmitReply),
    /// An unlink has been dealt with.
    #[doc(alias = "USBIP_RET_UNLINK")]
    Unlink {
        /// The unlink's own number.
        sequence: u32,
        /// `-ECONNRESET` where the transfer was taken back, 0 where it had ended already.
        status: i32,
    },
}

/// The header of an ended transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SubmitReply {
    /// The transfer's number.
    pub sequence: u32,
    /// 0 or a negative Linux error number.
    pub status: i32,
    /// Bytes moved; for IN, so many follow.
    pub actual_length: u32,
    /// Isochronous: the frame it began in.
    pub start_frame: u32,
    /// What the submit said.
    pub packets: u32,
    /// Isochronous: packets that failed.
    pub error_count: u32,
}

impl Reply {
    /// Writes a message's header. Device, direction and endpoint are zero, as the kernel leaves them.
    #[inline]
    pub fn encode(self) -> [u8; HEADER_SIZE] {
        match self {
            Self::Submit(reply) => encode(
                SUBMIT_REPLY,
                reply.sequence,
                [
                    reply.status.cast_unsigned(),
                    reply.actual_length,
                    reply.start_frame,
                    reply.packets,
                    reply.error_count,
                ],
                [0; 8],
            ),
            Self::Unlink { sequence, status } => encode(
                UNLINK_REPLY,
                sequence,
                [status.cast_unsigned(), 0, 0, 0, 0],
                [0; 8],
            ),
        }
    }

    /// Reads a message's header; for clients.
    #[inline]
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Result<Self, ReplyError> {
        let raw = RawHeader::ref_from_bytes(bytes).expect("the array has the struct's size");
        let sequence = raw.sequence.get();
        let [status, actual_length, start_frame, packets, error_count] = raw.words;
        match raw.command.get() {
            SUBMIT_REPLY => Ok(Self::Submit(SubmitReply {
                sequence,
                status: status.get().cast_signed(),
                actual_length: actual_length.get(),
                start_frame: start_frame.get(),
                packets: packets.get(),
                error_count: error_count.get(),
            })),
            UNLINK_REPLY => Ok(Self::Unlink {
                sequence,
                status: status.get().cast_signed(),
            }),
            reply => Err(ReplyError { reply, sequence }),
        }
    }
}

fn encode(command: u32, sequence: u32, words: [u32; 5], setup: [u8; 8]) -> [u8; HEADER_SIZE] {
    zerocopy::transmute!(RawHeader {
        command: command.into(),
        sequence: sequence.into(),
        device_id: 0.into(),
        direction: 0.into(),
        endpoint: 0.into(),
        words: words.map(U32::new),
        setup,
    })
}

/// Appends the description of an isochronous packet.
pub fn encode_iso_packet(packet: &IsoPacket, out: &mut Vec<u8>) {
    let raw = RawIsoPacket {
        offset: packet.offset.into(),
        length: packet.length.into(),
        actual_length: packet.actual_length.into(),
        status: packet.status.to_wire().cast_unsigned().into(),
    };
    out.extend_from_slice(raw.as_bytes());
}

/// Writes the header of an unlink of one device's transfer; for clients, as Linux' servers look at the device's number.
#[doc(alias = "USBIP_CMD_UNLINK")]
pub fn encode_unlink(device_id: u32, sequence: u32, target: u32) -> [u8; HEADER_SIZE] {
    let mut bytes = Command::Unlink { sequence, target }.encode();
    let raw = RawHeader::mut_from_bytes(&mut bytes).expect("the array has the struct's size");
    raw.device_id = device_id.into();
    bytes
}

/// Reads what became of a packet: how much moved, and how it ended; for clients. Its window is as the server tells it.
pub fn decode_iso_outcome(bytes: &[u8; ISO_PACKET_SIZE]) -> IsoPacket {
    let raw = RawIsoPacket::ref_from_bytes(bytes).expect("the array has the struct's size");
    IsoPacket {
        offset: raw.offset.get(),
        length: raw.length.get(),
        actual_length: raw.actual_length.get(),
        status: Status::from_wire(raw.status.get().cast_signed()),
    }
}

/// Reads the description of a packet that is yet to move.
pub fn decode_iso_packet(bytes: &[u8; ISO_PACKET_SIZE]) -> IsoPacket {
    let raw = RawIsoPacket::ref_from_bytes(bytes).expect("the array has the struct's size");
    IsoPacket {
        offset: raw.offset.get(),
        length: raw.length.get(),
        actual_length: 0,
        status: Status::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submit_reads_back_as_written() {
        let submit = Submit {
            sequence: 7,
            device_id: 0x10002,
            direction: Direction::In,
            endpoint: 15,
            flags: ZERO_PACKET,
            length: 65536,
            packets: u32::MAX,
            interval: 8,
            setup: [1, 2, 3, 4, 5, 6, 7, 8],
        };
        let bytes = Command::Submit(submit).encode();
        assert_eq!(bytes[..8], [0, 0, 0, 1, 0, 0, 0, 7]);
        assert_eq!(bytes[0x18..0x1c], 65536u32.to_be_bytes());
        assert_eq!(Command::decode(&bytes), Ok(Command::Submit(submit)));
    }

    #[test]
    fn an_unlink_names_its_target_where_a_submit_has_its_flags() {
        let unlink = Command::Unlink {
            sequence: 9,
            target: 7,
        };
        let bytes = unlink.encode();
        assert_eq!(bytes[0x14..0x18], 7u32.to_be_bytes());
        assert_eq!(Command::decode(&bytes), Ok(unlink));
    }

    #[test]
    fn an_unlink_of_a_client_names_the_device() {
        let bytes = encode_unlink(0x10002, 9, 7);
        assert_eq!(bytes[8..12], 0x10002u32.to_be_bytes());
        let unlink = Command::Unlink {
            sequence: 9,
            target: 7,
        };
        assert_eq!(Command::decode(&bytes), Ok(unlink));
    }

    #[test]
    fn a_packet_that_has_moved_reads_back_as_written() {
        let packet = IsoPacket {
            offset: 1,
            length: 20,
            actual_length: 3,
            status: Status::Missed,
        };
        let mut bytes = Vec::new();
        encode_iso_packet(&packet, &mut bytes);
        assert_eq!(decode_iso_outcome(bytes.first_chunk().unwrap()), packet);
    }

    #[test]
    fn what_is_no_reply_is_refused_by_name() {
        let bytes = encode_unlink(1, 9, 7);
        let error = Reply::decode(&bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "message 9: 0x00000002 is no reply (3 ends a transfer, 4 answers an unlink)"
        );
    }

    #[test]
    fn replies_read_back_as_written() {
        for reply in [
            Reply::Submit(SubmitReply {
                sequence: 1,
                status: -32,
                actual_length: 2,
                start_frame: 3,
                packets: 4,
                error_count: 5,
            }),
            Reply::Unlink {
                sequence: 6,
                status: -104,
            },
        ] {
            assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }
    }

    #[test]
    fn headers_that_cannot_be_meant_are_refused() {
        let mut bytes = Command::Unlink {
            sequence: 1,
            target: 2,
        }
        .encode();
        bytes[3] = 9;
        assert!(matches!(
            Command::decode(&bytes),
            Err(CommandError::Command { command: 9, .. })
        ));
        bytes[3] = 1;
        bytes[0x0f] = 2;
        assert!(matches!(
            Command::decode(&bytes),
            Err(CommandError::Direction { direction: 2, .. })
        ));
        bytes[0x0f] = 0;
        bytes[0x13] = 16;
        assert!(matches!(
            Command::decode(&bytes),
            Err(CommandError::Endpoint { endpoint: 16, .. })
        ));
    }
}
