//! Many devices of one server that are busy at once: what they move in all, and how evenly it is shared.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    cell::Cell,
    client::{Client, ClientError},
    sample::median,
    server::{self, ServerError},
};
use crate::remote::RemoteDevice;

/// How much of a run goes before it and is not counted.
const WARM_UP: u32 = 5;

/// The devices of one server, each with a client that has a thread of its own.
#[derive(Debug)]
pub struct Crowd {
    clients: Vec<Client>,
}

/// What one run of a cell has shown, on all devices at once.
#[derive(Clone, Debug)]
pub struct CrowdSample {
    /// Payload bytes that each device moved.
    pub bytes: Vec<u64>,
    /// From when the first client began until the last one had ended.
    pub elapsed: Duration,
}

impl Crowd {
    /// Imports and configures the devices.
    ///
    /// # Errors
    /// Where one of them can't be had, or is no Gadget Zero.
    pub fn open(devices: &[RemoteDevice]) -> Result<Self, ServerError> {
        let clients = devices.iter().map(server::open);
        Ok(Self {
            clients: clients.collect::<Result<_, _>>()?,
        })
    }

    /// Runs a cell on every device at once for `duration`, after a shorter run that is not counted.
    ///
    /// # Errors
    /// Where the server breaks off, or a transfer fails.
    pub fn run(&mut self, cell: &Cell, duration: Duration) -> Result<CrowdSample, ClientError> {
        self.run_once(cell, duration / WARM_UP)?;
        self.run_once(cell, duration)
    }

    fn run_once(&mut self, cell: &Cell, duration: Duration) -> Result<CrowdSample, ClientError> {
        let start = Barrier::new(self.clients.len());
        let runs = thread::scope(|scope| {
            let runs = self.clients.iter_mut().map(|client| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let began = Instant::now();
                    let sample = client.run(cell, duration)?;
                    Ok::<_, ClientError>((began, sample, Instant::now()))
                })
            });
            let runs: Vec<_> = runs.collect();
            let ended = runs.into_iter().map(|run| match run.join() {
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ended.collect::<Result<Vec<_>, _>>()
        })?;
        let began = runs.iter().map(|(began, _, _)| *began).min();
        let ended = runs.iter().map(|(_, _, ended)| *ended).max();
        Ok(CrowdSample {
            bytes: runs.iter().map(|(_, sample, _)| sample.bytes).collect(),
            elapsed: ended
                .zip(began)
                .map_or(Duration::ZERO, |(ended, began)| ended - began),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates are told to a few digits")]
impl CrowdSample {
    /// Payload bytes per second of all devices.
    pub fn throughput(&self) -> f64 {
        self.bytes.iter().sum::<u64>() as f64 / self.elapsed.as_secs_f64()
    }

    /// What a device moved over what it would have, had all moved the same.
    fn share(&self, bytes: Option<&u64>) -> f64 {
        let fair = self.bytes.iter().sum::<u64>() as f64 / self.bytes.len() as f64;
        bytes.map_or(0.0, |bytes| *bytes as f64 / fair)
    }

    /// The share of the device that got the least; 1 is fair.
    pub fn least_share(&self) -> f64 {
        self.share(self.bytes.iter().min())
    }

    /// The share of the device that got the most; 1 is fair.
    pub fn most_share(&self) -> f64 {
        self.share(self.bytes.iter().max())
    }
}

/// The runs of one cell, in pairs.
#[derive(Clone, Debug)]
pub struct CrowdComparison {
    cell: Cell,
    ours: Vec<CrowdSample>,
    floor: Vec<CrowdSample>,
    alone: Vec<CrowdSample>,
}

impl CrowdComparison {
    /// Runs a cell `pairs` times: on our devices, on as many connections to a floor, and on one connection to a floor. Whose
    /// turn is first changes. `progress` is called after each run.
    ///
    /// # Errors
    /// Where a server breaks off, or a transfer fails.
    pub fn measure(
        [ours, floor, alone]: &mut [Crowd; 3],
        cell: &Cell,
        pairs: u32,
        duration: Duration,
        mut progress: impl FnMut(),
    ) -> Result<Self, ClientError> {
        let mut comparison = Self {
            cell: *cell,
            ours: Vec::new(),
            floor: Vec::new(),
            alone: Vec::new(),
        };
        for pair in 0..pairs {
            let mut turns = [
                (&mut *ours, &mut comparison.ours),
                (&mut *floor, &mut comparison.floor),
                (&mut *alone, &mut comparison.alone),
            ];
            turns.rotate_left(pair as usize % 3);
            for (crowd, samples) in turns {
                samples.push(crowd.run(cell, duration)?);
                progress();
            }
        }
        Ok(comparison)
    }

    fn ratio(&self, to: &[CrowdSample]) -> f64 {
        let pairs = self.ours.iter().zip(to);
        median(pairs.map(|(ours, theirs)| ours.throughput() / theirs.throughput()))
    }
}

/// A cell's figures, with many devices busy at once: medians over the runs, but for the shares.
#[derive(Clone, Debug, Serialize)]
pub struct CrowdRow {
    /// What carried the messages: `tcp`, `unix`.
    pub transport: String,
    /// `in` or `out`.
    pub direction: &'static str,
    /// Bytes in a transfer.
    pub size: u32,
    /// Transfers in flight, of each device.
    pub depth: u32,
    /// Devices.
    pub devices: usize,
    /// Our devices.
    pub ours: CrowdFigures,
    /// As many connections to the floor.
    pub floor: CrowdFigures,
    /// Payload of one connection to the floor that is alone, in 10⁶ bytes per second.
    pub alone_mb_per_s: f64,
    /// The median over the pairs of our devices' throughput to that of as many connections to the floor.
    pub floor_ratio: f64,
    /// The same to one connection that is alone.
    pub alone_ratio: f64,
}

/// What devices that are busy at once reached.
#[derive(Clone, Debug, Serialize)]
pub struct CrowdFigures {
    /// Payload of all of them, in 10⁶ bytes per second.
    pub mb_per_s: f64,
    /// The least that a device got in any run, as a part of its fair share.
    pub least_share: f64,
    /// The most.
    pub most_share: f64,
}

impl CrowdRow {
    /// The figures of a comparison.
    pub fn new(transport: &str, comparison: &CrowdComparison) -> Self {
        let CrowdComparison {
            cell,
            ours,
            floor,
            alone,
        } = comparison;
        Self {
            transport: transport.into(),
            direction: cell.direction_name(),
            size: cell.size,
            depth: cell.depth,
            devices: ours.first().map_or(0, |sample| sample.bytes.len()),
            ours: CrowdFigures::of(ours),
            floor: CrowdFigures::of(floor),
            alone_mb_per_s: mb_per_s(alone),
            floor_ratio: comparison.ratio(floor),
            alone_ratio: comparison.ratio(alone),
        }
    }
}

impl CrowdFigures {
    fn of(samples: &[CrowdSample]) -> Self {
        let least = samples.iter().map(CrowdSample::least_share);
        let most = samples.iter().map(CrowdSample::most_share);
        Self {
            mb_per_s: mb_per_s(samples),
            least_share: least.fold(f64::INFINITY, f64::min),
            most_share: most.fold(0.0, f64::max),
        }
    }
}

fn mb_per_s(samples: &[CrowdSample]) -> f64 {
    median(samples.iter().map(CrowdSample::throughput)) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_told_as_part_of_the_fair_one() {
        let sample = CrowdSample {
            bytes: vec![50, 100, 150],
            elapsed: Duration::from_secs(2),
        };
        assert_eq!(sample.throughput(), 150.0);
        assert_eq!((sample.least_share(), sample.most_share()), (0.5, 1.5));
    }
}
