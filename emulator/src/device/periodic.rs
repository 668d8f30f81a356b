//! The frame clock: isochronous and interrupt transfers move in the (micro)frames that are theirs, whenever the device is asked.
//!
//! An interrupt endpoint has a service opportunity in each (micro)frame that is a multiple of its interval. In each, one
//! transfer moves, and of it no more than a service interval carries. Whoever drives the device may be late: what has been
//! missed is caught up frame by frame, and every transfer has the frame it would have had.

use std::time::Instant;

use usbwright_protocol::{Now, TransferType};

use super::{
    EmulatedDevice, bits,
    endpoint::{Attempt, Endpoint, Pending, PendingKind},
};
use crate::firmware::World;

impl Endpoint {
    /// Queues a periodic transfer. An isochronous one begins where the one before it ends, or with the next service interval;
    /// an interrupt transfer that has none before it waits for the next opportunity.
    pub(super) fn schedule(&mut self, mut pending: Pending, world: &World) {
        let next = world.next_opportunity(self.interval);
        match &mut pending.kind {
            PendingKind::Isochronous(transfer) => {
                let start = self.next_frame.max(next);
                self.next_frame = transfer.take_frames(start, self.interval);
            }
            _ if self.queue.is_empty() => self.next_frame = next,
            _ => {}
        }
        self.queue.push_back(pending);
    }

    /// When the first transfer of a periodic endpoint is to be looked at.
    pub(super) fn due(&self, world: &World) -> Option<Instant> {
        let frame = match &self.queue.front()?.kind {
            PendingKind::Isochronous(transfer) => transfer.end(),
            _ => self.next_frame,
        };
        Some(world.time_of(frame))
    }
}

impl EmulatedDevice {
    pub(super) fn accept_periodic(&mut self, index: usize, pending: Pending) {
        if let Some(endpoint) = &mut self.endpoints[index] {
            endpoint.schedule(pending, &self.world);
            self.running |= (1 << index) & !self.parked;
        }
    }

    /// The earliest time at which a periodic endpoint has something to do, and the endpoint's index.
    pub(super) fn next_periodic(&self) -> Option<(Instant, usize)> {
        bits(self.running)
            .filter_map(|index| Some((self.endpoints[index].as_ref()?.due(&self.world)?, index)))
            .min()
    }

    /// Lets periodic endpoints do what they would have done before `now`, had they been asked in time.
    pub(super) fn catch_up(&mut self, now: Now) {
        if self.running != 0 {
            self.guarded(now, Self::run_periodic);
        }
    }

    /// Runs what has been due on periodic endpoints, in the order of time. The firmware, and other endpoints for which
    /// something happens by it, see the time at which it was due.
    pub(super) fn run_periodic(&mut self) {
        let now = self.world.now();
        while let Some((due, index)) = self.next_periodic().filter(|(due, _)| *due <= now) {
            self.world.turn_to(due);
            if self.run_first(index) {
                self.pump();
            }
        }
        self.world.turn_to(now);
    }

    /// Runs the first transfer of a periodic endpoint, whose time has come, and tells whether anything moved.
    fn run_first(&mut self, index: usize) -> bool {
        let Some(endpoint) = &mut self.endpoints[index] else {
            return false;
        };
        let Some(pending) = endpoint.queue.pop_front() else {
            return false;
        };
        if endpoint.transfer_type == TransferType::Interrupt {
            endpoint.next_frame += endpoint.interval;
        }
        let moved = self.ask(index, pending) != Attempt::Waits { progress: false };
        if !moved {
            self.running &= !(1 << index);
            self.parked |= 1 << index;
        }
        self.settle(index);
        moved
    }

    /// Lets the interrupt endpoints whose firmware was not ready try again, each at its next opportunity.
    pub(super) fn unpark(&mut self) {
        for index in bits(self.parked) {
            if let Some(endpoint) = &mut self.endpoints[index] {
                endpoint.next_frame = self.world.next_opportunity(endpoint.interval);
            }
        }
        self.running |= std::mem::take(&mut self.parked);
    }
}
