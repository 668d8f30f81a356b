//! The transfers in flight: one slot for each, used again when it has ended.

use std::{sync::Arc, task::Waker, time::Instant};

use usbwright_protocol::{Completion, EndpointAddress, TransferId};

use crate::pipe::Kept;

/// What is in a slot.
#[derive(Debug, Default)]
pub(super) enum Phase {
    #[default]
    Free,
    /// The port has it.
    Flying,
    /// Its future has not taken this yet.
    Ended(Completion),
    /// Nobody waits for it any more: what it brings goes to the pipe, for the next read.
    Abandoned(Option<Arc<Kept>>),
    /// No transfer, but a time that is awaited.
    Timer,
}

/// Who waits for a slot.
#[derive(Debug, Default)]
pub(super) enum Waiting {
    #[default]
    Nobody,
    /// A task, which can't drive the port while it waits.
    Task(Waker),
    /// A thread, which can.
    Thread(Waker),
}

impl Waiting {
    fn into_waker(self) -> Option<Waker> {
        match self {
            Self::Nobody => None,
            Self::Task(waker) | Self::Thread(waker) => Some(waker),
        }
    }
}

#[derive(Debug)]
pub(super) struct Slot {
    generation: u32,
    /// When it was taken, counted in slots taken.
    order: u64,
    pub(super) phase: Phase,
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
    /// How many are waited for by tasks.
    tasks: usize,
}

impl Slots {
    pub(super) fn take(&mut self, endpoint: EndpointAddress, room: usize, phase: Phase) -> SlotId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                order: 0,
                phase: Phase::Free,
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
    pub(super) fn find(&mut self, id: SlotId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id.index as usize)?;
        (slot.generation == id.generation && !matches!(slot.phase, Phase::Free)).then_some(slot)
    }

    /// Says who waits for a slot, and takes the one before out.
    pub(super) fn wait(&mut self, id: SlotId, waiting: Waiting) -> Waiting {
        let Some(slot) = self.find(id) else {
            return Waiting::Nobody;
        };
        let before = std::mem::replace(&mut slot.waiting, waiting);
        let is_task = matches!(slot.waiting, Waiting::Task(_));
        self.tasks += usize::from(is_task);
        self.tasks -= usize::from(matches!(before, Waiting::Task(_)));
        before
    }

    /// Says who else is to be woken when a slot has ended.
    pub(super) fn wait_for_end(&mut self, id: SlotId, waiting: Waiting) {
        if let Some(slot) = self.find(id) {
            let is_task = matches!(waiting, Waiting::Task(_));
            slot.observers.push(waiting);
            self.tasks += usize::from(is_task);
        }
    }

    /// Takes all out who wait for a slot.
    pub(super) fn waiters(&mut self, id: SlotId, woken: &mut Vec<Waker>) {
        let first = self.wait(id, Waiting::Nobody);
        let Some(slot) = self.find(id) else {
            return;
        };
        let mut tasks = 0;
        let observers = slot.observers.drain(..);
        for waiting in observers {
            tasks += usize::from(matches!(waiting, Waiting::Task(_)));
            woken.extend(waiting.into_waker());
        }
        woken.extend(first.into_waker());
        self.tasks -= tasks;
    }

    /// How many slots tasks wait for.
    pub(super) fn tasks(&self) -> usize {
        self.tasks
    }

    pub(super) fn release(&mut self, id: SlotId) {
        self.wait(id, Waiting::Nobody);
        let Some(slot) = self.find(id) else {
            return;
        };
        slot.phase = Phase::Free;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
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

    /// The latest transfer of an endpoint that was abandoned and brings something to keep.
    pub(super) fn abandoned_on(&self, endpoint: EndpointAddress) -> Option<SlotId> {
        let abandoned = self.slots.iter().enumerate().filter(|(_, slot)| {
            slot.endpoint == endpoint && matches!(slot.phase, Phase::Abandoned(Some(_)))
        });
        let latest = abandoned.max_by_key(|(_, slot)| slot.order);
        latest.map(|(index, slot)| SlotId {
            index: index as u32,
            generation: slot.generation,
        })
    }

    /// How many slots there are, in use or not.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}
