//! Formatting: what a request is to be for a target.

use super::IoTarget;
use crate::{
    ControlCode, Memory, MemoryOffset, Window,
    request::{Control, Parameters, Request, Transfer, format::Format},
    status::HResult,
};

/// What a request is to be. It holds for one send; whatever the request was before, or was formatted for, is of no account. The request's
/// [file](Request::file) goes with it.
impl IoTarget {
    /// Formats a request as a read of up to as many bytes as `memory` has room for, or the part of it that `offset` names. No memory is a read of no bytes.
    ///
    /// # Errors
    /// Where the part is not in the memory.
    #[doc(alias = "FormatRequestForRead")]
    pub fn format_for_read(
        &self,
        request: &mut Request,
        memory: Option<&Memory>,
        offset: Option<MemoryOffset>,
        device_offset: u64,
    ) -> Result<(), HResult> {
        let output = window(memory, offset)?;
        let parameters = Parameters::Read(transfer(output.as_ref(), device_offset));
        self.format_io(request, parameters, None, output)
    }

    /// Formats a request as a write of `memory`, or the part of it that `offset` names. No memory is a write of no bytes.
    ///
    /// # Errors
    /// Where the part is not in the memory.
    #[doc(alias = "FormatRequestForWrite")]
    pub fn format_for_write(
        &self,
        request: &mut Request,
        memory: Option<&Memory>,
        offset: Option<MemoryOffset>,
        device_offset: u64,
    ) -> Result<(), HResult> {
        let input = window(memory, offset)?;
        let parameters = Parameters::Write(transfer(input.as_ref(), device_offset));
        self.format_io(request, parameters, input, None)
    }

    /// Formats a request as a control code.
    ///
    /// # Errors
    /// Where a part is not in its memory.
    #[doc(alias = "FormatRequestForIoctl")]
    pub fn format_for_ioctl(
        &self,
        request: &mut Request,
        code: ControlCode,
        input: Option<(&Memory, Option<MemoryOffset>)>,
        output: Option<(&Memory, Option<MemoryOffset>)>,
    ) -> Result<(), HResult> {
        let part = |it: Option<(&Memory, Option<MemoryOffset>)>| match it {
            Some((memory, offset)) => window(Some(memory), offset),
            None => Ok(None),
        };
        let (input, output) = (part(input)?, part(output)?);
        let length = |it: &Option<Window>| it.as_ref().map_or(0, Window::len);
        let parameters = Parameters::DeviceControl(Control {
            code,
            input: length(&input),
            output: length(&output),
        });
        self.format_io(request, parameters, input, output)
    }

    /// Formats a request to have written what is buffered.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_REQUEST`](crate::status::NtStatus::INVALID_DEVICE_REQUEST) on a USB target.
    #[doc(alias = "FormatRequestForFlush")]
    pub fn format_for_flush(&self, request: &mut Request) -> Result<(), HResult> {
        self.format_io(request, Parameters::Flush, None, None)
    }

    /// Formats a request as a query for information of a class (`FILE_INFORMATION_CLASS`), which is put into `memory`, or the part of it that `offset` names.
    ///
    /// # Errors
    /// Where the part is not in the memory; [`NtStatus::INVALID_DEVICE_REQUEST`](crate::status::NtStatus::INVALID_DEVICE_REQUEST) on a USB target.
    #[doc(alias = "FormatRequestForQueryInformation")]
    pub fn format_for_query_information(
        &self,
        request: &mut Request,
        class: u32,
        memory: Option<&Memory>,
        offset: Option<MemoryOffset>,
    ) -> Result<(), HResult> {
        let output = window(memory, offset)?;
        let length = output.as_ref().map_or(0, Window::len);
        let parameters = Parameters::QueryInformation { class, length };
        self.format_io(request, parameters, None, output)
    }

    /// Formats a request to set information of a class (`FILE_INFORMATION_CLASS`), which is `memory`, or the part of it that `offset` names.
    ///
    /// # Errors
    /// As those of [`format_for_query_information`](Self::format_for_query_information).
    #[doc(alias = "FormatRequestForSetInformation")]
    pub fn format_for_set_information(
        &self,
        request: &mut Request,
        class: u32,
        memory: Option<&Memory>,
        offset: Option<MemoryOffset>,
    ) -> Result<(), HResult> {
        let input = window(memory, offset)?;
        let length = input.as_ref().map_or(0, Window::len);
        let parameters = Parameters::SetInformation { class, length };
        self.format_io(request, parameters, input, None)
    }

    fn format_io(
        &self,
        request: &mut Request,
        parameters: Parameters,
        input: Option<Window>,
        output: Option<Window>,
    ) -> Result<(), HResult> {
        let format = Format::Io {
            parameters,
            input,
            output,
        };
        if let Some(status) = self.0.backend.refuses(&format) {
            return Err(status.into());
        }
        request.format(format);
        Ok(())
    }
}

pub(crate) fn window(
    memory: Option<&Memory>,
    offset: Option<MemoryOffset>,
) -> Result<Option<Window>, HResult> {
    let window = memory.map(|memory| Window::new(memory, offset)).transpose();
    window.map_err(|error| error.status().into())
}

fn transfer(window: Option<&Window>, offset: u64) -> Transfer {
    Transfer {
        length: window.map_or(0, Window::len),
        offset,
        key: 0,
    }
}
