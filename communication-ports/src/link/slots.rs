//! Operations under way, each of which ends once.

use std::{collections::BTreeMap, mem, task::Waker};

/// Operations of one kind, by number.
#[derive(Debug)]
pub struct Slots<T> {
    last: u64,
    /// The few that there are at a time.
    slots: BTreeMap<u64, Slot<T>>,
}

#[derive(Debug)]
enum Slot<T> {
    /// Under way; whoever waits is woken.
    Waiting(Option<Waker>),
    /// Under way, and nobody wants to know how it ends.
    Abandoned,
    /// At its end.
    Done(T),
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            last: 0,
            slots: BTreeMap::new(),
        }
    }
}

impl<T> Slots<T> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new one. Numbers begin at 1, and none comes twice.
    pub fn begin(&mut self) -> u64 {
        self.last += 1;
        self.slots.insert(self.last, Slot::Waiting(None));
        self.last
    }

    /// Ends one, if it is under way.
    pub fn finish(&mut self, number: u64, output: T, woken: &mut Vec<Waker>) -> bool {
        match self.slots.get_mut(&number) {
            Some(slot @ Slot::Waiting(_)) => {
                if let Slot::Waiting(waker) = mem::replace(slot, Slot::Done(output)) {
                    woken.extend(waker);
                }
                true
            }
            Some(Slot::Abandoned) => self.slots.remove(&number).is_some(),
            Some(Slot::Done(_)) | None => false,
        }
    }

    /// How it ended, once: afterwards it is forgotten.
    pub fn take(&mut self, number: u64) -> Option<T> {
        match self.slots.get(&number) {
            Some(Slot::Done(_)) => self.forget(number),
            _ => None,
        }
    }

    /// Whether it has ended, and nobody has taken how.
    pub fn has_ended(&self, number: u64) -> bool {
        matches!(self.slots.get(&number), Some(Slot::Done(_)))
    }

    /// Has `waker` woken when it ends.
    pub fn watch(&mut self, number: u64, waker: &Waker) {
        if let Some(Slot::Waiting(registered)) = self.slots.get_mut(&number) {
            match registered {
                Some(registered) => registered.clone_from(waker),
                None => *registered = Some(waker.clone()),
            }
        }
    }

    /// Nobody wants to know how it ends; it stays until it does.
    pub fn abandon(&mut self, number: u64) {
        match self.slots.get_mut(&number) {
            Some(Slot::Done(_)) => drop(self.slots.remove(&number)),
            Some(slot) => *slot = Slot::Abandoned,
            None => {}
        }
    }

    /// It ends unseen, at once.
    pub fn forget(&mut self, number: u64) -> Option<T> {
        match self.slots.remove(&number) {
            Some(Slot::Done(output)) => Some(output),
            _ => None,
        }
    }

    /// Ends all that are under way.
    pub fn finish_all(&mut self, output: impl Fn() -> T, woken: &mut Vec<Waker>) {
        self.slots
            .retain(|_, slot| !matches!(slot, Slot::Abandoned));
        for slot in self.slots.values_mut() {
            if let Slot::Waiting(waker) = slot {
                woken.extend(waker.take());
                *slot = Slot::Done(output());
            }
        }
    }
}
