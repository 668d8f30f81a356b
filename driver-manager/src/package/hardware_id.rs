//! Hardware ids: what a device is called, in the shape of Windows' identifiers of USB devices.

use std::{fmt, str::FromStr};

use usbwright_protocol::Class;

/// A name of a kind of USB device. A device has several: [`of_device`](Self::of_device), [`of_interface`](Self::of_interface).
///
/// They are those of Windows ("Standard USB Identifiers"), and are read whatever the case of their letters.
#[doc(alias = "CompatibleId")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HardwareId {
    /// A product: `USB\VID_0547&PID_1002&REV_0000&MI_00`, where the last two may be missing.
    Device {
        /// `idVendor`.
        vendor: u16,
        /// `idProduct`.
        product: u16,
        /// `bcdDevice`; any, where it is missing.
        revision: Option<u16>,
        /// `bInterfaceNumber`, where it is one function of a composite device.
        interface: Option<u8>,
    },
    /// `USB\Class_FF&SubClass_00&Prot_00`, a compatible id.
    Protocol(Class),
    /// `USB\Class_FF&SubClass_00`, a compatible id.
    Subclass {
        /// `bInterfaceClass`.
        class: u8,
        /// `bInterfaceSubClass`.
        subclass: u8,
    },
    /// `USB\Class_FF`, a compatible id.
    Class(u8),
}

/// Why a text is no hardware id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HardwareIdError {
    /// It is none of a USB device.
    #[error(r"it does not begin with `USB\`")]
    NotUsb,
    /// A part is not what belongs there.
    #[error("{found:?} is not `{wanted}` and {digits} hexadecimal digits")]
    Part {
        /// The part.
        found: String,
        /// How it should begin.
        wanted: &'static str,
        /// How many digits should follow.
        digits: usize,
    },
    /// It ends early.
    #[error("`{wanted}` and {digits} hexadecimal digits are missing at its end")]
    Missing {
        /// How the part that is missing begins.
        wanted: &'static str,
        /// How many digits it has.
        digits: usize,
    },
    /// There is more than one of its kind has.
    #[error("nothing may follow where {0:?} is")]
    Rest(String),
}

impl HardwareId {
    /// The ids of a device, the most specific first.
    pub fn of_device(vendor: u16, product: u16, revision: u16, class: Class) -> Vec<Self> {
        Self::all(vendor, product, revision, None, class)
    }

    /// The ids of one interface of a composite device, the most specific first.
    pub fn of_interface(
        vendor: u16,
        product: u16,
        revision: u16,
        number: u8,
        class: Class,
    ) -> Vec<Self> {
        Self::all(vendor, product, revision, Some(number), class)
    }

    fn all(
        vendor: u16,
        product: u16,
        revision: u16,
        interface: Option<u8>,
        class: Class,
    ) -> Vec<Self> {
        let device = |revision| Self::Device {
            vendor,
            product,
            revision,
            interface,
        };
        vec![
            device(Some(revision)),
            device(None),
            Self::Protocol(class),
            Self::Subclass {
                class: class.class,
                subclass: class.subclass,
            },
            Self::Class(class.class),
        ]
    }

    /// Whether it names a class of devices, and no product.
    pub fn is_compatible_id(&self) -> bool {
        !matches!(self, Self::Device { .. })
    }
}

impl fmt::Display for HardwareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device {
                vendor,
                product,
                revision,
                interface,
            } => {
                write!(f, r"USB\VID_{vendor:04X}&PID_{product:04X}")?;
                if let Some(revision) = revision {
                    write!(f, "&REV_{revision:04X}")?;
                }
                interface.map_or(Ok(()), |number| write!(f, "&MI_{number:02X}"))
            }
            Self::Protocol(it) => write!(
                f,
                r"USB\Class_{:02X}&SubClass_{:02X}&Prot_{:02X}",
                it.class, it.subclass, it.protocol
            ),
            Self::Subclass { class, subclass } => {
                write!(f, r"USB\Class_{class:02X}&SubClass_{subclass:02X}")
            }
            Self::Class(class) => write!(f, r"USB\Class_{class:02X}"),
        }
    }
}

impl FromStr for HardwareId {
    type Err = HardwareIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = strip(text, r"USB\").ok_or(HardwareIdError::NotUsb)?;
        let mut parts = Parts(parts.split('&').collect());
        let id = match strip(parts.first(), "Class_") {
            Some(_) => parts.class()?,
            None => parts.device()?,
        };
        match parts.0.as_slice() {
            [] => Ok(id),
            [rest, ..] => Err(HardwareIdError::Rest((*rest).to_owned())),
        }
    }
}

/// The parts of an id that are still to be read.
struct Parts<'a>(Vec<&'a str>);

impl Parts<'_> {
    fn first(&self) -> &str {
        self.0.first().copied().unwrap_or_default()
    }

    fn device(&mut self) -> Result<HardwareId, HardwareIdError> {
        Ok(HardwareId::Device {
            vendor: self.word("VID_")?,
            product: self.word("PID_")?,
            revision: match strip(self.first(), "REV_") {
                Some(_) => Some(self.word("REV_")?),
                None => None,
            },
            interface: match self.0.is_empty() {
                false => Some(self.byte("MI_")?),
                true => None,
            },
        })
    }

    fn class(&mut self) -> Result<HardwareId, HardwareIdError> {
        let class = self.byte("Class_")?;
        if self.0.is_empty() {
            return Ok(HardwareId::Class(class));
        }
        let subclass = self.byte("SubClass_")?;
        if self.0.is_empty() {
            return Ok(HardwareId::Subclass { class, subclass });
        }
        let protocol = self.byte("Prot_")?;
        Ok(HardwareId::Protocol(Class {
            class,
            subclass,
            protocol,
        }))
    }

    fn word(&mut self, wanted: &'static str) -> Result<u16, HardwareIdError> {
        self.hexadecimal(wanted, 4, |digits| u16::from_str_radix(digits, 16).ok())
    }

    fn byte(&mut self, wanted: &'static str) -> Result<u8, HardwareIdError> {
        self.hexadecimal(wanted, 2, |digits| u8::from_str_radix(digits, 16).ok())
    }

    fn hexadecimal<T>(
        &mut self,
        wanted: &'static str,
        digits: usize,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, HardwareIdError> {
        if self.0.is_empty() {
            return Err(HardwareIdError::Missing { wanted, digits });
        }
        let found = self.first();
        let value = strip(found, wanted)
            .filter(|it| it.len() == digits && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(read);
        let value = value.ok_or_else(|| HardwareIdError::Part {
            found: found.to_owned(),
            wanted,
            digits,
        })?;
        self.0.remove(0);
        Ok(value)
    }
}

/// What follows a beginning, whatever the case of its letters.
fn strip<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    let (first, rest) = text.split_at_checked(beginning.len())?;
    first.eq_ignore_ascii_case(beginning).then_some(rest)
}

/// How well a package fits a device: the less, the better. Hardware ids come before compatible ids, and the more specific ids first, as Windows ranks them.
#[doc(alias = "identifier score")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// It fits by a compatible id.
    pub by_compatible_id: bool,
    /// The place of the id that fits, among those of the device.
    pub position: usize,
}

impl Rank {
    /// How well a package that is for the devices `wanted` fits one with the ids `ids`, of which the most specific comes first.
    pub(super) fn between(wanted: &[HardwareId], ids: &[HardwareId]) -> Option<Self> {
        let fits = ids.iter().enumerate().filter(|(_, it)| wanted.contains(it));
        fits.map(|(position, id)| Self {
            by_compatible_id: id.is_compatible_id(),
            position,
        })
        .min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMS: [&str; 7] = [
        r"USB\VID_0547&PID_1002",
        r"USB\VID_0547&PID_1002&REV_0000",
        r"USB\VID_0547&PID_1002&MI_00",
        r"USB\VID_0547&PID_1002&REV_0100&MI_0A",
        r"USB\Class_FF",
        r"USB\Class_FF&SubClass_00",
        r"USB\Class_FF&SubClass_00&Prot_50",
    ];

    fn ids(all: &[&str]) -> Vec<HardwareId> {
        all.iter().map(|it| it.parse().unwrap()).collect()
    }

    #[test]
    fn each_form_reads_back_as_it_was_written() {
        for form in FORMS {
            let id: HardwareId = form.parse().unwrap();
            assert_eq!(id.to_string(), form);
            assert_eq!(form.to_lowercase().parse(), Ok(id));
        }
    }

    #[test]
    fn what_is_wrong_with_an_id_is_told() {
        let told = |text: &str| text.parse::<HardwareId>().unwrap_err().to_string();
        assert_eq!(told(r"PCI\VEN_8086"), r"it does not begin with `USB\`");
        assert_eq!(
            told(r"USB\VID_547&PID_1002"),
            r#""VID_547" is not `VID_` and 4 hexadecimal digits"#
        );
        assert_eq!(
            told(r"USB\VID_0547"),
            "`PID_` and 4 hexadecimal digits are missing at its end"
        );
        assert_eq!(
            told(r"USB\VID_0547&PID_1002&MI_00&REV_0000"),
            r#"nothing may follow where "REV_0000" is"#
        );
        assert_eq!(
            told(r"USB\Class_0é"),
            r#""Class_0é" is not `Class_` and 2 hexadecimal digits"#
        );
    }

    #[test]
    fn a_package_for_the_product_goes_before_one_for_its_class() {
        let device = HardwareId::of_interface(0x0547, 0x1002, 0, 0, Class::VENDOR);
        let rank = |wanted: &[&str]| Rank::between(&ids(wanted), &device);
        let best_first = [
            rank(&[r"USB\VID_0547&PID_1002&REV_0000&MI_00"]),
            rank(&[r"USB\Class_FF", r"USB\VID_0547&PID_1002&MI_00"]),
            rank(&[r"USB\Class_FF&SubClass_00&Prot_00"]),
            rank(&[r"USB\Class_FF&SubClass_00"]),
            rank(&[r"USB\Class_FF"]),
        ];
        assert!(best_first.iter().all(Option::is_some));
        assert!(best_first.is_sorted());
        assert_eq!(rank(&[r"USB\VID_0547&PID_1003"]), None);
        assert_eq!(rank(&[r"USB\VID_0547&PID_1002"]), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), rest in "[A-Za-z0-9_&é]{0,40}") {
            for text in [text, format!(r"USB\{rest}"), format!(r"USB\VID_{rest}")] {
                if let Ok(id) = text.parse::<HardwareId>() {
                    prop_assert!(id.to_string().eq_ignore_ascii_case(&text));
                }
            }
        }
    }
}
