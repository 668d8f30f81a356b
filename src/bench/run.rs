//! What a run of the benchmark keeps account of: transfers, bytes, time.

use std::{
    collections::VecDeque,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{
    cell::Cell,
    client::thread_cpu,
    sample::{Quantiles, Sample},
};

/// Latencies are told to within a thousandth of their value.
const PRECISION: u8 = 3;
/// The longest latency that is told, in ns; longer ones count as this.
const LONGEST: u64 = 60_000_000_000;
/// Of so many transfers the latency of one is taken, where it takes long to read the clock.
const SLOW_EVERY: u64 = 16;
/// A clock that takes so long is slow: reading it is a system call, as on User-mode Linux.
const SLOW: Duration = Duration::from_micros(2);

/// Whether it takes long to read the clock.
fn is_clock_slow() -> bool {
    static IS_SLOW: LazyLock<bool> = LazyLock::new(|| {
        let started = Instant::now();
        (0..15).for_each(|_| _ = std::hint::black_box(Instant::now()));
        started.elapsed() > 16 * SLOW
    });
    *IS_SLOW
}

/// What a run keeps account of.
pub(super) struct Run {
    started: Instant,
    pub(super) now: Instant,
    pub(super) until: Instant,
    paused: Duration,
    transfers: u64,
    bytes: u64,
    period: Option<Duration>,
    last: Option<Instant>,
    latency: Histogram<u64>,
    /// Of how many transfers the latency of one is taken.
    every: u64,
    /// Whether the clock was read when the last transfer ended, and when the one before it did.
    is_timed: bool,
}

impl Run {
    /// A run of a cell. With a period, its latencies are how far the time between two completions is from it.
    pub(super) fn new(duration: Duration, period: Option<Duration>, cell: &Cell) -> Self {
        let is_simple = cell.depth == 1 && cell.pause.is_zero() && period.is_none();
        let every = match is_simple && is_clock_slow() {
            true => SLOW_EVERY,
            false => 1,
        };
        let now = Instant::now();
        Self {
            started: now,
            now,
            until: now + duration,
            paused: Duration::ZERO,
            transfers: 0,
            bytes: 0,
            period,
            last: None,
            latency: Histogram::new_with_bounds(1, LONGEST, PRECISION)
                .expect("bounds and a precision that there are"),
            every,
            is_timed: every == 1,
        }
    }

    /// Reads the clock, as what was in flight has ended; where the clock is slow, only about the transfers whose latency is taken.
    pub(super) fn stamp(&mut self) {
        let turn = self.transfers % self.every;
        self.is_timed = turn == 1 || self.every == 1;
        if turn <= 1 {
            self.now = Instant::now();
        }
    }

    pub(super) fn ended(&mut self, submitted: Instant, bytes: u32) {
        let last = self.last.replace(self.now);
        let observed = match self.period {
            None => Some(self.now.saturating_duration_since(submitted)),
            Some(period) => last.map(|last| (self.now - last).abs_diff(period)),
        };
        if let Some(observed) = observed.filter(|_| self.is_timed) {
            let nanoseconds = u64::try_from(observed.as_nanos()).unwrap_or(u64::MAX);
            self.latency.saturating_record(nanoseconds);
        }
        self.transfers += 1;
        self.bytes += u64::from(bytes);
    }

    pub(super) fn pause(&mut self, pause: Duration) {
        let before = self.now;
        thread::sleep(pause);
        self.now = Instant::now();
        self.paused += self.now - before;
    }

    pub(super) fn finish(mut self, client_cpu: Duration) -> Sample {
        if self.every > 1 {
            self.now = Instant::now();
        }
        Sample {
            transfers: self.transfers,
            bytes: self.bytes,
            elapsed: (self.now - self.started).saturating_sub(self.paused),
            latency: Quantiles::of(&self.latency),
            client_cpu,
            server_cpu: None,
        }
    }
}

/// Runs a cell as long as `duration`, and then until what is in flight has ended: `begin` begins a transfer, and `end` waits for the oldest, and tells how many bytes it
/// has moved.
pub(super) fn keep_in_flight<T, E>(
    cell: &Cell,
    duration: Duration,
    mut begin: impl FnMut() -> Result<T, E>,
    mut end: impl FnMut(T) -> Result<usize, E>,
) -> Result<Sample, E> {
    let cpu = thread_cpu();
    let mut run = Run::new(duration, None, cell);
    let mut flying = VecDeque::new();
    loop {
        while flying.len() < cell.depth as usize && run.now < run.until {
            flying.push_back((begin()?, run.now));
        }
        let Some((first, since)) = flying.pop_front() else {
            break;
        };
        let moved = end(first)?;
        run.stamp();
        run.ended(since, u32::try_from(moved).unwrap_or(u32::MAX));
    }
    Ok(run.finish(thread_cpu().saturating_sub(cpu)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Direction;

    #[test]
    fn where_the_clock_is_slow_every_transfer_counts_and_one_of_sixteen_is_timed() {
        let cell = Cell {
            direction: Direction::In,
            size: 512,
            depth: 1,
            pause: Duration::ZERO,
        };
        for (every, timed) in [(1, 64), (SLOW_EVERY, 4)] {
            let mut run = Run::new(Duration::from_secs(1), None, &cell);
            (run.every, run.is_timed) = (every, every == 1);
            for _ in 0..64 {
                let submitted = run.now;
                run.stamp();
                run.ended(submitted, 512);
            }
            assert_eq!(run.latency.len(), timed);
            let sample = run.finish(Duration::ZERO);
            assert_eq!((sample.transfers, sample.bytes), (64, 64 * 512));
        }
    }
}
