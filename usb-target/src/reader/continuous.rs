//! The reader itself: the reads that it has pending, and what it does when one fails.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use usbwright_protocol::{Status, TransferKind};

use super::{Message, ReaderConfig, ReaderFailure, ReaderHandle};
use crate::{
    completion::{Completion, TransferError},
    engine::{Flight, Parked},
    pipe::{Pipe, PipeCore},
};

/// The pause before the second time that the reader begins anew; each further one is twice as long. The first comes at once.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// Decides after a failure whether the reader is to reset the pipe and to begin anew.
type OnFailure = Box<dyn FnMut(&ReaderFailure) -> bool + Send>;

/// Reads a pipe all the time. It begins when it is [started](ReaderHandle::start).
///
/// Messages come in the order in which the device sent them, those first that a read before had left [kept](Pipe::read). While none
/// is taken, as many transfers as are pending hold what has come. Reads that somebody takes back ([`Pipe::abort`]) are
/// submitted anew. Dropping the reader takes its reads back; what they bring, and what was not taken, is kept for the next
/// read of the pipe.
pub struct ContinuousReader {
    handle: ReaderHandle,
    config: ReaderConfig,
    flying: VecDeque<Parked>,
    on_failure: Option<OnFailure>,
    retries: u32,
    recovery: Option<Recovery>,
    /// Messages that came and are to be taken first.
    came: VecDeque<Message>,
}

/// A failure that is dealt with.
struct Recovery {
    failure: ReaderFailure,
    /// Whether it was told, and the reader is to begin anew at a time.
    until: Option<Instant>,
}

impl ContinuousReader {
    pub(super) fn new(pipe: Pipe, config: ReaderConfig) -> Self {
        Self {
            handle: ReaderHandle::new(pipe),
            config,
            flying: VecDeque::new(),
            on_failure: None,
            retries: 0,
            recovery: None,
            came: VecDeque::new(),
        }
    }

    fn core(&self) -> &PipeCore {
        self.handle.core()
    }

    /// What starts and stops the reader.
    pub fn handle(&self) -> ReaderHandle {
        self.handle.clone()
    }

    /// See [`ReaderHandle::start`].
    pub fn start(&self) {
        self.handle.start();
    }

    /// Has `decide` called with each failure, when nothing is pending any more: whether to reset the pipe and begin anew. Without it, the
    /// reader does so until it has run out of retries. It may start and stop the reader; what it tells is done after that.
    #[doc(alias = "OnReaderFailure")]
    #[must_use]
    pub fn on_failure(
        mut self,
        decide: impl FnMut(&ReaderFailure) -> bool + Send + 'static,
    ) -> Self {
        self.on_failure = Some(Box::new(decide));
        self
    }

    /// The next message; waits while the reader is stopped. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Where reading failed, and the reader has stopped: the device is gone or was reset, the pipe is stale, it was decided so, or the
    /// retries are used up. It may be started again, and has all its retries then.
    #[doc(alias = "OnReaderCompletion")]
    pub async fn next(&mut self) -> Result<Message, ReaderFailure> {
        loop {
            if self.recovery.is_some() {
                self.recover().await?;
            }
            if let Some(message) = self.came.pop_front() {
                return Ok(message);
            }
            let ended = poll_fn(|cx| self.poll_end(cx)).await;
            if let Some(ended) = ended {
                if ended.error.is_none() {
                    self.retries = 0;
                }
                self.sort(ended);
            }
            if self.recovery.is_none() {
                self.fill();
            }
            if let Some(message) = self.came.pop_front() {
                return Ok(message);
            }
        }
    }

    /// Has as many reads pending as there are to be.
    fn fill(&mut self) {
        let handle = self.handle.clone();
        let core = handle.core();
        let shared = handle.shared();
        while shared.runs && !core.is_stale() && self.flying.len() < self.config.pending {
            let kind = TransferKind::In {
                length: self.config.length as u32,
            };
            let transfer = Parked::submit(core.engine(), core.address(), kind, None);
            self.flying.push_back(transfer);
        }
        drop(shared);
        if core.is_stale() {
            // It may have become so just before a read was submitted.
            core.engine().cancel_all(core.address());
        }
    }

    /// The end of the oldest read; nothing where messages have been found that come before.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Completion>> {
        self.handle.listen(cx.waker());
        self.fill();
        self.take_kept();
        let runs = self.handle.is_running();
        let core = self.handle.core();
        if !self.came.is_empty() {
            return Poll::Ready(None);
        }
        let Some(transfer) = self.flying.front_mut() else {
            return match runs && core.is_stale() {
                true => Poll::Ready(Some(Completion::failed(TransferError::Stale(
                    core.address(),
                )))),
                false => Poll::Pending,
            };
        };
        let ended = std::task::ready!(transfer.poll(core.engine(), cx));
        let ended = core.unless_stale(ended.into());
        self.flying.pop_front();
        // A read before the reader may have ended late: what it brought comes first.
        self.take_kept();
        Poll::Ready(Some(ended))
    }

    /// What earlier reads have left over becomes messages.
    fn take_kept(&mut self) {
        if !self.handle.is_running() {
            return;
        }
        while self.core().kept.has_some() {
            let length = self.config.length;
            let (data, ended) = self.core().kept.take(length, false);
            let whole = ended || data.len() == length;
            self.came.push_back(self.config.message(data, whole));
        }
    }

    /// Sees to the end of a read: what it brought is a message, and there may be something to recover from.
    fn sort(&mut self, ended: Completion) {
        let whole = ended.error.is_none();
        if whole || !ended.data.is_empty() {
            self.came.push_back(self.config.message(ended.data, whole));
        }
        let taken_back = Status::Cancelled.into();
        if let Some(error) = ended.error.filter(|error| *error != taken_back)
            && self.recovery.is_none()
        {
            self.recovery = Some(self.failed(error));
        }
    }

    fn failed(&self, error: TransferError) -> Recovery {
        Recovery {
            failure: ReaderFailure {
                address: self.core().address(),
                error,
                retries: self.retries,
            },
            until: None,
        }
    }

    /// Ends what is pending, has the failure decided upon, and resets the pipe.
    async fn recover(&mut self) -> Result<(), ReaderFailure> {
        self.drain().await;
        let Some(Recovery { failure, until }) = &self.recovery else {
            return Ok(());
        };
        let until = match until {
            Some(until) => *until,
            None => {
                let failure = failure.clone();
                self.decide(failure)?
            }
        };
        let core = self.handle.core();
        if until > core.engine().now() {
            Flight::until(core.engine(), until).await;
        }
        let reset = match core.is_stale() {
            true => Completion::failed(TransferError::Stale(core.address())),
            false => core.clear_halt().await,
        };
        self.recovery = reset.error.map(|error| self.failed(error));
        Ok(())
    }

    /// Takes back what is pending, and keeps the messages that had come.
    async fn drain(&mut self) {
        if self.flying.is_empty() {
            return;
        }
        let core = self.handle.core();
        core.engine().cancel_all(core.address());
        while let Some(transfer) = self.flying.front_mut() {
            let core = self.handle.core();
            let ended = poll_fn(|cx| transfer.poll(core.engine(), cx)).await;
            self.flying.pop_front();
            self.sort(ended.into());
        }
    }

    /// Has the failure decided upon: when to begin anew.
    fn decide(&mut self, failure: ReaderFailure) -> Result<Instant, ReaderFailure> {
        let gone = matches!(
            failure.error,
            TransferError::Usb(Status::Disconnected | Status::NoEndpoint) | TransferError::Stale(_)
        );
        let decided = self
            .on_failure
            .as_mut()
            .is_none_or(|decide| decide(&failure));
        if !decided || gone || self.retries >= self.config.retries {
            self.recovery = None;
            self.retries = 0;
            self.handle.halt();
            return Err(failure);
        }
        let until = self.core().engine().now() + pause(self.retries);
        self.retries += 1;
        self.recovery = Some(Recovery {
            failure,
            until: Some(until),
        });
        Ok(until)
    }
}

/// How long to wait before the reader begins anew.
fn pause(retries: u32) -> Duration {
    match retries {
        0 => Duration::ZERO,
        more => PAUSE
            .saturating_mul(1 << (more - 1).min(16))
            .min(PAUSE_MOST),
    }
}

impl Drop for ContinuousReader {
    fn drop(&mut self) {
        self.handle.end();
        let core = self.handle.core();
        for message in self.came.drain(..) {
            let ends = message.is_whole() && message.data().len() < self.config.length;
            core.keep(message.into_data(), ends);
        }
        // The latest first: to take back one lets those behind it go on.
        core.engine().cancel_all(core.address());
        for mut transfer in self.flying.drain(..) {
            core.abandon(&mut transfer);
        }
        core.has_reader.store(false, Ordering::Release);
    }
}

impl fmt::Debug for ContinuousReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContinuousReader")
            .field("pipe", &self.handle.pipe)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
