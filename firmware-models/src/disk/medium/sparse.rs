//! A medium in memory, of which only what was written takes room; alone, or over another that stays as it is.

use std::{collections::BTreeMap, fmt, io};

use bytes::{Bytes, BytesMut};

use super::{Medium, ZEROS, ranges::Ranges, read_some};

/// Bytes in one chunk.
const CHUNK: u64 = 64 << 10;

/// A medium in memory. It is filled with zeros, or with what another medium has ([`over`](Self::over)), and only the chunks
/// of 64 KiB that were written to take room.
pub struct Sparse {
    size: u64,
    /// What was written, by the chunk's number. The last chunk may be shorter than the others.
    chunks: BTreeMap<u64, Bytes>,
    /// Numbers of chunks that are not what the medium below has: zeros, where nothing was written since.
    discarded: Ranges,
    below: Option<Box<dyn Medium>>,
}

impl Sparse {
    /// A medium of `size` bytes, all of them zero.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            chunks: BTreeMap::new(),
            discarded: Ranges::default(),
            below: None,
        }
    }

    /// A medium that begins as `below` is. Whatever is written stays in memory, and is gone with this medium.
    #[doc(alias = "snapshot")]
    pub fn over(below: impl Medium) -> Self {
        let size = below.size();
        Self {
            below: Some(Box::new(below)),
            ..Self::new(size)
        }
    }

    /// Bytes of memory that what was written takes.
    pub fn used(&self) -> u64 {
        self.chunks.values().map(|chunk| chunk.len() as u64).sum()
    }

    fn chunk_length(&self, number: u64) -> usize {
        CHUNK.min(self.size - number * CHUNK) as usize
    }

    /// Reads where no chunk was written.
    fn read_below(&mut self, at: u64, most: usize) -> io::Result<Bytes> {
        let number = at / CHUNK;
        let next_chunk = self.chunks.range(number..).next();
        let mut end = next_chunk.map_or(self.size, |(next, _)| next * CHUNK);
        if let Some(below) = &mut self.below {
            let (zeros, until) = self.discarded.at(number);
            end = end.min(until.saturating_mul(CHUNK));
            let most = (most as u64).min(end - at) as usize;
            if !zeros {
                return read_some(&mut **below, at, most);
            }
        }
        let most = most.min(ZEROS.len()) as u64;
        Ok(Bytes::from_static(&ZEROS[..most.min(end - at) as usize]))
    }

    /// Takes a chunk out to be written to, as it is now. What readers have of it stays as it is.
    fn chunk(&mut self, number: u64) -> io::Result<BytesMut> {
        if let Some(chunk) = self.chunks.remove(&number) {
            return Ok(chunk
                .try_into_mut()
                .unwrap_or_else(|shared| BytesMut::from(&shared[..])));
        }
        let length = self.chunk_length(number);
        if self.below.is_none() || self.discarded.at(number).0 {
            return Ok(BytesMut::zeroed(length));
        }
        let mut chunk = BytesMut::with_capacity(length);
        while chunk.len() < length {
            let at = number * CHUNK + chunk.len() as u64;
            let part = self.read_below(at, length - chunk.len())?;
            chunk.extend_from_slice(&part);
        }
        Ok(chunk)
    }

    /// Fills a part of a chunk with zeros, unless it is zeros as it is.
    fn clear(&mut self, number: u64, from: usize, length: usize) -> io::Result<()> {
        let zeros = self.below.is_none() || self.discarded.at(number).0;
        if !zeros || self.chunks.contains_key(&number) {
            let mut chunk = self.chunk(number)?;
            chunk[from..from + length].fill(0);
            self.chunks.insert(number, chunk.freeze());
        }
        Ok(())
    }
}

impl fmt::Debug for Sparse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sparse")
            .field("size", &self.size)
            .field("used", &self.used())
            .field("below", &self.below)
            .finish_non_exhaustive()
    }
}

impl Medium for Sparse {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, at: u64, most: usize) -> io::Result<Bytes> {
        let Some(chunk) = self.chunks.get(&(at / CHUNK)) else {
            return self.read_below(at, most);
        };
        let from = (at % CHUNK) as usize;
        Ok(chunk.slice(from..chunk.len().min(from + most)))
    }

    fn write(&mut self, mut at: u64, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let (number, from) = (at / CHUNK, (at % CHUNK) as usize);
            let length = data.len().min(self.chunk_length(number) - from);
            let (part, rest) = data.split_at(length);
            let whole = length == self.chunk_length(number);
            let chunk = match self.chunks.contains_key(&number) {
                false if whole => BytesMut::from(part),
                _ => {
                    let mut chunk = self.chunk(number)?;
                    chunk[from..from + length].copy_from_slice(part);
                    chunk
                }
            };
            self.chunks.insert(number, chunk.freeze());
            at += length as u64;
            data = rest;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn discards(&self) -> bool {
        true
    }

    fn discard(&mut self, at: u64, length: u64) -> io::Result<()> {
        let end = at + length;
        let first = at.div_ceil(CHUNK);
        // The last chunk is a whole one, however short.
        let last = if end == self.size {
            end.div_ceil(CHUNK)
        } else {
            end / CHUNK
        };
        if first > last {
            return self.clear(at / CHUNK, (at % CHUNK) as usize, length as usize);
        }
        if !at.is_multiple_of(CHUNK) {
            let to = (first * CHUNK).min(end);
            self.clear(at / CHUNK, (at % CHUNK) as usize, (to - at) as usize)?;
        }
        if last * CHUNK < end {
            self.clear(last, 0, (end - last * CHUNK) as usize)?;
        }
        let mut dropped = self.chunks.split_off(&first);
        self.chunks.append(&mut dropped.split_off(&last));
        if self.below.is_some() {
            self.discarded.insert(first..last);
        }
        Ok(())
    }
}
