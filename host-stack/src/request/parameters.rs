//! What a request asks for.

use std::sync::Arc;

use crate::ControlCode;

/// What kind of thing a request asks for.
#[doc(alias = "WDF_REQUEST_TYPE")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RequestType {
    /// Open the device.
    Create = 1,
    /// The last handle of a file was closed.
    Cleanup = 2,
    /// Read.
    Read = 3,
    /// Write.
    Write = 4,
    /// A control code.
    DeviceControl = 5,
    /// Nothing of a file is outstanding any more.
    Close = 6,
    /// Formatted for a USB target.
    Usb = 7,
    /// Something else.
    Other = 8,
    /// A control code from another driver.
    InternalControl = 9,
    /// Made by a driver, and not formatted.
    NoFormat = 10,
    /// Write what is buffered.
    Flush = 11,
    /// Ask for information about a file.
    QueryInformation = 12,
    /// Set information about a file.
    SetInformation = 13,
}

/// What a request asks for, with its parameters (UMDF: `GetReadParameters` and so on).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[doc(alias = "WDF_REQUEST_PARAMETERS")]
pub enum Parameters {
    /// Made by a driver, and not formatted.
    #[default]
    NoFormat,
    /// Open the device.
    #[doc(alias = "GetCreateParameters")]
    Create(CreateParameters),
    /// The last handle of a file was closed.
    Cleanup,
    /// Nothing of a file is outstanding any more.
    Close,
    /// Read.
    #[doc(alias = "GetReadParameters")]
    Read(Transfer),
    /// Write.
    #[doc(alias = "GetWriteParameters")]
    Write(Transfer),
    /// A control code of an application.
    #[doc(alias = "GetDeviceIoControlParameters")]
    DeviceControl(Control),
    /// A control code of another driver.
    InternalControl(Control),
    /// Write what is buffered.
    Flush,
    /// Ask for information about a file.
    #[doc(alias = "GetQueryInformationParameters")]
    QueryInformation {
        /// Which (`FILE_INFORMATION_CLASS`).
        class: u32,
        /// Room for it, in bytes.
        length: usize,
    },
    /// Set information about a file.
    #[doc(alias = "GetSetInformationParameters")]
    SetInformation {
        /// Which (`FILE_INFORMATION_CLASS`).
        class: u32,
        /// Its length, in bytes.
        length: usize,
    },
}

/// What a read or a write asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "GetReadParameters")]
#[doc(alias = "GetWriteParameters")]
pub struct Transfer {
    /// Bytes.
    pub length: usize,
    /// Where in the device, in bytes.
    pub offset: u64,
    /// The key of a byte range's lock.
    pub key: u32,
}

/// A control code, and the lengths of its buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "GetDeviceIoControlParameters")]
pub struct Control {
    /// The code.
    pub code: ControlCode,
    /// Bytes of input.
    pub input: usize,
    /// Room for output, in bytes.
    pub output: usize,
}

/// How a device is opened.
#[derive(Clone, Debug, Default)]
#[doc(alias = "GetCreateParameters")]
#[doc(alias = "GetCreateParametersEx")]
pub struct CreateParameters {
    /// What follows the device's name.
    pub name: Arc<str>,
    /// Create options, with the disposition in the highest byte.
    pub options: u32,
    /// File attributes.
    pub attributes: u16,
    /// What others may do meanwhile.
    pub share: u16,
    /// What the application wants to do (`ACCESS_MASK`).
    pub access: u32,
}

impl Parameters {
    /// The kind of thing.
    #[doc(alias = "GetType")]
    pub fn request_type(&self) -> RequestType {
        match self {
            Self::NoFormat => RequestType::NoFormat,
            Self::Create(_) => RequestType::Create,
            Self::Cleanup => RequestType::Cleanup,
            Self::Close => RequestType::Close,
            Self::Read(_) => RequestType::Read,
            Self::Write(_) => RequestType::Write,
            Self::DeviceControl(_) => RequestType::DeviceControl,
            Self::InternalControl(_) => RequestType::InternalControl,
            Self::Flush => RequestType::Flush,
            Self::QueryInformation { .. } => RequestType::QueryInformation,
            Self::SetInformation { .. } => RequestType::SetInformation,
        }
    }

    /// Whether it is a read or write of nothing.
    pub(crate) fn is_empty_transfer(&self) -> bool {
        matches!(self, Self::Read(it) | Self::Write(it) if it.length == 0)
    }
}
