//! Where a memory object's bytes are: as they came, shared with others, or in room of its own.

use std::{mem, ops::Range};

use bytes::{Bytes, BytesMut};
use usbwright_protocol::Payload;

use super::MemoryError;

/// The bytes of a memory object: those of `front`, and from there on those of `back`.
#[derive(Debug)]
pub(super) struct Storage {
    size: usize,
    /// As it was put in or is handed out, for others to share; never longer than `size`.
    front: Payload,
    /// Room of its own, of `size` bytes, once it was needed. Without it, what `front` leaves is zeros.
    back: Option<BytesMut>,
}

impl Storage {
    pub(super) fn zeroed(size: usize) -> Self {
        Self {
            size,
            front: Payload::new(),
            back: None,
        }
    }

    pub(super) fn holding(data: Payload) -> Self {
        Self {
            size: data.len(),
            front: data,
            back: None,
        }
    }

    /// Makes it as many zeros as `size` tells.
    pub(super) fn clear(&mut self, size: usize) {
        self.size = size;
        self.front = Payload::new();
        self.back = None;
    }

    /// Makes it a copy of `data`, which is put where its bytes were, if there is room and nobody shares it.
    pub(super) fn copy(&mut self, data: &[u8]) {
        let front = mem::take(&mut self.front);
        let room = self.back.take().or_else(|| match front.pieces().len() {
            1 => front.into_bytes().try_into_mut().ok(),
            _ => None,
        });
        let mut room = room.unwrap_or_default();
        room.clear();
        room.extend_from_slice(data);
        self.size = data.len();
        self.back = Some(room);
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The bytes of `range`, which is within the size, to be shared.
    pub(super) fn payload(&mut self, range: Range<usize>) -> Result<Payload, MemoryError> {
        if range.end > self.front.len() {
            let mut own = mem::take(self.own()?);
            self.back = None;
            // Split, the room counts its users from now on, so that it comes back without an allocation.
            self.front = own.split().freeze().into();
        }
        let mut part = self.front.clone().split_off(range.start);
        drop(part.split_off(range.len()));
        Ok(part)
    }

    /// Puts `data`, which is no longer than the size, at the beginning; gives back what was there and is not needed.
    pub(super) fn replace(&mut self, data: Payload) -> Result<Payload, MemoryError> {
        if data.len() < self.front.len() {
            self.own()?;
        }
        Ok(mem::replace(&mut self.front, data))
    }

    /// Copies into `out` from `offset` on, where there are as many bytes.
    pub(super) fn copy_to(&self, offset: usize, mut out: &mut [u8]) {
        let (mut at, mut begin) = (offset, 0);
        for piece in self.front.pieces() {
            if out.is_empty() {
                return;
            }
            let rest = piece.get(at - begin..).unwrap_or_default();
            let length = rest.len().min(out.len());
            let (now, later) = out.split_at_mut(length);
            now.copy_from_slice(&rest[..length]);
            out = later;
            at += length;
            begin += piece.len();
        }
        match &self.back {
            Some(back) => out.copy_from_slice(&back[at..][..out.len()]),
            None => out.fill(0),
        }
    }

    /// Copies the pieces to `offset` on, where there is room for them.
    pub(super) fn copy_from<T: AsRef<[u8]>>(
        &mut self,
        offset: usize,
        pieces: &[T],
    ) -> Result<(), MemoryError> {
        let mut rest = &mut self.own()?[offset..];
        for piece in pieces {
            rest = put(rest, piece.as_ref());
        }
        Ok(())
    }

    /// Brings all bytes to room of its own, where they can be changed. An error leaves everything as it was.
    fn own(&mut self) -> Result<&mut BytesMut, MemoryError> {
        if self.front.len() == self.size && self.front.pieces().len() == 1 {
            match mem::take(&mut self.front).into_bytes().try_into_mut() {
                Ok(own) => self.back = Some(own),
                Err(shared) => self.front = shared.into(),
            }
        }
        let back = match &mut self.back {
            Some(back) => back,
            none => none.insert(room(self.size)?),
        };
        let mut rest = &mut back[..];
        for piece in mem::take(&mut self.front).into_pieces() {
            rest = put(rest, &piece);
        }
        Ok(back)
    }
}

/// Copies `piece` to the beginning of `to`, and gives what is left of that.
fn put<'a>(to: &'a mut [u8], piece: &[u8]) -> &'a mut [u8] {
    let (now, later) = to.split_at_mut(piece.len());
    now.copy_from_slice(piece);
    later
}

/// Zeros; an error, where the system would end the process otherwise.
fn room(size: usize) -> Result<BytesMut, MemoryError> {
    let mut room = Vec::new();
    room.try_reserve_exact(size)
        .map_err(|_| MemoryError::NoRoom { size })?;
    room.resize(size, 0);
    Ok(Bytes::from(room).into())
}
