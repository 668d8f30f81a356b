//! The end of a transfer, as a server tells it: checked against what was asked for, and turned into a completion.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use usbwright_protocol::{
    Completion, Direction, IsoOutcome, IsoPacket, Payload, Status,
    usbip::urb::{ISO_PACKET_SIZE, ReplyError, SubmitReply, decode_iso_outcome},
};

use super::{
    outstanding::{Kind, Pending},
    settings::Settings,
};

/// What a server did that no server may; its connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// A message that is no reply.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The end of a transfer that is not under way.
    #[error("it ended transfer {0}, which is not under way")]
    Unknown(u32),
    /// More bytes than were asked for, or fewer than none.
    #[error("it says that transfer {sequence} moved {told} bytes, of {length}")]
    Length {
        /// The transfer's number.
        sequence: u32,
        /// What it says.
        told: i32,
        /// What was asked for.
        length: u32,
    },
    /// More isochronous packets than were asked for.
    #[error("it says that transfer {sequence} had {told} isochronous packets, of {packets}")]
    Packets {
        /// The transfer's number.
        sequence: u32,
        /// What it says.
        told: u32,
        /// What was asked for.
        packets: usize,
    },
    /// Isochronous packets that move more than they may, or another sum than the transfer.
    #[error(
        "the isochronous packets of transfer {0} are larger than they may be, or of another size than the transfer in all"
    )]
    PacketLengths(u32),
    /// Transfers that have been taken back or reset, and are never answered.
    #[error("it leaves {0} transfers without an answer that have been taken back")]
    Unanswered(usize),
}

/// What follows a reply's header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    payload: usize,
    packets: usize,
}

impl Body {
    /// What follows the reply to a transfer of that kind, before any of it is waited for.
    #[inline]
    pub(super) fn measure(reply: &SubmitReply, kind: &Kind) -> Result<Self, PeerError> {
        let length = match kind {
            Kind::In { length, .. } | Kind::Out { length, .. } => *length,
            Kind::Isochronous(asked) => asked.length,
        };
        if reply.actual_length > length {
            return Err(PeerError::Length {
                sequence: reply.sequence,
                told: reply.actual_length.cast_signed(),
                length,
            });
        }
        let payload = reply.actual_length as usize;
        let (payload, packets) = match kind {
            Kind::In { .. } => (payload, 0),
            Kind::Out { .. } => (0, 0),
            Kind::Isochronous(asked) => {
                let told = reply.packets as usize;
                if told > asked.packets.len() {
                    return Err(PeerError::Packets {
                        sequence: reply.sequence,
                        told: reply.packets,
                        packets: asked.packets.len(),
                    });
                }
                match asked.direction {
                    Direction::In => (payload, told),
                    Direction::Out => (0, told),
                }
            }
        };
        Ok(Self { payload, packets })
    }

    #[inline]
    pub(super) fn size(self) -> usize {
        self.payload + self.packets * ISO_PACKET_SIZE
    }

    /// Takes the body out of `input`, and adds the transfer's end for its owner, if it has one.
    #[inline]
    pub(super) fn end(
        self,
        reply: &SubmitReply,
        pending: Pending,
        input: &mut BytesMut,
        settings: &mut Settings,
        ends: &mut VecDeque<Completion>,
    ) -> Result<(), PeerError> {
        let status = Status::from_wire(reply.status);
        let mut data = self.payload(&pending, input);
        let mut moved = reply.actual_length;
        let iso = match pending.kind {
            Kind::In { room, .. } => {
                data.truncate(room as usize);
                moved = moved.min(room);
                None
            }
            Kind::Out { length, change } => {
                if status == Status::Done {
                    // What ends well has been taken whole, though not every server tells how much that was.
                    moved = length;
                    if let Some(change) = change {
                        settings.apply(change);
                    }
                }
                None
            }
            Kind::Isochronous(asked) => Some(self.packets(reply, status, asked.packets, input)?),
        };
        if let Some(id) = pending.owner {
            ends.push_back(Completion {
                id,
                status,
                actual_length: moved,
                data: Payload::from(data),
                iso,
            });
        }
        Ok(())
    }

    /// The payload, which keeps the receive buffer alive only where somebody wants it.
    #[inline]
    fn payload(self, pending: &Pending, input: &mut BytesMut) -> Bytes {
        if self.payload == 0 {
            return Bytes::new();
        }
        if pending.owner.is_none() {
            input.advance(self.payload);
            return Bytes::new();
        }
        input.split_to(self.payload).freeze()
    }

    /// What became of the packets. Their windows are those that were asked for, whatever the server makes of them.
    fn packets(
        self,
        reply: &SubmitReply,
        status: Status,
        mut packets: Vec<IsoPacket>,
        input: &mut BytesMut,
    ) -> Result<IsoOutcome, PeerError> {
        let (told, _) = input[..self.packets * ISO_PACKET_SIZE].as_chunks();
        let mut total = 0u64;
        for (packet, told) in packets.iter_mut().zip(told) {
            let told = decode_iso_outcome(told);
            if told.actual_length > packet.length {
                return Err(PeerError::PacketLengths(reply.sequence));
            }
            total += u64::from(told.actual_length);
            packet.actual_length = told.actual_length;
            packet.status = told.status;
        }
        if total != u64::from(reply.actual_length) {
            return Err(PeerError::PacketLengths(reply.sequence));
        }
        input.advance(self.packets * ISO_PACKET_SIZE);
        for untold in &mut packets[self.packets..] {
            untold.actual_length = 0;
            untold.status = match status {
                Status::Done => Status::Missed,
                status => status,
            };
        }
        Ok(IsoOutcome {
            start_frame: reply.start_frame,
            error_count: reply.error_count,
            packets,
        })
    }
}
