//! How many replies may wait for their client before they are written.

use usbwright_wire_io::Outbox;

/// Bytes that may wait before no further command is run.
const FULL_BYTES: usize = 2 << 20;
/// Pieces that may wait before no further command is run.
const FULL_PIECES: usize = 512;
/// Small replies that are handed over early: the client works on them while the next ones are made.
const EARLY: usize = 16;
/// Bytes that so many replies have at the most where they are small; larger ones are better copied together.
const EARLY_BYTES: usize = 16 << 10;

/// Whether so much waits that it has to be written first. `early` tells whether the client has a processor to work on what
/// comes early.
#[inline]
pub(super) fn is_full(out: &Outbox, early: bool) -> bool {
    let early = early && out.messages() >= EARLY && out.len() <= EARLY_BYTES;
    early || out.len() >= FULL_BYTES || out.pieces() >= FULL_PIECES
}
