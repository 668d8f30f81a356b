//! What an engine's lock guards: the port, the slots, the timers.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
    task::Waker,
    time::Instant,
};

use tracing::warn;
use usbwright_protocol::{Completion, EndpointAddress, Now, Port, Status, Transfer, TransferKind};

use super::{
    GRACE, given_up,
    gone::Mourners,
    rows::{Row, RowId, Rows},
    sleeper::Sleeper,
    slot::{Phase, SlotId, Slots},
};
use crate::pipe::Kept;

/// Timers of slots that have ended are thrown away when there are so many more of them than of slots.
const STALE: usize = 64;

/// What an engine's thread does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Driving {
    /// It is about to look what there is to do.
    Awake,
    /// It sleeps until then.
    Asleep(Option<Instant>),
    /// It waits outside until then.
    Outside(Option<Instant>),
}

pub(super) struct State {
    pub(super) port: Box<dyn Port>,
    pub(super) slots: Slots,
    pub(super) rows: Rows,
    pub(super) timers: BinaryHeap<Reverse<(Instant, SlotId)>>,
    /// Whether something was submitted that may not be on its way yet.
    pub(super) unflushed: bool,
    /// Whether a thread waits outside.
    pub(super) led: bool,
    /// Threads that wait for transfers while another one waits outside, and may do so next.
    pub(super) followers: VecDeque<Arc<Sleeper>>,
    /// Whom to wake when the lock is free.
    pub(super) woken: Vec<Waker>,
    /// Whom to wake when the device is gone.
    pub(super) mourners: Mourners,
    /// What the driver does.
    pub(super) driver: Driving,
    waits_outside: bool,
    /// The time when the clock was last read.
    last_read: Instant,
}

impl State {
    pub(super) fn new(port: Box<dyn Port>, waits_outside: bool, now: Instant) -> Self {
        Self {
            port,
            slots: Slots::default(),
            rows: Rows::default(),
            timers: BinaryHeap::new(),
            unflushed: false,
            led: false,
            followers: VecDeque::new(),
            woken: Vec::new(),
            mourners: Mourners::default(),
            driver: Driving::Awake,
            waits_outside,
            last_read: now,
        }
    }

    /// Whether the driver is of no use: nothing is due at a time, and no task waits.
    #[inline]
    pub(super) fn drives_itself(&self) -> bool {
        self.waits_outside && self.timers.is_empty() && !self.needs_leader()
    }

    /// Whether somebody has to wait outside for those who can't.
    pub(super) fn needs_leader(&self) -> bool {
        self.waits_outside && !self.led && self.slots.tasks() > 0
    }

    /// Has another thread wait outside, where one needs that: whoever follows has no other to be woken by.
    pub(super) fn pass_lead(&mut self) {
        if !self.led
            && !self.needs_leader()
            && let Some(next) = self.followers.pop_front()
        {
            next.promote();
        }
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
    ///
    /// A port that is waited for outside does nothing at a time of its own: where no transfer's time is limited either, the clock, which
    /// may cost a system call, is not read.
    pub(super) fn poll(&mut self, now: Now) {
        self.forget_timers();
        if !self.waits_outside || !self.timers.is_empty() {
            self.last_read = now.instant();
        }
        let now = self.last_read;
        self.unflushed = false;
        self.port.poll(now);
        self.settle();
        if self.expire(now) {
            self.port.poll(now);
            self.settle();
        }
        self.tell_mourners();
    }

    /// Wakes those that wait for the device to go, if it has.
    fn tell_mourners(&mut self) {
        if !self.mourners.is_empty() && !self.port.is_connected() {
            self.woken.extend(self.mourners.take());
        }
    }

    /// Submits a transfer, to be taken back when its time is up; in a line, where it has one. It may have ended already.
    #[inline]
    pub(super) fn submit(
        &mut self,
        endpoint: EndpointAddress,
        kind: TransferKind,
        until: Option<Instant>,
        now: Now,
        row: Option<RowId>,
    ) -> SlotId {
        let room = match &kind {
            TransferKind::In { length } => *length as usize,
            _ => 0,
        };
        let id = self.slots.take(endpoint, room, Phase::Flying, row);
        if let Some(row) = row {
            self.rows.row(row).flying.push_back(id);
        }
        let transfer = Transfer {
            id: id.transfer(),
            endpoint,
            kind,
        };
        self.port.submit(transfer, now);
        self.unflushed = true;
        self.settle();
        if let Some(until) = until
            && let Some(slot) = self.slots.find(id)
            && matches!(slot.phase, Phase::Flying)
        {
            self.set_timer(until, id);
        }
        id
    }

    /// Takes what has ended from the port, to those who wait for it.
    #[inline]
    pub(super) fn settle(&mut self) {
        let mut may_be_gone = false;
        while let Some(mut completion) = self.port.completion() {
            may_be_gone |= completion.status == Status::Disconnected;
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
        if may_be_gone {
            self.tell_mourners();
        }
    }

    #[inline(always)]
    fn end(&mut self, id: SlotId, completion: Completion) {
        let Some(slot) = self.slots.find(id) else {
            return;
        };
        let row = slot.row;
        let kept = match &mut slot.phase {
            Phase::Abandoned(kept) => Some(kept.take()),
            _ => None,
        };
        if slot.is_awaited() {
            self.slots.waiters(id, &mut self.woken);
        }
        match (kept, row) {
            (Some(kept), _) => {
                let room = self.slots.release(id);
                if let Some(kept) = kept {
                    kept.arrive(completion, room);
                }
            }
            (None, Some(row)) => self.rows.row(row).end(id, completion, &mut self.slots),
            (None, None) => self.slots.end(id, completion),
        }
    }

    /// Takes a line's transfers out of it, which is not to be used any more.
    pub(super) fn leave(&mut self, row: RowId) -> Row {
        let row = self.rows.leave(row);
        for id in &row.flying {
            if let Some(slot) = self.slots.find(*id) {
                slot.row = None;
            }
        }
        row
    }

    /// The completion of a slot that has ended; the slot is free then.
    #[inline]
    pub(super) fn take(&mut self, id: SlotId) -> Option<Completion> {
        self.slots.take_ended(id).map(|(_, ended)| ended)
    }

    /// Throws away the first timers, as far as their slots have ended.
    fn forget_timers(&mut self) {
        while let Some(Reverse((_, id))) = self.timers.peek()
            && self.slots.find(*id).is_none()
        {
            self.timers.pop();
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
                kept.keep(ended, room);
            }
            return;
        }
        match self.slots.find(id) {
            Some(slot) if matches!(slot.phase, Phase::Timer) => {
                self.slots.release(id);
            }
            Some(slot) => {
                slot.phase = Phase::Abandoned(kept.cloned());
                if let Some(kept) = kept {
                    kept.expect();
                }
                self.cancel(id, now);
            }
            None => {}
        }
    }

    /// Takes transfers back whose time is up, and gives up on those that don't come back. Tells whether there were any.
    fn expire(&mut self, now: Instant) -> bool {
        let mut any = false;
        let mut late = Vec::new();
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
                (Phase::Flying, None) => late.push((slot.order, id)),
                (Phase::Flying | Phase::Abandoned(_), Some(time)) if time <= now => {
                    let timed_out = slot.timed_out;
                    self.end(id, given_up(id, timed_out));
                }
                _ => {}
            }
        }
        self.time_out(late, now);
        any
    }

    /// The latest first: to take back one lets those behind it go on.
    fn time_out(&mut self, mut late: Vec<(u64, SlotId)>, now: Instant) {
        late.sort_unstable_by_key(|(order, _)| Reverse(*order));
        for (_, id) in late {
            if let Some(slot) = self.slots.find(id)
                && matches!(slot.phase, Phase::Flying)
            {
                slot.timed_out = true;
                self.cancel(id, now);
            }
        }
    }
}
