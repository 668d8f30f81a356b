//! The eight switches, and the endpoint that tells of them.

use std::{fmt, str::FromStr};

/// The positions of the eight switches, a bit for each that is on. Bit 0 is the switch with "8" printed at it, bit 7 the one
/// with "1".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "SWITCH_STATE")]
pub struct Switches(u8);

/// A number that is printed at no switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no switch {0}: the numbers printed at them are 1 to 8")]
pub struct NoSuchSwitch(pub u8);

/// A text that tells no positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it takes a byte, such as 0x81 or 129: 0x80 is the switch printed 1, 0x01 the one printed 8"
)]
pub struct SwitchesError;

impl Switches {
    /// The positions that a byte tells.
    pub const fn new(bits: u8) -> Self {
        Self(bits)
    }

    /// The positions as the board sends them.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether the switch is on at which `printed` is printed, 1 to 8.
    ///
    /// # Errors
    /// Where there is no such switch.
    pub fn is_on(self, printed: u8) -> Result<bool, NoSuchSwitch> {
        Ok(self.0 & bit(printed)? != 0)
    }

    /// These, but for the switch at which `printed` is printed.
    ///
    /// # Errors
    /// Where there is no such switch.
    pub fn with(self, printed: u8, on: bool) -> Result<Self, NoSuchSwitch> {
        let bit = bit(printed)?;
        Ok(Self(if on { self.0 | bit } else { self.0 & !bit }))
    }
}

fn bit(printed: u8) -> Result<u8, NoSuchSwitch> {
    match printed {
        1..=8 => Ok(1 << (8 - printed)),
        _ => Err(NoSuchSwitch(printed)),
    }
}

impl FromStr for Switches {
    type Err = SwitchesError;

    fn from_str(text: &str) -> Result<Self, SwitchesError> {
        let (digits, radix) = match text.strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None => (text, 10),
        };
        // The number's own parser would take a sign as well.
        let plain = digits.chars().all(|digit| digit.is_digit(radix));
        let bits = u8::from_str_radix(digits, radix).ok().filter(|_| plain);
        bits.map(Self).ok_or(SwitchesError)
    }
}

impl fmt::Display for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

/// The switches with the one buffer of their endpoint. While it has a byte that was not read, the switches are not looked at;
/// otherwise a change is a byte at once.
#[derive(Debug, Default)]
pub(super) struct Reports {
    switches: Switches,
    /// The positions that were told last.
    told: Switches,
    buffer: Option<Switches>,
    /// They are to be told, changed or not.
    due: bool,
    configured: bool,
    asleep: bool,
}

impl Reports {
    pub(super) fn new(switches: Switches) -> Self {
        Self {
            switches,
            ..Self::default()
        }
    }

    pub(super) fn switches(&self) -> Switches {
        self.switches
    }

    /// Sets the switches, and tells whether there is a byte now that was not there before.
    pub(super) fn set(&mut self, switches: Switches) -> bool {
        self.switches = switches;
        self.look()
    }

    /// The host has set a configuration, or unset it.
    pub(super) fn configure(&mut self, configured: bool) {
        self.buffer = None;
        self.configured = configured;
        self.due = true;
        self.look();
    }

    pub(super) fn suspend(&mut self) {
        self.asleep = true;
    }

    /// As [`set`](Self::set), with the switches that there are.
    pub(super) fn resume(&mut self) -> bool {
        self.asleep = false;
        self.due = true;
        self.look()
    }

    /// The byte for the host.
    pub(super) fn take(&mut self) -> Option<Switches> {
        let taken = self.buffer.take()?;
        self.look();
        Some(taken)
    }

    fn look(&mut self) -> bool {
        let awake = self.configured && !self.asleep;
        let news = self.due || self.switches != self.told;
        if !awake || !news || self.buffer.is_some() {
            return false;
        }
        self.due = false;
        self.told = self.switches;
        self.buffer = Some(self.switches);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_0_is_the_switch_printed_8_and_bit_7_the_one_printed_1() {
        let switches = Switches::default().with(8, true).unwrap();
        assert_eq!(switches.bits(), 0x01);
        let switches = switches.with(1, true).unwrap().with(8, false).unwrap();
        assert_eq!(switches.bits(), 0x80);
        assert_eq!(switches.is_on(1), Ok(true));
        assert_eq!(switches.is_on(8), Ok(false));
    }

    #[test]
    fn a_switch_that_the_board_lacks_is_told() {
        for printed in [0, 9, 255] {
            let error = Switches::default().with(printed, true).unwrap_err();
            assert_eq!(error, NoSuchSwitch(printed));
            assert!(error.to_string().contains("are 1 to 8"));
        }
    }

    #[test]
    fn positions_are_read_as_hexadecimal_or_decimal_numbers() {
        for (text, bits) in [("0x00", 0), ("0xff", 255), ("0xA", 10), ("129", 129)] {
            assert_eq!(text.parse(), Ok(Switches::new(bits)));
        }
        for text in ["", "0x", "0x100", "256", "-1", "+1", "0x+1", "on", "0b1"] {
            assert_eq!(text.parse::<Switches>(), Err(SwitchesError), "{text}");
        }
    }
}
