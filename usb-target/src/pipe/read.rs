//! Reading bytes, by a pipe's policies.

use std::{
    future::{Future, poll_fn},
    sync::atomic::Ordering,
    task::Poll,
    time::Instant,
};

use usbwright_protocol::{Direction, Payload, Status, TransferKind};

use super::{
    PipePolicy,
    core::{PipeCore, Turn},
    flights::Flights,
};
use crate::{
    cancel::Cancel,
    completion::{Completion, TransferError},
    engine::Flight,
};

/// Transfers of one read that are on their way at once, where a short packet does not end it.
const AHEAD: usize = 4;

impl PipeCore {
    /// Reads up to so many bytes.
    pub(super) async fn read(&self, length: usize, mut cancel: Cancel<'_>) -> Completion {
        if let Err(error) = self.refuse_bytes(Direction::In) {
            return Completion::failed(error);
        }
        if self.reading.load(Ordering::Acquire) {
            return Completion::failed(TransferError::Reading(self.address()));
        }
        let policy = self.policy();
        if policy.raw_io {
            return self.read_raw(length, &policy, cancel).await;
        }
        if length == 0 && policy.allow_partial_reads {
            return Completion::default();
        }
        let mut turn = match cancel.or(self.turn()).await {
            Ok(turn) => turn,
            Err(error) => return self.unless_stale(Completion::failed(error)),
        };
        let clears = self.clears();
        let whole = length > 0 && length <= self.largest() && length.is_multiple_of(self.packet());
        let completion = if whole && !policy.ignore_short_packets && self.kept.has_nothing() {
            let flight = self.fly_in(length, self.until(&policy));
            turn.pass_on();
            self.unless_stale(cancel.end(flight).await.into())
        } else {
            self.read_alone(length, &policy, &turn, cancel).await
        };
        if Self::is_to_clear(&policy, completion.error.as_ref()) {
            return self.clear_after(completion, clears).await;
        }
        completion
    }

    /// What is wrong with a raw read of so many bytes.
    pub(crate) fn refuse_raw(&self, length: usize) -> Result<(), TransferError> {
        let (packet, most) = (self.packet(), self.largest());
        if length > most {
            return Err(TransferError::TooLong { length, most });
        }
        match length.is_multiple_of(packet) {
            true => Ok(()),
            false => Err(TransferError::NotWholePackets { length, packet }),
        }
    }

    async fn read_raw(
        &self,
        length: usize,
        policy: &PipePolicy,
        mut cancel: Cancel<'_>,
    ) -> Completion {
        match self.refuse_raw(length) {
            Ok(()) => {
                let flight = self.fly_in(length, self.until(policy));
                self.unless_stale(cancel.end(flight).await.into())
            }
            Err(error) => Completion::failed(error),
        }
    }

    /// A transfer with room for so many bytes, at most the largest.
    fn fly_in(&self, length: usize, until: Option<Instant>) -> Flight<'_> {
        let length = length as u32;
        self.fly(TransferKind::In { length }, until)
    }

    /// Tells the end of a transfer that was taken back because its pipe is in force no more as what it is.
    pub(crate) fn unless_stale(&self, mut completion: Completion) -> Completion {
        if completion.error.is_some() && self.is_stale() {
            completion.error = Some(TransferError::Stale(self.address()));
        }
        completion
    }

    /// Has the halt cleared before a failed read ends.
    async fn clear_after(&self, completion: Completion, clears: u64) -> Completion {
        let mut unread = Unread {
            pipe: self,
            completion,
        };
        self.clear_halt_since(clears).await;
        std::mem::take(&mut unread.completion)
    }

    /// Any number of bytes: what was kept, and as many transfers of whole packets as it takes.
    async fn read_alone(
        &self,
        length: usize,
        policy: &PipePolicy,
        turn: &Turn<'_>,
        mut cancel: Cancel<'_>,
    ) -> Completion {
        if let Err(error) = cancel.or(self.settled(turn)).await {
            return self.unless_stale(Completion::failed(error));
        }
        let (data, ended) = self.kept.take(length, policy.ignore_short_packets);
        let ended = ended && !policy.ignore_short_packets;
        if ended || data.len() == length && length > 0 {
            return done(data, None);
        }
        Reading {
            pipe: self,
            policy,
            turn,
            cancel,
            until: self.until(policy),
            length,
            asked: data.len(),
            data,
            ended: false,
            flights: Flights::default(),
        }
        .run()
        .await
    }

    /// Waits until those before it have ended, and what was taken back has brought what it may.
    async fn settled(&self, turn: &Turn<'_>) -> Result<(), TransferError> {
        turn.alone().await?;
        if self.kept.expects() {
            self.engine.settled(self.address()).await;
        }
        Ok(())
    }

    /// Whether a call's time is not up yet.
    pub(super) fn in_time(&self, until: Option<Instant>) -> Result<(), TransferError> {
        match until {
            Some(until) if until <= self.engine.now() => Err(Status::TimedOut.into()),
            _ => Ok(()),
        }
    }
}

fn done(data: Payload, error: Option<TransferError>) -> Completion {
    Completion {
        error,
        length: data.len(),
        data,
        iso: None,
    }
}

/// Lets other tasks run.
fn give_way() -> impl Future<Output = ()> {
    let mut given = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// The end of a read that nobody has got yet: dropped so, its data is for the next read.
struct Unread<'a> {
    pipe: &'a PipeCore,
    completion: Completion,
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.completion.data);
        self.pipe.kept.put_back(data);
    }
}

/// A read that may take several transfers.
struct Reading<'a, 'c> {
    pipe: &'a PipeCore,
    policy: &'a PipePolicy,
    turn: &'a Turn<'a>,
    cancel: Cancel<'c>,
    until: Option<Instant>,
    length: usize,
    /// Bytes that came, or that the transfers on their way have room for.
    asked: usize,
    data: Payload,
    /// Whether a short packet, or an error, came last.
    ended: bool,
    flights: Flights<'a>,
}

impl Reading<'_, '_> {
    async fn run(mut self) -> Completion {
        let mut error = self.fill().err();
        while error.is_none()
            && let Some(status) = self.take_one().await
        {
            if status != Status::Done {
                error = Some(status.into());
                break;
            }
            let short = self.ended;
            if self.data.len() >= self.length || short && !self.policy.ignore_short_packets {
                break;
            }
            error = self.fill_in_time().err();
            if short {
                // A device may send nothing but short packets, and never let go.
                give_way().await;
            }
        }
        self.flights.cancel();
        while self.take_one().await.is_some() {}
        self.finish(error)
    }

    /// Takes what the oldest transfer brought, and tells how it ended.
    async fn take_one(&mut self) -> Option<Status> {
        let (part, came) = self.flights.next(&mut self.cancel).await?;
        self.asked -= part - came.data.len();
        let short = came.data.len() < part;
        self.ended = match came.status {
            Status::Done => short,
            Status::Cancelled | Status::TimedOut => self.ended && came.data.is_empty(),
            _ => true,
        };
        self.data.append(came.data);
        Some(came.status)
    }

    fn fill_in_time(&mut self) -> Result<(), TransferError> {
        self.pipe.in_time(self.until)?;
        self.fill()
    }

    /// Has as many transfers of whole packets on their way for what is missing as there may be.
    fn fill(&mut self) -> Result<(), TransferError> {
        let ahead = match self.policy.ignore_short_packets {
            true => AHEAD,
            false => 1,
        };
        while self.flights.len() < ahead && (self.asked < self.length || self.asked == 0) {
            self.turn.check()?;
            self.cancel.check()?;
            let missing = (self.length - self.asked).max(1);
            let part = missing
                .min(self.pipe.largest())
                .next_multiple_of(self.pipe.packet());
            self.asked += part;
            self.flights.push(part, self.pipe.fly_in(part, self.until));
        }
        Ok(())
    }

    /// What came beyond what was asked for is kept, thrown away, or makes the read fail.
    fn finish(mut self, error: Option<TransferError>) -> Completion {
        let excess = self.data.split_off(self.length);
        let data = std::mem::take(&mut self.data);
        let mut error = error;
        if !excess.is_empty() {
            let partial = self.policy.allow_partial_reads;
            if !(partial && self.policy.auto_flush) {
                self.pipe.kept.push(excess, self.ended);
            }
            if !partial {
                error = error.or(Some(Status::Overflow.into()));
            }
        }
        self.pipe.unless_stale(done(data, error))
    }
}

impl Drop for Reading<'_, '_> {
    fn drop(&mut self) {
        // What came so far is for the next read, before what the transfers on their way bring.
        let data = std::mem::take(&mut self.data);
        self.pipe.kept.push(data, self.ended);
    }
}
