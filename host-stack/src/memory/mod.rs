//! Memory objects, which hold the data of requests.

mod storage;

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use usbwright_protocol::Payload;

use crate::status::{HResult, NtStatus};
use storage::Storage;

/// A memory object: a block of bytes of a fixed size, at least one, that a driver and the framework share.
///
/// It is a handle: a clone is the same memory. Any thread may use it at any time; no call waits for a transfer.
///
/// # What is copied, and what is allocated
///
/// Data goes in by [`fill`](Self::fill) and comes out by [`payload`](Self::payload) as shared slices, and neither copies
/// it where it begins at byte 0: what a read brought is kept as it came, and a write sends what is kept. What came out
/// stays as it was, whatever is written to the memory later.
///
/// No call allocates in steady state, with these exceptions:
/// - Room of the memory's own is made when it is first needed: when a part is written to, when less is filled in than
///   had been before, or when more is asked for than was filled in.
/// - Writing to a memory of which a payload or a copy is still held makes new room, and copies all of it: a driver that
///   writes while its transfer is on its way pays so, and the transfer sends what it was submitted with.
/// - So does writing to what was filled in and is shared, as data mostly is that came from a device.
/// - Data in several pieces costs a list of them with each `payload`.
///
/// What was filled in keeps the whole of the buffer alive that it is a slice of, until other data takes its place.
///
/// # No context
///
/// UMDF's `AssignContext` is not here, unlike with the other objects: an application's memory is used again for other requests at once, whoever had it, and goes with its last
/// handle, within the framework as well as within a driver. What a driver keeps with a memory, it keeps beside it, in a value of its own, or with the
/// [request](crate::Request::assign_context).
#[derive(Clone)]
#[doc(alias = "IWDFMemory")]
#[doc(alias = "WDFMEMORY")]
pub struct Memory {
    inner: Arc<Inner>,
}

struct Inner {
    /// In bytes; never zero.
    size: usize,
    read_only: bool,
    storage: Mutex<Storage>,
}

/// A part of a memory object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "WDFMEMORY_OFFSET")]
pub struct MemoryOffset {
    /// Where it begins, in bytes.
    #[doc(alias = "BufferOffset")]
    pub offset: usize,
    /// Its length, in bytes; 0 means as far as the memory goes.
    #[doc(alias = "BufferLength")]
    pub length: usize,
}

/// Why a memory object could not be made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// It would have no byte.
    #[error("a memory object has at least one byte; a transfer of none is given no memory")]
    Empty,
    /// There is no room.
    #[error("there is no room for {size} bytes of memory")]
    NoRoom {
        /// Bytes wanted.
        size: usize,
    },
    /// Less is there than is to be copied.
    #[error("{length} bytes from byte {offset} on are more than the source has, which is {size}")]
    SourceTooSmall {
        /// Where in the source.
        offset: usize,
        /// Bytes to be copied.
        length: usize,
        /// Bytes in the source.
        size: usize,
    },
    /// More is to be copied than there is room for.
    #[error("{length} bytes have no room from byte {offset} on: the destination ends at {end}")]
    DestinationTooSmall {
        /// Where in the destination.
        offset: usize,
        /// Bytes to be copied.
        length: usize,
        /// Where the destination, or the part of it that is to be used, ends.
        end: usize,
    },
    /// Nothing may be written there.
    #[error("the memory is read-only")]
    ReadOnly,
    /// The memory has no such part.
    #[error("{length} bytes from byte {offset} on are no part of a memory of {size}")]
    OutOfRange {
        /// Where the part would begin.
        offset: usize,
        /// Its length, 0 meaning as far as the memory goes.
        length: usize,
        /// Bytes in the memory.
        size: usize,
    },
}

impl MemoryError {
    /// The status that stands for it. Those of the copies are UMDF 2's (microsoft/Windows-Driver-Frameworks,
    /// `src/framework/shared/core/fxmemoryobject.cpp`).
    pub const fn status(&self) -> NtStatus {
        match self {
            Self::Empty | Self::OutOfRange { .. } => NtStatus::INVALID_PARAMETER,
            Self::NoRoom { .. } => NtStatus::INSUFFICIENT_RESOURCES,
            Self::SourceTooSmall { .. } => NtStatus::BUFFER_TOO_SMALL,
            Self::DestinationTooSmall { .. } => NtStatus::INVALID_BUFFER_SIZE,
            Self::ReadOnly => NtStatus::ACCESS_VIOLATION,
        }
    }
}

impl From<MemoryError> for NtStatus {
    fn from(error: MemoryError) -> Self {
        error.status()
    }
}

impl From<MemoryError> for HResult {
    fn from(error: MemoryError) -> Self {
        Self::from_nt(error.status())
    }
}

impl MemoryOffset {
    /// The bytes that it stands for, of a memory of `size`.
    ///
    /// # Errors
    /// [`MemoryError::OutOfRange`] where it begins or ends beyond the memory.
    pub fn range(self, size: usize) -> Result<Range<usize>, MemoryError> {
        let Self { offset, length } = self;
        let end = match length {
            0 => Some(size),
            _ => offset.checked_add(length),
        };
        match end {
            Some(end) if end <= size && offset < end => Ok(offset..end),
            _ => Err(MemoryError::OutOfRange {
                offset,
                length,
                size,
            }),
        }
    }
}

impl Memory {
    /// A memory of `size` zeros. Room for them is made when it is needed.
    ///
    /// # Errors
    /// [`MemoryError::Empty`] where `size` is 0.
    #[doc(alias = "CreateWdfMemory")]
    pub fn zeroed(size: usize) -> Result<Self, MemoryError> {
        Self::of(Storage::zeroed(size), false)
    }

    /// A memory of the size of `data`, which it holds without a copy. A `BytesMut` is given by its `freeze`.
    ///
    /// # Errors
    /// [`MemoryError::Empty`] where there is no data.
    #[doc(alias = "CreatePreallocatedWdfMemory")]
    pub fn new(data: impl Into<Payload>) -> Result<Self, MemoryError> {
        Self::of(Storage::holding(data.into()), false)
    }

    /// As [`new`](Self::new), but nobody may write to it, as to the data that an application writes.
    ///
    /// # Errors
    /// [`MemoryError::Empty`] where there is no data.
    pub fn read_only(data: impl Into<Payload>) -> Result<Self, MemoryError> {
        Self::of(Storage::holding(data.into()), true)
    }

    fn of(storage: Storage, read_only: bool) -> Result<Self, MemoryError> {
        let size = storage.size();
        if size == 0 {
            return Err(MemoryError::Empty);
        }
        let storage = Mutex::new(storage);
        let inner = Arc::new(Inner {
            size,
            read_only,
            storage,
        });
        Ok(Self { inner })
    }

    /// Makes a memory that nobody else has into another one, which is not read-only. Tells whether nobody had it.
    fn renew(&mut self, make: impl FnOnce(&mut Storage)) -> bool {
        let Some(inner) = Arc::get_mut(&mut self.inner) else {
            return false;
        };
        let storage = inner.storage.get_mut();
        let storage = storage.unwrap_or_else(PoisonError::into_inner);
        make(storage);
        inner.size = storage.size();
        inner.read_only = false;
        true
    }

    /// As [`zeroed`](Self::zeroed), of one that nobody else has. Tells whether nobody had it.
    pub(crate) fn renew_zeroed(&mut self, size: usize) -> bool {
        self.renew(|storage| storage.clear(size))
    }

    /// As [`new`](Self::new), of one that nobody else has. Tells whether nobody had it.
    pub(crate) fn renew_holding(&mut self, data: Bytes) -> bool {
        self.renew(|storage| *storage = Storage::holding(data.into()))
    }

    /// As [`new`](Self::new) with a copy of `data`, of one that nobody else has. Tells whether nobody had it.
    pub(crate) fn renew_copying(&mut self, data: &[u8]) -> bool {
        self.renew(|storage| storage.copy(data))
    }

    /// Its size, in bytes.
    #[doc(alias = "GetSize")]
    pub fn size(&self) -> usize {
        self.inner.size
    }

    /// Whether nobody may write to it.
    pub fn is_read_only(&self) -> bool {
        self.inner.read_only
    }

    /// The bytes of a part, or all, as a write sends them; they are not copied.
    ///
    /// # Errors
    /// [`MemoryError::OutOfRange`] where there is no such part. [`MemoryError::NoRoom`] where room for the memory was
    /// yet to be made, and there is none.
    #[doc(alias = "GetDataBuffer")]
    pub fn payload(&self, part: Option<MemoryOffset>) -> Result<Payload, MemoryError> {
        let range = part.unwrap_or_default().range(self.size())?;
        self.storage().payload(range)
    }

    /// As [`payload`](Self::payload), in one piece. They are copied only where they came in several.
    ///
    /// `IWDFMemory::GetDataBuffer` gives a pointer to write through as well; here that is
    /// [`copy_from_buffer`](Self::copy_from_buffer).
    ///
    /// # Errors
    /// As [`payload`](Self::payload).
    #[doc(alias = "GetDataBuffer")]
    pub fn to_bytes(&self, part: Option<MemoryOffset>) -> Result<Bytes, MemoryError> {
        self.payload(part).map(Payload::into_bytes)
    }

    /// Puts what a read brought at the beginning of a part, or of all; the bytes behind it stay as they were.
    ///
    /// Data for byte 0 is kept as it came and not copied.
    ///
    /// # Errors
    /// The memory is then unchanged. [`MemoryError::ReadOnly`]; [`MemoryError::OutOfRange`] where there is no such part;
    /// [`MemoryError::DestinationTooSmall`] where it has no room for the data; [`MemoryError::NoRoom`].
    pub fn fill(&self, part: Option<MemoryOffset>, data: Payload) -> Result<(), MemoryError> {
        self.check_writable()?;
        let range = part.unwrap_or_default().range(self.size())?;
        if data.len() > range.len() {
            return Err(MemoryError::DestinationTooSmall {
                offset: range.start,
                length: data.len(),
                end: range.end,
            });
        }
        self.put(range.start, data)
    }

    /// Fills all of this memory with what `source` has from byte `offset` on.
    ///
    /// `IWDFMemory::CopyFromMemory` takes a `WDFMEMORY_OFFSET` here, whose length it ignores. The bytes are shared until
    /// one of the two is written to.
    ///
    /// # Errors
    /// This memory is then unchanged. [`MemoryError::ReadOnly`]; [`MemoryError::SourceTooSmall`] where `source` has less
    /// than this memory's size from there on; [`MemoryError::NoRoom`].
    #[doc(alias = "CopyFromMemory")]
    pub fn copy_from_memory(&self, source: &Self, offset: usize) -> Result<(), MemoryError> {
        self.check_writable()?;
        source.check_source(offset, self.size())?;
        let length = self.size();
        let data = source.payload(Some(MemoryOffset { offset, length }))?;
        self.put(0, data)
    }

    /// Fills all of `buffer` with what is here from byte `offset` on.
    ///
    /// # Errors
    /// [`MemoryError::SourceTooSmall`] where that is less than `buffer` has room for.
    #[doc(alias = "CopyToBuffer")]
    pub fn copy_to_buffer(&self, offset: usize, buffer: &mut [u8]) -> Result<(), MemoryError> {
        self.check_source(offset, buffer.len())?;
        self.storage().copy_to(offset, buffer);
        Ok(())
    }

    /// Writes all of `buffer` here, from byte `offset` on.
    ///
    /// # Errors
    /// The memory is then unchanged. [`MemoryError::ReadOnly`]; [`MemoryError::DestinationTooSmall`] where there is less
    /// room from there on; [`MemoryError::NoRoom`].
    #[doc(alias = "CopyFromBuffer")]
    pub fn copy_from_buffer(&self, offset: usize, buffer: &[u8]) -> Result<(), MemoryError> {
        self.check_writable()?;
        let (length, end) = (buffer.len(), self.size());
        if !fits(offset, length, end) {
            return Err(MemoryError::DestinationTooSmall {
                offset,
                length,
                end,
            });
        }
        self.storage().copy_from(offset, &[buffer])
    }

    /// Puts data where there is room for it.
    fn put(&self, offset: usize, data: Payload) -> Result<(), MemoryError> {
        if offset > 0 {
            return self.storage().copy_from(offset, data.pieces());
        }
        // Dropped when the lock is free again: it is the port's own buffer, and may go back to it.
        let _replaced = self.storage().replace(data)?;
        Ok(())
    }

    fn check_writable(&self) -> Result<(), MemoryError> {
        match self.inner.read_only {
            true => Err(MemoryError::ReadOnly),
            false => Ok(()),
        }
    }

    fn check_source(&self, offset: usize, length: usize) -> Result<(), MemoryError> {
        let size = self.size();
        match fits(offset, length, size) {
            true => Ok(()),
            false => Err(MemoryError::SourceTooSmall {
                offset,
                length,
                size,
            }),
        }
    }

    fn storage(&self) -> MutexGuard<'_, Storage> {
        let storage = &self.inner.storage;
        storage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fits(offset: usize, length: usize, size: usize) -> bool {
    offset.checked_add(length).is_some_and(|end| end <= size)
}

/// Its size and kind, not its bytes.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("size", &self.size())
            .field("read_only", &self.is_read_only())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
