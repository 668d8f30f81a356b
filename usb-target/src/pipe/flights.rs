//! The transfers of one read or write that are on their way at once.

use std::collections::VecDeque;

use usbwright_protocol::Completion;

use crate::engine::Flight;

/// Transfers with their lengths, the oldest first. Dropped, they are taken back, and what they bring is kept in their order.
#[derive(Debug, Default)]
pub(super) struct Flights<'a>(VecDeque<(usize, Flight<'a>)>);

impl<'a> Flights<'a> {
    pub(super) fn push(&mut self, length: usize, flight: Flight<'a>) {
        self.0.push_back((length, flight));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The length and the end of the oldest; `None` where there is none. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<(usize, Completion)> {
        let (_, flight) = self.0.front_mut()?;
        let ended = flight.await;
        let (length, _) = self.0.pop_front()?;
        Some((length, ended))
    }

    /// Asks for all to be taken back, the latest first: to take back one lets those behind it go on.
    pub(super) fn cancel(&self) {
        self.0.iter().rev().for_each(|(_, flight)| flight.cancel());
    }
}

impl Drop for Flights<'_> {
    fn drop(&mut self) {
        self.cancel();
        self.0.drain(..).for_each(drop);
    }
}
