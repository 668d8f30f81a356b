//! What is asked of a device in the form that drivers know, and information about files.

use std::sync::Arc;

use bytes::Bytes;

use super::{Handle, Io, OpenOptions};
use crate::{
    file::File,
    request::{Parameters, irp::Irp},
    stack::StackShared,
};

impl OpenOptions {
    /// Opens what has a name within `file`.
    pub(crate) fn within(self, file: &str) -> Self {
        let name = format!("{file}{}", self.parameters.name);
        self.name(&name)
    }
}

impl Handle {
    /// Asks for information about the file of a class (`FILE_INFORMATION_CLASS`), for which there is so much room, in bytes.
    #[doc(alias = "GetFileInformationByHandleEx")]
    pub fn query_information(&self, class: u32, length: usize) -> Io {
        self.ask(Parameters::QueryInformation { class, length }, Bytes::new())
    }

    /// Sets information about the file of a class (`FILE_INFORMATION_CLASS`).
    #[doc(alias = "SetFileInformationByHandle")]
    pub fn set_information(&self, class: u32, information: impl Into<Bytes>) -> Io {
        let information = information.into();
        let length = information.len();
        self.ask(Parameters::SetInformation { class, length }, information)
    }

    /// Asks for whatever the parameters tell, with its input.
    pub(crate) fn ask(&self, parameters: Parameters, input: Bytes) -> Io {
        let output = match &parameters {
            Parameters::Read(transfer) => return self.read_at(transfer.length, transfer.offset),
            Parameters::Write(transfer) => return self.write_at(input, transfer.offset),
            Parameters::DeviceControl(it) | Parameters::InternalControl(it) => {
                return self.control(it.code, input, it.output);
            }
            Parameters::QueryInformation { length, .. } => *length,
            _ => 0,
        };
        self.begin(parameters, input, output)
    }

    pub(crate) fn stack(&self) -> &Arc<StackShared> {
        self.0.stack()
    }

    pub(crate) fn file(&self) -> &File {
        &self.0.file
    }
}

impl Io {
    /// The request, unless it was refused.
    pub(crate) fn irp(&self) -> Option<Arc<Irp>> {
        self.irp.as_ref().ok().cloned()
    }
}
