//! What a stack's thread is told: changes of its state, in their order, and in the end how it is to go.

use std::{
    collections::VecDeque,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::event::{EventfdFlags, eventfd};
use usbwright_host_control::Change;

/// How a stack is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Orderly,
    Surprise,
}

/// Something to be done by a stack's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Change(Change),
    /// The last one: it is told again and again.
    Remove(Removal),
}

/// What a stack's thread is told. Clones are handles of the same.
#[derive(Clone)]
pub(crate) struct Commands(Arc<Told>);

struct Told {
    commands: Mutex<(VecDeque<Change>, Option<Removal>)>,
    bell: OwnedFd,
}

impl Commands {
    pub(crate) fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let commands = Mutex::default();
        Ok(Self(Arc::new(Told { commands, bell })))
    }

    /// The stack's state is to change.
    pub(crate) fn change(&self, change: Change) {
        self.tell(|(changes, _)| changes.push_back(change));
    }

    /// The stack is to go.
    pub(crate) fn remove(&self, removal: Removal) {
        self.tell(|(_, told)| _ = told.get_or_insert(removal));
    }

    fn tell(&self, tell: impl FnOnce(&mut (VecDeque<Change>, Option<Removal>))) {
        tell(
            &mut self
                .0
                .commands
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        // An event that is not read yet is one already.
        let _ = rustix::io::write(&self.0.bell, &1_u64.to_ne_bytes());
    }

    /// What is to be done next, and quiet where that is nothing.
    pub(crate) fn next(&self) -> Option<Command> {
        let mut commands = self
            .0
            .commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (changes, removal) = &mut *commands;
        let next = changes.pop_front().map(Command::Change);
        next.or_else(|| removal.map(Command::Remove)).or_else(|| {
            let _ = rustix::io::read(&self.0.bell, &mut [0; 8]);
            None
        })
    }

    /// What can be read when there is something to be done.
    pub(crate) fn bell(&self) -> &OwnedFd {
        &self.0.bell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_in_their_order_and_before_the_removal_which_stays() {
        let commands = Commands::new().unwrap();
        assert_eq!(commands.next(), None);
        commands.change(Change::Suspend);
        commands.remove(Removal::Surprise);
        commands.change(Change::Resume);
        commands.remove(Removal::Orderly);
        for expected in [
            Command::Change(Change::Suspend),
            Command::Change(Change::Resume),
            Command::Remove(Removal::Surprise),
            Command::Remove(Removal::Surprise),
        ] {
            assert_eq!(commands.next(), Some(expected));
        }
    }
}
