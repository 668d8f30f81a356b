//! A packet's payload: within the packet, or in a sealed file beside it.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    sync::Arc,
};

use bytes::Bytes;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

use super::Header;
use crate::Violation;

/// The longest payload that travels within its packet.
pub const INLINE: usize = 32 * 1024;

/// Seals under which a file is what it was when its descriptor came, and can be read without waiting.
const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

/// The bytes that go with a packet.
#[derive(Clone, Debug)]
pub enum Payload {
    /// They are in memory.
    Inline(Bytes),
    /// They are in a sealed file, and are read once somebody wants them.
    Sealed {
        /// The file.
        file: Arc<File>,
        /// How many of the file's bytes are meant.
        length: usize,
    },
}

impl Payload {
    /// None.
    pub const EMPTY: Self = Self::Inline(Bytes::new());

    /// Puts `bytes` where they travel best.
    ///
    /// # Errors
    /// Where the system makes no file for long ones.
    pub fn new(bytes: Bytes) -> io::Result<Self> {
        if bytes.len() <= INLINE {
            return Ok(Self::Inline(bytes));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("usbwright-port-message", flags)?);
        file.write_all(&bytes)?;
        fcntl_add_seals(&file, SEALS | SealFlags::SEAL)?;
        Ok(Self::Sealed {
            file: Arc::new(file),
            length: bytes.len(),
        })
    }

    /// What came with `header`.
    pub(super) fn open(
        header: &Header,
        inline: &[u8],
        descriptors: Vec<OwnedFd>,
        limit: usize,
    ) -> Result<Self, Violation> {
        let length = header.length.get() as usize;
        if length > limit {
            return Err(Violation::Long { length, limit });
        }
        let sealed = header.has(Header::SEALED);
        if descriptors.len() != usize::from(sealed) {
            return Err(Violation::Descriptors(descriptors.len()));
        }
        let expected = if sealed { 0 } else { length };
        if inline.len() != expected {
            return Err(Violation::Length {
                told: expected,
                came: inline.len(),
            });
        }
        match descriptors.into_iter().next() {
            Some(descriptor) => Self::sealed(File::from(descriptor), length),
            None => Ok(Self::Inline(Bytes::copy_from_slice(inline))),
        }
    }

    fn sealed(file: File, length: usize) -> Result<Self, Violation> {
        // Only what memfd_create has made can have seals, and so no pipe and no network file gets past this.
        let seals = fcntl_get_seals(&file).map_err(|_| Violation::NotSealed)?;
        let size = file.metadata().map_err(|_| Violation::NotSealed)?.len();
        if !seals.contains(SEALS) || size != length as u64 {
            return Err(Violation::NotSealed);
        }
        Ok(Self::Sealed {
            file: Arc::new(file),
            length,
        })
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Sealed { length, .. } => *length,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Leaves out what is beyond the first `most` bytes.
    pub fn truncate(&mut self, most: usize) {
        match self {
            Self::Inline(bytes) => bytes.truncate(most),
            Self::Sealed { length, .. } => *length = most.min(*length),
        }
    }

    /// The bytes themselves.
    ///
    /// # Errors
    /// Where a file can't be read.
    pub fn read(self) -> io::Result<Bytes> {
        match self {
            Self::Inline(bytes) => Ok(bytes),
            Self::Sealed { file, length } => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, 0)?;
                Ok(bytes.into())
            }
        }
    }
}

impl From<&'static [u8]> for Payload {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Inline(Bytes::from_static(bytes))
    }
}

#[cfg(test)]
mod tests {
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    fn header(length: usize) -> Header {
        Header {
            flags: Header::SEALED.into(),
            length: u32::try_from(length).unwrap().into(),
            ..Header::default()
        }
    }

    fn descriptor(payload: Payload) -> OwnedFd {
        let Payload::Sealed { file, .. } = payload else {
            panic!("it is long");
        };
        Arc::into_inner(file).unwrap().into()
    }

    #[test]
    fn a_long_payload_arrives_as_it_was() {
        let bytes: Vec<u8> = (0..INLINE + 1).map(|at| at as u8).collect();
        let sent = Payload::new(bytes.clone().into()).unwrap();
        let header = header(sent.len());
        let opened = Payload::open(&header, &[], vec![descriptor(sent)], bytes.len()).unwrap();
        assert_eq!(opened.read().unwrap(), bytes);
    }

    #[test]
    fn a_descriptor_that_is_no_sealed_file_is_refused() {
        let (end, _other) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let plain: OwnedFd = tempfile::tempfile().unwrap().into();
        let open = memfd_create("open", MemfdFlags::ALLOW_SEALING).unwrap();
        for descriptor in [end, plain, open] {
            let refused = Payload::open(&header(0), &[], vec![descriptor], INLINE);
            assert!(matches!(refused, Err(Violation::NotSealed)), "{refused:?}");
        }
    }

    #[test]
    fn a_length_that_is_not_the_files_is_refused() {
        let sent = Payload::new(vec![0; INLINE + 1].into()).unwrap();
        let refused = Payload::open(&header(INLINE), &[], vec![descriptor(sent)], INLINE);
        assert!(matches!(refused, Err(Violation::NotSealed)), "{refused:?}");
    }

    #[test]
    fn more_than_the_limit_is_refused_whatever_comes_with_it() {
        let refused = Payload::open(&header(11), &[], Vec::new(), 10);
        let Err(Violation::Long { length, limit }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((length, limit), (11, 10));
    }
}
