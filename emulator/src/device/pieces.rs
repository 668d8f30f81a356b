//! OUT data that comes in several pieces: brought to whole packets, so that each can be offered to the firmware as it is.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use usbwright_protocol::Payload;

/// What follows the first piece of a transfer's data; most transfers have one piece.
#[derive(Debug, Default)]
pub(super) struct Rest(Option<Box<Queue>>);

/// Boxed, as it would make every transfer larger.
#[derive(Debug)]
struct Queue(VecDeque<Bytes>);

impl Rest {
    /// The first piece of a payload, and the rest of it.
    pub(super) fn split(payload: Payload) -> (Bytes, Self) {
        match payload.pieces().len() {
            0 | 1 => (payload.into_pieces().next().unwrap_or_default(), Self(None)),
            _ => {
                let mut pieces: VecDeque<_> = payload.into_pieces().collect();
                let first = pieces.pop_front().unwrap_or_default();
                (first, Self(Some(Box::new(Queue(pieces)))))
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let queue = self.0.as_deref_mut()?;
        let piece = queue.0.pop_front();
        if queue.0.is_empty() {
            self.0 = None;
        }
        piece
    }

    /// Cuts `first` and the pieces behind it anew, so that all but the last are whole packets. At most one packet is copied
    /// where a piece ends within one.
    pub(super) fn align(&mut self, first: &mut Bytes, packet: usize) {
        let mut pieces = VecDeque::new();
        let mut left = std::mem::take(first);
        loop {
            let whole = left.len() - left.len() % packet;
            if whole > 0 {
                pieces.push_back(left.split_to(whole));
            }
            let Some(mut next) = self.next() else {
                break;
            };
            if left.is_empty() {
                left = next;
                continue;
            }
            let mut filled = BytesMut::new();
            filled.extend_from_slice(&left);
            while filled.len() < packet {
                let part = next.split_to(next.len().min(packet - filled.len()));
                filled.extend_from_slice(&part);
                if !next.has_remaining() {
                    match self.next() {
                        Some(piece) => next = piece,
                        None => break,
                    }
                }
            }
            pieces.push_back(filled.freeze());
            left = next;
        }
        if !left.is_empty() {
            pieces.push_back(left);
        }
        *first = pieces.pop_front().unwrap_or_default();
        if !pieces.is_empty() {
            self.0 = Some(Box::new(Queue(pieces)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn aligned(lengths: &[usize], packet: usize) -> (Vec<Bytes>, Vec<Bytes>) {
        let mut payload = Payload::new();
        let mut next = 0u8;
        for length in lengths {
            let piece: Vec<u8> = (0..*length)
                .map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
                .collect();
            payload.push(piece.into());
        }
        let before = payload.pieces().to_vec();
        let (mut first, mut rest) = Rest::split(payload);
        rest.align(&mut first, packet);
        let mut pieces = vec![first];
        pieces.extend(std::iter::from_fn(|| rest.next()));
        (before, pieces)
    }

    #[test]
    fn pieces_of_whole_packets_stay_where_they_are() {
        let (before, after) = aligned(&[512, 1024, 7], 512);
        let places = |pieces: &[Bytes]| pieces.iter().map(|it| it.as_ptr()).collect::<Vec<_>>();
        assert_eq!(places(&before), places(&after));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_and_all_but_the_last_are_whole_packets(
            lengths in prop::collection::vec(0usize..40, 0..12), packet in 1usize..17,
        ) {
            let (before, after) = aligned(&lengths, packet);
            prop_assert_eq!(before.concat(), after.concat());
            let (_, all_but_last) = after.split_last().unwrap();
            prop_assert!(all_but_last.iter().all(|it| !it.is_empty() && it.len() % packet == 0));
        }
    }
}
