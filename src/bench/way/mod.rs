//! The whole way of an application's request: through the reflector, a host process, its driver and its device, and back; beside as many bare exchanges over sockets.
//!
//! Both ends of each pair are measured in the same run, one right after the other. The floor has the same processes, the same sockets between them and the same threads that
//! hand packets on, but nothing is looked at. Where data goes by shared memory, the floor copies as much into shared memory and wakes as many threads.

mod floor;
mod ours;
mod parts;

use std::{fmt, io, time::Duration};

use serde::Serialize;

pub use self::parts::{Part, UnknownPart};
use self::{floor::Floor, ours::Ours};
use super::{
    cell::Cell,
    pairs::{Comparison, in_pairs},
    sample::{Sample, median},
};
use crate::{protocol::Direction, target::OpenError};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Reads of 512 bytes, one at a time.
    Read,
    /// The same, 32 at a time.
    Reads,
    /// Writes of 1 MiB of shared memory.
    DirectWrite,
    /// Reads of 1 MiB into shared memory.
    DirectRead,
    /// Messages by a communication port, each with its reply.
    Message,
}

/// What a ratio to the floor is to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// At most so much: of times.
    AtMost(f64),
    /// At least so much: of rates.
    AtLeast(f64),
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
        }
    }
}

impl Aim {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }
}

impl Passage {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Reads,
        Self::DirectWrite,
        Self::DirectRead,
        Self::Message,
    ];

    fn cell(self) -> Cell {
        let (direction, size, depth) = match self {
            Self::Read => (Direction::In, 512, 1),
            Self::Reads => (Direction::In, 512, 32),
            Self::DirectWrite => (Direction::Out, 1 << 20, 1),
            Self::DirectRead => (Direction::In, 1 << 20, 1),
            Self::Message => (Direction::Out, 64, 1),
        };
        Cell {
            direction,
            size,
            depth,
            pause: Duration::ZERO,
        }
    }

    /// What is told of a run, its unit, and what it is to be.
    fn figure(self) -> (fn(&Sample) -> f64, &'static str, Aim) {
        let p50 = |it: &Sample| it.latency.p50.as_secs_f64() * 1e6;
        let throughput = |it: &Sample| it.throughput() / 1e6;
        match self {
            Self::Read => (p50, "µs", Aim::AtMost(1.5)),
            Self::Reads => (Sample::rate, "per s", Aim::AtLeast(0.7)),
            Self::DirectWrite | Self::DirectRead => (throughput, "MB/s", Aim::AtLeast(0.8)),
            Self::Message => (p50, "µs", Aim::AtMost(1.3)),
        }
    }
}

impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "512 B read × 1",
            Self::Reads => "512 B read × 32",
            Self::DirectWrite => "1 MiB direct write",
            Self::DirectRead => "1 MiB direct read",
            Self::Message => "port message and reply",
        })
    }
}

/// Why the way can't be measured.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// A process can't be started, or its socket is broken.
    #[error("a process of the measurement can't be had: {0}")]
    Process(#[from] io::Error),
    /// A process has ended that is a part of the way.
    #[error("a process of the measurement has ended before its time")]
    Ended,
    /// The device can't be used.
    #[error("the device can't be had: {0}")]
    Device(#[from] OpenError),
    /// Its stack does not start, its name can't be had, or what leads to it fails.
    #[error("{what}: {why}")]
    Setup {
        /// What fails.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A request fails, or moves less than was asked for.
    #[error("{what} ended after {moved} of {length} bytes: {why}")]
    Request {
        /// What was asked for.
        what: Passage,
        /// Bytes moved.
        moved: usize,
        /// Bytes asked for.
        length: usize,
        /// How it ended.
        why: String,
    },
}

impl WayError {
    fn setup<E: fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |why| Self::Setup {
            what,
            why: why.to_string(),
        }
    }
}

/// A line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct WayRow {
    /// What was measured.
    pub what: String,
    /// The unit of the figures: a median time in µs, a rate per second, or MB (10⁶ bytes) per second.
    pub unit: &'static str,
    /// The median over the runs on the whole way.
    pub ours: f64,
    /// The median over the runs on the floor.
    pub floor: f64,
    /// The median of the pairs' ratios, ours to the floor.
    pub ratio: f64,
    /// What that is to be.
    pub aim: Aim,
    /// Whether it is so.
    pub is_met: bool,
}

impl WayRow {
    fn new(passage: Passage, comparison: &Comparison) -> Self {
        let (figure, unit, aim) = passage.figure();
        let ratio = comparison.ratio(figure);
        Self {
            what: passage.to_string(),
            unit,
            ours: median(comparison.ours.iter().map(figure)),
            floor: median(comparison.theirs.iter().map(figure)),
            ratio,
            aim,
            is_met: aim.is_met(ratio),
        }
    }
}

/// Both ways, with their processes, which end with it.
pub struct Ways {
    ours: Ours,
    floor: Floor,
}

impl Ways {
    /// Starts the processes.
    ///
    /// # Errors
    /// Where one can't be had.
    pub fn start() -> Result<Self, WayError> {
        Ok(Self {
            ours: Ours::start()?,
            floor: Floor::start()?,
        })
    }

    /// Measures a passage in so many pairs of runs, each for `duration`. `progress` is called after each run, and may end it.
    ///
    /// # Errors
    /// Where a request fails, a process ends, or `progress` says so.
    pub fn measure<E: From<WayError>>(
        &mut self,
        passage: Passage,
        pairs: u32,
        duration: Duration,
        mut progress: impl FnMut() -> Result<(), E>,
    ) -> Result<WayRow, E> {
        let cell = passage.cell();
        let (ours, floor) = (&self.ours, &mut self.floor);
        let comparison = in_pairs(&cell, pairs, |is_ours| -> Result<_, E> {
            let sample = match is_ours {
                true => ours.run(passage, &cell, duration)?,
                false => floor.run(passage, &cell, duration, ours.shared())?,
            };
            progress()?;
            Ok(Some(sample))
        })?;
        Ok(WayRow::new(passage, &comparison))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_met_up_to_its_bound() {
        assert!(Aim::AtMost(1.5).is_met(1.5) && !Aim::AtMost(1.5).is_met(1.51));
        assert!(Aim::AtLeast(0.7).is_met(0.7) && !Aim::AtLeast(0.7).is_met(0.69));
        assert_eq!(Aim::AtLeast(0.7).to_string(), "≥ 0.7");
    }
}
