//! What one run of a cell has shown.

use std::time::Duration;

use hdrhistogram::Histogram;

/// One run of a cell.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Transfers that ended.
    pub transfers: u64,
    /// Payload bytes that they moved.
    pub bytes: u64,
    /// From the first submit to the last completion, less the pauses.
    pub elapsed: Duration,
    /// From submit to completion.
    pub latency: Quantiles,
    /// CPU time of the client's thread.
    pub client_cpu: Duration,
    /// CPU time of the server's process, where it can be told.
    pub server_cpu: Option<Duration>,
}

/// Latencies that half, all but 1 in 100, and all but 1 in 1000 transfers stayed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Quantiles {
    /// The median.
    pub p50: Duration,
    /// 99 of 100.
    pub p99: Duration,
    /// 999 of 1000.
    pub p999: Duration,
}

impl Quantiles {
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| Duration::from_nanos(histogram.value_at_quantile(quantile));
        Self {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates are told to a few digits")]
impl Sample {
    /// Payload bytes per second.
    pub fn throughput(&self) -> f64 {
        self.bytes as f64 / self.elapsed.as_secs_f64()
    }

    /// Transfers per second.
    pub fn rate(&self) -> f64 {
        self.transfers as f64 / self.elapsed.as_secs_f64()
    }

    /// CPU seconds of the client for a GB (10⁹ bytes).
    pub fn client_cpu_per_gb(&self) -> f64 {
        self.client_cpu.as_secs_f64() * 1e9 / self.bytes as f64
    }

    /// CPU seconds of the server for a GB (10⁹ bytes), where they can be told.
    pub fn server_cpu_per_gb(&self) -> Option<f64> {
        let cpu = self.server_cpu?;
        Some(cpu.as_secs_f64() * 1e9 / self.bytes as f64)
    }
}

/// The median; the mean of the two in the middle where there is an even number. 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([]), 0.0);
        assert_eq!(median([3.0]), 3.0);
        assert_eq!(median([9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 9.0]), 3.0);
    }
}
