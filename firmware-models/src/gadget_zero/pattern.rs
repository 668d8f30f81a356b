//! The data that the source sends and the sink expects.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use usbwright_emulator::protocol::{EndpointAddress, Speed};

use super::{
    PatternKind,
    descriptors::{
        INTERRUPT, INTERRUPT_PACKET, ISOCHRONOUS, bulk_packet_size, isochronous_packet_size,
    },
};

/// Bytes that one piece of the source's data has at the most: the largest common transfers are of one piece.
const LENGTH: usize = 1 << 20;
static ZEROS: [u8; LENGTH] = [0; LENGTH];

/// A pattern, ready to be sent and compared with.
#[derive(Debug)]
pub(super) struct Pattern {
    checked: bool,
    bulk: Bytes,
    isochronous: Bytes,
    interrupt: Bytes,
}

impl Pattern {
    pub(super) fn new(kind: PatternKind, speed: Speed) -> Self {
        let of = |packet_size: usize| match kind {
            PatternKind::Mod63 => mod_63(packet_size),
            PatternKind::Zeros | PatternKind::Unchecked => Bytes::from_static(&ZEROS),
        };
        Self {
            checked: kind != PatternKind::Unchecked,
            bulk: of(bulk_packet_size(speed)),
            isochronous: of(isochronous_packet_size(speed).into()),
            interrupt: of(INTERRUPT_PACKET.into()),
        }
    }

    fn of(&self, endpoint: EndpointAddress) -> &Bytes {
        match endpoint.number() {
            ISOCHRONOUS => &self.isochronous,
            INTERRUPT => &self.interrupt,
            _ => &self.bulk,
        }
    }

    /// Up to `room` bytes of a transfer, from where a packet begins.
    pub(super) fn data(&self, endpoint: EndpointAddress, room: usize) -> Bytes {
        let pattern = self.of(endpoint);
        pattern.slice(..room.min(pattern.len()))
    }

    /// Where `data` departs from the pattern. Isochronous data is not looked at, as in the kernel's gadget.
    pub(super) fn mismatch(&self, endpoint: EndpointAddress, data: &[u8]) -> Option<usize> {
        if !self.checked || endpoint.number() == ISOCHRONOUS {
            return None;
        }
        let pattern = self.of(endpoint);
        let mut chunks = data.chunks(pattern.len());
        let chunk = chunks.position(|chunk| chunk != &pattern[..chunk.len()])?;
        let start = chunk * pattern.len();
        let bytes = data[start..].iter().zip(pattern);
        let place = bytes
            .into_iter()
            .position(|(byte, expected)| byte != expected)?;
        Some(start + place)
    }
}

/// The pattern `(i mod packet_size) mod 63`, for as many packets as fit in [`LENGTH`]. All devices share it.
fn mod_63(packet_size: usize) -> Bytes {
    static MADE: Mutex<BTreeMap<usize, Bytes>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let pattern = made.entry(packet_size).or_insert_with(|| {
        let length = LENGTH - LENGTH % packet_size;
        (0..length).map(|i| (i % packet_size % 63) as u8).collect()
    });
    pattern.clone()
}

#[cfg(test)]
mod tests {
    use usbwright_emulator::protocol::Direction;

    use super::*;

    const BULK_OUT: EndpointAddress = EndpointAddress::new(1, Direction::Out);

    #[test]
    fn the_pattern_begins_anew_with_each_packet() {
        let pattern = Pattern::new(PatternKind::Mod63, Speed::High);
        let data = pattern.data(BULK_OUT, 2048);
        assert_eq!(data.len(), 2048);
        for (i, byte) in data.iter().enumerate() {
            assert_eq!(usize::from(*byte), i % 512 % 63);
        }
    }

    #[test]
    fn the_sink_finds_the_first_wrong_byte() {
        for kind in [PatternKind::Zeros, PatternKind::Mod63] {
            let pattern = Pattern::new(kind, Speed::High);
            let mut data: Vec<u8> = Vec::new();
            while data.len() < LENGTH + 1000 {
                data.extend_from_slice(&pattern.data(BULK_OUT, 512));
            }
            assert_eq!(pattern.mismatch(BULK_OUT, &data), None);
            data[LENGTH + 7] ^= 0x80;
            assert_eq!(pattern.mismatch(BULK_OUT, &data), Some(LENGTH + 7));
        }
    }

    #[test]
    fn an_unchecked_sink_takes_anything() {
        let pattern = Pattern::new(PatternKind::Unchecked, Speed::High);
        assert_eq!(pattern.mismatch(BULK_OUT, &[1, 2, 3]), None);
    }
}
