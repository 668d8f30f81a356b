//! Writing bytes, by a pipe's policies.

use std::{collections::VecDeque, time::Instant};

use usbwright_protocol::{Direction, Payload, Status, TransferKind};

use super::core::{PipeCore, Turn};
use crate::{completion::Completion, engine::Flight};

/// Transfers of one write that are on their way at once.
const AHEAD: usize = 4;

impl PipeCore {
    /// Writes all of `data`; with `terminate`, it is followed by a zero-length packet where it fills its last one.
    pub(super) async fn write(&self, data: Payload, terminate: bool) -> Completion {
        if let Err(error) = self.refuse_bytes(Direction::Out) {
            return Completion::failed(error);
        }
        let policy = *self.policy();
        let zero_packet = terminate || policy.short_packet_terminate;
        if data.len() <= self.largest() {
            let _turn = match self.turn().await {
                Ok(turn) => turn,
                Err(error) => return self.unless_stale(Completion::failed(error)),
            };
            let kind = TransferKind::Out { data, zero_packet };
            let flight = self.fly(kind, self.until(&policy));
            return self.unless_stale(flight.await.into());
        }
        let turn = match self.turn_alone().await {
            Ok(turn) => turn,
            Err(error) => return self.unless_stale(Completion::failed(error)),
        };
        let writing = Writing {
            pipe: self,
            turn: &turn,
            until: self.until(&policy),
            rest: data,
            zero_packet,
            flights: VecDeque::new(),
        };
        self.unless_stale(writing.run().await)
    }
}

/// A write of several transfers.
struct Writing<'a> {
    pipe: &'a PipeCore,
    turn: &'a Turn<'a>,
    until: Option<Instant>,
    rest: Payload,
    zero_packet: bool,
    /// The transfers on their way, the oldest first.
    flights: VecDeque<Flight<'a>>,
}

impl Writing<'_> {
    async fn run(mut self) -> Completion {
        let mut written = Completion::default();
        loop {
            if let Err(error) = self.turn.check() {
                written.error = Some(error);
                return written;
            }
            while self.flights.len() < AHEAD && !self.rest.is_empty() {
                self.submit();
            }
            let Some(flight) = self.flights.pop_front() else {
                return written;
            };
            let ended = flight.await;
            written.length += ended.actual_length as usize;
            if ended.status != Status::Done {
                written.error = Some(ended.status.into());
                return written;
            }
        }
    }

    fn submit(&mut self) {
        let rest = self.rest.split_off(self.pipe.largest());
        let data = std::mem::replace(&mut self.rest, rest);
        let kind = TransferKind::Out {
            data,
            zero_packet: self.zero_packet && self.rest.is_empty(),
        };
        self.flights.push_back(self.pipe.fly(kind, self.until));
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        // The latest first: to take back one lets those behind it go on.
        while self.flights.pop_back().is_some() {}
    }
}
