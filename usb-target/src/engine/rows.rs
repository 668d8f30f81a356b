//! What the lines have in the engine: their transfers in order, and the ends that nobody has taken out yet.

use std::collections::VecDeque;

use usbwright_protocol::Completion;

use super::slot::{SlotId, Slots};

/// How a transfer ended, and the room that it had.
pub(super) type Ended = (usize, Completion);

/// Names a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowId(u32);

/// A line's transfers, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// The ends of the oldest ones, up to the first that has not ended.
    pub(super) ended: VecDeque<Ended>,
    pub(super) flying: VecDeque<SlotId>,
    /// How many of those have ended, and wait for one before them.
    early: usize,
}

impl Row {
    /// One has ended: its end is told, with those behind it that have waited for it; or it waits itself.
    #[inline(always)]
    pub(super) fn end(&mut self, id: SlotId, ended: Completion, slots: &mut Slots) {
        if self.flying.front() != Some(&id) {
            self.early += 1;
            return slots.end(id, ended);
        }
        self.flying.pop_front();
        self.ended.push_back((slots.release(id), ended));
        while self.early > 0
            && let Some(next) = self.flying.front()
            && let Some(ended) = slots.take_ended(*next)
        {
            self.early -= 1;
            self.flying.pop_front();
            self.ended.push_back(ended);
        }
    }
}

/// The lines of an engine.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: Vec<Row>,
    free: Vec<u32>,
}

impl Rows {
    pub(super) fn enter(&mut self) -> RowId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.rows.push(Row::default());
            (self.rows.len() - 1) as u32
        });
        RowId(index)
    }

    #[inline]
    pub(super) fn row(&mut self, id: RowId) -> &mut Row {
        &mut self.rows[id.0 as usize]
    }

    /// Takes out what a line has, which is not to be used any more.
    pub(super) fn leave(&mut self, id: RowId) -> Row {
        self.free.push(id.0);
        std::mem::take(self.row(id))
    }
}
