//! Logarithmic axes.

/// Maps values to places, equal ratios to equal distances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// One on which `low` is at `from` and `high` at `to`. Both have to be positive.
    pub(super) fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        Self {
            low,
            high,
            from,
            to,
        }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let length = (self.high / self.low).ln();
        let share = match length > 0.0 {
            true => (value / self.low).ln() / length,
            false => 0.5,
        };
        self.from + (self.to - self.from) * share
    }
}

/// The round numbers, 1, 2 and 5 of each decade, that enclose the values and those between them; of at least two.
pub(super) fn ticks(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let (low, high) = values
        .into_iter()
        .filter(|it| it.is_normal() && *it > 0.0)
        .fold((f64::MAX, 0.0_f64), |(low, high), it| {
            (low.min(it), high.max(it))
        });
    if high == 0.0 {
        return vec![1.0, 10.0];
    }
    let round: Vec<f64> = (-9..=18)
        .flat_map(|decade| [1.0, 2.0, 5.0].map(|it| it * 10_f64.powi(decade)))
        .collect();
    let first = round.partition_point(|it| *it <= low).saturating_sub(1);
    let last = round.partition_point(|it| *it < high).min(round.len() - 1);
    round[first..=last.max(first + 1)].to_vec()
}

/// Whether a tick is the first of its decade.
pub(super) fn is_decade(tick: f64) -> bool {
    let exponent = tick.log10();
    (exponent - exponent.round()).abs() < 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_enclose_the_values() {
        for (values, expected) in [
            (vec![3.0, 30.0], vec![2.0, 5.0, 10.0, 20.0, 50.0]),
            (vec![10.0], vec![10.0, 20.0]),
            (vec![0.0, f64::NAN, f64::INFINITY], vec![1.0, 10.0]),
            (vec![], vec![1.0, 10.0]),
        ] {
            assert_eq!(ticks(values), expected);
        }
    }

    #[test]
    fn equal_ratios_are_equal_distances() {
        let scale = Scale::new((1.0, 100.0), (0.0, 50.0));
        assert_eq!(
            [1.0, 10.0, 100.0].map(|it| scale.at(it).round()),
            [0.0, 25.0, 50.0]
        );
        assert_eq!(Scale::new((4.0, 4.0), (0.0, 50.0)).at(4.0), 25.0);
    }
}
