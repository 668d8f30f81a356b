//! One cell on two devices: how often a run has to do it, and runs in pairs.

use std::time::Duration;

use super::{error::KernelError, subject::Subject};
use crate::{
    bench::{
        Cell,
        results::{KernelFigures, KernelRow},
        sample::median,
    },
    protocol::Direction,
    usbtest::{Case, Outcome, Settings},
};

/// By how much a run that was too short is made longer at most.
const GROWTH: f64 = 16.0;

/// One run of a cell.
#[derive(Clone, Copy, Debug)]
struct Run {
    transfers: f64,
    elapsed: Duration,
}

impl Run {
    fn rate(&self) -> f64 {
        self.transfers / self.elapsed.as_secs_f64()
    }
}

/// Runs a cell so many times on both devices in turn, each run about as long as `duration`; whose turn is first changes with
/// each pair. `progress` is called after each run.
pub(super) fn compare(
    ours: &Subject,
    theirs: &Subject,
    cell: &Cell,
    pairs: u32,
    duration: Duration,
    mut progress: impl FnMut(),
) -> Result<KernelRow, KernelError> {
    let iterations = [
        calibrate(ours, cell, duration)?,
        calibrate(theirs, cell, duration)?,
    ];
    let mut runs = [Vec::new(), Vec::new()];
    for pair in 0..pairs {
        let turns = if pair.is_multiple_of(2) {
            [0, 1]
        } else {
            [1, 0]
        };
        for turn in turns {
            let subject = [ours, theirs][turn];
            runs[turn].push(run(subject, cell, iterations[turn])?);
            progress();
        }
    }
    Ok(row(theirs.name, cell, &runs))
}

/// How often a device has to do a cell for it to take about `duration`.
fn calibrate(subject: &Subject, cell: &Cell, duration: Duration) -> Result<u32, KernelError> {
    let mut iterations = 1;
    loop {
        let elapsed = run(subject, cell, iterations)?.elapsed;
        let longer = duration.as_secs_f64() / elapsed.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates, and both are positive"
        )]
        let more = (f64::from(iterations) * longer.min(GROWTH)) as u32;
        // What the driver sets up for a case weighs less in a longer run.
        if longer < 2.0 {
            return Ok(more.max(1));
        }
        iterations = more;
    }
}

fn run(subject: &Subject, cell: &Cell, iterations: u32) -> Result<Run, KernelError> {
    let settings = Settings {
        iterations,
        length: cell.size,
        queue: cell.depth,
        ..Settings::default()
    };
    let case = case(cell);
    match subject.runner.run(case, &settings) {
        Outcome::Passed(elapsed) => Ok(Run {
            transfers: f64::from(iterations) * f64::from(cell.depth),
            // The driver tells whole µs.
            elapsed: elapsed.max(Duration::from_micros(1)),
        }),
        outcome => Err(KernelError::Case {
            case: case.number(),
            cell: cell.to_string(),
            device: subject.name,
            outcome,
        }),
    }
}

/// The driver's case for a cell.
fn case(cell: &Cell) -> Case {
    match (cell.direction, cell.depth) {
        (Direction::Out, 1) => Case::BULK_OUT,
        (Direction::In, 1) => Case::BULK_IN,
        (Direction::Out, _) => Case::QUEUED_OUT,
        (Direction::In, _) => Case::QUEUED_IN,
    }
}

fn row(against: &str, cell: &Cell, [ours, theirs]: &[Vec<Run>; 2]) -> KernelRow {
    let pairs = ours.iter().zip(theirs);
    let ratios: Vec<_> = pairs
        .map(|(ours, theirs)| ours.rate() / theirs.rate())
        .collect();
    KernelRow {
        against: against.into(),
        case: case(cell).number(),
        direction: cell.direction_name().into(),
        size: cell.size,
        depth: cell.depth,
        ours: figures(ours, cell),
        theirs: figures(theirs, cell),
        throughput_ratio: median(ratios.iter().copied()),
        lowest_ratio: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        highest_ratio: ratios.iter().copied().fold(0.0, f64::max),
    }
}

fn figures(runs: &[Run], cell: &Cell) -> KernelFigures {
    let rate = median(runs.iter().map(Run::rate));
    KernelFigures {
        mb_per_s: rate * f64::from(cell.size) / 1e6,
        us_per_transfer: 1e6 / rate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_medians_of_its_pairs() {
        let runs = |seconds: [f64; 3]| {
            seconds.map(|it| Run {
                transfers: 1000.0,
                elapsed: Duration::from_secs_f64(it),
            })
        };
        let cell = Cell {
            direction: Direction::In,
            size: 4096,
            depth: 32,
            pause: Duration::ZERO,
        };
        let (ours, theirs) = (runs([1.0, 2.0, 4.0]), runs([2.0, 2.0, 2.0]));
        let row = row("floor", &cell, &[ours.to_vec(), theirs.to_vec()]);
        assert_eq!((row.case, row.direction.as_str()), (28, "in"));
        assert_eq!(
            (row.ours.mb_per_s, row.ours.us_per_transfer),
            (2.048, 2000.0)
        );
        let ratios = (row.lowest_ratio, row.throughput_ratio, row.highest_ratio);
        assert_eq!(ratios, (0.5, 1.0, 2.0));
    }
}
