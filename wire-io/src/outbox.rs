//! What waits to be written: headers of our own, and payloads that stay where they are.

use std::{collections::VecDeque, io::IoSlice, ops::Range, os::fd::BorrowedFd};

use bytes::{Buf as _, Bytes};
use rustix::{
    io::Errno,
    net::{SendAncillaryBuffer, SendFlags, sendmsg},
};

/// Bytes of headers that have been written and that are kept nevertheless: to take them away moves those that follow.
const WRITTEN_MOST: usize = 1 << 20;
/// Slices in one gathered write.
const SLICES: usize = 128;
/// Slices where no more are needed: it takes time to fill as many as there can be.
const FEW_SLICES: usize = 4;

/// Messages in order, ready for gathered writes. Once it has grown to what the traffic needs, nothing is allocated.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Headers and packet descriptions; they are of no use any more when everything is written.
    heads: Vec<u8>,
    pieces: VecDeque<Piece>,
    waiting: usize,
    /// Messages that wait, as long as not all of them have been written.
    messages: usize,
    /// The beginning of the first piece has been written.
    cut: bool,
}

/// What has not been written of a run of headers, or of a payload.
#[derive(Debug)]
enum Piece {
    Head(Range<usize>),
    Payload(Bytes),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Head(range) => range.len(),
            Self::Payload(bytes) => bytes.len(),
        }
    }

    /// Takes away its first bytes, which have been written.
    fn shorten(&mut self, count: usize) {
        match self {
            Self::Head(range) => range.start += count,
            Self::Payload(bytes) => bytes.advance(count),
        }
    }
}

impl Outbox {
    /// Begins a message with its header.
    #[inline]
    pub fn push_message(&mut self, header: &[u8]) {
        self.messages += 1;
        self.push_head(|heads| heads.extend_from_slice(header));
    }

    /// Appends bytes that `write` adds to the end of a buffer.
    #[inline]
    pub fn push_head(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
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
    #[inline]
    pub fn push_payload(&mut self, payload: Bytes) {
        self.waiting += payload.len();
        self.pieces.push_back(Piece::Payload(payload));
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Pieces that wait.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Messages that were begun since nothing has waited.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Whether only the beginning of a piece has been written.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Throws away what waits, and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes the first of what waits with one call, and returns how many bytes were written; at least one of them is.
    ///
    /// # Errors
    /// Those of `sendmsg`: `EAGAIN` where the socket takes none and is not to wait, and `EINTR` where a signal has come.
    pub fn send(&mut self, socket: BorrowedFd<'_>, flags: SendFlags) -> Result<usize, Errno> {
        self.send_some(socket, flags, self.waiting)
    }

    /// Writes at most the pieces that the next `room` bytes lie in, as [`send`](Self::send) does; `room` is not 0.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn send_some(
        &mut self,
        socket: BorrowedFd<'_>,
        flags: SendFlags,
        room: usize,
    ) -> Result<usize, Errno> {
        let written = match self.pieces.len() {
            0..=FEW_SLICES => self.send_slices::<FEW_SLICES>(socket, flags, room),
            _ => self.send_slices::<SLICES>(socket, flags, room),
        }?;
        self.advance(written);
        Ok(written)
    }

    fn send_slices<const MOST: usize>(
        &self,
        socket: BorrowedFd<'_>,
        flags: SendFlags,
        room: usize,
    ) -> Result<usize, Errno> {
        let mut slices = [IoSlice::new(&[]); MOST];
        let mut count = self.gather(&mut slices);
        if room < self.waiting {
            count = holding(&slices[..count], room);
        }
        let mut ancillary = SendAncillaryBuffer::default();
        sendmsg(socket, &slices[..count], &mut ancillary, flags)
    }

    /// Takes out what waits, and hands it to `write` in order, each piece from where it lies.
    pub fn take(&mut self, mut write: impl FnMut(&[u8])) {
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); FEW_SLICES];
            let count = self.gather(&mut slices);
            let mut length = 0;
            for slice in &slices[..count] {
                write(slice);
                length += slice.len();
            }
            self.advance(length);
        }
    }

    /// The first bytes that wait, in as many slices as `slices` has room for; returns how many these are.
    pub fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(&self.pieces) {
            let bytes = match piece {
                Piece::Head(range) => &self.heads[range.clone()],
                Piece::Payload(bytes) => bytes,
            };
            *slot = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    /// Takes away the first `count` bytes, which have been written.
    pub fn advance(&mut self, count: usize) {
        self.waiting -= count;
        if self.waiting == 0 {
            self.pieces.clear();
            self.heads.clear();
            (self.messages, self.cut) = (0, false);
            return;
        }
        let mut left = count;
        while let Some(piece) = self.pieces.front_mut() {
            let length = piece.len();
            if left < length {
                piece.shorten(left);
                self.cut = left > 0;
                break;
            }
            left -= length;
            self.pieces.pop_front();
        }
        self.forget_written_heads();
    }

    /// Gives the space of headers that have been written to later ones before they are more than what waits, so that a socket
    /// that is always behind costs no more and more memory.
    fn forget_written_heads(&mut self) {
        let first = self.pieces.iter().find_map(|piece| match piece {
            Piece::Head(range) => Some(range.start),
            Piece::Payload(_) => None,
        });
        let dead = first.unwrap_or(self.heads.len());
        if dead <= WRITTEN_MOST.max(self.heads.len() / 2) {
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

/// How many of the first slices hold `room` bytes, or all of them.
fn holding(slices: &[IoSlice<'_>], room: usize) -> usize {
    let mut held = 0;
    let enough = slices.iter().position(|slice| {
        held += slice.len();
        held >= room
    });
    enough.map_or(slices.len(), |last| last + 1)
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
            outbox.push_message(b"ab");
            outbox.push_message(b"cd");
            outbox.push_payload(Bytes::from_static(b"efg"));
            outbox.push_message(b"h");
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
        outbox.push_message(b"head");
        outbox.push_payload(payload.clone());
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(outbox.gather(&mut slices), 2);
        assert_eq!(slices[1].as_ptr(), payload.as_ptr());
    }

    #[test]
    fn a_socket_that_is_always_behind_costs_bounded_memory_though_there_are_no_payloads() {
        let mut outbox = Outbox::default();
        outbox.push_message(&[0; 48]);
        for number in 1..100_000_u32 {
            outbox.push_message(&[number.to_be_bytes(); 12].concat());
            assert_eq!(step(&mut outbox, 48)[..4], (number - 1).to_be_bytes());
        }
        assert!(outbox.heads.len() < 2 * WRITTEN_MOST);
    }

    #[test]
    fn a_socket_that_is_always_behind_costs_bounded_memory() {
        let mut outbox = Outbox::default();
        let payload = Bytes::from_static(&[1; 16]);
        let push = |outbox: &mut Outbox, number: u32| {
            outbox.push_message(&[number.to_be_bytes(); 12].concat());
            outbox.push_payload(payload.clone());
        };
        push(&mut outbox, 0);
        for number in 1..20_000 {
            push(&mut outbox, number);
            let written = [step(&mut outbox, 40), step(&mut outbox, 24)].concat();
            assert_eq!(written[..4], (number - 1).to_be_bytes());
            assert_eq!(written.len(), 64);
        }
        assert!(outbox.heads.len() < 4 * WRITTEN_MOST);
    }
}
