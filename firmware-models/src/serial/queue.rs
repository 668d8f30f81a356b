//! Bytes on their way, in order.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes held at the most.
pub(super) const CAPACITY: usize = 256 << 10;
/// Data of fewer bytes is copied: a slice keeps the whole buffer alive that it was received into.
const COPIED: usize = 512;
/// Slices held at the most; what is beyond them is copied.
const MOST_SLICES: usize = 256;
/// Copied data is handed over in pieces of about so many bytes.
const PIECE: usize = 16 << 10;

/// A queue of bytes, bounded in bytes and in what it keeps alive.
#[derive(Debug, Default)]
pub(super) struct ByteQueue {
    pieces: VecDeque<Bytes>,
    /// Behind the pieces: data that was copied.
    copied: BytesMut,
    held: usize,
}

impl ByteQueue {
    pub(super) fn len(&self) -> usize {
        self.held
    }

    pub(super) fn room(&self) -> usize {
        CAPACITY - self.held
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes data as far as there is room, and tells how much: all of it, or a multiple of `unit`.
    pub(super) fn push(&mut self, data: &Bytes, unit: usize) -> usize {
        let taken = match data.len() <= self.room() {
            true => data.len(),
            false => self.room() - self.room() % unit,
        };
        self.held += taken;
        let whole = taken == data.len();
        if whole && taken >= COPIED && self.pieces.len() < MOST_SLICES {
            self.cut();
            self.pieces.push_back(data.clone());
        } else {
            self.copied.extend_from_slice(&data[..taken]);
            if self.copied.len() >= PIECE && self.pieces.len() < MOST_SLICES {
                self.cut();
            }
        }
        taken
    }

    /// Makes a piece of what was copied.
    fn cut(&mut self) {
        if !self.copied.is_empty() {
            self.pieces.push_back(self.copied.split().freeze());
        }
    }

    /// Hands over what is first, up to `most` bytes; `None` where there is nothing.
    pub(super) fn pop(&mut self, most: usize) -> Option<Bytes> {
        if self.pieces.is_empty() {
            self.cut();
        }
        let front = self.pieces.front_mut()?;
        let data = front.split_to(front.len().min(most));
        if front.is_empty() {
            self.pieces.pop_front();
        }
        self.held -= data.len();
        Some(data)
    }

    /// Hands over up to `most` bytes: as many as there are, or a multiple of `unit`. What is in one piece is not copied.
    pub(super) fn pop_units(&mut self, most: usize, unit: usize) -> Option<Bytes> {
        let first = self.pieces.front().map_or(self.held, Bytes::len);
        let all = self.held.min(most);
        if first >= all || first.is_multiple_of(unit) {
            return self.pop(most);
        }
        let whole = first - first % unit;
        if whole > 0 {
            return self.pop(whole);
        }
        let length = all.min(PIECE);
        let mut joined = BytesMut::with_capacity(length);
        while joined.len() < length {
            joined.extend_from_slice(&self.pop(length - joined.len())?);
        }
        Some(joined.freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn data_in_one_piece_is_not_copied() {
        let mut queue = ByteQueue::default();
        let data = Bytes::from(vec![7; 4096]);
        assert_eq!(queue.push(&data, 512), 4096);
        let places = [queue.pop_units(1024, 512), queue.pop_units(4096, 512)];
        let places = places.map(|it| it.unwrap().as_ptr());
        assert_eq!(places, [data.as_ptr(), data[1024..].as_ptr()]);
        assert!(queue.len() == 0 && queue.pop(1).is_none());
    }

    #[test]
    fn a_queue_keeps_no_more_alive_than_it_holds() {
        let mut queue = ByteQueue::default();
        let data = Bytes::from(vec![7; COPIED]);
        for _ in 0..CAPACITY / COPIED {
            assert_eq!(queue.push(&data, 1), COPIED);
        }
        assert_eq!((queue.push(&data, 1), queue.room()), (0, 0));
        assert!(queue.pieces.len() <= MOST_SLICES);
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in_and_in_whole_units(
            steps in prop::collection::vec((0usize..40_000, 0usize..40_000), 1..60),
            unit in prop::sample::select(vec![64usize, 512, 1024]),
        ) {
            let mut queue = ByteQueue::default();
            let (mut given, mut got) = (Vec::new(), Vec::new());
            let mut next = 0u8;
            for (length, most) in steps {
                let data: Vec<u8> = (0..length).map(|_| { next = next.wrapping_mul(5).wrapping_add(1); next }).collect();
                let taken = queue.push(&data.clone().into(), unit);
                prop_assert!(taken == length || taken % unit == 0 && length > queue.room());
                given.extend_from_slice(&data[..taken]);
                let before = queue.len();
                if let Some(data) = queue.pop_units(most, unit) {
                    prop_assert!(data.len() % unit == 0 || data.len() == before.min(most));
                    got.extend_from_slice(&data);
                }
                prop_assert_eq!(queue.len(), given.len() - got.len());
            }
            while let Some(data) = queue.pop(1000) {
                got.extend_from_slice(&data);
            }
            prop_assert_eq!(given, got);
        }
    }
}
