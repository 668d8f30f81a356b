//! Bus speeds and what depends on nothing but them.

use std::{fmt, str::FromStr, time::Duration};

/// The speed a device runs at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speed {
    /// 1.5 Mbit/s (USB 2.0 §5.3.1.1).
    Low,
    /// 12 Mbit/s.
    Full,
    /// 480 Mbit/s.
    High,
    /// 5 Gbit/s (USB 3.2 Gen 1).
    Super,
    /// 10 Gbit/s and more (USB 3.2 Gen 2).
    SuperPlus,
}

impl Speed {
    /// Every speed, slowest first.
    pub const ALL: [Self; 5] = [
        Self::Low,
        Self::Full,
        Self::High,
        Self::Super,
        Self::SuperPlus,
    ];

    /// Whether the device hangs on a SuperSpeed bus (SuperSpeed or SuperSpeedPlus).
    pub fn is_super(self) -> bool {
        self >= Self::Super
    }

    /// The largest packet of endpoint zero, in bytes (USB 2.0 §5.5.3, USB 3.2 §8.12.1).
    pub fn control_packet_size(self) -> usize {
        match self {
            Self::Low => 8,
            Self::Full | Self::High => 64,
            Self::Super | Self::SuperPlus => 512,
        }
    }

    /// The unit in which the bus counts service intervals: a frame (1 ms) at low and full speed, a microframe or bus
    /// interval (125 µs) above.
    #[doc(alias = "microframe")]
    pub fn frame(self) -> Duration {
        match self {
            Self::Low | Self::Full => Duration::from_millis(1),
            _ => Duration::from_micros(125),
        }
    }

    /// The name used on the command line: `low`, `full`, `high`, `super`, `super-plus`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Full => "full",
            Self::High => "high",
            Self::Super => "super",
            Self::SuperPlus => "super-plus",
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no speed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no speed: use low, full, high, super or super-plus")]
pub struct UnknownSpeed(String);

impl FromStr for Speed {
    type Err = UnknownSpeed;

    fn from_str(word: &str) -> Result<Self, UnknownSpeed> {
        Self::ALL
            .into_iter()
            .find(|speed| speed.name() == word)
            .ok_or_else(|| UnknownSpeed(word.to_owned()))
    }
}
