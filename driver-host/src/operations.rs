//! Critical operations: the manager is told when one begins and when it ends.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicU64, Ordering},
};

use usbwright_host_control::{FromHost, OperationKind, Phase};
use usbwright_host_stack::StackEvent;

use crate::reports::Reports;

/// The number of the next operation.
static NEXT: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// What drivers are called for on this thread, the innermost last.
    static CALLS: RefCell<Vec<Underway>> = const { RefCell::new(Vec::new()) };
}

/// The critical operations of one stack. Clones are handles of the same.
#[derive(Clone, Debug)]
pub struct Operations {
    reports: Reports,
    stack: u64,
}

impl Operations {
    pub(crate) fn new(reports: &Reports, stack: u64) -> Self {
        Self {
            reports: reports.clone(),
            stack,
        }
    }

    /// Begins one. It has to end, or make progress, before the deadline that the stack's package sets.
    pub fn begin(&self, kind: OperationKind) -> Underway {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let underway = Underway {
            of: self.clone(),
            number,
        };
        underway.tell(Some(kind));
        underway
    }

    /// Keeps the time of a driver's callbacks.
    pub(crate) fn observe(&self, event: StackEvent<'_>) {
        match event {
            StackEvent::CallbackBegins { callback, .. } => {
                let call = self.begin(kind_of(callback));
                CALLS.with_borrow_mut(|calls| calls.push(call));
            }
            StackEvent::CallbackEnded { .. } => {
                CALLS.with_borrow_mut(Vec::pop);
            }
            _ => {}
        }
    }
}

/// A critical operation that is under way; it has ended when this is dropped.
#[derive(Debug)]
pub struct Underway {
    of: Operations,
    number: u64,
}

impl Underway {
    /// It gets on: it may take its time anew.
    pub fn progress(&self) {
        let stack = self.of.stack;
        self.of.reports.tell(&FromHost::Progress { stack });
    }

    fn tell(&self, begun: Option<OperationKind>) {
        self.of.reports.tell(&FromHost::Operation(Phase {
            stack: self.of.stack,
            number: self.number,
            begun,
        }));
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.tell(None);
    }
}

/// A driver that is in a callback for a change of its device's state gets on with it, and may take its time anew. Elsewhere, and outside of a host process, this does nothing.
pub fn progress() {
    CALLS.with_borrow(|calls| calls.last().into_iter().for_each(Underway::progress));
}

/// Whether a callback is for power, or for plug and play.
fn kind_of(callback: &str) -> OperationKind {
    match callback {
        "d0_entry"
        | "d0_entry_failed"
        | "d0_exit"
        | "self_managed_io_suspend"
        | "self_managed_io_restart" => OperationKind::Power,
        it if it.contains("wake") => OperationKind::Power,
        _ => OperationKind::Pnp,
    }
}
