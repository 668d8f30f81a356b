//! Requests and cancels that come by two channels, of which either may be ahead.

use std::collections::BTreeSet;

use usbwright_ports::Violation;

use crate::wire::MOST_REQUESTS;

/// What has come of one peer's requests, whose numbers only grow.
#[derive(Debug, Default)]
pub(crate) struct Order {
    last: u64,
    /// Cancels that are ahead of their requests.
    early: BTreeSet<u64>,
}

/// What a cancel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// A request that has come before; it may have ended.
    Known,
    /// One that has not come yet.
    Coming,
}

impl Order {
    /// A request comes. Tells whether its cancel was there before it.
    pub(crate) fn request(&mut self, number: u64) -> Result<bool, Violation> {
        if number <= self.last {
            return Err(Violation::Again(number));
        }
        self.last = number;
        let is_cancelled = self.early.remove(&number);
        // What was passed over never comes.
        self.early = self.early.split_off(&number);
        Ok(is_cancelled)
    }

    /// A cancel comes.
    pub(crate) fn cancel(&mut self, number: u64) -> Result<For, Violation> {
        if number <= self.last {
            return Ok(For::Known);
        }
        self.early.insert(number);
        match self.early.len() > MOST_REQUESTS {
            true => Err(Violation::NotReading(self.early.len())),
            false => Ok(For::Coming),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_that_is_ahead_waits_for_its_request() {
        let mut order = Order::default();
        assert_eq!(order.cancel(2), Ok(For::Coming));
        assert_eq!(order.request(1), Ok(false));
        assert_eq!(order.request(2), Ok(true));
        assert_eq!(order.cancel(2), Ok(For::Known));
        assert_eq!(order.request(5), Ok(false));
    }

    #[test]
    fn a_number_comes_once_and_they_grow() {
        let mut order = Order::default();
        assert_eq!(order.request(0), Err(Violation::Again(0)));
        assert_eq!(order.request(7), Ok(false));
        assert_eq!(order.request(7), Err(Violation::Again(7)));
        assert_eq!(order.request(3), Err(Violation::Again(3)));
    }

    #[test]
    fn cancels_of_what_never_comes_cost_little() {
        let mut order = Order::default();
        for number in 1..=MOST_REQUESTS as u64 {
            assert_eq!(order.cancel(number * 2), Ok(For::Coming));
        }
        assert!(order.cancel(1).is_err());
        assert_eq!(order.request(u64::MAX), Ok(false));
        assert!(order.early.is_empty());
    }
}
