//! Waits that would never end: for a request that gets to a driver only when the callback returns which waits.

use std::sync::Arc;

use super::irp::{Irp, Location};
use crate::{
    queue::QueueShared,
    scheduler::is_within,
    status::{NtStatus, Win32Error},
    target::TargetShared,
};

/// How such a request ends.
fn deadlock() -> NtStatus {
    NtStatus::from_hresult(Win32Error::POSSIBLE_DEADLOCK.into())
}

/// Looks whether a thread that is about to wait would wait for itself. A thread that is within no callback never does.
pub(crate) struct Waiter {
    is_within: bool,
}

/// Who has a request.
enum With {
    Queue(Arc<QueueShared>),
    Target(Arc<TargetShared>),
}

impl Waiter {
    /// This thread.
    pub(crate) fn here() -> Self {
        Self {
            is_within: is_within(),
        }
    }

    /// Ends a request with `ERROR_POSSIBLE_DEADLOCK` for which this thread would wait for ever, and tells where it was; `None` where it may come.
    ///
    /// It is sure, but not all: what a driver keeps, nobody can tell when it will end.
    pub(crate) fn refuse(&self, irp: &Arc<Irp>) -> Option<String> {
        if !self.is_within {
            return None;
        }
        let mut irp = Arc::clone(irp);
        loop {
            match with(&irp)? {
                With::Target(target) => irp = target.beyond(&irp)?,
                With::Queue(queue) if queue.is_stuck_here() => {
                    queue.refuse(&irp, deadlock());
                    return Some(format!("a request in a queue of driver {}", queue.driver()));
                }
                With::Queue(_) => return None,
            }
        }
    }
}

fn with(irp: &Irp) -> Option<With> {
    let body = irp.body();
    let level = body.levels.last()?;
    match body.location {
        Location::Queue => level.queue.clone().map(With::Queue),
        Location::Target => Some(With::Target(Arc::clone(&level.sent.as_ref()?.target))),
        Location::Driver | Location::Marked(_) | Location::Ended => None,
    }
}
