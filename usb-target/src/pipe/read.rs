//! Reading bytes, by a pipe's policies.

use std::collections::VecDeque;

use usbwright_protocol::{Direction, Payload, Status, TransferKind};

use super::{
    PipePolicy,
    core::{PipeCore, Turn},
};
use crate::{
    completion::{Completion, TransferError},
    engine::Flight,
};

/// Transfers of one read that are on their way at once, where a short packet does not end it.
const AHEAD: usize = 4;

impl PipeCore {
    /// Reads up to so many bytes.
    pub(super) async fn read(&self, length: usize) -> Completion {
        if let Err(error) = self.refuse_bytes(Direction::In) {
            return Completion::failed(error);
        }
        if self.reading.load(std::sync::atomic::Ordering::Acquire) {
            return Completion::failed(TransferError::Reading(self.address()));
        }
        let policy = *self.policy();
        if policy.raw_io {
            return self.read_raw(length, &policy).await;
        }
        let whole = length > 0 && length <= self.largest() && length.is_multiple_of(self.packet());
        if whole && !policy.ignore_short_packets && self.kept.is_empty() {
            let turn = match self.turn().await {
                Ok(turn) => turn,
                Err(error) => return self.unless_stale(Completion::failed(error)),
            };
            // Something may have been kept while the turn was awaited.
            if self.kept.is_empty() {
                let completion = self.read_once(length, &policy).await;
                drop(turn);
                return self.clear_after(completion, &policy).await;
            }
        }
        let completion = match self.turn_alone().await {
            Ok(turn) => {
                self.settle().await;
                self.read_any(length, &policy, &turn).await
            }
            Err(error) => self.unless_stale(Completion::failed(error)),
        };
        self.clear_after(completion, &policy).await
    }

    /// Waits for what reads that were dropped still bring: it is the next read's.
    async fn settle(&self) {
        if self.kept.is_expecting() {
            self.engine.settled(self.address()).await;
        }
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

    async fn read_raw(&self, length: usize, policy: &PipePolicy) -> Completion {
        match self.refuse_raw(length) {
            Ok(()) => self.read_once(length, policy).await,
            Err(error) => Completion::failed(error),
        }
    }

    /// One transfer, as it is.
    async fn read_once(&self, length: usize, policy: &PipePolicy) -> Completion {
        let flight = self.fly(
            TransferKind::In {
                length: length as u32,
            },
            self.until(policy),
        );
        self.unless_stale(flight.await.into())
    }

    /// Tells the end of a transfer that was taken back because its pipe is in force no more as what it is.
    pub(crate) fn unless_stale(&self, mut completion: Completion) -> Completion {
        if completion.error.is_some() && self.is_stale() {
            completion.error = Some(TransferError::Stale(self.address()));
        }
        completion
    }

    async fn clear_after(&self, completion: Completion, policy: &PipePolicy) -> Completion {
        if Self::clears(policy, completion.error.as_ref()) {
            // If that fails, the next read tells so.
            let _ = self.clear_halt().await;
        }
        completion
    }

    /// Any number of bytes: what was kept, and as many transfers of whole packets as it takes.
    async fn read_any(&self, length: usize, policy: &PipePolicy, turn: &Turn<'_>) -> Completion {
        if length == 0 && policy.allow_partial_reads {
            return Completion::default();
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
            until: self.until(policy),
            length,
            asked: data.len(),
            data,
            ended: false,
            flights: VecDeque::new(),
        }
        .run()
        .await
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

/// A read that may take several transfers.
struct Reading<'a> {
    pipe: &'a PipeCore,
    policy: &'a PipePolicy,
    turn: &'a Turn<'a>,
    until: Option<std::time::Instant>,
    length: usize,
    /// Bytes that came, or that the transfers on their way have room for.
    asked: usize,
    data: Payload,
    /// Whether a short packet, or an error, came last.
    ended: bool,
    /// The transfers on their way with their lengths, the oldest first.
    flights: VecDeque<(usize, Flight<'a>)>,
}

impl Reading<'_> {
    async fn run(mut self) -> Completion {
        let ahead = match self.policy.ignore_short_packets {
            true => AHEAD,
            false => 1,
        };
        let error = loop {
            if let Err(error) = self.turn.check() {
                break Some(error);
            }
            while self.flights.len() < ahead && (self.asked < self.length || self.asked == 0) {
                self.submit();
            }
            // It stays in its place while it is awaited: dropped then, the read keeps what came in the order in which it came.
            let Some((part, flight)) = self.flights.front_mut() else {
                break None;
            };
            let (part, came) = (*part, flight.await);
            self.flights.pop_front();
            self.asked -= part - came.data.len();
            let short = came.data.len() < part;
            self.data.append(came.data);
            self.ended = short || came.status != Status::Done;
            if came.status != Status::Done {
                break Some(came.status.into());
            }
            let enough = self.data.len() >= self.length;
            if enough || short && !self.policy.ignore_short_packets {
                break None;
            }
        };
        self.finish(error)
    }

    /// Sends a transfer for what is missing, in whole packets.
    fn submit(&mut self) {
        let missing = (self.length - self.asked).max(1);
        let part = missing
            .next_multiple_of(self.pipe.packet())
            .min(self.pipe.largest());
        self.asked += part;
        let kind = TransferKind::In {
            length: part as u32,
        };
        self.flights
            .push_back((part, self.pipe.fly(kind, self.until)));
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

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        // The latest first: to take back one lets those behind it go on.
        for (_, flight) in self.flights.iter().rev() {
            flight.cancel();
        }
        // What came so far is for the next read, in its order.
        let data = std::mem::take(&mut self.data);
        self.pipe.kept.push(data, self.ended);
        self.flights.clear();
    }
}
