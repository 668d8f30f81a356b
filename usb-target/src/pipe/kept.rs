//! Data that came and that nobody has read yet: what a read left over, or one brought that was dropped.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use usbwright_protocol::{Completion, Payload, Status};

/// A pipe's data for the next read.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Bytes in a packet.
    packet: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Piece>,
    /// Transfers that were taken back and may bring more.
    expected: usize,
}

#[derive(Debug)]
struct Piece {
    /// Empty only where a zero-length packet ends a read that has nothing else.
    data: Bytes,
    /// A short packet came after it: a read ends here.
    ends: bool,
}

impl Kept {
    /// Of a pipe with packets of so many bytes.
    pub(crate) fn new(packet: usize) -> Self {
        Self {
            packet,
            state: Mutex::default(),
        }
    }

    /// Whether a short packet, or an error, ended a transfer that had room for so many bytes.
    ///
    /// One that is taken back may have ended meanwhile, and a kernel tells the former only: a part of a packet was a short one.
    fn is_end(&self, ended: &Completion, room: usize) -> bool {
        let length = ended.data.len();
        match ended.status {
            Status::Done => length < room,
            Status::Cancelled | Status::TimedOut => !length.is_multiple_of(self.packet),
            _ => true,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps data, behind what is kept. `ends` tells whether a short packet ended it.
    pub(crate) fn push(&self, data: Payload, ends: bool) {
        self.state().push(data, ends);
    }

    /// Keeps what a transfer brought that had room for so many bytes, and that nobody waits for.
    pub(crate) fn keep(&self, ended: Completion, room: usize) {
        let ends = self.is_end(&ended, room);
        self.state().keep(ended, ends);
    }

    /// Puts back what came before anything that is kept.
    pub(crate) fn put_back(&self, data: Payload) {
        let pieces = &mut self.state().pieces;
        // What follows came in the same packet; what nothing follows was ended.
        let mut ends = pieces.is_empty();
        let before: Vec<_> = data.into_pieces().collect();
        for data in before.into_iter().rev() {
            pieces.push_front(Piece { data, ends });
            ends = false;
        }
    }

    /// A transfer was taken back, and is to [arrive](Self::arrive) yet.
    pub(crate) fn expect(&self) {
        self.state().expected += 1;
    }

    /// Keeps what a transfer brought that was expected.
    pub(crate) fn arrive(&self, ended: Completion, room: usize) {
        let ends = self.is_end(&ended, room);
        let mut state = self.state();
        state.expected = state.expected.saturating_sub(1);
        state.keep(ended, ends);
    }

    /// Whether there is nothing for the next read, nor may be.
    pub(crate) fn has_nothing(&self) -> bool {
        let state = self.state();
        state.pieces.is_empty() && state.expected == 0
    }

    /// Whether there is something for the next read.
    pub(crate) fn has_some(&self) -> bool {
        !self.state().pieces.is_empty()
    }

    /// Whether transfers that were taken back may bring more.
    pub(crate) fn expects(&self) -> bool {
        self.state().expected > 0
    }

    /// Takes up to so many bytes, and tells whether a short packet came after the last of them. It goes on beyond short packets
    /// only with `beyond`.
    pub(crate) fn take(&self, most: usize, beyond: bool) -> (Payload, bool) {
        let pieces = &mut self.state().pieces;
        let mut taken = Payload::new();
        let mut ended = false;
        while taken.len() < most
            && (beyond || !ended)
            && let Some(first) = pieces.front_mut()
        {
            let room = most - taken.len();
            if first.data.len() > room {
                taken.push(first.data.split_to(room));
                ended = false;
            } else {
                ended = first.ends;
                taken.push(std::mem::take(&mut first.data));
                pieces.pop_front();
            }
        }
        (taken, ended)
    }

    /// Throws it away, and tells how many bytes that were.
    pub(crate) fn clear(&self) -> usize {
        let pieces = &mut self.state().pieces;
        let bytes = pieces.iter().map(|it| it.data.len()).sum();
        pieces.clear();
        bytes
    }
}

impl State {
    fn push(&mut self, data: Payload, ends: bool) {
        if data.is_empty() {
            return;
        }
        let new = data.into_pieces().map(|data| Piece { data, ends: false });
        self.pieces.extend(new);
        if let Some(last) = self.pieces.back_mut() {
            last.ends = ends;
        }
    }

    fn keep(&mut self, ended: Completion, ends: bool) {
        let zero_packet = ends && ended.status == Status::Done && ended.data.is_empty();
        if zero_packet {
            return self.keep_zero_packet();
        }
        self.push(ended.data, ends);
    }

    /// It ends what came before it, or a read of its own.
    fn keep_zero_packet(&mut self) {
        match self.pieces.back_mut() {
            Some(last) if !last.ends => last.ends = true,
            _ => self.pieces.push_back(Piece {
                data: Bytes::new(),
                ends: true,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(bytes: &'static [u8]) -> Payload {
        bytes.into()
    }

    #[test]
    fn a_short_packet_ends_what_was_taken_back_too_late() {
        let taken_back = |data: &'static [u8]| {
            let kept = Kept::new(4);
            let id = usbwright_protocol::TransferId(0);
            let mut ended = Completion::empty(id, Status::Cancelled);
            ended.data = data.into();
            kept.keep(ended, 16);
            kept.take(16, false).1
        };
        assert!(taken_back(b"abcdef"));
        assert!(!taken_back(b"abcdefgh"));
    }

    #[test]
    fn what_is_kept_comes_in_order_up_to_a_short_packet() {
        let kept = Kept::new(4);
        kept.push(payload(b"abcd"), false);
        kept.push(payload(b"ef"), true);
        kept.push(payload(b"gh"), false);
        let take = |most, beyond| {
            let (data, ended) = kept.take(most, beyond);
            (data.to_vec(), ended)
        };
        assert_eq!(take(3, false), (b"abc".to_vec(), false));
        assert_eq!(take(9, false), (b"def".to_vec(), true));
        assert_eq!(take(9, false), (b"gh".to_vec(), false));
        assert!(kept.has_nothing());
        kept.push(payload(b"ij"), true);
        kept.push(payload(b"kl"), false);
        assert_eq!(take(3, true), (b"ijk".to_vec(), false));
        assert_eq!(kept.clear(), 1);
    }

    fn brought(bytes: &'static [u8]) -> Completion {
        let data = payload(bytes);
        Completion {
            actual_length: data.len() as u32,
            data,
            ..Completion::empty(usbwright_protocol::TransferId(0), Status::Done)
        }
    }

    #[test]
    fn a_zero_length_packet_ends_a_read_as_it_would_have_on_the_bus() {
        let kept = Kept::new(4);
        let take = || kept.take(9, false);
        kept.keep(brought(b"abcd"), 4);
        kept.keep(brought(b""), 4);
        kept.keep(brought(b""), 4);
        kept.keep(brought(b"ef"), 4);
        let (data, ended) = take();
        assert_eq!((data.to_vec(), ended), (b"abcd".to_vec(), true));
        assert!(take().1, "a message of no bytes");
        assert_eq!(take().0.to_vec(), b"ef");
        assert!(kept.has_nothing());
    }

    #[test]
    fn what_was_taken_back_is_waited_for_and_brings_no_end_by_itself() {
        let kept = Kept::new(4);
        kept.expect();
        assert!(kept.expects() && !kept.has_nothing());
        let cancelled = Completion {
            status: Status::Cancelled,
            ..brought(b"abcd")
        };
        kept.arrive(cancelled, 8);
        assert!(!kept.expects());
        let (data, ended) = kept.take(9, false);
        assert_eq!((data.to_vec(), ended), (b"abcd".to_vec(), false));
    }
}
