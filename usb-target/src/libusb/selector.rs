//! Which device is meant, as the command line says it.

use std::{fmt, str::FromStr};

use super::LibusbDevice;

/// What a device has to have to be the one that is meant: everything that is told.
///
/// As text it is `key=value,…` with the keys `id` (`VVVV:PPPP`, in hexadecimal), `serial`, `bus` and `address` (decimal, as
/// `lsusb` has them), and `path` (the chain of ports as Linux names it, `1-1.2`). A comma in a serial number is written twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The vendor's and the product's number.
    #[doc(alias = "idVendor")]
    #[doc(alias = "idProduct")]
    pub id: Option<(u16, u16)>,
    /// The serial number.
    #[doc(alias = "iSerialNumber")]
    pub serial: Option<String>,
    /// The number of the bus.
    pub bus: Option<u8>,
    /// The address on the bus.
    pub address: Option<u8>,
    /// The bus and the ports on the way to it.
    pub path: Option<String>,
}

/// A text that says no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// It says nothing.
    #[error(
        "which device is not said: use id=VVVV:PPPP, serial=TEXT, bus=N,address=N or path=1-1.2"
    )]
    Empty,
    /// A part is no `key=value`.
    #[error("`{0}` is not of the form key=value")]
    NoValue(String),
    /// There is no such key.
    #[error("`{0}` is no key of a USB device: use id, serial, bus, address or path")]
    UnknownKey(String),
    /// A key comes again.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// A value is not of its key's form.
    #[error("{key}={value}: {expected}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// What it was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

impl Selector {
    /// Whether a device has all of it.
    pub fn matches(&self, device: &LibusbDevice) -> bool {
        let id = (device.vendor_id, device.product_id);
        self.id.is_none_or(|own| own == id)
            && (self.serial.is_none() || self.serial == device.serial)
            && self.bus.is_none_or(|own| own == device.bus)
            && self.address.is_none_or(|own| own == device.address)
            && self.path.as_ref().is_none_or(|own| *own == device.path)
    }

    fn take(&mut self, part: &str) -> Result<(), SelectorError> {
        let Some((key, value)) = part.split_once('=') else {
            return Err(SelectorError::NoValue(part.to_owned()));
        };
        let fresh = match key {
            "id" => self.id.replace(id(value)?).is_none(),
            "serial" => self.serial.replace(serial(value)?).is_none(),
            "bus" => self.bus.replace(number("bus", value)?).is_none(),
            "address" => self.address.replace(number("address", value)?).is_none(),
            "path" => self.path.replace(path(value)?).is_none(),
            _ => return Err(SelectorError::UnknownKey(key.to_owned())),
        };
        fresh
            .then_some(())
            .ok_or_else(|| SelectorError::Twice(key.to_owned()))
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        if text.is_empty() {
            return Err(SelectorError::Empty);
        }
        let mut selector = Self::default();
        let words = text.replace(",,", "\0");
        words
            .split(',')
            .try_for_each(|word| selector.take(&word.replace('\0', ",")))?;
        Ok(selector)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self
            .id
            .map(|(vendor, product)| format!("id={vendor:04x}:{product:04x}"));
        let serial = self
            .serial
            .as_ref()
            .map(|it| format!("serial={}", it.replace(',', ",,")));
        let bus = self.bus.map(|it| format!("bus={it}"));
        let address = self.address.map(|it| format!("address={it}"));
        let path = self.path.as_ref().map(|it| format!("path={it}"));
        let parts: Vec<_> = [id, serial, bus, address, path]
            .into_iter()
            .flatten()
            .collect();
        f.write_str(&parts.join(","))
    }
}

fn bad(key: &'static str, value: &str, expected: &'static str) -> SelectorError {
    SelectorError::BadValue {
        key,
        value: value.to_owned(),
        expected,
    }
}

fn id(value: &str) -> Result<(u16, u16), SelectorError> {
    let number = |digits: &str| {
        let digit = |it: char| it.is_ascii_hexdigit();
        let plain = (1..=4).contains(&digits.len()) && digits.chars().all(digit);
        plain.then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let parts = value.split_once(':');
    parts
        .and_then(|(vendor, product)| Some((number(vendor)?, number(product)?)))
        .ok_or_else(|| {
            bad(
                "id",
                value,
                "use two hexadecimal numbers of up to 4 digits, such as 0525:a4a0",
            )
        })
}

fn serial(value: &str) -> Result<String, SelectorError> {
    match value {
        "" => Err(bad("serial", value, "a serial number is not empty")),
        _ => Ok(value.to_owned()),
    }
}

fn number(key: &'static str, value: &str) -> Result<u8, SelectorError> {
    value
        .parse()
        .map_err(|_| bad(key, value, "use a number from 0 to 255"))
}

fn path(value: &str) -> Result<String, SelectorError> {
    let number = |digits: &str| digits.parse::<u8>().is_ok_and(|it| it > 0);
    let well_formed = value
        .split_once('-')
        .is_some_and(|(bus, ports)| number(bus) && ports.split('.').all(number));
    well_formed.then(|| value.to_owned()).ok_or_else(|| {
        bad(
            "path",
            value,
            "use the bus and the ports, such as 1-2 or 1-2.4",
        )
    })
}

#[cfg(test)]
mod tests {
    use usbwright_protocol::{Class, Speed};

    use super::*;

    fn device() -> LibusbDevice {
        LibusbDevice {
            bus: 3,
            address: 17,
            path: "3-1.2".to_owned(),
            vendor_id: 0x0525,
            product_id: 0xa4a0,
            device_release: 0,
            class: Class::VENDOR,
            interfaces: Vec::new(),
            speed: Speed::High,
            manufacturer: None,
            product: None,
            serial: Some("0001".to_owned()),
        }
    }

    #[test]
    fn a_device_is_chosen_by_everything_that_is_said_of_it() {
        for text in [
            "id=0525:a4a0",
            "id=525:A4A0",
            "serial=0001",
            "bus=3,address=17",
            "path=3-1.2",
            "id=0525:a4a0,serial=0001,bus=3,address=17,path=3-1.2",
        ] {
            let selector: Selector = text.parse().unwrap();
            assert!(selector.matches(&device()), "{text}");
            let again: Selector = selector.to_string().parse().unwrap();
            assert_eq!(again, selector);
        }
        for text in [
            "id=0525:a4a1",
            "serial=0002",
            "bus=3,address=18",
            "path=3-1",
        ] {
            let selector: Selector = text.parse().unwrap();
            assert!(!selector.matches(&device()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_text_is_told() {
        let error = |text: &str| text.parse::<Selector>().unwrap_err().to_string();
        assert!(error("").starts_with("which device is not said: use id="));
        assert_eq!(error("id"), "`id` is not of the form key=value");
        assert!(error("vid=1").starts_with("`vid` is no key of a USB device"));
        assert_eq!(error("bus=1,bus=2"), "`bus` is given twice");
        assert_eq!(error("bus=256"), "bus=256: use a number from 0 to 255");
        for text in [
            "id=0525",
            "id=+525:a4a0",
            "id=00525:a4a0",
            "id=:",
            "path=1",
            "path=1-",
            "path=1-1..2",
            "path=../x",
            "serial=",
            "address=-1",
        ] {
            assert!(error(text).starts_with(text), "{text}");
        }
    }
}
