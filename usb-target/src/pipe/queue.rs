//! Many transfers of a pipe in flight at once, and their ends in order.

use std::{
    collections::VecDeque,
    future::poll_fn,
    marker::PhantomData,
    sync::atomic::Ordering,
    task::{Context, Poll},
};

use usbwright_protocol::{Direction, Payload, TransferKind};

use super::{MovesBytes, Pipe, Reads, Way, Writes, core::PipeCore};
use crate::{
    completion::{Completion, TransferError},
    engine::Parked,
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
    flying: VecDeque<(Ticket, Parked)>,
    submitted: u64,
    way: PhantomData<W>,
}

impl<K: MovesBytes, W: Way> Queue<K, W> {
    pub(super) fn new(pipe: Pipe<K, W>) -> Self {
        Self {
            pipe,
            flying: VecDeque::new(),
            submitted: 0,
            way: PhantomData,
        }
    }

    fn core(&self) -> &PipeCore {
        self.pipe.core()
    }

    /// How many transfers have not been taken yet.
    pub fn len(&self) -> usize {
        self.flying.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.flying.is_empty()
    }

    fn push(
        &mut self,
        way: Direction,
        length: usize,
        kind: TransferKind,
    ) -> Result<Ticket, TransferError> {
        let core = self.core();
        core.refuse_bytes(way)?;
        if core.reading.load(Ordering::Acquire) {
            return Err(TransferError::Reading(core.address()));
        }
        let most = core.largest();
        if length > most {
            return Err(TransferError::TooLong { length, most });
        }
        let until = core.until(&core.policy());
        let transfer = Parked::submit(&core.engine, core.address(), kind, until);
        self.submitted += 1;
        let ticket = Ticket(self.submitted);
        self.flying.push_back((ticket, transfer));
        Ok(ticket)
    }

    /// The end of the oldest transfer; `None` where there is none. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<(Ticket, Completion)> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The end of the oldest transfer, if it has ended. It does not wait, and sends nothing on its way.
    pub fn try_next(&mut self) -> Option<(Ticket, Completion)> {
        let core = self.pipe.core();
        let (ticket, transfer) = self.flying.front_mut()?;
        let ticket = *ticket;
        let ended = transfer.take(&core.engine)?;
        self.flying.pop_front();
        Some((ticket, core.unless_stale(ended.into())))
    }

    /// [`next`](Self::next), for whoever polls.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Ticket, Completion)>> {
        let core = self.pipe.core();
        let Some((ticket, transfer)) = self.flying.front_mut() else {
            return Poll::Ready(None);
        };
        let ticket = *ticket;
        transfer.poll(&core.engine, cx).map(|ended| {
            self.flying.pop_front();
            Some((ticket, core.unless_stale(ended.into())))
        })
    }

    /// Has what was submitted go on its way.
    pub fn flush(&self) {
        self.core().engine.flush();
    }

    /// Takes a transfer back; its end is told in its turn. One that has ended, or is not of this queue, is left alone.
    pub fn cancel(&self, ticket: Ticket) {
        if let Some((_, transfer)) = self.flying.iter().find(|(it, _)| *it == ticket) {
            transfer.cancel(&self.core().engine);
        }
    }

    /// Takes every transfer back; their ends are told in their turn.
    pub fn cancel_all(&self) {
        for (_, transfer) in self.flying.iter().rev() {
            transfer.cancel(&self.core().engine);
        }
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
        self.push(Direction::In, length, kind)
    }
}

impl<K: MovesBytes, W: Writes> Queue<K, W> {
    /// Submits a write.
    ///
    /// # Errors
    /// Where the pipe can't be written to, or not so much at a time.
    pub fn write(&mut self, data: impl Into<Payload>) -> Result<Ticket, TransferError> {
        let data = data.into();
        let zero_packet = self.core().policy().short_packet_terminate;
        self.push(
            Direction::Out,
            data.len(),
            TransferKind::Out { data, zero_packet },
        )
    }
}

impl<K: MovesBytes, W: Way> Drop for Queue<K, W> {
    fn drop(&mut self) {
        let core = self.pipe.core();
        let reads = core.address().direction() == Direction::In;
        // The latest first: to take back one lets those behind it go on.
        self.cancel_all();
        for (_, mut transfer) in self.flying.drain(..) {
            transfer.abandon(&core.engine, reads.then_some(&core.kept));
        }
    }
}
