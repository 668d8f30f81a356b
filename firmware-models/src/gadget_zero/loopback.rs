//! The loopback: what the host writes comes back as it was, packet by packet.

use std::collections::VecDeque;

use bytes::Bytes;
use usbwright_emulator::{In, Out};

/// Packets on their way back. It holds a bounded number of bytes and of pieces, and takes no more when it is full.
#[derive(Debug)]
pub(super) struct Loopback {
    /// Runs of packets: full ones, and at the end of a run perhaps a short or a zero-length one.
    queue: VecDeque<Bytes>,
    held: usize,
    capacity: usize,
    packet_size: usize,
}

/// Pieces held at the most: each may keep a whole receive buffer alive.
const MOST_PIECES: usize = 256;

impl Loopback {
    pub(super) fn new(capacity: usize, packet_size: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            held: 0,
            // At least a packet fits.
            capacity: capacity.max(packet_size),
            packet_size,
        }
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.held = 0;
    }

    pub(super) fn receive(&mut self, data: &Bytes) -> Out {
        if self.queue.len() >= MOST_PIECES {
            return Out::NotYet;
        }
        let room = self.capacity - self.held;
        let taken = if data.len() <= room {
            data.len()
        } else {
            room / self.packet_size * self.packet_size
        };
        if taken == 0 && !data.is_empty() {
            return Out::NotYet;
        }
        self.queue.push_back(if taken == data.len() {
            data.clone()
        } else {
            // A part of a large write would keep all of it alive.
            Bytes::copy_from_slice(&data[..taken])
        });
        self.held += taken;
        Out::TakenPart(taken)
    }

    /// Sends whole packets: where the host's room ends within one, that packet overflows.
    pub(super) fn send(&mut self, room: usize) -> In {
        let Some(front) = self.queue.front_mut() else {
            return In::NotYet;
        };
        let packets = room.div_ceil(self.packet_size).max(1);
        let data = front.split_to(front.len().min(packets * self.packet_size));
        if front.is_empty() {
            self.queue.pop_front();
        }
        self.held -= data.len();
        In::Data(data)
    }
}
