//! The bytes that are sent, and those that are expected.

/// What a source sends and a sink takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Nothing but zeros.
    Zeros,
    /// Byte `i` of a packet is `i mod 63`.
    Mod63,
}

impl Pattern {
    /// The byte at a place of a stream of full packets.
    pub(super) fn byte(self, place: usize, packet: usize) -> u8 {
        match self {
            Self::Zeros => 0,
            Self::Mod63 => (place % packet % 63) as u8,
        }
    }

    /// So many bytes from where a packet begins.
    pub(super) fn bytes(self, length: usize, packet: usize) -> Vec<u8> {
        (0..length).map(|it| self.byte(it, packet)).collect()
    }
}

/// Bytes that look random and are the same for the same seed (xorshift64*).
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    (0..length).map(|_| dice.roll(256) as u8).collect()
}

/// Numbers that look random and are the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }
}
