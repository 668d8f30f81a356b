//! A region as it is mapped in this process. This is the one place of the crate that is `unsafe`.
//!
//! What is mapped is shared with other processes, which may change it at any time. So nothing here hands out what they could make invalid:
//! bytes are copied in and out through raw pointers, and any bytes are valid ones. [`Mapping::bytes`] alone gives a slice, for a driver that reads what an application has
//! written without a copy. A driver moves such bytes and does not depend on them: an application that changes them as they are read, or has them read into at the same time,
//! spoils its own data, as with any direct I/O of its own memory. No header and no length is ever read from there.
//!
//! A mapping's length holds for as long as it is there, as the file is sealed against cuts.
#![allow(unsafe_code)]

use std::{io, ops::Range, ptr, slice, sync::Arc};

use bytes::Bytes;
use memmap2::{MmapAsRawDesc, MmapOptions, MmapRaw};

/// A mapped region. It is unmapped with the last of its users.
#[derive(Debug)]
pub(crate) struct Mapping(MmapRaw);

impl Mapping {
    /// Maps so many bytes of a file that is known to have them and to keep them.
    pub(super) fn of(file: impl MmapAsRawDesc, length: usize) -> io::Result<Self> {
        MmapOptions::new().len(length).map_raw(file).map(Self)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where `length` bytes from `offset` on are.
    ///
    /// # Panics
    /// Where the region has no such bytes: whoever asks has checked that.
    fn at(&self, offset: usize, length: usize) -> *mut u8 {
        let end = offset.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= self.len()),
            "{length} bytes from {offset} on are not in a region of {}",
            self.len()
        );
        self.0.as_mut_ptr().wrapping_add(offset)
    }

    /// Copies `data` to `offset`, where there is room for it.
    pub(crate) fn copy_in(&self, offset: usize, data: &[u8]) {
        let to = self.at(offset, data.len());
        // SAFETY: `at` has checked the destination, which is mapped for writing; no reference to it is used in this process while a transfer fills it. The source
        // is no part of it but where a driver answers with the same region's bytes, for which `copy` is right as well.
        unsafe { ptr::copy(data.as_ptr(), to, data.len()) }
    }

    /// Copies from `offset` on, where there are as many bytes.
    pub(crate) fn copy_out(&self, offset: usize, data: &mut [u8]) {
        let from = self.at(offset, data.len());
        // SAFETY: `at` has checked the source, which is mapped; `data` is memory of this process' own. Whatever the bytes are, they are valid.
        unsafe { ptr::copy_nonoverlapping(from.cast_const(), data.as_mut_ptr(), data.len()) }
    }

    /// The bytes themselves, of a range that the region has. They keep it mapped.
    pub(crate) fn bytes(self: &Arc<Self>, range: Range<usize>) -> Bytes {
        let length = range.len();
        Bytes::from_owner(Shared {
            at: Place(self.at(range.start, length).cast_const()),
            length,
            _mapping: Arc::clone(self),
        })
    }
}

/// Bytes of a mapping.
struct Shared {
    at: Place,
    length: usize,
    _mapping: Arc<Mapping>,
}

struct Place(*const u8);

// SAFETY: it points into a mapping, which is of the process and of no thread, and which is there for as long as `Shared` is.
unsafe impl Send for Place {}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the bytes were checked as this was made, and stay mapped, as the mapping is kept and the file is sealed. What other processes do to them is told above.
        unsafe { slice::from_raw_parts(self.at.0, self.length) }
    }
}
