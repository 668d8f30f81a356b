//! What a request is to be for the target that it is sent to.

use usbwright_target::protocol::Setup;

use super::parameters::{Parameters, RequestType};
use crate::Window;

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
