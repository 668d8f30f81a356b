//! What becomes of a queue's requests when its device leaves D0, goes, or comes back.

use std::sync::Arc;

use super::{Queue, QueueShared, StopAction, StopNotice};
use crate::{
    request::{
        RequestId,
        irp::{Asker, Irp, SendId},
    },
    scheduler::Job,
};

impl QueueShared {
    /// Cancels all there is, and refuses what comes: the device goes. Those that the driver has it is told to end; where it can't be told, what it has sent is taken back.
    pub(crate) fn purge_for_removal(self: &Arc<Self>) {
        let mut state = self.lock();
        state.accepts = false;
        state.purges = true;
        self.purge(state);
        self.tell_to_stop(StopAction::Purge);
    }

    /// Delivers nothing until the device is in D0, and tells the driver to stop working at what it has.
    pub(crate) fn hold(self: &Arc<Self>) {
        self.lock().held = true;
        self.tell_to_stop(StopAction::Suspend);
    }

    fn tell_to_stop(self: &Arc<Self>, action: StopAction) {
        let Some(device) = self.device() else {
            return;
        };
        let driver = self.lock().driver.clone();
        for irp in driver {
            let depth = self.depth_of(&irp);
            let mut body = irp.body();
            if let Some(level) = depth.and_then(|it| body.levels.get_mut(it)) {
                level.stopping = true;
                level.stopped = false;
            }
            drop(body);
            match (&self.handlers().stop, action) {
                (Some(_), _) => device.post(Arc::new(TellStop {
                    queue: Arc::clone(self),
                    irp,
                    action,
                })),
                (None, StopAction::Purge) => self.take_back(&irp),
                (None, StopAction::Suspend) => {}
            }
        }
    }

    /// Asks for this queue's request back from where its driver has sent it, if it has.
    pub(super) fn take_back(&self, irp: &Arc<Irp>) {
        if let Some(send) = self.send_of(irp) {
            irp.cancel(Asker::Sender(send));
        }
    }

    /// How this queue's request was sent on by its driver.
    fn send_of(&self, irp: &Irp) -> Option<SendId> {
        let body = irp.body();
        let level = body.levels.iter().position(|level| level.is_of(self))?;
        let serial = body.levels[level].sent.as_ref()?.serial;
        Some(SendId { level, serial })
    }

    /// The driver keeps a request, if it has been asked to stop working at it.
    pub(super) fn acknowledge(&self, irp: &Arc<Irp>) {
        let depth = self.depth_of(irp);
        let mut body = irp.body();
        let level = depth.and_then(|it| body.levels.get_mut(it));
        if let Some(level) = level.filter(|it| it.stopping) {
            level.stopping = false;
            level.stopped = true;
        }
        drop(body);
        self.nudge();
    }

    /// Whether the driver has answered for every request that it has.
    pub(crate) fn is_settled(&self) -> bool {
        let driver = self.lock().driver.clone();
        driver.iter().all(|irp| {
            let depth = self.depth_of(irp);
            let body = irp.body();
            depth
                .and_then(|it| body.levels.get(it))
                .is_none_or(|level| level.stopped)
        })
    }

    /// Whether the driver has none: what it completes just now in another thread, it has no more.
    pub(crate) fn is_empty_handed(&self) -> bool {
        let driver = self.lock().driver.clone();
        driver.iter().all(|irp| self.depth_of(irp).is_none())
    }

    /// Delivers again, as the device is in D0.
    pub(crate) fn release(self: &Arc<Self>) {
        let mut state = self.lock();
        state.held = false;
        state.filled |= !state.waiting.is_empty();
        let driver = state.driver.clone();
        drop(state);
        let Some(device) = self.device() else {
            return;
        };
        for irp in driver {
            let depth = self.depth_of(&irp);
            let mut body = irp.body();
            let level = depth.and_then(|it| body.levels.get_mut(it));
            let stopped = level.is_some_and(|it| std::mem::take(&mut it.stopped));
            let id = body.id;
            drop(body);
            if stopped && self.handlers().resume.is_some() {
                let queue = Arc::clone(self);
                device.post(Arc::new(TellResume { queue, id }));
            }
        }
        self.post(self.lock());
    }
}

struct TellStop {
    queue: Arc<QueueShared>,
    irp: Arc<Irp>,
    action: StopAction,
}

impl Job for TellStop {
    fn calls(&self) -> Option<(Arc<str>, &'static str)> {
        let device = self.queue.device()?;
        Some((Arc::clone(device.driver()), "on_stop"))
    }

    fn run(self: Arc<Self>) {
        let depth = self.queue.depth_of(&self.irp);
        let body = self.irp.body();
        let stopping = depth
            .and_then(|it| body.levels.get(it))
            .is_some_and(|it| it.stopping);
        let id = body.id;
        drop(body);
        let handlers = self.queue.handlers();
        if let Some(on_stop) = handlers.stop.as_ref().filter(|_| stopping) {
            let notice = StopNotice {
                irp: Arc::clone(&self.irp),
                queue: Arc::clone(&self.queue),
                id,
                action: self.action,
            };
            on_stop(&Queue::of(&self.queue), notice);
        }
    }
}

struct TellResume {
    queue: Arc<QueueShared>,
    id: RequestId,
}

impl Job for TellResume {
    fn calls(&self) -> Option<(Arc<str>, &'static str)> {
        let device = self.queue.device()?;
        Some((Arc::clone(device.driver()), "on_resume"))
    }

    fn run(self: Arc<Self>) {
        if let Some(on_resume) = &self.queue.handlers().resume {
            on_resume(&Queue::of(&self.queue), self.id);
        }
    }
}
