//! What a descriptor is.

use std::{io, os::fd::OwnedFd};

use rustix::{
    fs::{FileType, fstat},
    net::{SocketType, sockopt},
    termios::isatty,
};

use super::FileTargetError;

/// What the descriptor of a [`FileTarget`](super::FileTarget) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "GetFileType")]
pub enum FileKind {
    /// A file or a disk: what is in it has offsets.
    File,
    /// A pipe, with a name or without.
    Pipe,
    /// A socket that moves bytes.
    Stream,
    /// A socket that moves messages.
    Message,
    /// A terminal, or either end of a pseudo-terminal.
    Terminal,
    /// Any other character device.
    Character,
}

impl FileKind {
    pub(super) fn of(descriptor: &OwnedFd) -> Result<Self, FileTargetError> {
        let status = fstat(descriptor).map_err(io::Error::from)?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile | FileType::BlockDevice => Ok(Self::File),
            FileType::Fifo => Ok(Self::Pipe),
            FileType::CharacterDevice if isatty(descriptor) => Ok(Self::Terminal),
            FileType::CharacterDevice => Ok(Self::Character),
            FileType::Socket => match sockopt::socket_type(descriptor).map_err(io::Error::from)? {
                SocketType::STREAM => Ok(Self::Stream),
                _ => Ok(Self::Message),
            },
            _ => Err(FileTargetError::NotReadable),
        }
    }

    pub(super) fn is_socket(self) -> bool {
        matches!(self, Self::Stream | Self::Message)
    }
}
