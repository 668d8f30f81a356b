//! What waits to be written to a client: headers of our own and payloads that stay where they are.

use std::{collections::VecDeque, io::IoSlice, ops::Range};

use bytes::Bytes;

/// Bytes that may wait before no further command is run.
const FULL_BYTES: usize = 2 << 20;
/// Pieces that may wait before no further command is run.
const FULL_PIECES: usize = 512;
/// Small replies that are handed over early: the client works on them while the next ones are made.
const EARLY: usize = 16;
/// Bytes that so many replies have at the most where they are small; larger ones are better copied together.
const EARLY_BYTES: usize = 16 << 10;

/// Replies in order, ready for gathered writes. Once it has grown to what the traffic needs, nothing is allocated.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Headers and packet descriptions; they are of no use any more when everything is written.
    heads: Vec<u8>,
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that are written.
    written: usize,
    waiting: usize,
    /// Replies that wait, as long as none of them has been written.
    replies: usize,
    /// Whether the client has a processor to work on what comes early.
    pub(super) early: bool,
}

#[derive(Debug)]
enum Piece {
    Head(Range<usize>),
    Payload(Bytes),
}

impl Outbox {
    /// Appends bytes that `write` adds to the end of a buffer.
    pub(super) fn push_head(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.replies += 1;
        let start = self.heads.len();
        write(&mut self.heads);
        let end = self.heads.len();
        self.waiting += end - start;
        match self.pieces.back_mut() {
            Some(Piece::Head(last)) => last.end = end,
            _ => self.pieces.push_back(Piece::Head(start..end)),
        }
    }

    /// Appends a payload without copying it.
    pub(super) fn push_payload(&mut self, payload: Bytes) {
        self.waiting += payload.len();
        self.pieces.push_back(Piece::Payload(payload));
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Pieces that wait.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Gives memory back, if nothing waits.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Whether so much waits that it has to be written first.
    pub(super) fn is_full(&self) -> bool {
        let early = self.early && self.replies >= EARLY && self.waiting <= EARLY_BYTES;
        early || self.waiting >= FULL_BYTES || self.pieces.len() >= FULL_PIECES
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
        if self.pieces.is_empty() {
            self.heads.clear();
            self.replies = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 2];
            let count = outbox.gather(&mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|it| it.to_vec()).collect();
            let taken = step.min(bytes.len());
            all.extend_from_slice(&bytes[..taken]);
            outbox.advance(taken);
        }
        all
    }

    #[test]
    fn bytes_come_out_in_order_however_they_are_written() {
        for step in 1..12 {
            let mut outbox = Outbox::default();
            outbox.push_head(|buffer| buffer.extend_from_slice(b"ab"));
            outbox.push_head(|buffer| buffer.extend_from_slice(b"cd"));
            outbox.push_payload(Bytes::from_static(b"efg"));
            outbox.push_head(|buffer| buffer.extend_from_slice(b"h"));
            assert_eq!(drain(&mut outbox, step), b"abcdefgh");
            assert!(outbox.heads.is_empty());
        }
    }

    #[test]
    fn headers_that_follow_each_other_are_one_slice() {
        let mut outbox = Outbox::default();
        for _ in 0..3 {
            outbox.push_head(|buffer| buffer.push(0));
        }
        assert_eq!(outbox.gather(&mut [IoSlice::new(&[]); 4]), 1);
    }
}
