//! The library for applications: a device is opened by its name, read, written and controlled, whatever becomes of its host.
//!
//! ```no_run
//! use std::time::Duration;
//! use usbwright_reflector::application::Device;
//!
//! let device = Device::open("fx2")?;
//! device.write(&b"to the bulk pipe"[..]).wait().ok()?;
//! let read = device.read(512).timeout(Duration::from_secs(1)).wait().ok()?;
//! println!("{} bytes", read.data.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blocks;
pub(crate) mod core;
mod direct;
mod error;
mod io;
mod open;
mod wired;

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use usbwright_host_stack::{ControlCode, status::NtStatus};
use usbwright_ports::{Ended, parts::Link};

use self::{core::Request, wired::Wired};
pub use self::{
    direct::{DirectBuffer, OutOfBuffer},
    error::OpenError,
    io::{CancelHandle, Io},
    open::{OpenOptions, Opening, name_space},
};
use crate::{
    RegionError,
    wire::{Header, Part, kind},
};

/// A device that this process has open. Clones are the same open file; when the last one is dropped, what is outstanding is cancelled, and the file is closed.
///
/// Any number of threads and tasks may use it at once. When the device's host dies, all that is outstanding ends with `ERROR_DRIVER_PROCESS_TERMINATED` (1291), and so
/// does all that is begun later, at once; the device may be opened anew as soon as another host has it.
#[derive(Clone)]
#[doc(alias = "HANDLE")]
pub struct Device(Arc<Opened>);

pub(crate) struct Opened {
    link: Arc<Link<Wired>>,
}

impl Opened {
    pub(crate) fn link(&self) -> &Arc<Link<Wired>> {
        &self.link
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.link.with(|state| state.core.core.close());
        self.link.end(Ended::Closed);
    }
}

impl Device {
    /// Opens a device of this user's [name space](name_space), for reading and writing. See [`OpenOptions`].
    ///
    /// It waits for the drivers' answer.
    ///
    /// # Errors
    /// See [`OpenError`].
    #[doc(alias = "CreateFile")]
    pub fn open(name: &str) -> Result<Self, OpenError> {
        OpenOptions::new(name.parse()?).open()
    }

    fn begin(&self, kind: u16, fill: impl FnOnce(&mut Request)) -> Io {
        let mut request = Request {
            header: Header::new(kind),
            input: Bytes::new(),
            output: 0,
            deadline: None,
            refused: None,
        };
        fill(&mut request);
        Io::new(&self.0.link, request)
    }

    /// Reads up to so many bytes.
    #[doc(alias = "ReadFile")]
    pub fn read(&self, length: usize) -> Io {
        self.read_at(length, 0)
    }

    /// Reads from a place in the device.
    pub fn read_at(&self, length: usize, offset: u64) -> Io {
        self.begin(kind::READ, |request| {
            request.header.position = offset.into();
            request.output = length;
        })
    }

    /// Writes.
    #[doc(alias = "WriteFile")]
    pub fn write(&self, data: impl Into<Bytes>) -> Io {
        self.write_at(data, 0)
    }

    /// Writes to a place in the device.
    pub fn write_at(&self, data: impl Into<Bytes>, offset: u64) -> Io {
        let data = data.into();
        self.begin(kind::WRITE, |request| {
            request.header.position = offset.into();
            request.input = data;
        })
    }

    /// Sends a control code, with its input and room for its output, in bytes.
    #[doc(alias = "DeviceIoControl")]
    pub fn control(&self, code: ControlCode, input: impl Into<Bytes>, output: usize) -> Io {
        let input = input.into();
        self.begin(kind::CONTROL, |request| {
            request.header.code = code.0.into();
            request.input = input;
            request.output = output;
        })
    }

    /// Has written what is buffered.
    #[doc(alias = "FlushFileBuffers")]
    pub fn flush(&self) -> Io {
        self.begin(kind::FLUSH, |_| {})
    }

    /// Asks for information of a class (`FILE_INFORMATION_CLASS`) about the file, for which there is so much room, in bytes. What it is, the drivers say; one that
    /// has no handler for it refuses, with `ERROR_INVALID_FUNCTION`.
    #[doc(alias = "GetFileInformationByHandleEx")]
    pub fn query_information(&self, class: u32, length: usize) -> Io {
        self.begin(kind::QUERY, |request| {
            request.header.code = class.into();
            request.output = length;
        })
    }

    /// Sets information of a class (`FILE_INFORMATION_CLASS`) about the file. The file must have been opened for what Windows wants for the class:
    /// `FILE_WRITE_DATA` to set where it ends, for one.
    #[doc(alias = "SetFileInformationByHandle")]
    pub fn set_information(&self, class: u32, information: impl Into<Bytes>) -> Io {
        let information = information.into();
        self.begin(kind::SET, |request| {
            request.header.code = class.into();
            request.input = information;
        })
    }

    /// Closes the file, for all clones, and ends when nothing of it is outstanding any more and the drivers have been told. What is outstanding is cancelled.
    ///
    /// Dropping the last clone does the same, and waits for nothing.
    #[doc(alias = "CloseHandle")]
    pub fn close(&self) -> Io {
        self.begin(kind::CLOSE, |_| {})
    }

    /// Asks for all back that has not ended of this file. Each request ends in its time, and tells how.
    #[doc(alias = "CancelIo")]
    pub fn cancel_all(&self) {
        self.0.link.with(|state| state.core.core.cancel_all());
    }

    /// Memory that this process and the device's host share, of so many bytes: what is in it is not copied on its way.
    ///
    /// # Errors
    /// Where the system has no room for it, or the size is none that a region can have.
    pub fn direct_buffer(&self, length: usize) -> Result<DirectBuffer, RegionError> {
        DirectBuffer::new(&self.0, length)
    }

    /// Reads into a part of a buffer. The outcome tells how much has come; its data is empty.
    ///
    /// Whoever takes part of the buffer back before the request has ended may find it changed later: see [`DirectBuffer`].
    pub fn read_direct(&self, buffer: &DirectBuffer, part: Range<usize>, offset: u64) -> Io {
        self.begin(kind::READ, |request| {
            request.header.position = offset.into();
            self.place(request, buffer, part, |header| &mut header.output);
        })
    }

    /// Writes a part of a buffer.
    pub fn write_direct(&self, buffer: &DirectBuffer, part: Range<usize>, offset: u64) -> Io {
        self.begin(kind::WRITE, |request| {
            request.header.position = offset.into();
            self.place(request, buffer, part, |header| &mut header.input);
        })
    }

    /// Sends a control code whose output goes into a part of a buffer.
    pub fn control_direct(
        &self,
        code: ControlCode,
        input: impl Into<Bytes>,
        buffer: &DirectBuffer,
        part: Range<usize>,
    ) -> Io {
        let input = input.into();
        self.begin(kind::CONTROL, |request| {
            request.header.code = code.0.into();
            request.input = input;
            self.place(request, buffer, part, |header| &mut header.output);
        })
    }

    /// Names a part of a buffer in a request, if the buffer has it and is this device's.
    fn place(
        &self,
        request: &mut Request,
        buffer: &DirectBuffer,
        part: Range<usize>,
        field: impl FnOnce(&mut Header) -> &mut Part,
    ) {
        match buffer.is_of(&self.0) && part.start <= part.end && part.end <= buffer.len() {
            true => {
                let range = part.start as u64..part.end as u64;
                *field(&mut request.header) = Part::within(buffer.number(), range);
            }
            false => request.refused = Some(NtStatus::INVALID_PARAMETER),
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("ended", &self.0.link.ended())
            .finish_non_exhaustive()
    }
}
