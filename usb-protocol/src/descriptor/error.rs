//! What is wrong with a tree that cannot be built, and with bytes that cannot be parsed.

use std::fmt;

use crate::{EndpointAddress, Speed};

/// A rule of the specification that a device's tree breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{speed} speed{place}: {field} is {found}, but {rule} ({reference})")]
pub struct DescriptorError {
    /// The speed at which the tree was built.
    pub speed: Speed,
    /// The descriptor at fault.
    pub place: Place,
    /// The field at fault, by its name in the specification.
    pub field: &'static str,
    /// What the field would have held.
    pub found: String,
    /// The rule, in words.
    pub rule: &'static str,
    /// Where the specification has it.
    pub reference: &'static str,
}

/// A place in a device's tree of descriptors. What is `None` is above it all: a wholly empty place is the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The configuration's value.
    #[doc(alias = "bConfigurationValue")]
    pub configuration: Option<u8>,
    /// The interface's number.
    #[doc(alias = "bInterfaceNumber")]
    pub interface: Option<u8>,
    /// The alternate setting.
    #[doc(alias = "bAlternateSetting")]
    pub alternate: Option<u8>,
    /// The endpoint.
    #[doc(alias = "bEndpointAddress")]
    pub endpoint: Option<EndpointAddress>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [
            ("configuration", self.configuration),
            ("interface", self.interface),
            ("alternate", self.alternate),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                write!(f, ", {name} {number}")?;
            }
        }
        match self.endpoint {
            Some(endpoint) => write!(f, ", endpoint {endpoint}"),
            None => Ok(()),
        }
    }
}

/// Where the checks are in the tree, so that what they refuse says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) speed: Speed,
    pub(super) place: Place,
}

impl Site {
    pub(super) fn device(speed: Speed) -> Self {
        Self {
            speed,
            place: Place::default(),
        }
    }

    pub(super) fn configuration(mut self, value: u8) -> Self {
        self.place.configuration = Some(value);
        self
    }

    pub(super) fn interface(mut self, number: u8) -> Self {
        self.place.interface = Some(number);
        self
    }

    pub(super) fn alternate(mut self, alternate: u8) -> Self {
        self.place.alternate = Some(alternate);
        self
    }

    pub(super) fn endpoint(mut self, address: EndpointAddress) -> Self {
        self.place.endpoint = Some(address);
        self
    }

    /// Refuses `field` unless the rule `holds`.
    pub(super) fn require(
        self,
        holds: bool,
        field: &'static str,
        found: impl fmt::Display,
        (rule, reference): Rule,
    ) -> Result<(), DescriptorError> {
        if holds {
            return Ok(());
        }
        Err(DescriptorError {
            speed: self.speed,
            place: self.place,
            field,
            found: found.to_string(),
            rule,
            reference,
        })
    }
}

/// A rule in words, and where the specification has it.
pub(super) type Rule = (&'static str, &'static str);

/// Bytes that are no such descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{descriptor} at byte {offset}: {rule}")]
pub struct ParseError {
    /// What was being read.
    pub descriptor: &'static str,
    /// Where it begins, in bytes from the start of the input.
    pub offset: usize,
    /// The rule that it breaks.
    pub rule: &'static str,
}
