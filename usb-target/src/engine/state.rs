//! What an engine's lock guards: the port, the slots, the timers.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
    task::Waker,
    time::Instant,
};

use tracing::warn;
use usbwright_protocol::{Completion, Port, Status};

use super::{
    GRACE, given_up,
    slot::{Phase, SlotId, Slots, Waiting},
};
use crate::pipe::Kept;

/// Timers of slots that have ended are thrown away when there are so many more of them than of slots.
const STALE: usize = 64;

pub(super) struct State {
    pub(super) port: Box<dyn Port>,
    pub(super) slots: Slots,
    timers: BinaryHeap<Reverse<(Instant, SlotId)>>,
    /// Whether something was submitted that may not be on its way yet.
    pub(super) unflushed: bool,
    /// Whether a thread waits outside.
    pub(super) led: bool,
    /// Threads that wait for transfers while another one waits outside, and may do so next.
    pub(super) followers: VecDeque<Waker>,
    /// Whom to wake when the lock is free.
    pub(super) woken: Vec<Waker>,
    /// Until when the driver sleeps, if it does.
    pub(super) driver_sleeps: Option<Option<Instant>>,
    waits_outside: bool,
}

impl State {
    pub(super) fn new(port: Box<dyn Port>, waits_outside: bool) -> Self {
        Self {
            port,
            slots: Slots::default(),
            timers: BinaryHeap::new(),
            unflushed: false,
            led: false,
            followers: VecDeque::new(),
            woken: Vec::new(),
            driver_sleeps: None,
            waits_outside,
        }
    }

    /// Whether somebody has to wait outside for those who can't.
    pub(super) fn needs_leader(&self) -> bool {
        self.waits_outside && !self.led && self.slots.tasks() > 0
    }

    /// When something is due next. A port that is waited for outside has nothing due but its output, which is seen to.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((time, _))| *time);
        match self.waits_outside {
            true => timer,
            false => timer.into_iter().chain(self.port.deadline()).min(),
        }
    }

    /// Lets the port act, ends what has lasted too long, and hands completions out.
    pub(super) fn poll(&mut self, now: Instant) {
        self.unflushed = false;
        self.port.poll(now);
        self.settle();
        if self.expire(now) {
            self.port.poll(now);
            self.settle();
        }
    }

    /// Takes what has ended from the port, to those who wait for it.
    pub(super) fn settle(&mut self) {
        while let Some(mut completion) = self.port.completion() {
            let id = SlotId::of(completion.id);
            let Some(slot) = self.slots.find(id) else {
                if !completion.data.is_empty() {
                    warn!(
                        bytes = completion.data.len(),
                        "data came over a second after its transfer was taken back, and is lost"
                    );
                }
                continue;
            };
            if slot.timed_out && completion.status == Status::Cancelled {
                completion.status = Status::TimedOut;
            }
            self.end(id, completion);
        }
    }

    fn end(&mut self, id: SlotId, completion: Completion) {
        let Some(slot) = self.slots.find(id) else {
            return;
        };
        let room = slot.room;
        match std::mem::replace(&mut slot.phase, Phase::Free) {
            Phase::Abandoned(kept) => {
                slot.phase = Phase::Abandoned(None);
                self.slots.waiters(id, &mut self.woken);
                self.slots.release(id);
                if let Some(kept) = kept {
                    kept.bring(completion, room);
                    kept.came();
                }
            }
            _ => {
                slot.phase = Phase::Ended(completion);
                self.slots.waiters(id, &mut self.woken);
            }
        }
    }

    /// The completion of a slot that has ended; the slot is free then.
    pub(super) fn take(&mut self, id: SlotId) -> Option<Completion> {
        let slot = self.slots.find(id)?;
        if !matches!(slot.phase, Phase::Ended(_)) {
            return None;
        }
        let phase = std::mem::replace(&mut slot.phase, Phase::Abandoned(None));
        self.slots.release(id);
        match phase {
            Phase::Ended(completion) => Some(completion),
            _ => None,
        }
    }

    pub(super) fn set_timer(&mut self, until: Instant, id: SlotId) {
        if self.timers.len() > 2 * self.slots.len() + STALE {
            let slots = &mut self.slots;
            self.timers
                .retain(|Reverse((_, id))| slots.find(*id).is_some());
        }
        self.timers.push(Reverse((until, id)));
    }

    pub(super) fn cancel(&mut self, id: SlotId, now: Instant) {
        let Some(slot) = self.slots.find(id) else {
            return;
        };
        match slot.phase {
            Phase::Flying | Phase::Abandoned(_) if slot.give_up.is_none() => {
                slot.give_up = Some(now + GRACE);
                self.port.cancel(id.transfer(), now);
                self.unflushed = true;
                self.settle();
                if self.slots.find(id).is_some() {
                    self.set_timer(now + GRACE, id);
                }
            }
            Phase::Timer => self.end(id, given_up(id, false)),
            _ => {}
        }
    }

    pub(super) fn abandon(&mut self, id: SlotId, kept: Option<&Arc<Kept>>, now: Instant) {
        let room = self.slots.find(id).map_or(0, |slot| slot.room);
        if let Some(ended) = self.take(id) {
            if let Some(kept) = kept {
                kept.bring(ended, room);
            }
            return;
        }
        self.slots.wait(id, Waiting::Nobody);
        match self.slots.find(id) {
            Some(slot) if matches!(slot.phase, Phase::Timer) => self.slots.release(id),
            Some(slot) => {
                if let Some(kept) = kept {
                    kept.expect();
                }
                slot.phase = Phase::Abandoned(kept.cloned());
                self.cancel(id, now);
            }
            None => {}
        }
    }

    /// Takes transfers back whose time is up, and gives up on those that don't come back. Tells whether there were any.
    fn expire(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(Reverse((time, id))) = self.timers.peek().copied()
            && time <= now
        {
            self.timers.pop();
            let Some(slot) = self.slots.find(id) else {
                continue;
            };
            any = true;
            match (&slot.phase, slot.give_up) {
                (Phase::Timer, _) => self.end(id, Completion::empty(id.transfer(), Status::Done)),
                (Phase::Flying, None) => {
                    slot.timed_out = true;
                    self.cancel(id, now);
                }
                (Phase::Flying | Phase::Abandoned(_), Some(time)) if time <= now => {
                    let timed_out = slot.timed_out;
                    self.end(id, given_up(id, timed_out));
                }
                _ => {}
            }
        }
        any
    }
}
