//! What follows a submit's header, and the transfer that it makes.

use bytes::{Buf, Bytes, BytesMut};
use usbwright_protocol::{
    Direction, EndpointAddress, IsoPacket, Port, Setup, TransferKind, TransferType,
    usbip::{
        errno::EPROTO,
        urb::{ISO_PACKET_SIZE, Submit, ZERO_PACKET, decode_iso_packet},
    },
};
use usbwright_wire_io::LARGE;

use super::SessionError;
use crate::server::Limits;

/// In a crowd, a payload smaller than this is copied out of the buffer that it came in.
const COPIED_BELOW: usize = LARGE / 4;

/// What follows a submit's header.
pub(super) struct Body {
    pub(super) endpoint: EndpointAddress,
    pub(super) transfer_type: Option<TransferType>,
    pub(super) isochronous: bool,
    /// Bytes of OUT data.
    payload: usize,
    packets: usize,
    /// Bytes that come when their time has come, whether or not the client reads: those of a periodic IN transfer.
    promised: usize,
}

impl Body {
    /// Checked against the limits before any of it is waited for.
    pub(super) fn measure(
        submit: &Submit,
        port: &dyn Port,
        limits: &Limits,
    ) -> Result<Self, SessionError> {
        let sequence = submit.sequence;
        if submit.length > limits.transfer {
            return Err(SessionError::TooLong {
                sequence,
                length: submit.length,
                limit: limits.transfer,
            });
        }
        let endpoint = match submit.endpoint {
            0 => EndpointAddress::CONTROL,
            number => EndpointAddress::new(number, submit.direction),
        };
        let transfer_type = port.transfer_type(endpoint);
        let isochronous = transfer_type == Some(TransferType::Isochronous);
        if isochronous && submit.packets > limits.iso_packets {
            return Err(SessionError::TooManyPackets {
                sequence,
                packets: submit.packets,
                limit: limits.iso_packets,
            });
        }
        Ok(Self {
            endpoint,
            transfer_type,
            isochronous,
            payload: match submit.direction {
                Direction::Out => submit.length as usize,
                Direction::In => 0,
            },
            packets: if isochronous {
                submit.packets as usize
            } else {
                0
            },
            promised: match (submit.direction, transfer_type) {
                (Direction::In, Some(TransferType::Isochronous | TransferType::Interrupt)) => {
                    submit.length as usize
                }
                _ => 0,
            },
        })
    }

    pub(super) fn size(&self) -> usize {
        self.payload + self.packets * ISO_PACKET_SIZE
    }

    /// What the transfer costs while it waits.
    pub(super) fn held(&self) -> usize {
        self.size() + self.promised
    }

    /// Takes the OUT data off the input. In a crowd a small one is copied, so that it keeps no more than itself alive.
    pub(super) fn take_payload(&self, input: &mut BytesMut, crowded: bool) -> Bytes {
        if self.payload == 0 {
            return Bytes::new();
        }
        if crowded && self.payload < COPIED_BELOW {
            let copy = Bytes::copy_from_slice(&input[..self.payload]);
            input.advance(self.payload);
            copy
        } else {
            input.split_to(self.payload).freeze()
        }
    }

    /// Takes the isochronous packets off the input, into a list that is used again.
    pub(super) fn take_packets(
        &self,
        submit: &Submit,
        input: &mut BytesMut,
        mut packets: Vec<IsoPacket>,
    ) -> Result<Vec<IsoPacket>, SessionError> {
        packets.clear();
        let (descriptions, _) = input[..self.packets * ISO_PACKET_SIZE].as_chunks();
        packets.extend(descriptions.iter().map(decode_iso_packet));
        input.advance(self.packets * ISO_PACKET_SIZE);
        let mut total = 0u64;
        for (packet, window) in packets.iter().enumerate() {
            total += u64::from(window.length);
            let end = u64::from(window.offset) + u64::from(window.length);
            if end > submit.length.into() || total > submit.length.into() {
                return Err(SessionError::PacketWindow {
                    sequence: submit.sequence,
                    packet,
                });
            }
        }
        Ok(packets)
    }

    /// What to submit, or the status that refuses it.
    pub(super) fn kind(
        &self,
        submit: &Submit,
        data: Bytes,
        packets: Vec<IsoPacket>,
    ) -> Result<TransferKind, i32> {
        if submit.endpoint == 0 {
            let setup: Setup = submit.setup();
            if setup.length > 0 && setup.direction() != submit.direction {
                return Err(-EPROTO);
            }
            return Ok(TransferKind::Control {
                setup,
                data,
                room: submit.length,
            });
        }
        Ok(match submit.direction {
            _ if self.isochronous => TransferKind::Isochronous { data, packets },
            Direction::In => TransferKind::In {
                length: submit.length,
            },
            Direction::Out => TransferKind::Out {
                data: data.into(),
                zero_packet: submit.flags & ZERO_PACKET != 0,
            },
        })
    }
}
