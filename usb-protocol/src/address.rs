//! Endpoint addresses and transfer types.

use std::fmt;

/// Which way data moves, seen from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the host to the device.
    Out,
    /// From the device to the host.
    In,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Out => "OUT",
            Self::In => "IN",
        })
    }
}

/// An endpoint's number and direction, as in `bEndpointAddress` (USB 2.0 §9.6.6).
///
/// Endpoint zero, which moves data both ways, is [`EndpointAddress::CONTROL`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[doc(alias = "bEndpointAddress")]
pub struct EndpointAddress(u8);

impl EndpointAddress {
    /// Endpoint zero.
    pub const CONTROL: Self = Self(0);

    /// The address of endpoint `number` (only its low four bits count) in `direction`.
    pub const fn new(number: u8, direction: Direction) -> Self {
        let number = number & 0x0f;
        match direction {
            Direction::Out => Self(number),
            Direction::In => Self(number | 0x80),
        }
    }

    /// The address in a descriptor's or a request's byte; bits 4 to 6 are reserved and dropped.
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte & 0x8f)
    }

    /// The byte as descriptors carry it.
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// 0 to 15.
    pub const fn number(self) -> u8 {
        self.0 & 0x0f
    }

    /// The direction; [`Direction::Out`] for [`EndpointAddress::CONTROL`].
    pub const fn direction(self) -> Direction {
        if self.0 & 0x80 == 0 {
            Direction::Out
        } else {
            Direction::In
        }
    }

    /// Whether it is endpoint zero, in either direction.
    pub const fn is_control(self) -> bool {
        self.number() == 0
    }

    /// A number below 32 that is this address's alone: OUT endpoints first, then IN.
    pub const fn index(self) -> usize {
        (self.0 & 0x0f | (self.0 & 0x80) >> 3) as usize
    }
}

impl fmt::Debug for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

/// How an endpoint moves data (USB 2.0 §4.7), with the numbers of `bmAttributes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransferType {
    /// Setup, data and status stages; endpoint zero.
    Control = 0,
    /// Paced by the bus, never retried.
    Isochronous = 1,
    /// As fast as the bus allows.
    Bulk = 2,
    /// Small, with a bounded latency.
    Interrupt = 3,
}

impl TransferType {
    /// The type in the low two bits of an endpoint descriptor's `bmAttributes`.
    #[doc(alias = "bmAttributes")]
    pub const fn from_attributes(attributes: u8) -> Self {
        match attributes & 3 {
            0 => Self::Control,
            1 => Self::Isochronous,
            2 => Self::Bulk,
            _ => Self::Interrupt,
        }
    }

    /// Its name: `control`, `isochronous`, `bulk` or `interrupt`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Isochronous => "isochronous",
            Self::Bulk => "bulk",
            Self::Interrupt => "interrupt",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_has_an_index_of_its_own() {
        let mut seen = [false; 32];
        for direction in [Direction::Out, Direction::In] {
            for number in 0..16 {
                let address = EndpointAddress::new(number, direction);
                assert_eq!(EndpointAddress::from_byte(address.byte()), address);
                assert_eq!((address.number(), address.direction()), (number, direction));
                assert!(!std::mem::replace(&mut seen[address.index()], true));
            }
        }
    }
}
