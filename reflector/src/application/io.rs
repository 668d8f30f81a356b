//! A request under way.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use usbwright_host_stack::IoOutcome;
use usbwright_ports::parts::{Call, Link, Operation};
use usbwright_target::Clock;

use super::{core::Request, open::watch, wired::Wired};

/// A request that has begun. As a future it ends with its outcome, on any runtime; [`wait`](Self::wait) waits in this thread.
///
/// Dropped, it is cancelled, and nobody is told how it ends.
#[doc(alias = "OVERLAPPED")]
#[must_use = "a request that is dropped is cancelled"]
pub struct Io(Operation<IoCall>);

/// Asks a request back, from anywhere ([`Io::cancel_handle`]).
#[derive(Clone)]
pub struct CancelHandle {
    link: Weak<Link<Wired>>,
    number: u64,
}

pub(super) struct IoCall {
    request: Option<Request>,
    deadline: Option<Instant>,
    /// Whoever looks after the link has been told of the deadline.
    is_scheduled: bool,
    number: u64,
}

impl Io {
    pub(super) fn new(link: &Arc<Link<Wired>>, request: Request) -> Self {
        let call = IoCall {
            request: Some(request),
            deadline: None,
            is_scheduled: false,
            number: 0,
        };
        let mut operation = Operation::new(link, call);
        operation.start();
        Self(operation)
    }

    /// Ends it after so long from now at the latest: it is then cancelled, and ends for the application at once, with `STATUS_IO_TIMEOUT` (`ERROR_SEM_TIMEOUT`), whether or
    /// not the device's host lives. What it would have brought is lost; who wants that [cancels](Self::cancel) it, and waits.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        let number = self.0.call().number;
        if let Some(deadline) = Instant::now().checked_add(timeout) {
            let link = Arc::clone(self.0.link());
            link.with(|state| state.core.core.set_deadline(number, deadline));
            self.0.call_mut().deadline = Some(deadline);
        }
        self
    }

    /// Blocks this thread until it ends. Not for use within a task, as its runtime's other tasks would wait as well.
    pub fn wait(self) -> IoOutcome {
        self.0.wait()
    }

    /// Whether it has ended, as far as that has come here. It waits for nothing.
    #[doc(alias = "HasOverlappedIoCompleted")]
    pub fn has_ended(&self) -> bool {
        let (link, number) = (self.0.link(), self.0.call().number);
        link.look();
        link.with(|state| {
            let core = &mut state.core.core;
            core.expire(Instant::now());
            core.has_ended(number)
        })
    }

    /// Asks for it back. It ends in its time, and tells how.
    #[doc(alias = "CancelIoEx")]
    pub fn cancel(&self) {
        self.cancel_handle().cancel();
    }

    /// What it can be asked back with while somebody waits for it.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle {
            link: Arc::downgrade(self.0.link()),
            number: self.0.call().number,
        }
    }
}

impl CancelHandle {
    /// Asks for it back. It ends in its time, and tells how.
    pub fn cancel(&self) {
        if let Some(link) = self.link.upgrade() {
            link.with(|state| state.core.core.cancel(self.number));
        }
    }
}

impl Call for IoCall {
    type Core = Wired;
    type Raw = IoOutcome;
    type Output = IoOutcome;

    fn begin(&mut self, core: &mut Wired, _clock: &Clock) {
        if let Some(request) = self.request.take() {
            self.number = core.core.begin(request);
        }
    }

    fn take(&mut self, core: &mut Wired) -> Option<IoOutcome> {
        core.core.take(self.number)
    }

    fn settle(&mut self, raw: IoOutcome) -> IoOutcome {
        raw
    }

    fn watch(&self, core: &mut Wired, waker: &Waker) {
        core.core.watch(self.number, waker);
    }

    fn abandon(&mut self, core: &mut Wired) {
        core.core.abandon(self.number);
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Future for Io {
    type Output = IoOutcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoOutcome> {
        watch(self.0.link());
        let call = self.0.call_mut();
        let deadline = call.deadline.filter(|_| !call.is_scheduled);
        call.is_scheduled = true;
        if let Some(deadline) = deadline {
            self.0.link().schedule(deadline);
        }
        self.0.poll(context.waker())
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").finish_non_exhaustive()
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelHandle")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
