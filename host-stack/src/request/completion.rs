//! How what was sent has ended.

use usbwright_target::protocol::{Setup, Status};

use super::{
    format::Format,
    irp::Outcome,
    parameters::{Parameters, RequestType},
};
use crate::{
    ControlCode, Memory, Window,
    status::{HResult, NtStatus, UsbdStatus},
};

/// How a request that was sent has ended: its status, what moved, and its buffers.
///
/// It is had from a [`CompletionCallback`](super::CompletionCallback), from a [`Sent`](super::Sent) that has ended, or from
/// [`Request::completion_params`](super::Request::completion_params) until the request is sent or [reused](super::Request::reuse). There is none after a send that failed.
#[doc(alias = "IWDFRequestCompletionParams")]
#[derive(Clone, Debug)]
pub struct RequestCompletionParams {
    outcome: Outcome,
    request_type: RequestType,
    detail: Detail,
}

#[derive(Clone, Debug)]
enum Detail {
    /// Nothing more than what kind of thing it was.
    None,
    Read(IoTransfer),
    Write(IoTransfer),
    Ioctl(IoControl),
    Usb(UsbRequestCompletionParams),
}

/// The buffer of a read or a write, and what moved of it.
#[derive(Clone, Debug, Default)]
#[doc(alias = "GetReadParameters")]
#[doc(alias = "GetWriteParameters")]
pub struct IoTransfer {
    /// The memory, unless the transfer was of no bytes.
    pub memory: Option<Memory>,
    /// Bytes moved, on errors too.
    pub bytes: usize,
    /// Where in the memory they are.
    pub offset: usize,
}

impl IoTransfer {
    fn of(window: Option<Window>, bytes: usize) -> Self {
        let Some(window) = window else {
            return Self {
                bytes,
                ..Self::default()
            };
        };
        let (memory, offset) = window.into_parts();
        Self {
            memory: Some(memory),
            bytes,
            offset,
        }
    }
}

/// The buffers of a control code, and what came.
#[derive(Clone, Debug)]
#[doc(alias = "GetIoctlParameters")]
pub struct IoControl {
    /// The code.
    pub code: ControlCode,
    /// The input's memory, if there was any.
    pub input: Option<Memory>,
    /// Where in the memory the input began.
    pub input_offset: usize,
    /// The output's memory, if there was any.
    pub output: Option<Memory>,
    /// Where in the memory the output begins.
    pub output_offset: usize,
    /// Bytes of output.
    pub output_bytes: usize,
}

impl RequestCompletionParams {
    pub(super) fn new(outcome: Outcome, format: Format) -> Self {
        let (bytes, request_type) = (outcome.information, format.request_type());
        let transfer = |window| IoTransfer::of(window, bytes);
        let usb = |request| {
            Detail::Usb(UsbRequestCompletionParams {
                status: outcome.usb,
                request,
            })
        };
        let detail = match format {
            Format::Control { setup, window } => usb(UsbRequest::DeviceControlTransfer {
                transfer: transfer(window),
                setup,
            }),
            Format::PipeRead(window) => usb(UsbRequest::PipeRead(transfer(window))),
            Format::PipeWrite(window) => usb(UsbRequest::PipeWrite(transfer(window))),
            Format::Io {
                parameters,
                input,
                output,
                ..
            } => match parameters {
                Parameters::Read(_) => Detail::Read(transfer(output)),
                Parameters::Write(_) => Detail::Write(transfer(input)),
                Parameters::DeviceControl(control) | Parameters::InternalControl(control) => {
                    let (input, output) = (transfer(input), transfer(output));
                    Detail::Ioctl(IoControl {
                        code: control.code,
                        input: input.memory,
                        input_offset: input.offset,
                        output: output.memory,
                        output_offset: output.offset,
                        output_bytes: bytes,
                    })
                }
                _ => Detail::None,
            },
            Format::Current | Format::None => Detail::None,
        };
        Self {
            outcome,
            request_type,
            detail,
        }
    }

    /// How it ended.
    #[doc(alias = "GetCompletionStatus")]
    pub fn status(&self) -> HResult {
        self.outcome.status.into()
    }

    /// The same as an `NTSTATUS`, which is how it came.
    #[doc(alias = "GetCompletionStatus")]
    pub fn nt_status(&self) -> NtStatus {
        self.outcome.status
    }

    /// How much was done: for a transfer, bytes that moved. It counts on errors, too.
    #[doc(alias = "GetInformation")]
    pub fn information(&self) -> usize {
        self.outcome.information
    }

    /// What kind of thing it was formatted for. Whatever goes to a USB target is [`RequestType::Usb`], and what was sent on
    /// [as it came](super::Request::format_using_current_type) is [`RequestType::NoFormat`], as in UMDF.
    #[doc(alias = "GetCompletedRequestType")]
    pub fn request_type(&self) -> RequestType {
        self.request_type
    }

    /// The buffers of a read, a write or a control code that went to a driver or a file. `None` for anything else.
    #[doc(alias = "IWDFIoRequestCompletionParams")]
    pub fn io(&self) -> Option<IoRequestCompletionParams<'_>> {
        match &self.detail {
            Detail::Read(transfer) => Some(IoRequestCompletionParams::Read(transfer)),
            Detail::Write(transfer) => Some(IoRequestCompletionParams::Write(transfer)),
            Detail::Ioctl(control) => Some(IoRequestCompletionParams::Ioctl(control)),
            Detail::None | Detail::Usb(_) => None,
        }
    }

    /// What is known of a request that went to a USB target. `None` for anything else.
    #[doc(alias = "IWDFUsbRequestCompletionParams")]
    pub fn usb(&self) -> Option<&UsbRequestCompletionParams> {
        match &self.detail {
            Detail::Usb(usb) => Some(usb),
            _ => None,
        }
    }
}

/// The buffers of what went to a driver or a file.
#[doc(alias = "IWDFIoRequestCompletionParams")]
#[derive(Clone, Copy, Debug)]
pub enum IoRequestCompletionParams<'a> {
    /// A read.
    #[doc(alias = "GetReadParameters")]
    Read(&'a IoTransfer),
    /// A write.
    #[doc(alias = "GetWriteParameters")]
    Write(&'a IoTransfer),
    /// A control code.
    #[doc(alias = "GetIoctlParameters")]
    Ioctl(&'a IoControl),
}

/// What is known of a request that went to a USB target.
#[doc(alias = "IWDFUsbRequestCompletionParams")]
#[derive(Clone, Debug)]
pub struct UsbRequestCompletionParams {
    status: Option<Status>,
    request: UsbRequest,
}

/// A request that went to a USB target.
#[doc(alias = "WDF_USB_REQUEST_TYPE")]
#[derive(Clone, Debug)]
pub enum UsbRequest {
    /// A control transfer.
    #[doc(alias = "GetDeviceControlTransferParameters")]
    DeviceControlTransfer {
        /// The data stage: its memory, and the bytes of it that moved.
        transfer: IoTransfer,
        /// The setup packet, with the length (`wLength`) that was sent.
        #[doc(alias = "WINUSB_SETUP_PACKET")]
        setup: Setup,
    },
    /// A write to a pipe.
    #[doc(alias = "GetPipeWriteParameters")]
    PipeWrite(IoTransfer),
    /// A read from a pipe.
    #[doc(alias = "GetPipeReadParameters")]
    PipeRead(IoTransfer),
}

impl UsbRequestCompletionParams {
    /// What was asked (UMDF: `GetCompletedUsbRequestType` and the three that follow it).
    #[doc(alias = "GetCompletedUsbRequestType")]
    pub fn request(&self) -> &UsbRequest {
        &self.request
    }

    /// What moved, whatever was asked.
    #[doc(alias = "GetPipeReadParameters")]
    #[doc(alias = "GetPipeWriteParameters")]
    pub fn transfer(&self) -> &IoTransfer {
        match &self.request {
            UsbRequest::DeviceControlTransfer { transfer, .. }
            | UsbRequest::PipeWrite(transfer)
            | UsbRequest::PipeRead(transfer) => transfer,
        }
    }

    /// How it ended on the bus: a stall, babble and a damaged packet are told apart here, where the `NTSTATUS` is the same for all. `None` where it did not get
    /// there.
    #[doc(alias = "UsbdStatus")]
    pub fn usb_status(&self) -> Option<Status> {
        self.status
    }

    /// The same as Windows' USB stack numbers it.
    #[doc(alias = "USBD_STATUS")]
    pub fn usbd_status(&self) -> Option<UsbdStatus> {
        self.status.as_ref().map(UsbdStatus::from)
    }
}
