//! Until when a sender waits.

use std::time::{Duration, Instant, SystemTime};

/// How many of a `LARGE_INTEGER`'s units, of 100 ns, are a second.
const UNITS: u64 = 10_000_000;
/// The seconds from 1601, where Windows begins to count, to 1970.
const EPOCH: u64 = 11_644_473_600;

/// Until when a sender waits: for its message's delivery and for the reply together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deadline {
    /// For ever.
    #[default]
    Never,
    /// For so long, from when the send begins.
    After(Duration),
    /// Until this time of the clock that the filter goes by.
    At(Instant),
    /// Until this time of day. It is looked at once, when the send begins: setting the system's clock meanwhile changes nothing.
    AtTimeOfDay(SystemTime),
}

impl Deadline {
    /// What `FltSendMessage` understands by its `Timeout`: `None` and zero are for ever, negative is relative and positive
    /// absolute, in units of 100 ns; absolute times are counted from 1601-01-01, UTC.
    #[doc(alias = "LARGE_INTEGER")]
    pub fn from_timeout(timeout: Option<i64>) -> Self {
        let units = timeout.unwrap_or(0);
        let span = units_to_duration(units.unsigned_abs());
        match units {
            0 => Self::Never,
            ..0 => Self::After(span),
            _ => {
                let since_1970 = span.checked_sub(Duration::from_secs(EPOCH));
                let time = since_1970.and_then(|it| SystemTime::UNIX_EPOCH.checked_add(it));
                Self::AtTimeOfDay(time.unwrap_or(SystemTime::UNIX_EPOCH))
            }
        }
    }

    /// The time on a clock that tells `now`; none where it never comes.
    pub(crate) fn resolve(self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        match self {
            Self::Never => None,
            Self::After(span) => now().checked_add(span),
            Self::At(time) => Some(time),
            Self::AtTimeOfDay(time) => {
                let left = time.duration_since(SystemTime::now()).unwrap_or_default();
                now().checked_add(left)
            }
        }
    }
}

impl From<Duration> for Deadline {
    fn from(span: Duration) -> Self {
        Self::After(span)
    }
}

impl From<Instant> for Deadline {
    fn from(time: Instant) -> Self {
        Self::At(time)
    }
}

fn units_to_duration(units: u64) -> Duration {
    let nanoseconds = (units % UNITS) * 100;
    Duration::new(units / UNITS, u32::try_from(nanoseconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_understood_as_windows_understands_it() {
        for (timeout, deadline) in [
            (None, Deadline::Never),
            (Some(0), Deadline::Never),
            (Some(-1), Deadline::After(Duration::from_nanos(100))),
            (Some(-20_000_000), Deadline::After(Duration::from_secs(2))),
            (
                Some(i64::MIN),
                Deadline::After(Duration::new(922_337_203_685, 477_580_800)),
            ),
            (Some(1), Deadline::AtTimeOfDay(SystemTime::UNIX_EPOCH)),
            (
                Some(116_444_736_000_000_000 + 15_000_000),
                Deadline::AtTimeOfDay(SystemTime::UNIX_EPOCH + Duration::from_millis(1500)),
            ),
        ] {
            assert_eq!(Deadline::from_timeout(timeout), deadline, "{timeout:?}");
        }
    }

    #[test]
    fn what_lies_in_the_past_is_due_at_once() {
        let now = Instant::now();
        let past = Deadline::AtTimeOfDay(SystemTime::UNIX_EPOCH);
        assert_eq!(past.resolve(|| now), Some(now));
        assert_eq!(Deadline::Never.resolve(|| now), None);
        assert_eq!(Deadline::After(Duration::MAX).resolve(|| now), None);
    }
}
