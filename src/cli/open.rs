//! The DEVICE of a command: how users name one, and how it is opened.

use std::{fmt, str::FromStr, sync::Arc, time::Instant};

use anyhow::Context as _;
use bytes::Bytes;
use tracing::warn;
use usbwright::{
    models::SpecError,
    protocol::{Setup, Status},
    remote::RemoteDeviceError,
    source::{Source, SourceError},
    target::{
        Device, Options, Wait as _,
        enumerate::{ControlAnswer, Description, DeviceState, read_state},
        libusb::SelectorError,
    },
};

/// What a DEVICE may be, for `--help`.
pub(super) const HELP: &str = "\
A DEVICE is one of
  SPEC                  made in this process: MODEL[,key[=value]]…, such as gadget-zero,speed=super
                        (`usbwright devices` lists the models)
  HOST[:PORT]/BUSID     of a USB/IP server: 127.0.0.1/1-1 (`usbwright list HOST` lists them)
  unix:/PATH/BUSID      of one that listens at a UNIX socket
  libusb:key=value,…    a real one of this machine, by id=VVVV:PPPP, serial, bus, address or path";

/// What names a real device.
const REAL: &str = "libusb:";

/// A device that a command uses.
#[derive(Clone, Debug)]
pub(super) struct DeviceName {
    text: String,
    source: Source,
}

/// A text that names no device.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeviceNameError {
    /// It is none of the forms.
    #[error(
        "{0}; a USB/IP server's device is HOST[:PORT]/BUSID or unix:/PATH/BUSID, a real one libusb:id=VVVV:PPPP"
    )]
    Model(SpecError),
    #[error(transparent)]
    Source(SourceError),
    #[error(transparent)]
    Remote(#[from] RemoteDeviceError),
    #[error("{REAL} {0}")]
    Real(#[from] SelectorError),
}

impl FromStr for DeviceName {
    type Err = DeviceNameError;

    fn from_str(text: &str) -> Result<Self, DeviceNameError> {
        let word = text.split(',').next().unwrap_or(text);
        let source = if let Some(selector) = text.strip_prefix(REAL) {
            Source::Libusb(selector.parse()?)
        } else if word.contains('/') || text.starts_with("unix:") {
            Source::Remote(text.parse()?)
        } else {
            text.parse().map_err(|error| match error {
                SourceError::Model(error) => DeviceNameError::Model(error),
                error => DeviceNameError::Source(error),
            })?
        };
        let text = text.to_owned();
        Ok(Self { text, source })
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl DeviceName {
    /// Where it comes from.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Makes or takes the device, and opens it.
    pub(super) fn open(&self, options: Options) -> anyhow::Result<Device> {
        let port = self.source.open(Instant::now());
        let port = port.with_context(|| format!("can't have {self}"))?;
        let device = options.open_boxed(port).wait();
        device.with_context(|| format!("can't open {self}"))
    }

    /// Opens the device and configures it as a host does, so that all of it can be used. One that does not take its configuration, or
    /// is malformed, is taken as it is.
    pub(super) fn open_as_it_is(&self) -> anyhow::Result<Device> {
        let device = self.open(Options::new().unconfigured())?;
        let description = device.description();
        let first = description.configurations().first();
        let configured = state(&device).configuration.is_some_and(|it| it != 0);
        if let (false, Some(first)) = (configured, first) {
            let value = first.descriptor.value;
            if let Err(error) = device.set_configuration(value).wait() {
                warn!("{self} is not configured: {error}");
            }
        }
        Ok(device)
    }

    /// Opens the device, and asks for all that it tells of itself and for what it is set to.
    pub(super) fn describe(&self) -> anyhow::Result<(Arc<Description>, DeviceState)> {
        let device = self.open_as_it_is()?;
        Ok((device.description(), state(&device)))
    }
}

/// What a device is set to.
pub(super) fn state(device: &Device) -> DeviceState {
    let control = async |setup: Setup| {
        let answer = device.control(setup, Bytes::new()).await;
        ControlAnswer {
            status: answer.status().unwrap_or(Status::ProtocolError),
            data: answer.data.into_bytes(),
        }
    };
    read_state(control).wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_in_any_of_the_forms() {
        for (text, source) in [
            ("gadget-zero,speed=super", "gadget-zero,speed=super"),
            ("pc/1-1", "remote,host=pc:3240,busid=1-1"),
            ("[::1]:7/1-1", "remote,host=[::1]:7,busid=1-1"),
            ("unix:/run/a,b/1-1", "remote,unix=/run/a,,b,busid=1-1"),
            (
                "remote,unix=/run/a,busid=1-1",
                "remote,unix=/run/a,busid=1-1",
            ),
            ("libusb:id=525:a4a0", "libusb,id=0525:a4a0"),
            ("libusb,serial=/1", "libusb,serial=/1"),
        ] {
            let name: DeviceName = text.parse().unwrap();
            assert_eq!(name.source.to_string(), source);
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn a_text_that_names_no_device_is_explained() {
        for (text, told) in [
            ("disc", "a USB/IP server's device is HOST[:PORT]/BUSID"),
            ("127.0.0.1:3240", "HOST[:PORT]/BUSID or unix:/PATH/BUSID"),
            ("pc/", "use HOST:PORT/BUSID"),
            ("a b/1-1", "`a b` names no server"),
            ("unix:", "`unix:` names no device"),
            ("libusb:", "libusb: which device is not said"),
            ("gadget-zero,speed=warp", "`warp` is no value"),
        ] {
            let error = text.parse::<DeviceName>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
