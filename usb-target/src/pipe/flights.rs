//! The transfers of one read or write that are on their way at once.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use usbwright_protocol::Completion;

use crate::{cancel::Cancel, engine::Flight};

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

    /// The length and the end of the oldest; `None` where there is none. All are taken back once that is cancelled. Dropping the future
    /// loses nothing.
    pub(super) async fn next(&mut self, cancel: &mut Cancel<'_>) -> Option<(usize, Completion)> {
        let ended = poll_fn(|cx| {
            if cancel.poll(cx) {
                self.cancel();
            }
            match self.0.front_mut() {
                Some((_, flight)) => Pin::new(flight).poll(cx).map(Some),
                None => Poll::Ready(None),
            }
        });
        let ended = ended.await?;
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
