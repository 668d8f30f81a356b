//! A set of numbers that comes in ranges.

use std::{collections::BTreeMap, ops::Range};

/// Ranges, none of which touches another: the end of each, by its beginning.
#[derive(Debug, Default)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub(super) fn insert(&mut self, new: Range<u64>) {
        if new.is_empty() {
            return;
        }
        let (mut start, mut end) = (new.start, new.end);
        while let Some((&old, &old_end)) = self.0.range(..=end).next_back()
            && old_end >= start
        {
            self.0.remove(&old);
            start = start.min(old);
            end = end.max(old_end);
        }
        self.0.insert(start, end);
    }

    /// Whether `number` is in the set, and up to where that stays so.
    pub(super) fn at(&self, number: u64) -> (bool, u64) {
        if let Some((_, &end)) = self.0.range(..=number).next_back()
            && number < end
        {
            return (true, end);
        }
        let next = self.0.range(number..).next();
        (false, next.map_or(u64::MAX, |(&start, _)| start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let mut ranges = Ranges::default();
        ranges.insert(10..20);
        ranges.insert(30..40);
        ranges.insert(5..5);
        assert_eq!(ranges.at(9), (false, 10));
        assert_eq!(ranges.at(10), (true, 20));
        assert_eq!(ranges.at(20), (false, 30));
        assert_eq!(ranges.at(40), (false, u64::MAX));
        ranges.insert(20..25);
        assert_eq!(ranges.at(10), (true, 25));
        ranges.insert(8..35);
        assert_eq!((ranges.at(8), ranges.0.len()), ((true, 40), 1));
        ranges.insert(12..13);
        assert_eq!((ranges.at(8), ranges.0.len()), ((true, 40), 1));
    }
}
