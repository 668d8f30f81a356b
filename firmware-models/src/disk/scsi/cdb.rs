//! Command descriptor blocks: the bytes of a command, and numbers within them.

/// A command descriptor block, padded with zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cdb([u8; 16]);

impl Cdb {
    /// A command as it came; what is beyond 16 bytes is left out, as no command here has more.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut cdb = [0; 16];
        let length = bytes.len().min(16);
        cdb[..length].copy_from_slice(&bytes[..length]);
        Self(cdb)
    }

    pub(super) fn byte(&self, place: usize) -> u8 {
        self.0[place]
    }

    /// Whether all bits of `mask` are set in a byte.
    pub(super) fn has(&self, place: usize, mask: u8) -> bool {
        self.0[place] & mask == mask
    }

    /// The big-endian number in `length` bytes.
    pub(super) fn number(&self, place: usize, length: usize) -> u64 {
        number(&self.0[place..place + length])
    }
}

/// A big-endian number of up to eight bytes.
pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
