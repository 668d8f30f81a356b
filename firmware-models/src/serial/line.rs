//! The line: how characters are coded on it, and its signals.

use std::fmt;

/// Bytes of a line coding as the host sends it.
pub(super) const LENGTH: usize = 7;

/// How characters are coded on the line (PSTN 1.2 §6.3.11). No character is delayed or cut by it: what it says is for whoever
/// is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "SET_LINE_CODING")]
pub struct LineCoding {
    /// Bits per second, never 0.
    #[doc(alias = "dwDTERate")]
    pub rate: u32,
    /// What ends a character.
    #[doc(alias = "bCharFormat")]
    pub stop_bits: StopBits,
    /// The parity.
    #[doc(alias = "bParityType")]
    pub parity: Parity,
    /// Bits of a character: 5, 6, 7, 8 or 16.
    #[doc(alias = "bDataBits")]
    pub data_bits: u8,
}

/// What ends a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopBits {
    /// One bit.
    One,
    /// One and a half.
    OneAndAHalf,
    /// Two.
    Two,
}

/// The parity of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are called what they are")]
pub enum Parity {
    None,
    Odd,
    Even,
    Mark,
    Space,
}

impl Default for LineCoding {
    /// 9600 8N1, as long as no host has said anything else.
    fn default() -> Self {
        Self {
            rate: 9600,
            stop_bits: StopBits::One,
            parity: Parity::None,
            data_bits: 8,
        }
    }
}

impl LineCoding {
    /// Reads a line coding; `None` where it is none.
    pub(super) fn from_bytes(bytes: [u8; LENGTH]) -> Option<Self> {
        let [a, b, c, d, format, parity, data_bits] = bytes;
        let rate = u32::from_le_bytes([a, b, c, d]);
        let possible = rate > 0 && matches!(data_bits, 5..=8 | 16);
        possible.then_some(Self {
            rate,
            stop_bits: match format {
                0 => StopBits::One,
                1 => StopBits::OneAndAHalf,
                2 => StopBits::Two,
                _ => return None,
            },
            parity: match parity {
                0 => Parity::None,
                1 => Parity::Odd,
                2 => Parity::Even,
                3 => Parity::Mark,
                4 => Parity::Space,
                _ => return None,
            },
            data_bits,
        })
    }

    pub(super) fn to_bytes(self) -> [u8; LENGTH] {
        let [a, b, c, d] = self.rate.to_le_bytes();
        let format = self.stop_bits as u8;
        [a, b, c, d, format, self.parity as u8, self.data_bits]
    }
}

impl fmt::Display for LineCoding {
    /// As terminals write it, such as `115200 8N1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Odd => 'O',
            Parity::Even => 'E',
            Parity::Mark => 'M',
            Parity::Space => 'S',
        };
        let stop = match self.stop_bits {
            StopBits::One => "1",
            StopBits::OneAndAHalf => "1.5",
            StopBits::Two => "2",
        };
        write!(f, "{} {}{parity}{stop}", self.rate, self.data_bits)
    }
}

/// The signals that the host sets (PSTN 1.2 §6.3.12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "SET_CONTROL_LINE_STATE")]
pub struct ControlLines {
    /// Data terminal ready: somebody has the port open.
    #[doc(alias = "DTR")]
    pub data_terminal_ready: bool,
    /// Request to send.
    #[doc(alias = "RTS")]
    pub request_to_send: bool,
}

/// The signals that stay as the other end sets them (PSTN 1.2 §6.5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "SERIAL_STATE")]
pub struct StatusLines {
    /// Data carrier detect: somebody is at the other end.
    #[doc(alias = "DCD")]
    #[doc(alias = "bRxCarrier")]
    pub data_carrier_detect: bool,
    /// Data set ready.
    #[doc(alias = "DSR")]
    #[doc(alias = "bTxCarrier")]
    pub data_set_ready: bool,
}

/// Something that happens on the line, of which the host is told once each time (PSTN 1.2 §6.5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// A break.
    Break,
    /// It rings.
    Ring,
    /// A character without a stop bit.
    FramingError,
    /// A character with the wrong parity.
    ParityError,
    /// Characters were lost.
    Overrun,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_coding_reads_as_terminals_write_it() {
        for (bytes, told) in [
            ([0x80, 0x25, 0, 0, 0, 0, 8], "9600 8N1"),
            ([0x00, 0xc2, 0x01, 0, 2, 2, 7], "115200 7E2"),
            ([0x2d, 0, 0, 0, 1, 3, 5], "45 5M1.5"),
            ([0xff, 0xff, 0xff, 0xff, 0, 1, 16], "4294967295 16O1"),
            ([1, 0, 0, 0, 0, 4, 6], "1 6S1"),
        ] {
            let coding = LineCoding::from_bytes(bytes).unwrap();
            assert_eq!(coding.to_string(), told);
        }
        assert_eq!(LineCoding::default().to_string(), "9600 8N1");
    }

    proptest! {
        #[test]
        fn a_line_coding_is_told_as_it_was_set_or_is_none(bytes: [u8; LENGTH]) {
            let [a, b, c, d, format, parity, data_bits] = bytes;
            let possible = [a, b, c, d] != [0; 4]
                && format <= 2 && parity <= 4 && [5, 6, 7, 8, 16].contains(&data_bits);
            let told = LineCoding::from_bytes(bytes).map(LineCoding::to_bytes);
            prop_assert_eq!(told, possible.then_some(bytes));
        }
    }
}
