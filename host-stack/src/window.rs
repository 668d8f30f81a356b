//! A part of a memory object.

use usbwright_target::protocol::Payload;

use crate::{Memory, MemoryError, MemoryOffset};

/// A part of a [`Memory`]: what a transfer moves.
#[derive(Clone, Debug)]
#[doc(alias = "WDFMEMORY_OFFSET")]
pub struct Window {
    memory: Memory,
    offset: usize,
    length: usize,
}

impl Window {
    /// The part of `memory` that `offset` names, or all of it.
    ///
    /// # Errors
    /// Where the memory is smaller than that.
    pub fn new(memory: &Memory, offset: Option<MemoryOffset>) -> Result<Self, MemoryError> {
        let range = offset.unwrap_or_default().range(memory.size())?;
        Ok(Self {
            memory: memory.clone(),
            offset: range.start,
            length: range.len(),
        })
    }

    /// What it holds, without a copy.
    pub fn payload(&self) -> Payload {
        let part = self.memory.payload(Some(self.part(self.length)));
        part.expect("a window is within its memory")
    }

    /// Puts what has come at its beginning, without a copy where it can. What does not fit is left out.
    ///
    /// # Errors
    /// Where the memory is read-only.
    pub fn fill(&self, payload: Payload) -> Result<(), MemoryError> {
        let mut payload = payload;
        let _excess = payload.split_off(self.length);
        match payload.len() {
            0 => Ok(()),
            length => self.memory.fill(Some(self.part(length)), payload),
        }
    }

    fn part(&self, length: usize) -> MemoryOffset {
        MemoryOffset {
            offset: self.offset,
            length,
        }
    }

    /// The memory, and where in it this begins.
    pub(crate) fn into_parts(self) -> (Memory, usize) {
        (self.memory, self.offset)
    }

    /// The memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Where in the memory it begins.
    #[doc(alias = "BufferOffset")]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Its length in bytes.
    #[doc(alias = "BufferLength")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}
