//! Transfers that are awaited in the order in which they were submitted.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use usbwright_protocol::{Completion, EndpointAddress, TransferKind};

use super::{
    Engine,
    rows::{Ended, Row, RowId},
    state::State,
};
use crate::pipe::Kept;

/// Transfers on their way, the oldest first. What has ended is taken from the engine all at once, as each time takes its lock.
#[derive(Debug)]
pub(crate) struct Line {
    row: RowId,
    /// Ends that nobody has asked for yet; they come before all that the engine has.
    ended: VecDeque<Ended>,
    /// How many have not been taken.
    length: usize,
    /// Whether the oldest one has been waited for.
    waited: bool,
}

impl Line {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self {
            row: engine.state().rows.enter(),
            ended: VecDeque::new(),
            length: 0,
            waited: false,
        }
    }

    #[inline]
    pub(crate) fn submit(
        &mut self,
        engine: &Engine,
        endpoint: EndpointAddress,
        kind: TransferKind,
        until: Option<Instant>,
    ) {
        engine
            .with(|state| state.submit(endpoint, kind, until, engine.clock.read(), Some(self.row)));
        self.length += 1;
    }

    /// How many have not been taken.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The oldest one's end, if it has ended.
    #[inline]
    pub(crate) fn take(&mut self, engine: &Engine) -> Option<Completion> {
        if self.ended.is_empty() && self.length > 0 {
            self.collect(&mut engine.state());
        }
        self.next()
    }

    #[inline]
    fn next(&mut self) -> Option<Completion> {
        let (_, ended) = self.ended.pop_front()?;
        self.length -= 1;
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
        let row = self.row;
        let oldest = |state: &mut State| state.rows.row(row).flying.front().copied();
        if self.ended.is_empty()
            && self.length > 0
            && engine
                .poll_until(oldest, cx, |state| self.collect(state))
                .is_pending()
        {
            self.waited = true;
            return Poll::Pending;
        }
        Poll::Ready(self.next())
    }

    /// Takes the ends of the oldest ones, and tells whether there are any.
    fn collect(&mut self, state: &mut State) -> Option<()> {
        if self.ended.is_empty() {
            std::mem::swap(&mut self.ended, &mut state.rows.row(self.row).ended);
        }
        (!self.ended.is_empty()).then_some(())
    }

    /// Takes the one at a place in the line back; its end is told in its turn.
    pub(crate) fn cancel(&self, engine: &Engine, place: usize) {
        let id = {
            let state = &mut engine.state();
            let row = state.rows.row(self.row);
            let flying = place.checked_sub(self.ended.len() + row.ended.len());
            flying.and_then(|place| row.flying.get(place)).copied()
        };
        if let Some(id) = id {
            engine.cancel(id);
        }
    }

    /// Takes all of them back, the latest first: to take back one lets those behind it go on.
    pub(crate) fn cancel_all(&self, engine: &Engine) {
        let flying = engine.state().rows.row(self.row).flying.clone();
        flying.iter().rev().for_each(|id| engine.cancel(*id));
    }

    /// Takes all of them back, as nobody waits for them; what they bring is kept in their order. The line is of no use any more.
    pub(crate) fn abandon(&mut self, engine: &Engine, kept: Option<&Arc<Kept>>) {
        self.cancel_all(engine);
        let Row { ended, flying, .. } = engine.with(|state| state.leave(self.row));
        for (room, ended) in self.ended.drain(..).chain(ended) {
            if let Some(kept) = kept {
                kept.keep(ended, room);
            }
        }
        for id in flying {
            engine.abandon(id, kept);
        }
        self.length = 0;
    }
}
