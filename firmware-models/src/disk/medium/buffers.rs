//! Memory that files are read into, used again once nobody has what was read.

use std::{fmt, fs::File, io, os::unix::fs::FileExt};

use bytes::{Bytes, BytesMut};
use rustix::{buffer::spare_capacity, io::pread};

/// Bytes in one buffer, and the most that is read at a time.
const LENGTH: usize = 256 << 10;
/// Reads of up to so many bytes have memory of their own, so that whoever keeps them keeps no more than that.
const SMALL: usize = 16 << 10;
/// Buffers that are kept to be used again.
const KEPT: usize = 4;

/// A few buffers. Each is filled with zeros when it is made, and never again.
#[derive(Default)]
pub(super) struct Buffers(Vec<Bytes>);

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").finish_non_exhaustive()
    }
}

impl Buffers {
    /// Reads up to `most` bytes of a file.
    pub(super) fn read(&mut self, file: &File, at: u64, most: usize) -> io::Result<Bytes> {
        if most <= SMALL {
            return read_small(file, at, most);
        }
        let mut memory = self.free();
        let length = most.min(LENGTH);
        let result = file.read_exact_at(&mut memory[..length], at);
        let memory = memory.freeze();
        let read = memory.slice(..length);
        if self.0.len() < KEPT {
            self.0.push(memory);
        }
        result.map(|()| read)
    }

    /// A buffer that nobody else has.
    fn free(&mut self) -> BytesMut {
        let free = self.0.iter().position(Bytes::is_unique);
        let free = free.map(|place| self.0.swap_remove(place).try_into_mut());
        match free {
            Some(Ok(memory)) => memory,
            _ => BytesMut::zeroed(LENGTH),
        }
    }
}

fn read_small(file: &File, at: u64, length: usize) -> io::Result<Bytes> {
    let mut memory = Vec::with_capacity(length);
    while memory.len() < length {
        let place = at + memory.len() as u64;
        let read = rustix::io::retry_on_intr(|| pread(file, spare_capacity(&mut memory), place))?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    memory.truncate(length);
    Ok(memory.into())
}
