//! What a SPEC of the command line stands for: a model, or a device that is somewhere else.

use std::{fmt, str::FromStr, time::Instant};

use crate::{
    emulator::BusId,
    models::{BuildError, Spec, SpecError},
    protocol::Port,
    target::libusb::{LibusbError, LibusbPort, Selector, SelectorError},
};

/// The word that begins the SPEC of a real device.
const LIBUSB: &str = "libusb";

/// Where a device comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A model makes it: `MODEL[,key[=value]]…`.
    Model(Spec),
    /// It is a real one of this machine: `libusb,key=value,…`.
    Libusb(Selector),
}

/// A text that is no SPEC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It names no model.
    #[error("{0}; a real device is libusb,id=VVVV:PPPP")]
    Model(SpecError),
    /// The parameters of its model are wrong.
    #[error(transparent)]
    Parameter(SpecError),
    /// It does not say which real device is meant.
    #[error("{LIBUSB}: {0}")]
    Libusb(#[from] SelectorError),
}

/// A device that can't be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A model can't make it.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A real device can't be taken.
    #[error(transparent)]
    Libusb(#[from] LibusbError),
}

impl Source {
    /// The bus id asked for.
    pub fn bus_id(&self) -> Option<&BusId> {
        match self {
            Self::Model(spec) => spec.bus_id(),
            Self::Libusb(_) => None,
        }
    }

    /// Makes or takes the device; a model's (micro)frames count from `now`.
    ///
    /// # Errors
    /// Where a model can't be made so, and where a real device is not there, is not the only one, or may not be used.
    pub fn open(&self, now: Instant) -> Result<Box<dyn Port>, OpenError> {
        Ok(match self {
            Self::Model(spec) => Box::new(spec.build(now)?),
            Self::Libusb(selector) => Box::new(LibusbPort::open(selector)?),
        })
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        match text.split_once(',').unwrap_or((text, "")) {
            (LIBUSB, selector) => Ok(Self::Libusb(selector.parse()?)),
            _ => match text.parse() {
                Ok(spec) => Ok(Self::Model(spec)),
                Err(error @ SpecError::Model { .. }) => Err(SourceError::Model(error)),
                Err(error) => Err(SourceError::Parameter(error)),
            },
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(spec) => spec.fmt(f),
            Self::Libusb(selector) => write!(f, "{LIBUSB},{selector}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_names_a_model_or_a_real_device() {
        for text in [
            "gadget-zero,speed=super,busid=1-7",
            "libusb,id=0525:a4a0,serial=1",
        ] {
            let source: Source = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
    }

    #[test]
    fn a_text_that_is_no_spec_is_explained() {
        let error = |text: &str| text.parse::<Source>().unwrap_err().to_string();
        assert!(error("libusb").starts_with("libusb: which device is not said: use id="));
        assert!(error("libusb,vid=1").starts_with("libusb: `vid` is no key"));
        let told = error("disk");
        assert!(told.starts_with("there is no model `disk`"), "{told}");
        assert!(
            told.ends_with("a real device is libusb,id=VVVV:PPPP"),
            "{told}"
        );
    }
}
