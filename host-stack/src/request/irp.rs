//! A request as it passes through the stack: how it is completed, taken back and told of.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Waker,
};

pub(crate) use super::body::{Body, Level, Location, Origin, Outcome, SendId, SentTo, Tell, Told};
use super::{Request, RequestCompletionParams};
use crate::{
    device::DeviceShared,
    file::File,
    queue::QueueShared,
    scheduler::{Job, Scheduler},
    status::NtStatus,
    verifier::Rule,
};

/// A request on its way through a stack.
pub(crate) struct Irp {
    scheduler: Arc<Scheduler>,
    body: Mutex<Body>,
}

/// Who asks for a request back.
#[derive(Clone, Copy)]
pub(crate) enum Asker {
    /// Whoever made it.
    Origin,
    /// The driver that has sent it so.
    Sender(SendId),
    /// The timer of a send.
    Timer(SendId),
}

impl Irp {
    pub(crate) fn new(origin: Origin, file: Option<File>, first: Level) -> Arc<Self> {
        Arc::new(Self {
            scheduler: Arc::clone(first.device.scheduler()),
            body: Mutex::new(Body::new(origin, file, first)),
        })
    }

    /// As [`new`](Self::new), of one of the stack's that has ended, if nobody else has it.
    pub(crate) fn again(
        spare: Option<Arc<Self>>,
        origin: Origin,
        file: Option<File>,
        first: Level,
    ) -> Arc<Self> {
        if let Some(mut irp) = spare
            && let Some(it) = Arc::get_mut(&mut irp)
        {
            let body = it.body.get_mut().unwrap_or_else(PoisonError::into_inner);
            body.renew(origin, file, first);
            return irp;
        }
        Self::new(origin, file, first)
    }

    pub(crate) fn body(&self) -> MutexGuard<'_, Body> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended, if it has.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        let body = self.body();
        body.has_ended().then_some(body.outcome)
    }

    /// Its driver completes it, unless it has made it itself: then it ends without a word.
    pub(crate) fn complete_by_driver(self: &Arc<Self>, status: NtStatus, information: usize) {
        let mut body = self.without_context();
        let level = body.top();
        if level.is_own {
            body.location = Location::Ended;
            return;
        }
        let usb = level.result.as_ref();
        let usb = usb.and_then(|it| it.usb()?.usb_status());
        let outcome = Outcome {
            status,
            information,
            usb,
        };
        self.end_level(body, outcome);
    }

    /// Completes it for the driver that has it. Those above are told, or whoever made it.
    pub(crate) fn complete(self: &Arc<Self>, outcome: Outcome) {
        self.end_level(self.without_context(), outcome);
    }

    /// Its body, without what the driver has kept with it that has it: that goes before it is completed.
    fn without_context(&self) -> MutexGuard<'_, Body> {
        let mut body = self.body();
        let level = body.levels.last_mut();
        let Some((device, context)) = level.and_then(Level::take_context) else {
            return body;
        };
        drop(body);
        device.drop_of("a request's context was dropped", || drop(context));
        self.body()
    }

    fn end_level(self: &Arc<Self>, mut body: MutexGuard<'_, Body>, outcome: Outcome) {
        let Some(mut level) = body.levels.pop() else {
            return;
        };
        let (most, told) = (level.most(), outcome.information);
        let outcome = Outcome {
            information: told.min(most),
            ..outcome
        };
        let queue = level.queue.take();
        match body.levels.is_empty() {
            _ if body.has_ended() => drop(body),
            true => self.end(body, outcome),
            false => self.end_sent(body, outcome),
        }
        match queue {
            Some(queue) => queue.left(self),
            None => self.scheduler.nudge(),
        }
        if told > most {
            level.device.report(
                Rule::TooMuchInformation,
                format!("{told} bytes, of {most} at the most"),
            );
        }
    }

    /// It has ended for whoever made it.
    fn end(self: &Arc<Self>, mut body: MutexGuard<'_, Body>, outcome: Outcome) {
        let outcome = Outcome {
            status: outcome.status.at_completion(),
            ..outcome
        };
        body.outcome = outcome;
        body.location = Location::Ended;
        let (waker, then) = match &mut body.origin {
            Origin::Caller(waker) => (waker.take(), None),
            Origin::Stack(then) => (None, then.take()),
            Origin::Driver => (None, None),
        };
        let file = match body.levels.is_empty() {
            true => body.file.take(),
            // It was abandoned, and drivers have it still.
            false => body.file.clone(),
        };
        drop(body);
        if let Some(file) = file {
            file.ended(self, outcome.status);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some(then) = then {
            then(outcome);
        }
    }

    /// Ends it for whoever made it and for those that wait for what they have sent, whoever has it: the stack has failed, or gone. What a driver does with it
    /// afterwards is of no account.
    pub(crate) fn abandon(self: &Arc<Self>, status: NtStatus) {
        let mut body = self.body();
        if body.has_ended() {
            return;
        }
        let sent = body.levels.iter_mut().filter_map(|it| it.sent.take());
        let sent: Vec<_> = sent.collect();
        self.end(body, status.into());
        for SentTo { target, told, .. } in sent {
            target.forget(self);
            if let Told::Future(Some(waker)) = told {
                waker.wake();
            }
        }
    }

    /// Whether a device's driver has it, and nobody below.
    pub(crate) fn is_kept_by(&self, device: &Arc<DeviceShared>) -> bool {
        let body = self.body();
        let is_its = |level: &Level| Arc::ptr_eq(&level.device, device);
        matches!(body.location, Location::Driver | Location::Marked(_))
            && body.levels.last().is_some_and(is_its)
    }

    /// What its driver sent has ended so. The driver gets it back, unless nobody waits for it.
    pub(crate) fn ended(self: &Arc<Self>, outcome: Outcome) {
        self.end_sent(self.body(), outcome);
    }

    fn end_sent(self: &Arc<Self>, mut body: MutexGuard<'_, Body>, outcome: Outcome) {
        let Some(level) = body.levels.last_mut() else {
            return;
        };
        let Some(sent) = level.sent.take() else {
            return;
        };
        let mut outcome = outcome;
        if sent.timed_out && outcome.status == NtStatus::CANCELLED {
            outcome.status = NtStatus::IO_TIMEOUT;
        }
        level.status = outcome.status;
        level.information = outcome.information;
        let format = std::mem::take(&mut level.format);
        level.result = Some(RequestCompletionParams::new(outcome, format));
        body.place(Location::Driver);
        let SentTo {
            target,
            told,
            timer,
            ..
        } = sent;
        let (told, waker) = match told {
            Told::Callback(callback) => {
                body.tell = Some(Tell::Ended(callback));
                (true, None)
            }
            Told::Future(waker) => (true, waker),
            Told::Nobody => (false, None),
        };
        let tells = body.tell.is_some();
        drop(body);
        if let Some(timer) = timer {
            self.scheduler.unset(timer);
        }
        target.forget(self);
        if !told {
            return self.complete(outcome);
        }
        if tells {
            self.scheduler.post(None, Arc::clone(self) as Arc<dyn Job>);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        self.scheduler.nudge();
    }

    /// Asks for it back from whoever has it.
    pub(crate) fn cancel(self: &Arc<Self>, asker: Asker) {
        let mut body = self.body();
        let from = match asker {
            Asker::Origin => 0,
            Asker::Sender(id) | Asker::Timer(id) => {
                let Some(sent) = body.sent(id) else {
                    return;
                };
                match asker {
                    Asker::Timer(_) => sent.timed_out = true,
                    _ => sent.canceled = true,
                }
                id.level + 1
            }
        };
        let above = body.levels.iter_mut().skip(from);
        let wakers: Vec<_> = above.filter_map(Level::cancel).collect();
        match &body.location {
            Location::Driver | Location::Ended => drop(body),
            Location::Marked(_) => self.cancel_marked(body),
            Location::Queue => {
                let queue = body.top().queue.clone();
                drop(body);
                if let Some(queue) = queue {
                    queue.cancel(self);
                }
            }
            Location::Target => {
                let sent = body.top().sent.as_ref();
                let target = sent.map(|it| Arc::clone(&it.target));
                drop(body);
                if let Some(target) = target {
                    target.cancel(self);
                }
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The queue that has delivered it is purged. Where its driver has it, it is as if it had been cancelled.
    pub(crate) fn purge(self: &Arc<Self>, queue: &QueueShared) {
        let mut body = self.body();
        let level = body.levels.last_mut();
        let Some(level) = level.filter(|it| it.is_of(queue) && it.sent.is_none()) else {
            return;
        };
        let waker = level.cancel();
        self.cancel_marked(body);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Has its driver told that it was cancelled, if it is marked still.
    pub(crate) fn cancel_marked(self: &Arc<Self>, mut body: MutexGuard<'_, Body>) {
        if !matches!(body.location, Location::Marked(_)) {
            return;
        }
        let Location::Marked(on_cancel) = std::mem::take(&mut body.location) else {
            return;
        };
        let device = Arc::clone(&body.top().device);
        body.tell = Some(Tell::Cancelled(on_cancel));
        drop(body);
        device.post(Arc::clone(self) as Arc<dyn Job>);
    }

    /// The scheduler of its stack.
    pub(crate) fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }
}

impl Job for Irp {
    fn calls(&self) -> Option<(Arc<str>, &'static str)> {
        let body = self.body();
        let driver = Arc::clone(body.levels.last()?.device.driver());
        match body.tell.as_ref()? {
            Tell::Cancelled(_) => Some((driver, "a cancel callback")),
            Tell::Ended(_) => Some((driver, "a completion callback")),
        }
    }

    fn run(self: Arc<Self>) {
        let mut body = self.body();
        let tell = body.tell.take();
        let params = body.levels.last().and_then(|it| it.result.clone());
        let ended = body.has_ended();
        drop(body);
        if ended {
            return;
        }
        match tell {
            Some(Tell::Cancelled(on_cancel)) => on_cancel.cancelled(Request::of(self)),
            Some(Tell::Ended(callback)) => {
                let params = params.expect("what was sent and has ended has a result");
                callback.completed(Request::of(self), &params);
            }
            None => {}
        }
    }
}

/// A request's timer.
pub(crate) struct Expired {
    pub(crate) irp: Weak<Irp>,
    pub(crate) send: SendId,
}

impl Job for Expired {
    fn run(self: Arc<Self>) {
        if let Some(irp) = self.irp.upgrade() {
            irp.cancel(Asker::Timer(self.send));
        }
    }

    fn is_callback(&self) -> bool {
        false
    }
}

impl fmt::Debug for Irp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Irp").finish_non_exhaustive()
    }
}
