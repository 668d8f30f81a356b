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

/// A request. As a future it ends with its outcome, on any runtime; [`wait`](Self::wait) waits in this thread. It begins when it is first polled, waited for or
/// [started](Self::start).
///
/// Dropped, it is cancelled, and nobody is told how it ends.
#[doc(alias = "OVERLAPPED")]
#[must_use = "it begins when it is waited for, polled or started"]
pub struct Io(Operation<IoCall>);

/// Asks a request back, from anywhere ([`Io::cancel_handle`]).
#[derive(Clone)]
pub struct CancelHandle {
    link: Weak<Link<Wired>>,
    number: Option<u64>,
}

pub(super) struct IoCall {
    request: Option<Request>,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    number: u64,
}

impl Io {
    pub(super) fn new(link: &Arc<Link<Wired>>, request: Request) -> Self {
        let call = IoCall {
            request: Some(request),
            timeout: None,
            deadline: None,
            number: 0,
        };
        Self(Operation::new(link, call))
    }

    /// Ends it after so long at the latest, counted from when it begins: it is then cancelled, and ends for the application at once, with `STATUS_IO_TIMEOUT`
    /// (`ERROR_SEM_TIMEOUT`), whether or not the device's host lives. What it would have brought is lost; who wants that [cancels](Self::cancel) it, and waits.
    ///
    /// It is of no effect once the request has begun.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.call_mut().timeout = Some(timeout);
        self
    }

    /// Begins it now, so that it goes on while this thread does something else.
    pub fn start(mut self) -> Self {
        self.0.start();
        self
    }

    /// Blocks this thread until it ends. Not for use within a task, as its runtime's other tasks would wait as well.
    pub fn wait(self) -> IoOutcome {
        self.0.wait()
    }

    /// Asks for it back, if it has begun. It ends in its time, and tells how.
    #[doc(alias = "CancelIoEx")]
    pub fn cancel(&self) {
        self.cancel_handle().cancel();
    }

    /// What it can be asked back with while somebody waits for it. Of a request that has not begun it does nothing.
    pub fn cancel_handle(&self) -> CancelHandle {
        let number = self.0.call().number;
        CancelHandle {
            link: Arc::downgrade(self.0.link()),
            number: (number > 0).then_some(number),
        }
    }
}

impl CancelHandle {
    /// Asks for it back. It ends in its time, and tells how.
    pub fn cancel(&self) {
        if let (Some(link), Some(number)) = (self.link.upgrade(), self.number) {
            link.with(|state| state.core.core.cancel(number));
        }
    }
}

impl Call for IoCall {
    type Core = Wired;
    type Raw = IoOutcome;
    type Output = IoOutcome;

    fn begin(&mut self, core: &mut Wired, clock: &Clock) {
        let Some(mut request) = self.request.take() else {
            return;
        };
        self.deadline = self.timeout.and_then(|it| clock.now().checked_add(it));
        request.deadline = self.deadline;
        self.number = core.core.begin(request);
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
