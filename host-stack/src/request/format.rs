//! What a request is to be for the target that it is sent to.

use usbwright_target::protocol::Setup;

use super::{
    Request,
    irp::Level,
    parameters::{Parameters, RequestType},
};
use crate::{
    Window,
    file::File,
    status::{HResult, NtStatus},
};

/// How a request was formatted.
#[derive(Clone, Debug, Default)]
pub(crate) enum Format {
    /// It was not.
    #[default]
    None,
    /// As it came.
    Current,
    /// For the next driver, or a file.
    Io {
        parameters: Parameters,
        input: Option<Window>,
        output: Option<Window>,
    },
    /// For a USB device's default pipe. The setup packet tells the length of the window.
    Control {
        setup: Setup,
        window: Option<Window>,
    },
    /// For a USB pipe.
    PipeRead(Option<Window>),
    /// For a USB pipe.
    PipeWrite(Option<Window>),
}

impl Format {
    /// What kind of thing it is for its target.
    pub(crate) fn request_type(&self) -> RequestType {
        match self {
            Self::None | Self::Current => RequestType::NoFormat,
            Self::Io { parameters, .. } => parameters.request_type(),
            Self::Control { .. } | Self::PipeRead(_) | Self::PipeWrite(_) => RequestType::Usb,
        }
    }
}

/// What a driver or a file is asked for.
pub(crate) struct Asked {
    pub(crate) parameters: Parameters,
    pub(crate) input: Option<Window>,
    pub(crate) output: Option<Window>,
}

impl Asked {
    /// What a driver asks for with a request as it has formatted it; `None` where that is for a USB target, or for none.
    pub(crate) fn of(level: &Level) -> Option<Self> {
        let (parameters, input, output) = match &level.format {
            Format::Io {
                parameters,
                input,
                output,
            } => (parameters, input, output),
            Format::Current => (&level.parameters, &level.input, &level.output),
            _ => return None,
        };
        Some(Self {
            parameters: parameters.clone(),
            input: input.clone(),
            output: output.clone(),
        })
    }
}

impl Request {
    /// Says for which file a request is that the driver has made: that of an application, on whose behalf it is sent. It is the one that drivers below see, and by which it can be
    /// [taken back](crate::IoTarget::cancel_sent_for_file).
    ///
    /// UMDF's formatting methods take the file, and want one where the target is the default one; here a request has one always.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_REQUEST`] for a request that the driver has not made: its file is that with which it came.
    pub fn set_file(&mut self, file: &File) -> Result<(), HResult> {
        let mut body = self.irp().body();
        if !body.top().is_own {
            return Err(NtStatus::INVALID_DEVICE_REQUEST.into());
        }
        body.file = Some(file.clone());
        Ok(())
    }
}
