//! What waits to be written to a server: headers of our own, and payloads that stay where they are.

use std::{collections::VecDeque, io::IoSlice, ops::Range};

use bytes::Bytes;

/// Commands that may wait before they are written without being asked for.
const FULL_COMMANDS: usize = 64;
/// Bytes that may wait so.
const FULL_BYTES: usize = 1 << 20;

/// Commands in order, ready for gathered writes. Once it has grown to what the traffic needs, nothing is allocated.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Headers and packet descriptions; they are of no use any more when everything is written.
    heads: Vec<u8>,
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that are written.
    written: usize,
    waiting: usize,
    /// Commands that wait, as long as not all of them have been written.
    commands: usize,
}

#[derive(Debug)]
enum Piece {
    Head(Range<usize>),
    Payload(Bytes),
}

impl Outbox {
    /// Begins a command with its header.
    pub(super) fn push_command(&mut self, header: &[u8]) {
        self.commands += 1;
        self.push_head(|heads| heads.extend_from_slice(header));
    }

    /// Appends bytes that `write` adds to the end of a buffer.
    pub(super) fn push_head(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.heads.len();
        write(&mut self.heads);
        let end = self.heads.len();
        self.waiting += end - start;
        match self.pieces.back_mut() {
            Some(Piece::Head(last)) => last.end = end,
            _ => self.pieces.push_back(Piece::Head(start..end)),
        }
    }

    /// Appends a payload without copying it; it is not empty.
    pub(super) fn push_payload(&mut self, payload: Bytes) {
        self.waiting += payload.len();
        self.pieces.push_back(Piece::Payload(payload));
    }

    /// Pieces that wait.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Whether so much waits that it is better written than kept.
    pub(super) fn is_full(&self) -> bool {
        self.commands >= FULL_COMMANDS || self.waiting >= FULL_BYTES
    }

    /// Throws away what waits.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The first bytes that wait, in as many slices as `slices` has room for; returns how many these are.
    pub(super) fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.written;
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(&self.pieces) {
            let bytes = match piece {
                Piece::Head(range) => &self.heads[range.clone()],
                Piece::Payload(bytes) => bytes,
            };
            *slot = IoSlice::new(&bytes[std::mem::take(&mut skip)..]);
            count += 1;
        }
        count
    }

    /// Takes away the first `count` bytes, which have been written.
    pub(super) fn advance(&mut self, count: usize) {
        self.waiting -= count;
        self.written += count;
        while let Some(piece) = self.pieces.front() {
            let length = match piece {
                Piece::Head(range) => range.len(),
                Piece::Payload(bytes) => bytes.len(),
            };
            if self.written < length {
                break;
            }
            self.written -= length;
            self.pieces.pop_front();
        }
        self.forget_written_heads();
    }

    /// Gives the space of headers that have been written to later ones: at once where nothing waits, and otherwise before
    /// they are more than what waits, so that a socket that is always behind costs no more and more memory.
    fn forget_written_heads(&mut self) {
        if self.pieces.is_empty() {
            self.heads.clear();
            self.commands = 0;
            return;
        }
        let first = self.pieces.iter().find_map(|piece| match piece {
            Piece::Head(range) => Some(range.start),
            Piece::Payload(_) => None,
        });
        let dead = first.unwrap_or(self.heads.len());
        if dead <= FULL_BYTES.max(self.heads.len() / 2) {
            return;
        }
        self.heads.drain(..dead);
        for piece in &mut self.pieces {
            if let Piece::Head(range) = piece {
                *range = range.start - dead..range.end - dead;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(outbox: &mut Outbox, most: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 2];
        let count = outbox.gather(&mut slices);
        let mut bytes: Vec<u8> = slices[..count].iter().flat_map(|it| it.to_vec()).collect();
        bytes.truncate(most);
        outbox.advance(bytes.len());
        bytes
    }

    #[test]
    fn bytes_come_out_in_order_however_they_are_written() {
        for most in 1..12 {
            let mut outbox = Outbox::default();
            outbox.push_command(b"ab");
            outbox.push_command(b"cd");
            outbox.push_payload(Bytes::from_static(b"efg"));
            outbox.push_command(b"h");
            let mut all = Vec::new();
            while !outbox.is_empty() {
                all.extend(step(&mut outbox, most));
            }
            assert_eq!(all, b"abcdefgh");
            assert!(outbox.heads.is_empty());
        }
    }

    #[test]
    fn payloads_are_written_from_where_they_lie() {
        let payload = Bytes::from(vec![7; 100]);
        let mut outbox = Outbox::default();
        outbox.push_command(b"head");
        outbox.push_payload(payload.clone());
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(outbox.gather(&mut slices), 2);
        assert_eq!(slices[1].as_ptr(), payload.as_ptr());
    }

    #[test]
    fn a_socket_that_is_always_behind_costs_bounded_memory() {
        let mut outbox = Outbox::default();
        let payload = Bytes::from_static(&[1; 16]);
        let push = |outbox: &mut Outbox, number: u32| {
            outbox.push_command(&[number.to_be_bytes(); 12].concat());
            outbox.push_payload(payload.clone());
        };
        push(&mut outbox, 0);
        for number in 1..20_000 {
            push(&mut outbox, number);
            let written = [step(&mut outbox, 40), step(&mut outbox, 24)].concat();
            assert_eq!(written[..4], (number - 1).to_be_bytes());
            assert_eq!(written.len(), 64);
        }
        assert!(outbox.heads.len() < 4 * FULL_BYTES);
    }
}
