//! Data that came and that nobody has read yet: what a read left over, or one brought that was dropped.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use usbwright_protocol::{Completion, Payload, Status};

/// A pipe's data for the next read.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Bytes in a packet.
    packet: usize,
    pieces: Mutex<VecDeque<Piece>>,
    /// Transfers that nobody waits for any more, and that have not ended yet.
    coming: AtomicUsize,
}

#[derive(Debug)]
struct Piece {
    data: Bytes,
    /// A short packet came after it: a read ends here.
    ends: bool,
}

impl Kept {
    /// Of a pipe with packets of so many bytes.
    pub(crate) fn new(packet: usize) -> Self {
        Self {
            packet,
            pieces: Mutex::default(),
            coming: AtomicUsize::new(0),
        }
    }

    fn pieces(&self) -> MutexGuard<'_, VecDeque<Piece>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps data, behind what is kept. `ends` tells whether a short packet ended it.
    pub(crate) fn push(&self, data: Payload, ends: bool) {
        if data.is_empty() {
            return;
        }
        let mut pieces = self.pieces();
        let new = data.into_pieces().map(|data| Piece { data, ends: false });
        pieces.extend(new);
        if let Some(last) = pieces.back_mut() {
            last.ends = ends;
        }
    }

    /// Keeps what a transfer has brought that had room for so many bytes.
    ///
    /// One that is taken back may have ended meanwhile, and a kernel tells the former only: a part of a packet was a short one.
    pub(crate) fn bring(&self, ended: Completion, room: usize) {
        let length = ended.data.len();
        let ends = match ended.status {
            Status::Done => length < room,
            Status::Cancelled | Status::TimedOut => !length.is_multiple_of(self.packet),
            _ => true,
        };
        self.push(ended.data, ends);
    }

    /// Nobody waits for a transfer any more: what it brings is to be kept.
    pub(crate) fn expect(&self) {
        self.coming.fetch_add(1, Ordering::AcqRel);
    }

    /// A transfer that was expected has ended, and what it brought is kept.
    pub(crate) fn came(&self) {
        self.coming.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether data may still come from transfers that nobody waits for.
    pub(crate) fn is_expecting(&self) -> bool {
        self.coming.load(Ordering::Acquire) > 0
    }

    /// Whether nothing is kept, and nothing will be unless another transfer is taken back.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_expecting() && self.pieces().is_empty()
    }

    /// Takes up to so many bytes, and tells whether a short packet came after the last of them. It goes on beyond short packets
    /// only with `beyond`.
    pub(crate) fn take(&self, most: usize, beyond: bool) -> (Payload, bool) {
        let mut pieces = self.pieces();
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
        let mut pieces = self.pieces();
        let bytes = pieces.iter().map(|it| it.data.len()).sum();
        pieces.clear();
        bytes
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
            kept.bring(ended, 16);
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
        assert!(kept.is_empty());
        kept.push(payload(b"ij"), true);
        kept.push(payload(b"kl"), false);
        assert_eq!(take(3, true), (b"ijk".to_vec(), false));
        assert_eq!(kept.clear(), 1);
    }
}
