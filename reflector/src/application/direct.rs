//! Memory that an application shares with the host of its device.

use std::{fmt, sync::Arc};

use thiserror::Error;

use super::Opened;
use crate::region::{self, Mapping, RegionError};

/// Memory that this process and a device's host both have mapped ([`Device::direct_buffer`](super::Device::direct_buffer)): reads bring data there, and writes take it from
/// there, without a copy in between.
///
/// The memory is the application's, but the host may change it at any time, though it does so only for reads: so bytes are copied out, and what was seen twice may differ.
/// A request that was dropped, or whose time was up, may still use its part until it has been cancelled: the buffer is best not used again before
/// [`Device::close`](super::Device::close), or a request that was [cancelled](super::Io::cancel) has ended.
///
/// It keeps its memory until it is dropped and the host has let go of it, and it keeps its device open.
pub struct DirectBuffer {
    opened: Arc<Opened>,
    mapping: Arc<Mapping>,
    number: u32,
}

/// A buffer has no such part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{length} bytes from byte {offset} on are no part of a buffer of {size}")]
pub struct OutOfBuffer {
    /// Where the part would begin.
    pub offset: usize,
    /// Its length.
    pub length: usize,
    /// Bytes in the buffer.
    pub size: usize,
}

impl DirectBuffer {
    pub(super) fn new(opened: &Arc<Opened>, length: usize) -> Result<Self, RegionError> {
        let (descriptor, mapping) = region::create(length)?;
        let core = |state: &mut usbwright_ports::parts::State<super::wired::Wired>| {
            state.core.core.add_region(length, descriptor)
        };
        Ok(Self {
            opened: Arc::clone(opened),
            mapping,
            number: opened.link().with(core),
        })
    }

    pub(super) fn is_of(&self, opened: &Arc<Opened>) -> bool {
        Arc::ptr_eq(&self.opened, opened)
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Its size, in bytes; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Copies `data` there, from byte `offset` on.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub fn write(&self, offset: usize, data: &[u8]) -> Result<(), OutOfBuffer> {
        self.check(offset, data.len())?;
        self.mapping.copy_in(offset, data);
        Ok(())
    }

    /// Fills `data` with what is there from byte `offset` on.
    ///
    /// # Errors
    /// Where there is less than that.
    pub fn read(&self, offset: usize, data: &mut [u8]) -> Result<(), OutOfBuffer> {
        self.check(offset, data.len())?;
        self.mapping.copy_out(offset, data);
        Ok(())
    }

    fn check(&self, offset: usize, length: usize) -> Result<(), OutOfBuffer> {
        let size = self.len();
        let end = offset.checked_add(length);
        match end.is_some_and(|end| end <= size) {
            true => Ok(()),
            false => Err(OutOfBuffer {
                offset,
                length,
                size,
            }),
        }
    }
}

impl Drop for DirectBuffer {
    fn drop(&mut self) {
        let number = self.number;
        let link = self.opened.link();
        link.with(|state| state.core.core.remove_region(number));
    }
}

impl fmt::Debug for DirectBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectBuffer")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
