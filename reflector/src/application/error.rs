//! Why a device is not open.

use std::io;

use thiserror::Error;
use usbwright_host_stack::status::{NtStatus, Win32Error};
use usbwright_ports::{NameError, PortName};

/// Why a device is not open.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There can be no device of that name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is none of that name.
    #[error("there is no device {0}: is its driver manager running?")]
    NotFound(PortName),
    /// The socket's file, or its directory, is not for this user.
    #[error("the device {0} is not for this user")]
    Denied(PortName),
    /// The reflector refuses it.
    #[error("the device {name} can't be opened ({}): {why}", Win32Error::from_nt(*.status))]
    Refused {
        /// The device.
        name: PortName,
        /// The status.
        status: NtStatus,
        /// The rule.
        why: String,
    },
    /// The drivers refuse it, or their host died meanwhile.
    #[error("the device {name} can't be opened: {error}")]
    Failed {
        /// The device.
        name: PortName,
        /// What they told.
        error: Win32Error,
    },
    /// What follows the name is too long.
    #[error("a file's name of {0} bytes, where 65536 are the most")]
    FileName(usize),
    /// The system fails.
    #[error("the device's socket can't be used: {0}")]
    Io(#[from] io::Error),
}

impl OpenError {
    /// What an application is told by a system call.
    pub fn error(&self) -> Win32Error {
        match self {
            Self::Name(_) | Self::FileName(_) => Win32Error::INVALID_PARAMETER,
            Self::NotFound(_) => Win32Error::FILE_NOT_FOUND,
            Self::Denied(_) => Win32Error::ACCESS_DENIED,
            Self::Refused { status, .. } => Win32Error::from_nt(*status),
            Self::Failed { error, .. } => *error,
            Self::Io(error) if error.kind() == io::ErrorKind::TimedOut => Win32Error::SEM_TIMEOUT,
            Self::Io(_) => Win32Error::NO_SYSTEM_RESOURCES,
        }
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        Self::new(error.error().kind(), error)
    }
}
