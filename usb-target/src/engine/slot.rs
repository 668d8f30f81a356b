//! The transfers in flight: one slot for each, used again when it has ended.

use std::{sync::Arc, task::Waker, time::Instant};

use usbwright_protocol::{Completion, EndpointAddress, TransferId};

use super::rows::RowId;
use crate::pipe::Kept;

/// What is in a slot.
#[derive(Debug, Default)]
pub(super) enum Phase {
    #[default]
    Free,
    /// The port has it.
    Flying,
    /// Its future has not taken its end yet.
    Ended,
    /// Nobody waits for it any more: what it brings goes to the pipe, for the next read.
    Abandoned(Option<Arc<Kept>>),
    /// No transfer, but a time that is awaited.
    Timer,
}

/// Names a blocking call of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallId(pub(super) u64);

/// Who waits for a slot.
#[derive(Debug, Default)]
pub(super) enum Waiting {
    #[default]
    Nobody,
    /// A task, which can't drive the port while it waits.
    Task(Waker),
    /// A thread, which drives it while its call waits.
    Thread(Waker, CallId),
}

impl Waiting {
    fn waker(&self) -> Option<&Waker> {
        match self {
            Self::Nobody => None,
            Self::Task(waker) | Self::Thread(waker, _) => Some(waker),
        }
    }

    fn into_waker(self) -> Option<Waker> {
        match self {
            Self::Nobody => None,
            Self::Task(waker) | Self::Thread(waker, _) => Some(waker),
        }
    }

    /// Has a task wait where a call did that has ended. Tells whether it was so.
    fn disown(&mut self, call: CallId) -> bool {
        match std::mem::take(self) {
            Self::Thread(waker, by) if by == call => {
                *self = Self::Task(waker);
                true
            }
            other => {
                *self = other;
                false
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Slot {
    generation: u32,
    /// When it was taken, counted in slots taken.
    pub(super) order: u64,
    pub(super) phase: Phase,
    /// How it ended, until that is taken.
    ended: Option<Completion>,
    /// The line that it is in.
    pub(super) row: Option<RowId>,
    pub(super) endpoint: EndpointAddress,
    /// Bytes that an IN transfer has room for.
    pub(super) room: usize,
    pub(super) waiting: Waiting,
    /// Who waits for it to end, besides.
    pub(super) observers: Vec<Waiting>,
    /// It was taken back as its time was up.
    pub(super) timed_out: bool,
    /// It was taken back, and is given up if it has not come by then.
    pub(super) give_up: Option<Instant>,
}

/// Names a slot's present transfer: its index, and how often it was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SlotId {
    index: u32,
    generation: u32,
}

impl Slot {
    /// Whether anybody is to be woken when it has ended.
    #[inline]
    pub(super) fn is_awaited(&self) -> bool {
        !matches!(self.waiting, Waiting::Nobody) || !self.observers.is_empty()
    }
}

impl SlotId {
    pub(super) fn transfer(self) -> TransferId {
        TransferId(u64::from(self.generation) << 32 | u64::from(self.index))
    }

    pub(super) fn of(id: TransferId) -> Self {
        Self {
            index: (id.0 & u64::from(u32::MAX)) as u32,
            generation: (id.0 >> 32) as u32,
        }
    }
}

/// All slots of an engine.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    taken: u64,
    /// How often tasks wait for one.
    tasks: usize,
    /// How often each blocking call does.
    calls: Vec<(CallId, usize)>,
}

impl Slots {
    /// Takes a slot.
    #[inline]
    pub(super) fn take(
        &mut self,
        endpoint: EndpointAddress,
        room: usize,
        phase: Phase,
        row: Option<RowId>,
    ) -> SlotId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                order: 0,
                phase: Phase::Free,
                ended: None,
                row: None,
                endpoint,
                room: 0,
                waiting: Waiting::Nobody,
                observers: Vec::new(),
                timed_out: false,
                give_up: None,
            });
            (self.slots.len() - 1) as u32
        });
        self.taken += 1;
        let slot = &mut self.slots[index as usize];
        slot.order = self.taken;
        slot.row = row;
        slot.phase = phase;
        slot.endpoint = endpoint;
        slot.room = room;
        slot.timed_out = false;
        slot.give_up = None;
        SlotId {
            index,
            generation: slot.generation,
        }
    }

    /// The slot, if it has not been used for another transfer since.
    #[inline]
    pub(super) fn find(&mut self, id: SlotId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id.index as usize)?;
        (slot.generation == id.generation).then_some(slot)
    }

    /// Says who waits for a slot, and takes the one before out.
    pub(super) fn wait(&mut self, id: SlotId, waiting: Waiting) -> Waiting {
        let Some(slot) = self.find(id) else {
            return Waiting::Nobody;
        };
        let entered = Self::who(&waiting);
        let before = std::mem::replace(&mut slot.waiting, waiting);
        self.enter(entered);
        self.leave(&before);
        before
    }

    /// Says who else is to be woken when a slot has ended, and takes out what is the same.
    pub(super) fn wait_for_end(&mut self, id: SlotId, waiting: Waiting) -> Waiting {
        let Some(slot) = self.find(id) else {
            return Waiting::Nobody;
        };
        let entered = Self::who(&waiting);
        let same = slot
            .observers
            .iter_mut()
            .find(|it| match (it.waker(), waiting.waker()) {
                (Some(one), Some(other)) => one.will_wake(other),
                _ => false,
            });
        let before = match same {
            Some(same) => std::mem::replace(same, waiting),
            None => {
                slot.observers.push(waiting);
                Waiting::Nobody
            }
        };
        self.enter(entered);
        self.leave(&before);
        before
    }

    /// Whether it is a task that waits, or a call.
    fn who(waiting: &Waiting) -> Option<Option<CallId>> {
        match waiting {
            Waiting::Nobody => None,
            Waiting::Task(_) => Some(None),
            Waiting::Thread(_, call) => Some(Some(*call)),
        }
    }

    fn enter(&mut self, who: Option<Option<CallId>>) {
        match who {
            None => {}
            Some(None) => self.tasks += 1,
            Some(Some(call)) => match self.calls.iter_mut().find(|(it, _)| *it == call) {
                Some((_, times)) => *times += 1,
                None => self.calls.push((call, 1)),
            },
        }
    }

    #[inline]
    fn leave(&mut self, waiting: &Waiting) {
        match waiting {
            Waiting::Nobody => {}
            Waiting::Task(_) => self.tasks -= 1,
            Waiting::Thread(_, call) => {
                if let Some(at) = self.calls.iter().position(|(it, _)| it == call) {
                    self.calls[at].1 -= 1;
                    if self.calls[at].1 == 0 {
                        self.calls.swap_remove(at);
                    }
                }
            }
        }
    }

    /// Whether a blocking call waits for any slot.
    pub(super) fn awaited_by(&self, call: CallId) -> bool {
        self.calls.iter().any(|(it, _)| *it == call)
    }

    /// A blocking call drives the port no more: what it waited for is waited for by tasks from now on.
    pub(super) fn disown(&mut self, call: CallId) {
        if !self.awaited_by(call) {
            return;
        }
        for slot in &mut self.slots {
            let all = slot.observers.iter_mut().chain([&mut slot.waiting]);
            self.tasks += all.map(|it| usize::from(it.disown(call))).sum::<usize>();
        }
        self.calls.retain(|(it, _)| *it != call);
    }

    /// Takes all out who wait for a slot.
    pub(super) fn waiters(&mut self, id: SlotId, woken: &mut Vec<Waker>) {
        let first = self.wait(id, Waiting::Nobody);
        let Some(slot) = self.find(id) else {
            return;
        };
        for waiting in std::mem::take(&mut slot.observers) {
            self.leave(&waiting);
            woken.extend(waiting.into_waker());
        }
        woken.extend(first.into_waker());
    }

    /// How often tasks wait for a slot.
    pub(super) fn tasks(&self) -> usize {
        self.tasks
    }

    /// Takes the end out of a slot that has ended, with the room that its transfer had; the slot is free then.
    #[inline]
    pub(super) fn take_ended(&mut self, id: SlotId) -> Option<(usize, Completion)> {
        let slot = self.find(id)?;
        let ended = slot.ended.take()?;
        Some((self.release(id), ended))
    }

    /// A slot's transfer has ended, and its future has not taken that yet.
    #[inline]
    pub(super) fn end(&mut self, id: SlotId, ended: Completion) {
        if let Some(slot) = self.find(id) {
            slot.phase = Phase::Ended;
            slot.ended = Some(ended);
        }
    }

    /// Frees a slot that is in use, and tells what room its transfer had: its name means nothing any more.
    #[inline]
    pub(super) fn release(&mut self, id: SlotId) -> usize {
        let slot = &mut self.slots[id.index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.phase = Phase::Free;
        let room = slot.room;
        if !matches!(slot.waiting, Waiting::Nobody) {
            let waiting = std::mem::take(&mut slot.waiting);
            self.leave(&waiting);
        }
        self.free.push(id.index);
        room
    }

    /// The transfers that the port has on an endpoint, the latest first: to take back one lets those behind it go on.
    pub(super) fn flying_on(&self, endpoint: EndpointAddress) -> Vec<SlotId> {
        let flying = self.slots.iter().enumerate().filter(|(_, slot)| {
            slot.endpoint == endpoint && matches!(slot.phase, Phase::Flying | Phase::Abandoned(_))
        });
        let mut flying: Vec<_> = flying
            .map(|(index, slot)| (slot.order, index as u32, slot.generation))
            .collect();
        flying.sort_unstable_by_key(|(order, ..)| std::cmp::Reverse(*order));
        let ids = flying.into_iter();
        ids.map(|(_, index, generation)| SlotId { index, generation })
            .collect()
    }

    /// The latest transfer that the port has, of those that are meant.
    pub(super) fn latest(&self, is_meant: impl Fn(&Slot) -> bool) -> Option<SlotId> {
        let flying = self.slots.iter().enumerate().filter(|(_, slot)| {
            matches!(slot.phase, Phase::Flying | Phase::Abandoned(_)) && is_meant(slot)
        });
        let (index, slot) = flying.max_by_key(|(_, slot)| slot.order)?;
        Some(SlotId {
            index: index as u32,
            generation: slot.generation,
        })
    }

    /// How many slots have been taken so far: what is taken from now on has a higher [order](Slot::order).
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// How many slots there are, in use or not.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}
