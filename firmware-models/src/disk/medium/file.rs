//! A medium that is a file or a block device of the host.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, FileTypeExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{Medium, buffers::Buffers};

/// What may be done to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is read alone. Others may read it, too.
    Read,
    /// It is read and written. Nobody else may use it.
    Write,
}

/// An image that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It can't be opened.
    #[error("can't open the image {}: {error}", path.display())]
    Open {
        /// The image.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// It is there already.
    #[error("the image {} has {found} bytes and not {wanted}: leave size= out to use it as it is", path.display())]
    Size {
        /// The image.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The size asked for, in bytes.
        wanted: u64,
    },
    /// It is something else, such as a folder.
    #[error("{} is neither a file nor a block device, so it can't be an image", .0.display())]
    Kind(PathBuf),
    /// Somebody else has it.
    #[error(
        "the image {} is in use: another program has it locked. End that one, or use ro or snapshot if it only reads",
        .0.display()
    )]
    InUse(PathBuf),
}

/// A file or a block device of the host, locked (`flock`) for as long as this lives: against everybody else where it is
/// written to, against writers where it is read.
#[derive(Debug)]
pub struct FileMedium {
    file: File,
    size: u64,
    access: Access,
    discards: bool,
    buffers: Buffers,
}

impl FileMedium {
    /// Opens an image that is there.
    ///
    /// # Errors
    /// Where it can't be opened so, or somebody has it.
    pub fn open(path: &Path, access: Access) -> Result<Self, ImageError> {
        let failed = failed(path);
        let kind = fs::metadata(path).map_err(&failed)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(ImageError::Kind(path.to_owned()));
        }
        let writes = access == Access::Write;
        let file = File::options()
            .read(true)
            .write(writes)
            .open(path)
            .map_err(&failed)?;
        Self::new(file, path, access)
    }

    /// Opens an image for writing, and makes it, of `size` bytes without room of its own, where there is none.
    ///
    /// # Errors
    /// Where it can't be opened or made, is of another size, or somebody has it.
    pub fn open_or_create(path: &Path, size: u64) -> Result<Self, ImageError> {
        let new = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path);
        let medium = match new {
            Ok(file) => {
                settle(&file, path, size).map_err(failed(path))?;
                Self::new(file, path, Access::Write)?
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::open(path, Access::Write)?
            }
            Err(error) => return Err(failed(path)(error)),
        };
        if medium.size != size {
            return Err(ImageError::Size {
                path: path.to_owned(),
                found: medium.size,
                wanted: size,
            });
        }
        Ok(medium)
    }

    fn new(file: File, path: &Path, access: Access) -> Result<Self, ImageError> {
        let lock = match access {
            Access::Read => FlockOperation::NonBlockingLockShared,
            Access::Write => FlockOperation::NonBlockingLockExclusive,
        };
        flock(&file, lock).map_err(|errno| match errno {
            Errno::WOULDBLOCK => ImageError::InUse(path.to_owned()),
            other => failed(path)(other.into()),
        })?;
        // A block device has its size at its end, and nowhere else.
        let size = rustix::fs::seek(&file, rustix::fs::SeekFrom::End(0))
            .map_err(|errno| failed(path)(errno.into()))?;
        Ok(Self {
            // Beyond the end there is nothing to lose.
            discards: access == Access::Write && punch(&file, size, 4096).is_ok(),
            file,
            size,
            access,
            buffers: Buffers::default(),
        })
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ImageError {
    |error| ImageError::Open {
        path: path.to_owned(),
        error,
    }
}

/// Gives a new file its size, and sees to it that the file is not lost with what will be flushed to it.
fn settle(file: &File, path: &Path, size: u64) -> io::Result<()> {
    file.set_len(size)?;
    file.sync_all()?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(not(target_os = "linux"))]
fn punch(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
fn punch(file: &File, at: u64, length: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let punched = rustix::io::retry_on_intr(|| fallocate(file, flags, at, length));
    Ok(punched?)
}

impl Medium for FileMedium {
    fn size(&self) -> u64 {
        self.size
    }

    fn is_read_only(&self) -> bool {
        self.access == Access::Read
    }

    fn read(&mut self, at: u64, most: usize) -> io::Result<Bytes> {
        self.buffers.read(&self.file, at, most)
    }

    fn write(&mut self, at: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, at)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.access {
            Access::Read => Ok(()),
            Access::Write => self.file.sync_data(),
        }
    }

    fn discards(&self) -> bool {
        self.discards
    }

    fn discard(&mut self, at: u64, length: u64) -> io::Result<()> {
        punch(&self.file, at, length)
    }
}
