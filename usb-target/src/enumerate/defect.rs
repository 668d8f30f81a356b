//! What is wrong with a device's descriptors: which one, where in it, and the rule it breaks.

use std::fmt;

use usbwright_protocol::{Status, descriptor::ParseError};

/// A descriptor that a host asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DescriptorName {
    /// The device descriptor.
    Device,
    /// The binary object store.
    Bos,
    /// The device qualifier.
    Qualifier,
    /// The configuration at that index, with all that belongs to it.
    Configuration(u8),
    /// The configuration at that index, at the other of full and high speed.
    OtherSpeedConfiguration(u8),
    /// String 0, which lists the languages.
    Languages,
    /// A string.
    String {
        /// Its index.
        index: u8,
        /// The language it was asked for in.
        #[doc(alias = "wLANGID")]
        language: u16,
    },
}

impl DescriptorName {
    pub(super) fn broken(self, error: ParseError) -> Defect {
        self.flawed(Flaw::Malformed(error))
    }

    pub(super) fn flawed(self, flaw: Flaw) -> Defect {
        Defect {
            descriptor: self,
            flaw,
        }
    }
}

impl fmt::Display for DescriptorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device => f.write_str("the device descriptor"),
            Self::Bos => f.write_str("the BOS"),
            Self::Qualifier => f.write_str("the device qualifier"),
            Self::Configuration(index) => write!(f, "the configuration at index {index}"),
            Self::OtherSpeedConfiguration(index) => {
                write!(f, "the other-speed configuration at index {index}")
            }
            Self::Languages => f.write_str("string 0 (the languages)"),
            Self::String { index, language } => {
                write!(f, "string {index} in language {language:#06x}")
            }
        }
    }
}

/// What is wrong with a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The device stalled, though it should have it.
    #[error("the device refuses it (it stalls)")]
    Refused,
    /// It can't be read, for another reason.
    #[error("it can't be read: {0}")]
    Unread(Status),
    /// Fewer bytes came than its head has.
    #[error("{came} bytes came of the first {expected}")]
    Short {
        /// How many came.
        came: usize,
        /// How many its head has.
        expected: u16,
    },
    /// Its total is less than its head alone.
    #[error("wTotalLength is {total}, but its head alone has {least} bytes")]
    Total {
        /// What it says.
        total: u16,
        /// What it has to say at least.
        least: u16,
    },
    /// Its total changed between the first request, for its head, and the second, for all of it.
    #[error(
        "device data error: wTotalLength was {first} at first, and {second} when all of it was asked for"
    )]
    Inconsistent {
        /// What it was.
        first: u16,
        /// What it is.
        second: u16,
    },
    /// With it there are more bytes than any device has.
    #[error("with it there would be more than {0} bytes of BOS and configurations")]
    TooMuch(u32),
    /// Its bytes break a rule.
    #[error(transparent)]
    Malformed(#[from] ParseError),
}

/// Something wrong with a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{descriptor}: {flaw}")]
pub struct Defect {
    /// The descriptor that was asked for.
    pub descriptor: DescriptorName,
    /// What is wrong with it.
    pub flaw: Flaw,
}

impl Defect {
    /// Where in the descriptor it is, in bytes from its beginning; 0 where that is the whole of it.
    pub fn offset(&self) -> usize {
        match &self.flaw {
            Flaw::Malformed(error) => error.offset,
            _ => 0,
        }
    }

    /// Whether nobody is there to answer any more.
    pub(super) fn ends_it_all(&self) -> bool {
        matches!(
            self.flaw,
            Flaw::Unread(Status::Disconnected | Status::Cancelled)
        )
    }
}

impl Flaw {
    /// Whether the device has not answered at all.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Unread(Status::NoResponse | Status::TimedOut))
    }
}

/// Why a device can't be enumerated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("can't enumerate the device: {0}")]
pub struct EnumerationError(pub Defect);

impl From<Defect> for EnumerationError {
    fn from(defect: Defect) -> Self {
        Self(defect)
    }
}
