//! Isochronous transfers: packets in the (micro)frames that the bus gives them.

use bytes::Bytes;
use usbwright_protocol::{Direction, IsoOutcome, IsoPacket, Payload, Status, TransferType};

use super::endpoint::{Endpoint, Pending, PendingKind};
use crate::firmware::{Context, Firmware, In, Out, World};

/// What an isochronous transfer has besides what every transfer has.
#[derive(Debug)]
pub(super) struct IsoTransfer {
    data: Bytes,
    packets: Vec<IsoPacket>,
    errors: u32,
    /// The (micro)frame of the first packet.
    start: u64,
    /// The (micro)frame after the last packet's interval.
    end: u64,
}

impl IsoTransfer {
    pub(super) fn new(data: Bytes, mut packets: Vec<IsoPacket>) -> Self {
        for packet in &mut packets {
            packet.actual_length = 0;
        }
        Self {
            data,
            packets,
            errors: 0,
            start: 0,
            end: 0,
        }
    }

    /// Takes a (micro)frame of each interval from `start` on, and tells the first that is free after them.
    pub(super) fn take_frames(&mut self, start: u64, interval: u64) -> u64 {
        self.start = start;
        self.end = start + interval * self.packets.len() as u64;
        self.end
    }

    /// The (micro)frame after the last packet's interval.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The packets as the host gets them back; where the transfer did not run, `status` is every packet's.
    pub(super) fn into_outcome(mut self, status: Status) -> IsoOutcome {
        if status != Status::Done {
            for packet in &mut self.packets {
                packet.status = status;
            }
            self.errors = u32::try_from(self.packets.len()).unwrap_or(u32::MAX);
        }
        IsoOutcome {
            // The frame counter of a bus wraps; 32 bits of it are what USB/IP carries.
            start_frame: (self.start & 0x7fff_ffff) as u32,
            error_count: self.errors,
            packets: self.packets,
        }
    }
}

impl Endpoint {
    /// Lets the next isochronous transfer begin where the last one that is still queued ends.
    pub(super) fn give_frames_back(&mut self) {
        if self.transfer_type == TransferType::Isochronous {
            self.next_frame = match self.queue.back().map(|pending| &pending.kind) {
                Some(PendingKind::Isochronous(transfer)) => transfer.end,
                _ => 0,
            };
        }
    }

    /// Moves the packets of an isochronous transfer.
    ///
    /// They are moved together when the last one's interval ends, as a host controller reports them; the firmware is told
    /// the frame that each of them belongs to.
    pub(super) fn run_iso(
        &self,
        pending: &mut Pending,
        firmware: &mut dyn Firmware,
        world: &mut World,
    ) {
        let PendingKind::Isochronous(transfer) = &mut pending.kind else {
            return;
        };
        let now = world.now();
        let mut frame = transfer.start;
        for packet in &mut transfer.packets {
            world.turn_to(world.time_of(frame));
            packet.status = match self.address.direction() {
                Direction::In => self.iso_in(packet, &mut pending.payload, firmware, world),
                Direction::Out => self.iso_out(packet, &transfer.data, firmware, world),
            };
            pending.moved += packet.actual_length as usize;
            transfer.errors += u32::from(packet.status != Status::Done);
            frame += self.interval;
        }
        world.turn_to(now);
    }

    fn iso_in(
        &self,
        packet: &mut IsoPacket,
        payload: &mut Payload,
        firmware: &mut dyn Firmware,
        world: &mut World,
    ) -> Status {
        let room = (packet.length as usize).min(self.capacity);
        let In::Data(mut data) = firmware.send(self.address, room, &mut Context(world)) else {
            return Status::Done;
        };
        let status = if data.len() > room {
            data.truncate(room);
            Status::Overflow
        } else {
            Status::Done
        };
        packet.actual_length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        payload.push(data);
        status
    }

    fn iso_out(
        &self,
        packet: &mut IsoPacket,
        buffer: &Bytes,
        firmware: &mut dyn Firmware,
        world: &mut World,
    ) -> Status {
        let (start, length) = (packet.offset as usize, packet.length as usize);
        if length > self.capacity {
            return Status::Overflow;
        }
        if start.saturating_add(length) > buffer.len() {
            return Status::ProtocolError;
        }
        let data = buffer.slice(start..start + length);
        // The bus has carried the packet, whether or not the firmware had a use for it.
        let _: Out = firmware.receive(self.address, &data, &mut Context(world));
        packet.actual_length = packet.length;
        Status::Done
    }
}
