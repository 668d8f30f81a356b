//! One server, or two side by side: runs in pairs, one after the other, so that what the machine does besides hits both.

use std::time::Duration;

use super::{
    cell::Cell,
    client::ClientError,
    sample::{Sample, median},
    server::Subject,
};

/// The runs of one cell.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The cell.
    pub cell: Cell,
    /// The runs on the server that is measured.
    pub ours: Vec<Sample>,
    /// The runs on the one that it is compared with, in pairs with `ours`; empty where there is none.
    pub theirs: Vec<Sample>,
}

impl Comparison {
    /// The median over the pairs of a figure's ratio, ours to theirs.
    pub fn ratio(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        let pairs = self.ours.iter().zip(&self.theirs);
        median(pairs.map(|(ours, theirs)| figure(ours) / figure(theirs)))
    }

    /// The median ratio of what is moved in the same time.
    pub fn throughput_ratio(&self) -> f64 {
        self.ratio(Sample::throughput)
    }

    /// The median ratio of the median latencies.
    pub fn latency_ratio(&self) -> f64 {
        self.ratio(|sample| sample.latency.p50.as_secs_f64())
    }
}

/// Runs a cell `pairs` times, each run for `duration` after a short one that is not counted; where there are two servers,
/// on both in turn, and whose turn is first changes with each pair. `progress` is called after each run,
/// and may end it.
///
/// # Errors
/// Where a server breaks off, a transfer fails, or `progress` says so.
pub fn compare<E: From<ClientError>>(
    ours: &mut Subject,
    mut theirs: Option<&mut Subject>,
    cell: &Cell,
    pairs: u32,
    duration: Duration,
    mut progress: impl FnMut() -> Result<(), E>,
) -> Result<Comparison, E> {
    let mut comparison = Comparison {
        cell: *cell,
        ours: Vec::new(),
        theirs: Vec::new(),
    };
    for pair in 0..pairs {
        for turn in [pair % 2, (pair + 1) % 2] {
            let (subject, samples) = match (turn, &mut theirs) {
                (0, _) => (&mut *ours, &mut comparison.ours),
                (_, Some(theirs)) => (&mut **theirs, &mut comparison.theirs),
                (_, None) => continue,
            };
            samples.push(subject.run(cell, duration)?);
            progress()?;
        }
    }
    Ok(comparison)
}
