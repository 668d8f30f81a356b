//! Many transfers of a pipe in flight at once, and their ends in order.

use std::{
    future::poll_fn,
    marker::PhantomData,
    sync::atomic::Ordering,
    task::{Context, Poll},
};

use usbwright_protocol::{Direction, Payload, TransferKind};

use super::{MovesBytes, Pipe, PipePolicy, Reads, Way, Writes, core::PipeCore};
use crate::{
    completion::{Completion, TransferError},
    engine::Line,
};

/// Names a transfer of a [`Queue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Transfers of a pipe that are in flight at once. Each goes to the bus as it is, whatever the pipe's policies but for its
/// timeout; they end in the order in which they were submitted.
///
/// What is submitted is on its way at the latest when the queue is waited for or [flushed](Self::flush), so that many transfers
/// to another process go in one system call. Dropping the queue takes all of them back; what they bring is kept for the next read.
#[derive(Debug)]
pub struct Queue<K: MovesBytes, W: Way> {
    pipe: Pipe<K, W>,
    line: Line,
    submitted: u64,
    way: PhantomData<W>,
}

impl<K: MovesBytes, W: Way> Queue<K, W> {
    pub(super) fn new(pipe: Pipe<K, W>) -> Self {
        Self {
            line: Line::new(&pipe.core().engine),
            pipe,
            submitted: 0,
            way: PhantomData,
        }
    }

    fn core(&self) -> &PipeCore {
        self.pipe.core()
    }

    /// How many transfers have not been taken yet.
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// The oldest transfer.
    fn oldest(&self) -> Ticket {
        Ticket(self.submitted - self.len() as u64)
    }

    fn push(
        &mut self,
        way: Direction,
        length: usize,
        policy: &PipePolicy,
        kind: TransferKind,
    ) -> Result<Ticket, TransferError> {
        let core = self.pipe.core();
        core.refuse_bytes(way)?;
        if core.reading.load(Ordering::Acquire) {
            return Err(TransferError::Reading(core.address()));
        }
        let most = core.largest();
        if length > most {
            return Err(TransferError::TooLong { length, most });
        }
        let until = core.until(policy);
        self.line.submit(&core.engine, core.address(), kind, until);
        self.submitted += 1;
        Ok(Ticket(self.submitted - 1))
    }

    /// The end of the oldest transfer; `None` where there is none. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<(Ticket, Completion)> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The end of the oldest transfer, if it has ended. It does not wait, and sends nothing on its way.
    pub fn try_next(&mut self) -> Option<(Ticket, Completion)> {
        let ticket = self.oldest();
        let core = self.pipe.core();
        let ended = self.line.take(&core.engine)?;
        Some((ticket, core.unless_stale(ended.into())))
    }

    /// [`next`](Self::next), for whoever polls.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Ticket, Completion)>> {
        let ticket = self.oldest();
        let core = self.pipe.core();
        let polled = self.line.poll(&core.engine, cx);
        polled.map(|ended| Some((ticket, core.unless_stale(ended?.into()))))
    }

    /// Has what was submitted go on its way.
    pub fn flush(&self) {
        self.core().engine.flush();
    }

    /// Takes a transfer back; its end is told in its turn. One that has ended, or is not of this queue, is left alone.
    pub fn cancel(&self, ticket: Ticket) {
        let place = ticket.0.checked_sub(self.oldest().0);
        if let Some(place) = place.and_then(|place| usize::try_from(place).ok()) {
            self.line.cancel(&self.core().engine, place);
        }
    }

    /// Takes every transfer back; their ends are told in their turn.
    pub fn cancel_all(&self) {
        self.line.cancel_all(&self.core().engine);
    }
}

impl<K: MovesBytes, W: Reads> Queue<K, W> {
    /// Submits a read of up to `length` bytes. The device must not send more: ask for whole packets where it may.
    ///
    /// # Errors
    /// Where the pipe can't read, or not so much at a time.
    pub fn read(&mut self, length: usize) -> Result<Ticket, TransferError> {
        let kind = TransferKind::In {
            length: u32::try_from(length).unwrap_or(u32::MAX),
        };
        let policy = self.core().policy();
        self.push(Direction::In, length, &policy, kind)
    }
}

impl<K: MovesBytes, W: Writes> Queue<K, W> {
    /// Submits a write.
    ///
    /// # Errors
    /// Where the pipe can't be written to, or not so much at a time.
    pub fn write(&mut self, data: impl Into<Payload>) -> Result<Ticket, TransferError> {
        let data = data.into();
        let policy = self.core().policy();
        let length = data.len();
        let kind = TransferKind::Out {
            data,
            zero_packet: policy.short_packet_terminate,
        };
        self.push(Direction::Out, length, &policy, kind)
    }
}

impl<K: MovesBytes, W: Way> Drop for Queue<K, W> {
    fn drop(&mut self) {
        let core = self.pipe.core();
        let reads = core.address().direction() == Direction::In;
        self.line.abandon(&core.engine, reads.then_some(&core.kept));
    }
}
