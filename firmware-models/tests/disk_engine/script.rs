//! The bytes that tell a host what to do, and numbers made of them.

/// A script. Where it has ended, every byte is zero.
pub(super) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte, unless the script has ended.
    pub(super) fn next(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// A number from 0 up to `most`.
    pub(super) fn up_to(&mut self, most: usize) -> usize {
        usize::from(u16::from_be_bytes(self.bytes())) % (most + 1)
    }

    /// True once in so many times, and not where the script has ended.
    pub(super) fn one_in(&mut self, times: u8) -> bool {
        self.byte() % times == 1
    }

    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Data that differs from place to place and from time to time.
    pub(super) fn data(&mut self, length: usize) -> Vec<u8> {
        let (first, step) = (self.byte(), self.byte() % 8);
        (0..length)
            .map(|place| first.wrapping_add(((place / 256) as u8).wrapping_mul(step)))
            .collect()
    }
}
