//! The present time, as whoever drives a port tells it.

use std::time::Instant;

/// The present time: known, or to be read by whoever first looks at it. Most transfers need no time, and reading it may cost
/// a system call.
#[derive(Clone, Copy, Debug)]
pub enum Now {
    /// It is this.
    At(Instant),
    /// It is read so.
    Read(fn() -> Instant),
}

impl Now {
    /// The present time by the system's monotonic clock, read when it is first looked at.
    pub const SYSTEM: Self = Self::Read(Instant::now);

    /// The time.
    pub fn instant(self) -> Instant {
        match self {
            Self::At(time) => time,
            Self::Read(read) => read(),
        }
    }
}

impl From<Instant> for Now {
    fn from(time: Instant) -> Self {
        Self::At(time)
    }
}
