//! When it is looked for what has gone: again and again, after ever longer pauses. No I/O, and no clock.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The first pause.
const FIRST: Duration = Duration::from_millis(500);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(30);

/// What is looked for, by its number.
#[derive(Debug, Default)]
pub(super) struct Search(BTreeMap<usize, Sought>);

#[derive(Debug)]
struct Sought {
    pause: Duration,
    at: Instant,
}

impl Search {
    /// It has gone; where that was told before, it is of no account.
    pub(super) fn lost(&mut self, number: usize, now: Instant) {
        self.0.entry(number).or_insert(Sought {
            pause: FIRST,
            at: now + FIRST,
        });
    }

    /// It is there again.
    pub(super) fn found(&mut self, number: usize) {
        self.0.remove(&number);
    }

    /// It is not there: the next pause is twice as long.
    pub(super) fn missed(&mut self, number: usize, now: Instant) {
        if let Some(sought) = self.0.get_mut(&number) {
            sought.pause = LONGEST.min(sought.pause * 2);
            sought.at = now + sought.pause;
        }
    }

    /// Something that is to be looked for now.
    pub(super) fn due(&self, now: Instant) -> Option<usize> {
        let due = self.0.iter().find(|(_, it)| it.at <= now);
        due.map(|(number, _)| *number)
    }

    /// When something is to be looked for next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|it| it.at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_ever_longer_up_to_half_a_minute_and_begin_anew_once_it_was_found() {
        let mut now = Instant::now();
        let mut search = Search::default();
        assert_eq!(search.deadline(), None);
        search.lost(7, now);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let at = search.deadline().unwrap();
            pauses.push((at - now).as_millis());
            assert_eq!(search.due(at - Duration::from_millis(1)), None);
            now = at;
            assert_eq!(search.due(now), Some(7));
            search.lost(7, now);
            search.missed(7, now);
        }
        let expected = [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000];
        assert_eq!(pauses, expected);
        search.found(7);
        assert_eq!((search.due(now), search.deadline()), (None, None));
        search.lost(7, now);
        assert_eq!(search.deadline(), Some(now + FIRST));
    }

    #[test]
    fn each_is_looked_for_in_its_own_time() {
        let now = Instant::now();
        let mut search = Search::default();
        search.lost(1, now);
        search.missed(1, now);
        search.lost(2, now);
        assert_eq!(search.deadline(), Some(now + FIRST));
        assert_eq!(search.due(now + FIRST), Some(2));
        search.found(2);
        assert_eq!(search.due(now + FIRST), None);
        assert_eq!(search.due(now + 2 * FIRST), Some(1));
    }
}
