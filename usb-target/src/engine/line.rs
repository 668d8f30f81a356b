//! Transfers that are awaited in the order in which they were submitted.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use usbwright_protocol::{Completion, EndpointAddress, TransferKind};

use super::{Engine, slot::SlotId, state::State};
use crate::pipe::Kept;

/// Transfers on their way, the oldest first. What has ended is taken from the engine all at once, as each time takes its lock.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Ends that nobody has asked for yet, with the room that their transfers had.
    ended: VecDeque<(usize, Completion)>,
    flying: VecDeque<SlotId>,
    /// Whether the oldest one has been waited for.
    waited: bool,
}

impl Line {
    pub(crate) fn submit(
        &mut self,
        engine: &Engine,
        endpoint: EndpointAddress,
        kind: TransferKind,
        until: Option<Instant>,
    ) {
        let id = engine.launch(endpoint, kind, until);
        self.flying.push_back(id);
    }

    /// How many have not been taken.
    pub(crate) fn len(&self) -> usize {
        self.ended.len() + self.flying.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The oldest one's end, if it has ended.
    #[inline]
    pub(crate) fn take(&mut self, engine: &Engine) -> Option<Completion> {
        if self.ended.is_empty() {
            self.collect(&mut engine.state());
        }
        let (_, ended) = self.ended.pop_front()?;
        Some(ended)
    }

    /// The oldest one's end; `None` where there is none.
    pub(crate) fn poll(
        &mut self,
        engine: &Engine,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Completion>> {
        if std::mem::take(&mut self.waited)
            && let Some(ended) = self.take(engine)
        {
            return Poll::Ready(Some(ended));
        }
        if self.ended.is_empty()
            && let Some(oldest) = self.flying.front().copied()
            && engine
                .poll_until(oldest, cx, |state| self.collect(state))
                .is_pending()
        {
            self.waited = true;
            return Poll::Pending;
        }
        let ended = self.ended.pop_front();
        Poll::Ready(ended.map(|(_, ended)| ended))
    }

    /// Takes the ends of the oldest ones, and tells whether there are any.
    fn collect(&mut self, state: &mut State) -> Option<()> {
        while let Some(oldest) = self.flying.front()
            && let Some(ended) = state.slots.take_ended(*oldest)
        {
            self.flying.pop_front();
            self.ended.push_back(ended);
        }
        (!self.ended.is_empty()).then_some(())
    }

    /// Takes the one at a place in the line back; its end is told in its turn.
    pub(crate) fn cancel(&self, engine: &Engine, place: usize) {
        let flying = place.checked_sub(self.ended.len());
        if let Some(id) = flying.and_then(|place| self.flying.get(place)) {
            engine.cancel(*id);
        }
    }

    /// Takes all of them back, the latest first: to take back one lets those behind it go on.
    pub(crate) fn cancel_all(&self, engine: &Engine) {
        self.flying.iter().rev().for_each(|id| engine.cancel(*id));
    }

    /// Takes all of them back, as nobody waits for them; what they bring is kept in their order.
    pub(crate) fn abandon(&mut self, engine: &Engine, kept: Option<&Arc<Kept>>) {
        self.cancel_all(engine);
        for (room, ended) in self.ended.drain(..) {
            if let Some(kept) = kept {
                kept.keep(ended, room);
            }
        }
        for id in self.flying.drain(..) {
            engine.abandon(id, kept);
        }
    }
}
