//! The cases that the driver knows.

use std::{fmt, str::FromStr};

use super::Settings;

/// What each case does, by number (`usbtest_do_ioctl` in `drivers/usb/misc/usbtest.c`).
const NAMES: [&str; 30] = [
    "nothing",
    "bulk OUT",
    "bulk IN",
    "bulk OUT of varying length",
    "bulk IN of varying length",
    "bulk OUT by scatter list",
    "bulk IN by scatter list",
    "bulk OUT by varying scatter list",
    "bulk IN by varying scatter list",
    "chapter 9 control requests",
    "queued control requests",
    "unlinked bulk IN",
    "unlinked bulk OUT",
    "endpoint halts",
    "control OUT, read back",
    "isochronous OUT",
    "isochronous IN",
    "bulk OUT, odd address",
    "bulk IN, odd address",
    "bulk OUT, odd address, premapped",
    "bulk IN, odd address, premapped",
    "control OUT, read back, odd address",
    "isochronous OUT, odd address",
    "isochronous IN, odd address",
    "unlinked from a bulk OUT queue",
    "interrupt OUT",
    "interrupt IN",
    "queued bulk OUT",
    "queued bulk IN",
    "toggles cleared between bulk OUT",
];

/// A case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Case(u8);

impl Case {
    /// One bulk transfer after the other, to the device.
    pub const BULK_OUT: Self = Self(1);
    /// The same, from the device.
    pub const BULK_IN: Self = Self(2);
    /// A queue of bulk transfers to the device.
    pub const QUEUED_OUT: Self = Self(27);
    /// The same, from the device.
    pub const QUEUED_IN: Self = Self(28);

    /// Every case.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).zip(NAMES).map(|(number, _)| Self(number))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// What it does.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// Whether it sends and reads back the control buffer, whose length has to vary by less than its whole.
    pub(super) fn reads_back(self) -> bool {
        matches!(self.0, 14 | 21)
    }

    /// The bytes that it moves, where that follows from what it is given.
    pub fn bytes(self, settings: &Settings) -> Option<u64> {
        let one_by_one = u64::from(settings.iterations) * u64::from(settings.length);
        match self.0 {
            1 | 2 | 17..=20 | 25 | 26 => Some(one_by_one),
            5 | 6 | 15 | 16 | 22 | 23 | 27 | 28 => {
                Some(one_by_one.saturating_mul(settings.queue.into()))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Some of the cases, in the order in which they are to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cases(Vec<Case>);

/// A text that names no cases.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no cases: use numbers from 0 to 29 and ranges of them, such as 0-14,17")]
pub struct CasesError(String);

impl Default for Cases {
    /// All of them.
    fn default() -> Self {
        Self(Case::all().collect())
    }
}

impl Cases {
    /// The cases.
    pub fn iter(&self) -> impl Iterator<Item = Case> {
        self.0.iter().copied()
    }
}

impl FromStr for Cases {
    type Err = CasesError;

    fn from_str(text: &str) -> Result<Self, CasesError> {
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        let ranges = ranges.ok_or_else(|| CasesError(text.to_owned()))?;
        Ok(Self(ranges.into_iter().flatten().map(Case).collect()))
    }
}

/// Reads `7` or `0-14`.
fn range(text: &str) -> Option<std::ops::RangeInclusive<u8>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse::<u8>().ok()?);
    (first <= last && usize::from(last) < NAMES.len()).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_named_by_numbers_and_ranges() {
        let numbers = |text: &str| -> Vec<_> {
            let cases: Cases = text.parse().unwrap();
            cases.iter().map(Case::number).collect()
        };
        assert_eq!(numbers("13"), [13]);
        assert_eq!(numbers("0-2,29,1"), [0, 1, 2, 29, 1]);
        assert_eq!(Cases::default().iter().count(), 30);
        for text in ["", "30", "3-1", "1,", "1-30", "-1", "all"] {
            let error = text.parse::<Cases>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` names no cases")));
        }
    }

    #[test]
    fn a_queue_moves_its_length_each_time() {
        let settings = Settings {
            iterations: 10,
            length: 512,
            queue: 4,
            ..Settings::default()
        };
        let bytes = |number| Case(number).bytes(&settings);
        assert_eq!(bytes(1), Some(5120));
        assert_eq!(bytes(27), Some(20480));
        assert_eq!(bytes(13), None);
    }
}
