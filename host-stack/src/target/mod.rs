//! I/O targets: what a driver sends requests to.

mod lower;
mod state;
pub mod usb;

use std::{fmt, sync::Arc};

use crate::{
    ControlCode, Memory, MemoryOffset, Window,
    request::{Control, Parameters, Request, Transfer, format::Format},
    status::{HResult, NtStatus, Win32Error},
    verifier::Rule,
};

pub(crate) use self::{
    lower::Lower,
    state::{Admission, Backend, TargetShared},
};

/// Whether a target takes requests.
#[doc(alias = "WDF_IO_TARGET_STATE")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetState {
    /// It does.
    #[default]
    Started,
    /// It keeps them until it is started.
    Stopped,
    /// It will not any more: whatever is sent is refused.
    Closed,
}

/// What becomes of what was sent, when a target is stopped.
#[doc(alias = "WDF_IO_TARGET_SENT_IO_ACTION")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentIoAction {
    /// It is taken back, and waited for.
    CancelSentIo,
    /// It is waited for.
    WaitForSentIoToComplete,
    /// It is left alone.
    LeaveSentIoPending,
}

/// What a driver sends requests to: the next driver below, or a USB device, pipe or file. Clones are handles of the same target.
#[doc(alias = "IWDFIoTarget")]
#[doc(alias = "IWDFIoTargetStateManagement")]
#[derive(Clone)]
pub struct IoTarget(Arc<TargetShared>);

impl IoTarget {
    pub(crate) fn of(shared: Arc<TargetShared>) -> Self {
        Self(shared)
    }

    pub(crate) fn shared(&self) -> &Arc<TargetShared> {
        &self.0
    }

    pub(crate) fn takes_forgotten(&self) -> bool {
        self.0.backend.takes_forgotten()
    }

    /// Whether it takes requests.
    #[doc(alias = "GetState")]
    pub fn state(&self) -> TargetState {
        self.0.state().state
    }

    /// Takes requests again; those that wait are sent in their order.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_STATE`] where it has been closed.
    #[doc(alias = "Start")]
    pub fn start(&self) -> Result<(), HResult> {
        let mut state = self.0.state();
        if state.state == TargetState::Closed {
            return Err(NtStatus::INVALID_DEVICE_STATE.into());
        }
        state.state = TargetState::Started;
        drop(state);
        self.0.backend.started();
        self.0.start_all();
        Ok(())
    }

    /// Keeps requests until it is started. It may be stopped again, with a stronger action.
    ///
    /// With [`SentIoAction::WaitForSentIoToComplete`] and [`SentIoAction::CancelSentIo`] it returns when what was sent has ended; other callbacks run
    /// in this thread meanwhile.
    ///
    /// # Errors
    /// `ERROR_POSSIBLE_DEADLOCK` for [`SentIoAction::WaitForSentIoToComplete`] in a callback for a request, where what is waited for may wait for that callback. The
    /// target is stopped all the same.
    #[doc(alias = "Stop")]
    pub fn stop(&self, action: SentIoAction) -> Result<(), HResult> {
        let mut state = self.0.state();
        if state.state == TargetState::Started {
            state.state = TargetState::Stopped;
        }
        drop(state);
        self.0.backend.stopped();
        let Some(device) = self.0.device() else {
            return Ok(());
        };
        match action {
            SentIoAction::LeaveSentIoPending => return Ok(()),
            SentIoAction::CancelSentIo => self.0.cancel_all(),
            SentIoAction::WaitForSentIoToComplete => {
                if device.scheduler().is_in_callback() {
                    device.report(Rule::WaitWithin, "a target");
                    return Err(Win32Error::POSSIBLE_DEADLOCK.into());
                }
            }
        }
        let scheduler = device.scheduler();
        scheduler.wait_for(|| (self.0.is_idle() || scheduler.has_ended()).then_some(()));
        Ok(())
    }

    /// Refuses requests from now on. What was sent is taken back; what waits ends with [`NtStatus::WDF_DEVICE_REMOVED_NOT_SENT`].
    #[doc(alias = "Remove")]
    pub fn remove(&self) {
        self.0.close();
    }

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
    #[doc(alias = "FormatRequestForFlush")]
    pub fn format_for_flush(&self, request: &mut Request) {
        request.format(Format::Io {
            parameters: Parameters::Flush,
            input: None,
            output: None,
        });
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

impl fmt::Debug for IoTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoTarget")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
