//! The transfers of one remote device: commands out, replies in, no I/O.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use tracing::{debug, trace};
use usbwright_protocol::{
    Completion, Direction, EndpointAddress, IsoPacket, Setup, Status, Transfer, TransferId,
    TransferKind, TransferType,
    usbip::{
        errno::{ECONNRESET, ENOENT},
        operation::ExportedDevice,
        urb::{
            Command, DIRECTION_IN, HEADER_SIZE, ISO_ASAP, ISO_PACKETS_MOST, Reply, Submit,
            SubmitReply, ZERO_PACKET, encode_iso_packet, encode_unlink,
        },
    },
};
use usbwright_wire_io::Outbox;

use super::{
    outstanding::{Kind, Outstanding, Packets, Pending},
    replies::{Body, PeerError},
    settings::{Change, Settings},
};

/// SET_FEATURE(PORT_RESET) to a hub's port, by which clients reset the device (`stub_rx.c`, usbip-win2).
const PORT_RESET: [u8; 8] = [0x23, 0x03, 0x04, 0, 0, 0, 0, 0];
/// Transfers that may be left without an answer, after they have ended for their owners.
const UNANSWERED_MOST: usize = 1 << 16;
/// A payload of so many bytes or fewer is copied behind its header: that takes less than to write it from where it lies.
const COPIED: usize = 1024;
/// The longest transfer: lengths are signed at the servers.
const LENGTH_MOST: usize = i32::MAX as usize;

/// The state of a session between two messages.
#[derive(Debug)]
pub(super) struct Session {
    /// The number that every command carries.
    device_id: u32,
    pub(super) settings: Settings,
    pub(super) out: Outbox,
    pub(super) outstanding: Outstanding,
    pub(super) completions: VecDeque<Completion>,
    /// Bytes of the last reply, header and all.
    pub(super) usual: usize,
}

impl Session {
    pub(super) fn new(device: &ExportedDevice) -> Self {
        Self {
            device_id: device.device_id(),
            settings: Settings::new(device.summary.clone()),
            out: Outbox::default(),
            outstanding: Outstanding::new(),
            completions: VecDeque::new(),
            usual: HEADER_SIZE,
        }
    }

    #[inline(always)]
    pub(super) fn submit(&mut self, transfer: Transfer) {
        let Transfer { id, endpoint, kind } = transfer;
        if let Err(status) = self.check(endpoint, &kind) {
            debug!(%endpoint, ?status, "transfer refused");
            return self.refuse(id, kind, status);
        }
        match kind {
            TransferKind::Control { setup, data, room } => self.control(id, setup, data, room),
            TransferKind::In { length } => {
                let kind = Kind::In {
                    length,
                    room: length,
                };
                let length = length as usize;
                self.command(id, endpoint, Direction::In, DIRECTION_IN, length, kind);
            }
            TransferKind::Out { data, zero_packet } => {
                let flags = if zero_packet { ZERO_PACKET } else { 0 };
                let length = wire(data.len());
                let change = None;
                let kind = Kind::Out { length, change };
                self.command(id, endpoint, Direction::Out, flags, data.len(), kind);
                let out = &mut self.out;
                match data.len() {
                    0..=COPIED => out.push_head(|heads| {
                        let pieces = data.pieces().iter();
                        pieces.for_each(|it| heads.extend_from_slice(it));
                    }),
                    _ => data.into_pieces().for_each(|piece| out.push_payload(piece)),
                }
            }
            TransferKind::Isochronous { data, packets } => {
                self.isochronous(id, endpoint, data, packets);
            }
        }
    }

    /// Whether a transfer may be sent. Linux' server closes the connection over those that a host's USB stack refuses.
    #[inline]
    fn check(&self, address: EndpointAddress, kind: &TransferKind) -> Result<(), Status> {
        let endpoint = self.settings.endpoint(address);
        let isochronous = matches!(kind, TransferKind::Isochronous { .. });
        let fits = match kind {
            TransferKind::Control { .. } => address.is_control(),
            _ if address.is_control() => false,
            TransferKind::In { .. } => address.direction() == Direction::In,
            TransferKind::Out { .. } => address.direction() == Direction::Out,
            TransferKind::Isochronous { .. } => true,
        };
        let other = endpoint.transfer_type.is_some_and(|transfer_type| {
            isochronous != (transfer_type == TransferType::Isochronous)
        });
        if !fits || other || endpoint.present == Some(false) {
            return Err(Status::NoEndpoint);
        }
        match kind {
            TransferKind::Control { setup, data, .. } => {
                let expected = match setup.direction() {
                    Direction::In => 0,
                    Direction::Out => setup.length.into(),
                };
                (data.len() == expected)
                    .then_some(())
                    .ok_or(Status::ProtocolError)
            }
            TransferKind::In { length } => fitting(*length as usize),
            TransferKind::Out { data, .. } => fitting(data.len()),
            TransferKind::Isochronous { data, packets } => {
                check_packets(address.direction(), data, packets)
            }
        }
    }

    /// Ends a transfer that is not sent.
    fn refuse(&mut self, id: TransferId, kind: TransferKind, status: Status) {
        let mut pending = Pending {
            owner: Some(id),
            kind: match kind {
                TransferKind::Isochronous { packets, .. } => Kind::Isochronous(Box::new(Packets {
                    direction: Direction::Out,
                    length: 0,
                    packets,
                })),
                _ => Kind::Out {
                    length: 0,
                    change: None,
                },
            },
            unlink: None,
        };
        self.completions.extend(pending.end(status));
    }

    fn control(&mut self, id: TransferId, setup: Setup, data: Bytes, room: u32) {
        let direction = setup.direction();
        let length = u32::from(setup.length);
        let (flags, kind) = match direction {
            // The whole data stage is asked for, as Linux' servers refuse less.
            Direction::In => (DIRECTION_IN, Kind::In { length, room }),
            Direction::Out => {
                let change = Change::of(&setup);
                (0, Kind::Out { length, change })
            }
        };
        let sequence = self.outstanding.add(Some(id), kind);
        self.push(Submit {
            flags,
            length,
            setup: setup.to_bytes(),
            ..self.header(sequence, EndpointAddress::CONTROL, direction)
        });
        if !data.is_empty() {
            self.out.push_payload(data);
        }
    }

    fn isochronous(
        &mut self,
        id: TransferId,
        endpoint: EndpointAddress,
        data: Bytes,
        packets: Vec<IsoPacket>,
    ) {
        let direction = endpoint.direction();
        let (length, flags) = match direction {
            Direction::In => (span(&packets), DIRECTION_IN | ISO_ASAP),
            Direction::Out => (data.len() as u64, ISO_ASAP),
        };
        // It has been checked that both fit.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let count = wire(packets.len());
        let descriptions = |out: &mut Vec<u8>| {
            for packet in &packets {
                let unmoved = IsoPacket {
                    actual_length: 0,
                    status: Status::Done,
                    ..*packet
                };
                encode_iso_packet(&unmoved, out);
            }
        };
        let sequence = self.outstanding.number();
        self.push(Submit {
            flags,
            length,
            packets: count,
            ..self.header(sequence, endpoint, direction)
        });
        if !data.is_empty() {
            self.out.push_payload(data);
        }
        self.out.push_head(descriptions);
        let kind = Kind::Isochronous(Box::new(Packets {
            direction,
            length,
            packets,
        }));
        self.outstanding.insert(sequence, Some(id), kind);
    }

    #[inline(always)]
    fn command(
        &mut self,
        id: TransferId,
        endpoint: EndpointAddress,
        direction: Direction,
        flags: u32,
        length: usize,
        kind: Kind,
    ) {
        let sequence = self.outstanding.add(Some(id), kind);
        trace!(sequence, %endpoint, length, "submit");
        self.push(Submit {
            flags,
            length: wire(length),
            ..self.header(sequence, endpoint, direction)
        });
    }

    #[inline]
    fn header(&self, sequence: u32, endpoint: EndpointAddress, direction: Direction) -> Submit {
        Submit {
            sequence,
            device_id: self.device_id,
            direction,
            endpoint: endpoint.number(),
            flags: 0,
            length: 0,
            packets: 0,
            interval: self.settings.endpoint(endpoint).interval,
            setup: [0; 8],
        }
    }

    #[inline]
    fn push(&mut self, submit: Submit) {
        self.out.push_message(&Command::Submit(submit).encode());
    }

    pub(super) fn cancel(&mut self, id: TransferId) {
        if let Some(target) = self.outstanding.number_of(id) {
            self.unlink(target);
        }
    }

    fn unlink(&mut self, target: u32) {
        if let Some(sequence) = self.outstanding.unlink(target) {
            trace!(sequence, target, "unlink");
            let unlink = encode_unlink(self.device_id, sequence, target);
            self.out.push_message(&unlink);
        }
    }

    /// Ends everything under way and asks for a reset of the device, whose answer is of no interest.
    ///
    /// # Errors
    /// Where the server has been leaving too much without an answer.
    pub(super) fn reset(&mut self) -> Result<(), PeerError> {
        for target in self.outstanding.owned() {
            self.unlink(target);
            let end = self.outstanding.disown(target, Status::Disconnected);
            self.completions.extend(end);
        }
        self.settings.reset();
        let kind = Kind::Out {
            length: 0,
            change: None,
        };
        let sequence = self.outstanding.add(None, kind);
        self.push(Submit {
            setup: PORT_RESET,
            ..self.header(sequence, EndpointAddress::CONTROL, Direction::Out)
        });
        match self.outstanding.ownerless() {
            count if count > UNANSWERED_MOST => Err(PeerError::Unanswered(count)),
            _ => Ok(()),
        }
    }

    /// Ends everything under way, as the device is gone.
    pub(super) fn break_off(&mut self) {
        for target in self.outstanding.owned() {
            let end = self.outstanding.disown(target, Status::Disconnected);
            self.completions.extend(end);
        }
        self.outstanding.clear();
        self.out.clear();
    }

    /// Takes the whole replies out of `input`, and returns how many bytes the next one has at the least.
    ///
    /// # Errors
    /// Where the server breaks the protocol. The session is of no use any more then but for [`break_off`](Self::break_off).
    pub(super) fn receive(&mut self, input: &mut BytesMut) -> Result<usize, PeerError> {
        loop {
            let Some(header) = input.first_chunk::<HEADER_SIZE>() else {
                return Ok(HEADER_SIZE);
            };
            match Reply::decode(header)? {
                Reply::Unlink { sequence, status } => {
                    input.advance(HEADER_SIZE);
                    self.unlinked(sequence, status);
                }
                Reply::Submit(reply) => {
                    let pending = self.outstanding.find(reply.sequence);
                    let pending = pending.ok_or(PeerError::Unknown(reply.sequence))?;
                    let body = Body::measure(&reply, &pending.kind)?;
                    let size = HEADER_SIZE + body.size();
                    if input.len() < size {
                        return Ok(size);
                    }
                    self.usual = size;
                    input.advance(HEADER_SIZE);
                    self.ended(&reply, body, input)?;
                }
            }
        }
    }

    #[inline]
    fn ended(
        &mut self,
        reply: &SubmitReply,
        body: Body,
        input: &mut BytesMut,
    ) -> Result<(), PeerError> {
        let Some(pending) = self.outstanding.remove(reply.sequence) else {
            return Ok(());
        };
        let owner = pending.owner;
        let ends = &mut self.completions;
        let ended = body.end(reply, pending, input, &mut self.settings, ends);
        if ended.is_err() {
            let end = owner.map(|id| Completion::empty(id, Status::Disconnected));
            self.completions.extend(end);
        }
        ended
    }

    /// An unlink has been answered. Where its transfer has ended before, that is all there is to it.
    fn unlinked(&mut self, sequence: u32, status: i32) {
        let Some(target) = self.outstanding.unlinked(sequence) else {
            return;
        };
        let end = match -i64::from(status) {
            // It will not be answered any more.
            errno if errno == ECONNRESET.into() || errno == ENOENT.into() => {
                let pending = self.outstanding.remove(target);
                pending.and_then(|mut pending| pending.end(Status::Cancelled))
            }
            _ => self.outstanding.expect_late(target, Status::Cancelled),
        };
        self.completions.extend(end);
    }
}

/// Bytes from the buffer's beginning to the end of the last packet's window.
fn span(packets: &[IsoPacket]) -> u64 {
    let ends = packets
        .iter()
        .map(|packet| u64::from(packet.offset) + u64::from(packet.length));
    ends.max().unwrap_or(0)
}

fn check_packets(direction: Direction, data: &Bytes, packets: &[IsoPacket]) -> Result<(), Status> {
    let span = span(packets);
    if packets.len() > ISO_PACKETS_MOST || packets.is_empty() {
        return Err(Status::Unsupported);
    }
    let room = match direction {
        Direction::In => LENGTH_MOST,
        Direction::Out => data.len().min(LENGTH_MOST),
    };
    let whole = data.len() <= LENGTH_MOST && span <= room as u64;
    let told = direction == Direction::Out || data.is_empty();
    (whole && told).then_some(()).ok_or(Status::ProtocolError)
}

fn fitting(length: usize) -> Result<(), Status> {
    (length <= LENGTH_MOST)
        .then_some(())
        .ok_or(Status::Unsupported)
}

/// A length that has been checked, as the wire has it.
fn wire(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
