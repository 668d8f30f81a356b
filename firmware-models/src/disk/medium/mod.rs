//! Where a disk's bytes are kept: the outside world that the model is given.

mod buffers;
#[cfg(test)]
pub(crate) mod faulty;
mod file;
mod ranges;
mod sparse;
#[cfg(test)]
mod tests;

use std::{fmt, io};

use bytes::Bytes;

pub use self::{
    file::{Access, FileMedium, ImageError},
    sparse::Sparse,
};

/// What a disk's bytes are kept in.
///
/// Its methods may block for as long as a file takes: they are called by the thread that drives the device, and hold up
/// no other device. None is asked for more than a bounded number of bytes at a time, except to discard them.
///
/// Places and lengths are in bytes, and never beyond [`size`](Self::size).
pub trait Medium: fmt::Debug + Send + 'static {
    /// Bytes that it holds. It does not change.
    fn size(&self) -> u64;

    /// Whether every write is refused.
    fn is_read_only(&self) -> bool {
        false
    }

    /// Reads at least one byte and at the most `most`, from `at` on. It may give fewer than asked for, where what it keeps in
    /// one piece ends: so nothing needs to be put together.
    ///
    /// What was read stays as it was, whatever is written afterwards.
    ///
    /// # Errors
    /// Where it can't be read there.
    fn read(&mut self, at: u64, most: usize) -> io::Result<Bytes>;

    /// Writes all of `data`, which is not empty, at `at`. Whoever reads sees it from now on; it is safe once [`flush`](Self::flush) has returned.
    ///
    /// # Errors
    /// Where it can't be written; a part of it may have been.
    fn write(&mut self, at: u64, data: &[u8]) -> io::Result<()>;

    /// Returns when all that was written or discarded is on stable storage, as far as there is any.
    ///
    /// # Errors
    /// Where that can't be had: what was written may be lost.
    fn flush(&mut self) -> io::Result<()>;

    /// Whether [`discard`](Self::discard) gives room back. Where it does not, it is not called.
    fn discards(&self) -> bool;

    /// Gives the room of `length` bytes from `at` on back. They read as zeros from now on.
    ///
    /// # Errors
    /// Where that can't be done; a part of it may have been.
    fn discard(&mut self, at: u64, length: u64) -> io::Result<()>;
}

/// Reads from a medium that somebody else may have made: it has to give at least one byte and at the most `most`.
pub(crate) fn read_some(medium: &mut dyn Medium, at: u64, most: usize) -> io::Result<Bytes> {
    let mut data = medium.read(at, most)?;
    data.truncate(most);
    match data.is_empty() {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(data),
    }
}

/// Zeros, for whoever reads or writes many.
pub(crate) static ZEROS: [u8; 256 << 10] = [0; 256 << 10];
