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
    in_pairs(cell, pairs, |is_ours| {
        let subject = match (is_ours, &mut theirs) {
            (true, _) => &mut *ours,
            (false, Some(theirs)) => &mut **theirs,
            (false, None) => return Ok(None),
        };
        let sample = subject.run(cell, duration)?;
        progress()?;
        Ok(Some(sample))
    })
}

/// Runs a cell in pairs: `run` is told whether it is our turn, and may have nothing to run otherwise. Whose turn is first changes with each pair.
pub(super) fn in_pairs<E>(
    cell: &Cell,
    pairs: u32,
    mut run: impl FnMut(bool) -> Result<Option<Sample>, E>,
) -> Result<Comparison, E> {
    let mut comparison = Comparison {
        cell: *cell,
        ours: Vec::new(),
        theirs: Vec::new(),
    };
    for pair in 0..pairs {
        for is_ours in [pair % 2 == 0, pair % 2 != 0] {
            let samples = match is_ours {
                true => &mut comparison.ours,
                false => &mut comparison.theirs,
            };
            samples.extend(run(is_ours)?);
        }
    }
    Ok(comparison)
}
