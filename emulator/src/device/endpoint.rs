//! One endpoint besides zero: its queue of transfers, its halt, its data toggle.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use usbwright_protocol::{
    Completion, Direction, EndpointAddress, Payload, Status, TransferId, TransferType,
    descriptor::EndpointDescriptor,
};

use super::{iso::IsoTransfer, pieces::Rest};
use crate::firmware::{Context, Firmware, In, Out, World};

/// An endpoint of the present settings.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) address: EndpointAddress,
    pub(super) transfer_type: TransferType,
    pub(super) interface: u8,
    pub(super) halted: bool,
    /// The data toggle (at SuperSpeed the sequence number's lowest bit) of the next packet.
    pub(super) toggle: bool,
    pub(super) queue: VecDeque<Pending>,
    /// The firmware wants to be asked again once so many transfers wait.
    pub(super) wanted: Option<usize>,
    packet_size: PacketSize,
    /// The most that moves in one service interval, in bytes; nothing limits bulk.
    pub(super) capacity: usize,
    /// Periodic: (micro)frames between service opportunities.
    pub(super) interval: u64,
    /// Isochronous: the first (micro)frame that no transfer has taken. Interrupt: the (micro)frame that the first transfer
    /// waits for.
    pub(super) next_frame: u64,
}

/// A transfer that has not ended.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: TransferId,
    pub(super) kind: PendingKind,
    pub(super) moved: usize,
    pub(super) payload: Payload,
}

#[derive(Debug)]
pub(super) enum PendingKind {
    In {
        length: usize,
    },
    Out {
        data: Bytes,
        /// What follows `data`, which ends with a packet then.
        rest: Rest,
        zero_packet: bool,
    },
    /// Boxed, as it would make every transfer larger.
    Isochronous(Box<IsoTransfer>),
}

/// What became of a transfer that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Ended(Status),
    /// The firmware is not ready for the rest. `progress` tells whether anything moved.
    Waits {
        progress: bool,
    },
}

impl Pending {
    pub(super) fn new(id: TransferId, kind: PendingKind) -> Self {
        Self {
            id,
            kind,
            moved: 0,
            payload: Payload::new(),
        }
    }

    /// Ends the transfer; what has moved so far is told whatever the status.
    pub(super) fn end(self, status: Status) -> Completion {
        Completion {
            id: self.id,
            status,
            actual_length: u32::try_from(self.moved).unwrap_or(u32::MAX),
            data: self.payload,
            iso: match self.kind {
                PendingKind::Isochronous(transfer) => Some(transfer.into_outcome(status)),
                _ => None,
            },
        }
    }
}

impl Endpoint {
    pub(super) fn new(
        interface: u8,
        descriptor: &EndpointDescriptor,
        speed: usbwright_protocol::Speed,
    ) -> Self {
        let packet_size = PacketSize::new(descriptor.max_packet_size);
        let interval_bytes = descriptor.bytes_per_interval() as usize;
        Self {
            address: descriptor.address,
            transfer_type: descriptor.transfer_type,
            interface,
            halted: false,
            toggle: false,
            queue: VecDeque::new(),
            wanted: None,
            packet_size,
            capacity: match descriptor.transfer_type {
                TransferType::Isochronous => interval_bytes,
                // A packet is never cut, though SuperSpeed may reserve less than one.
                TransferType::Interrupt => {
                    interval_bytes.max(1).next_multiple_of(packet_size.bytes)
                }
                TransferType::Bulk | TransferType::Control => usize::MAX,
            },
            interval: u64::from(descriptor.service_interval(speed)).max(1),
            next_frame: 0,
        }
    }

    /// Whether a transfer of this shape belongs on this endpoint.
    pub(super) fn takes(&self, kind: &PendingKind) -> bool {
        let isochronous = self.transfer_type == TransferType::Isochronous;
        match kind {
            PendingKind::In { .. } => !isochronous && self.address.direction() == Direction::In,
            PendingKind::Out { .. } => !isochronous && self.address.direction() == Direction::Out,
            PendingKind::Isochronous(_) => isochronous,
        }
    }

    /// Brings OUT data that comes in pieces to whole packets; for a periodic endpoint, whose intervals it has to fill, to one piece.
    pub(super) fn align(&self, pending: &mut Pending) {
        let PendingKind::Out { data, rest, .. } = &mut pending.kind else {
            return;
        };
        if !rest.is_empty() {
            let periodic = self.transfer_type != TransferType::Bulk;
            let packet = if periodic {
                usize::MAX
            } else {
                self.packet_size.bytes
            };
            rest.align(data, packet);
        }
    }

    /// Moves as much of a transfer as the firmware is ready for and, where it is periodic, as it may at a time.
    pub(super) fn attempt(
        &mut self,
        pending: &mut Pending,
        firmware: &mut dyn Firmware,
        world: &mut World,
    ) -> Attempt {
        let before = pending.moved;
        let ended = match &mut pending.kind {
            PendingKind::In { length } => {
                let length = *length;
                self.read(pending, length, firmware, world)
            }
            PendingKind::Out { .. } => self.write(pending, firmware, world),
            PendingKind::Isochronous(_) => {
                self.run_iso(pending, firmware, world);
                Some(Status::Done)
            }
        };
        match ended {
            Some(status) => Attempt::Ended(status),
            None => Attempt::Waits {
                progress: pending.moved != before,
            },
        }
    }

    fn read(
        &mut self,
        pending: &mut Pending,
        length: usize,
        firmware: &mut dyn Firmware,
        world: &mut World,
    ) -> Option<Status> {
        let mut left = self.capacity;
        loop {
            let room = left.min(length - pending.moved);
            let data = match firmware.send(self.address, room, &mut Context(world)) {
                In::Data(data) => data,
                In::NotYet => return None,
                In::Stall => return Some(Status::Stalled),
            };
            let ends = self.count_packets(data.len());
            if data.len() > room {
                pending.payload.push(data.slice(..room));
                pending.moved += room;
                return Some(Status::Overflow);
            }
            pending.moved += data.len();
            left -= data.len();
            pending.payload.push(data);
            if ends || pending.moved == length {
                return Some(Status::Done);
            }
            if left == 0 {
                return None;
            }
        }
    }

    fn write(
        &mut self,
        pending: &mut Pending,
        firmware: &mut dyn Firmware,
        world: &mut World,
    ) -> Option<Status> {
        let PendingKind::Out {
            data,
            rest,
            zero_packet,
        } = &mut pending.kind
        else {
            return None;
        };
        loop {
            let first;
            let offered = if data.len() > self.capacity {
                first = data.slice(..self.capacity);
                &first
            } else {
                &*data
            };
            let taken = match firmware.receive(self.address, offered, &mut Context(world)) {
                Out::Taken => offered.len(),
                Out::TakenPart(part) => part.min(offered.len()),
                Out::NotYet => return None,
                Out::Stall => return Some(Status::Stalled),
            };
            if taken == 0 && !data.is_empty() {
                return None;
            }
            let ends = self.count_packets(taken);
            pending.moved += taken;
            if taken < data.len() {
                data.advance(taken);
                return None;
            }
            *data = rest.next().unwrap_or_default();
            if !data.is_empty() {
                if taken == self.capacity {
                    return None;
                }
                continue;
            }
            if ends || !std::mem::take(zero_packet) {
                return Some(Status::Done);
            }
            if taken == self.capacity {
                return None;
            }
        }
    }

    /// Flips the toggle once for each packet that `length` bytes are sent in, and tells whether the last one is short.
    fn count_packets(&mut self, length: usize) -> bool {
        let (whole, rest) = self.packet_size.divide(length);
        let short = rest > 0 || length == 0;
        self.toggle ^= (whole + usize::from(short)) % 2 == 1;
        short
    }

    /// Clears the halt and begins anew with DATA0 (USB 2.0 §9.4.5).
    pub(super) fn clear_halt(&mut self) {
        self.halted = false;
        self.toggle = false;
    }
}

/// An endpoint's packets, in bytes.
#[derive(Clone, Copy, Debug)]
struct PacketSize {
    bytes: usize,
    /// Most are powers of two, and shifting is quicker than dividing.
    shift: Option<u32>,
}

impl PacketSize {
    fn new(bytes: u16) -> Self {
        let bytes = usize::from(bytes).max(1);
        Self {
            bytes,
            shift: bytes.is_power_of_two().then(|| bytes.trailing_zeros()),
        }
    }

    /// Whole packets in `length` bytes, and the bytes that remain.
    fn divide(self, length: usize) -> (usize, usize) {
        match self.shift {
            Some(shift) => (length >> shift, length & (self.bytes - 1)),
            None => (length / self.bytes, length % self.bytes),
        }
    }
}
