//! The continuous reader: reads that are always pending on a pipe, so that nothing the device sends has to wait for a program.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use usbwright_protocol::{Direction, EndpointAddress, Payload, Status, TransferKind};

use crate::{
    completion::{Completion, TransferError},
    engine::{Flight, Parked},
    pipe::{MovesBytes, Pipe, PipeCore, Reads},
};

/// Reads that are pending at once, where it is left open.
const PENDING: usize = 2;
/// The most reads that are pending at once.
const PENDING_MOST: usize = 10;
/// How often the reader begins anew after failures in a row, where it is left open.
const RETRIES: u32 = 5;
/// The pause before the second of these; each further one is twice as long. The first comes at once.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// How a continuous reader reads (UMDF's `ConfigureContinuousReader`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderConfig {
    /// The most bytes of a message; a multiple of the packet size.
    #[doc(alias = "TransferLength")]
    pub length: usize,
    /// Bytes to leave free before a message, in [`Message::into_buffer`].
    #[doc(alias = "HeaderLength")]
    pub header: usize,
    /// Bytes to leave free behind a message.
    #[doc(alias = "TrailerLength")]
    pub trailer: usize,
    /// Reads that are pending at once: 0 for 2, and at most 10.
    #[doc(alias = "NumPendingReads")]
    pub pending: usize,
    /// How often in a row the reader begins anew after a failure, before it gives up.
    pub retries: u32,
}

impl ReaderConfig {
    /// Messages of up to `length` bytes, two reads pending, five retries.
    pub fn new(length: usize) -> Self {
        Self {
            length,
            header: 0,
            trailer: 0,
            pending: PENDING,
            retries: RETRIES,
        }
    }
}

/// Why there is no such reader.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReaderError {
    /// The pipe can't be read so, or not so many bytes at a time.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// Messages have a length.
    #[error("a continuous reader's messages have at least one byte")]
    Empty,
    /// It is more than memory can have.
    #[error("header, message and trailer are longer together than memory can be")]
    Overflow,
    /// The pipe has one.
    #[error("endpoint {0} has a continuous reader already: drop it first")]
    Configured(EndpointAddress),
}

/// What the device sent in one transfer.
#[derive(Clone, Debug)]
pub struct Message {
    data: Payload,
    header: usize,
    trailer: usize,
}

impl Message {
    /// The data, as it came. A zero-length packet is an empty message.
    pub fn data(&self) -> &Payload {
        &self.data
    }

    /// The data, as it came.
    pub fn into_data(self) -> Payload {
        self.data
    }

    /// A buffer with the data behind a header and before a trailer of zeroes, as the reader was told. It is a copy.
    pub fn into_buffer(self) -> BytesMut {
        let mut buffer = BytesMut::zeroed(self.header);
        buffer.reserve(self.data.len() + self.trailer);
        for piece in self.data.pieces() {
            buffer.extend_from_slice(piece);
        }
        buffer.resize(buffer.len() + self.trailer, 0);
        buffer
    }
}

/// A failure of a continuous reader. Nothing is pending when it is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reading endpoint {address} failed: {error} (after {retries} retries)")]
pub struct ReaderFailure {
    /// The endpoint.
    pub address: EndpointAddress,
    /// What went wrong.
    pub error: TransferError,
    /// How often in a row the reader has begun anew before.
    pub retries: u32,
}

/// Decides after a failure whether the reader is to reset the pipe and to begin anew.
type OnFailure = Box<dyn FnMut(&ReaderFailure) -> bool + Send>;

/// Reads a pipe all the time. It begins when it is [started](ReaderHandle::start).
///
/// Messages come in the order in which the device sent them. While none is taken, as many transfers as are pending hold what has
/// come. Dropping the reader takes its reads back; what they bring is kept for the next read of the pipe.
pub struct ContinuousReader {
    handle: ReaderHandle,
    config: ReaderConfig,
    flying: VecDeque<Parked>,
    on_failure: Option<OnFailure>,
    retries: u32,
    recovery: Option<Recovery>,
    /// Messages that came behind a failure.
    behind: VecDeque<Message>,
}

/// A failure that is dealt with.
struct Recovery {
    failure: ReaderFailure,
    /// Whether it was told, and the reader is to begin anew at a time.
    until: Option<Instant>,
}

/// Starts and stops a [`ContinuousReader`], from anywhere. Clones are handles of the same reader.
#[derive(Clone)]
pub struct ReaderHandle {
    pipe: Pipe,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Whether reads are to be pending.
    runs: bool,
    waker: Option<Waker>,
}

impl ContinuousReader {
    fn core(&self) -> &PipeCore {
        self.handle.pipe.core()
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
    /// reader does so until it has run out of retries. It may start and stop the reader.
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
    /// Where reading failed, and the reader has stopped: the device is gone, it was decided so, or the retries are used up. It may be
    /// started again.
    #[doc(alias = "OnReaderCompletion")]
    pub async fn next(&mut self) -> Result<Message, ReaderFailure> {
        loop {
            if self.recovery.is_some() {
                self.recover().await?;
            }
            if let Some(message) = self.behind.pop_front() {
                return Ok(message);
            }
            let ended = poll_fn(|cx| self.poll_end(cx)).await;
            if let Some(message) = self.sort(ended) {
                self.retries = 0;
                self.fill();
                return Ok(message);
            }
        }
    }

    /// Has as many reads pending as there are to be.
    fn fill(&mut self) {
        let handle = self.handle.clone();
        let shared = handle.shared();
        let core = handle.pipe.core();
        while shared.runs && self.flying.len() < self.config.pending {
            let kind = TransferKind::In {
                length: self.config.length as u32,
            };
            let transfer = Parked::submit(core.engine(), core.address(), kind, None);
            self.flying.push_back(transfer);
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Completion> {
        self.handle.shared().waker = Some(cx.waker().clone());
        self.fill();
        let core = self.handle.pipe.core();
        let Some(transfer) = self.flying.front_mut() else {
            return Poll::Pending;
        };
        let ended = std::task::ready!(transfer.poll(core.engine(), cx));
        self.flying.pop_front();
        Poll::Ready(core.unless_stale(ended.into()))
    }

    /// A message, if that is what a transfer has brought.
    fn sort(&mut self, ended: Completion) -> Option<Message> {
        match ended.error {
            None => Some(Message {
                data: ended.data,
                header: self.config.header,
                trailer: self.config.trailer,
            }),
            Some(error) => {
                self.core().keep(ended.data, false);
                let stopped = !self.handle.is_running() && error == Status::Cancelled.into();
                if self.recovery.is_none() && !stopped {
                    self.recovery = Some(Recovery {
                        failure: ReaderFailure {
                            address: self.core().address(),
                            error,
                            retries: self.retries,
                        },
                        until: None,
                    });
                }
                None
            }
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
                if !self.begins_anew(&failure) {
                    self.recovery = None;
                    self.handle.halt();
                    return Err(failure);
                }
                let until = self.core().engine().now() + pause(self.retries);
                self.retries += 1;
                self.recovery = Some(Recovery {
                    failure,
                    until: Some(until),
                });
                until
            }
        };
        let core = self.handle.pipe.core();
        if until > core.engine().now() {
            Flight::until(core.engine(), until).await;
        }
        let reset = core.clear_halt().await;
        self.recovery = reset.error.map(|error| Recovery {
            failure: ReaderFailure {
                address: core.address(),
                error,
                retries: self.retries,
            },
            until: None,
        });
        Ok(())
    }

    /// Takes back what is pending, and keeps the messages that had come.
    async fn drain(&mut self) {
        if self.flying.is_empty() {
            return;
        }
        self.core().engine().cancel_all(self.core().address());
        while !self.flying.is_empty() {
            let ended = poll_fn(|cx| {
                let core = self.handle.pipe.core();
                let Some(transfer) = self.flying.front_mut() else {
                    return Poll::Ready(Completion::default());
                };
                transfer.poll(core.engine(), cx).map(Completion::from)
            });
            let ended = ended.await;
            self.flying.pop_front();
            if let Some(message) = self.sort(ended) {
                self.behind.push_back(message);
            }
        }
    }

    fn begins_anew(&mut self, failure: &ReaderFailure) -> bool {
        let gone = matches!(
            failure.error,
            TransferError::Usb(Status::Disconnected | Status::NoEndpoint) | TransferError::Stale(_)
        );
        let decided = self
            .on_failure
            .as_mut()
            .is_none_or(|decide| decide(failure));
        decided && !gone && self.retries < self.config.retries
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

impl ReaderHandle {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has reads pending from now on, as soon as the reader is waited for. Until it stops, other reads of the pipe are refused.
    pub fn start(&self) {
        let mut shared = self.shared();
        shared.runs = true;
        self.pipe.core().reading.store(true, Ordering::Release);
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the pending reads back, and returns when they have ended. Messages that had come can still be taken; what a read that was taken
    /// back had brought is kept for the next read of the pipe.
    pub async fn stop(&self) {
        self.halt();
        let core = self.pipe.core();
        core.engine().cancel_all(core.address());
        core.engine().idle(core.address()).await;
    }

    fn halt(&self) {
        self.shared().runs = false;
        self.pipe.core().reading.store(false, Ordering::Release);
    }

    /// Whether reads are to be pending.
    pub fn is_running(&self) -> bool {
        self.shared().runs
    }
}

impl Drop for ContinuousReader {
    fn drop(&mut self) {
        self.handle.halt();
        let core = self.handle.pipe.core();
        // The latest first: to take back one lets those behind it go on.
        core.engine().cancel_all(core.address());
        for mut transfer in self.flying.drain(..) {
            core.abandon(&mut transfer);
        }
        self.behind
            .drain(..)
            .for_each(|it| core.keep(it.data, true));
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

impl fmt::Debug for ReaderHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderHandle")
            .field("pipe", &self.pipe)
            .field("runs", &self.is_running())
            .finish()
    }
}

impl<K: MovesBytes, W: Reads> Pipe<K, W> {
    /// A continuous reader of the pipe, which is not started yet.
    ///
    /// # Errors
    /// Where the pipe is not one that can be read so, has a reader, or the configuration can't be.
    #[doc(alias = "ConfigureContinuousReader")]
    pub fn reader(&self, config: ReaderConfig) -> Result<ContinuousReader, ReaderError> {
        let core = self.core();
        core.refuse_bytes(Direction::In)?;
        if config.length == 0 {
            return Err(ReaderError::Empty);
        }
        core.refuse_raw(config.length)?;
        let total = config.header.checked_add(config.length);
        if total
            .and_then(|it| it.checked_add(config.trailer))
            .is_none()
        {
            return Err(ReaderError::Overflow);
        }
        if core.has_reader.swap(true, Ordering::AcqRel) {
            return Err(ReaderError::Configured(core.address()));
        }
        let pending = match config.pending {
            0 => PENDING,
            number => number.min(PENDING_MOST),
        };
        Ok(ContinuousReader {
            handle: ReaderHandle {
                pipe: self.untyped(),
                shared: Arc::default(),
            },
            config: ReaderConfig { pending, ..config },
            flying: VecDeque::new(),
            on_failure: None,
            retries: 0,
            recovery: None,
            behind: VecDeque::new(),
        })
    }
}
