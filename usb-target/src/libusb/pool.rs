//! Buffers for what comes from a device: lent to a transfer, then handed out as [`Bytes`], and used again.

use std::{
    collections::TryReserveError,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

/// The smallest buffer, in bytes.
const SMALLEST: usize = 512;
/// The largest buffer that is kept, in bytes.
const LARGEST_KEPT: usize = 1 << 20;
/// The most that is kept, in bytes.
const MOST_KEPT: usize = 4 << 20;

/// Where unused buffers wait. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// A buffer, which goes back to its pool when it is dropped. It holds what earlier transfers left in it.
#[derive(Debug)]
pub(super) struct Buffer {
    memory: Vec<u8>,
    pool: Pool,
}

impl Pool {
    /// A buffer of at least `length` bytes.
    pub(super) fn buffer(&self, length: usize) -> Result<Buffer, TryReserveError> {
        let memory = match self.kept(length) {
            Some(memory) => memory,
            None => zeros(length.next_power_of_two().max(SMALLEST))?,
        };
        let pool = self.clone();
        Ok(Buffer { memory, pool })
    }

    /// The kept buffer that fits best; none that is much too large.
    fn kept(&self, length: usize) -> Option<Vec<u8>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = length.next_power_of_two().max(SMALLEST);
        let fits = |buffer: &Vec<u8>| (length..=most).contains(&buffer.len());
        let place = kept.buffers.iter().rposition(fits)?;
        let memory = kept.buffers.swap_remove(place);
        kept.bytes -= memory.len();
        Some(memory)
    }

    fn keep(&self, memory: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let small = (1..=LARGEST_KEPT).contains(&memory.len());
        if small && kept.bytes + memory.len() <= MOST_KEPT {
            kept.bytes += memory.len();
            kept.buffers.push(memory);
        }
    }
}

fn zeros(length: usize) -> Result<Vec<u8>, TryReserveError> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(length)?;
    memory.resize(length, 0);
    Ok(memory)
}

impl Buffer {
    /// Its memory.
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    /// Its memory, shared; it goes back to the pool with the last slice of it.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.keep(std::mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_last_slice_is_gone() {
        let pool = Pool::default();
        let buffer = pool.buffer(600).unwrap();
        let place = buffer.as_ref().as_ptr();
        let slice = buffer.into_bytes().slice(10..20);
        assert_ne!(pool.buffer(600).unwrap().as_ref().as_ptr(), place);
        drop(slice);
        assert_eq!(pool.buffer(1000).unwrap().as_ref().as_ptr(), place);
    }

    #[test]
    fn the_pool_keeps_a_bounded_amount() {
        let pool = Pool::default();
        let many: Vec<_> = (0..20).map(|_| pool.buffer(LARGEST_KEPT)).collect();
        drop(many);
        drop(pool.buffer(LARGEST_KEPT + 1));
        let kept = pool.0.lock().unwrap();
        assert_eq!((kept.bytes, kept.buffers.len()), (MOST_KEPT, 4));
    }

    #[test]
    fn memory_that_is_not_to_be_had_is_an_error() {
        assert!(Pool::default().buffer(usize::MAX / 4).is_err());
    }
}
