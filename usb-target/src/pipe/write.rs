//! Writing bytes, by a pipe's policies.

use std::time::Instant;

use usbwright_protocol::{Direction, Payload, Status, TransferKind};

use super::{
    PipePolicy,
    core::{PipeCore, Turn},
    flights::Flights,
};
use crate::{
    cancel::Cancel,
    completion::{Completion, TransferError},
};

/// Transfers of one write that are on their way at once.
const AHEAD: usize = 4;

impl PipeCore {
    /// Writes all of `data`; with `terminate`, it is followed by a zero-length packet where it fills its last one.
    pub(super) async fn write(
        &self,
        data: Payload,
        terminate: bool,
        mut cancel: Cancel<'_>,
    ) -> Completion {
        if let Err(error) = self.refuse_bytes(Direction::Out) {
            return Completion::failed(error);
        }
        let policy = self.policy();
        let zero_packet = terminate || policy.short_packet_terminate;
        let turn = match cancel.or(self.turn()).await {
            Ok(turn) => turn,
            Err(error) => return self.unless_stale(Completion::failed(error)),
        };
        let written = match data.len() <= self.largest() {
            true => {
                let until = self.until(&policy);
                self.write_once(data, zero_packet, until, turn, cancel)
                    .await
            }
            false => {
                self.write_parts(data, zero_packet, &policy, turn, cancel)
                    .await
            }
        };
        self.unless_stale(written)
    }

    async fn write_once(
        &self,
        data: Payload,
        zero_packet: bool,
        until: Option<Instant>,
        mut turn: Turn<'_>,
        mut cancel: Cancel<'_>,
    ) -> Completion {
        let kind = TransferKind::Out {
            // Without data it is a zero-length packet already.
            zero_packet: zero_packet && !data.is_empty(),
            data,
        };
        let flight = self.fly(kind, until);
        turn.pass_on();
        cancel.end(flight).await.into()
    }

    async fn write_parts(
        &self,
        data: Payload,
        zero_packet: bool,
        policy: &PipePolicy,
        turn: Turn<'_>,
        mut cancel: Cancel<'_>,
    ) -> Completion {
        if let Err(error) = cancel.or(turn.alone()).await {
            return Completion::failed(error);
        }
        let writing = Writing {
            pipe: self,
            turn,
            cancel,
            until: self.until(policy),
            rest: data,
            zero_packet,
            written: 0,
            flights: Flights::default(),
        };
        writing.run().await
    }
}

/// A write of several transfers.
struct Writing<'a, 'c> {
    pipe: &'a PipeCore,
    turn: Turn<'a>,
    cancel: Cancel<'c>,
    until: Option<Instant>,
    rest: Payload,
    zero_packet: bool,
    written: usize,
    flights: Flights<'a>,
}

impl Writing<'_, '_> {
    async fn run(mut self) -> Completion {
        let mut error = None;
        while error.is_none() {
            error = self.fill().err();
            let Some((_, ended)) = self.flights.next(&mut self.cancel).await else {
                break;
            };
            self.written += ended.actual_length as usize;
            if ended.status != Status::Done {
                error = Some(ended.status.into());
            }
        }
        self.flights.cancel();
        while let Some((_, ended)) = self.flights.next(&mut self.cancel).await {
            self.written += ended.actual_length as usize;
        }
        Completion {
            error,
            length: self.written,
            ..Completion::default()
        }
    }

    /// Has as many transfers on their way as there may be.
    fn fill(&mut self) -> Result<(), TransferError> {
        while self.flights.len() < AHEAD && !self.rest.is_empty() {
            self.turn.check()?;
            self.cancel.check()?;
            if self.written > 0 {
                self.pipe.in_time(self.until)?;
            }
            let rest = self.rest.split_off(self.pipe.largest());
            let data = std::mem::replace(&mut self.rest, rest);
            let length = data.len();
            let kind = TransferKind::Out {
                data,
                zero_packet: self.zero_packet && self.rest.is_empty(),
            };
            self.flights.push(length, self.pipe.fly(kind, self.until));
        }
        Ok(())
    }
}
