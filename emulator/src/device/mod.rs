//! The emulated device: a firmware behind endpoint zero and endpoint queues, seen through a [`Port`].

mod control;
mod endpoint;
mod iso;
mod periodic;
mod pieces;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
    task::Waker,
    time::Instant,
};

use tracing::{debug, error};
use usbwright_protocol::{
    Completion, DeviceSummary, EndpointAddress, Now, Port, Speed, Status, Transfer, TransferId,
    TransferKind, TransferType,
    descriptor::{DescriptorError, Descriptors},
};

use self::{
    control::Request,
    endpoint::{Attempt, Endpoint, Pending, PendingKind},
    iso::IsoTransfer,
    pieces::Rest,
    settings::Settings,
};
use crate::firmware::{Context, Firmware, World};

/// A firmware made into a device. It is driven through its [`Port`].
///
/// The device reads no clock and does no I/O: transfers, cancellations and the time go in; completions and the next
/// deadline come out. The same calls give the same answers wherever it runs.
pub struct EmulatedDevice {
    firmware: Box<dyn Firmware>,
    world: World,
    descriptors: Descriptors,
    settings: Settings,
    /// Control transfers that have not ended, in order.
    control: VecDeque<Request>,
    /// The endpoints of the present settings, by [`EndpointAddress::index`].
    endpoints: [Option<Box<Endpoint>>; 32],
    /// Bulk endpoints with a transfer that waits, a bit for each index.
    waiting: u32,
    /// Periodic endpoints with a transfer that has its time, a bit for each index.
    running: u32,
    /// Interrupt endpoints whose firmware was not ready, a bit for each index: they have no time until something happens.
    parked: u32,
    done: VecDeque<Completion>,
    /// The transfer that the firmware is being asked about; where it panics, this one is in no queue.
    in_hand: Option<TransferId>,
    connected: bool,
}

impl EmulatedDevice {
    /// Plugs a firmware in at `speed`. `now` is when its (micro)frames begin to count.
    ///
    /// # Errors
    /// Where the firmware describes a device that can't be.
    pub fn new(
        firmware: impl Firmware,
        speed: Speed,
        now: Instant,
    ) -> Result<Self, DescriptorError> {
        Self::boxed(Box::new(firmware), speed, now)
    }

    /// As [`new`](Self::new), with a firmware of which only that is known.
    ///
    /// # Errors
    /// Where the firmware describes a device that can't be.
    pub fn boxed(
        firmware: Box<dyn Firmware>,
        speed: Speed,
        now: Instant,
    ) -> Result<Self, DescriptorError> {
        let descriptors = Descriptors::build(speed, |speed| firmware.describe(speed))?;
        Ok(Self {
            firmware,
            world: World::new(speed, now),
            settings: Settings::default(),
            descriptors,
            control: VecDeque::new(),
            endpoints: [const { None }; 32],
            waiting: 0,
            running: 0,
            parked: 0,
            done: VecDeque::new(),
            in_hand: None,
            connected: true,
        })
    }

    /// The device's descriptors at its speed.
    pub fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }

    /// Whether an endpoint of the present settings is halted; `None` where there is no such endpoint.
    pub fn is_halted(&self, endpoint: EndpointAddress) -> Option<bool> {
        self.endpoints[endpoint.index()]
            .as_ref()
            .map(|endpoint| endpoint.halted)
    }

    /// An endpoint's data toggle: `false` where the next packet is DATA0. `None` where there is no such endpoint.
    pub fn toggle(&self, endpoint: EndpointAddress) -> Option<bool> {
        self.endpoints[endpoint.index()]
            .as_ref()
            .map(|endpoint| endpoint.toggle)
    }

    /// Unplugs the device: every transfer ends, now and from now on.
    pub fn unplug(&mut self) {
        self.connected = false;
        self.world.wake_at = None;
        self.end_all(Status::Disconnected);
    }

    /// Runs `action`; where the firmware panics in it, the device is unplugged.
    fn guarded(&mut self, now: Now, action: impl FnOnce(&mut Self)) {
        self.world.advance(now);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| action(&mut *self))) {
            let message = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            error!("the firmware panicked, and its device is unplugged: {message}");
            let in_hand = self.in_hand.take();
            self.done
                .extend(in_hand.map(|id| Completion::empty(id, Status::Disconnected)));
            self.unplug();
        }
    }

    fn accept(&mut self, transfer: Transfer) {
        let Transfer { id, endpoint, kind } = transfer;
        let kind = match kind {
            TransferKind::Control { setup, data, room } => {
                return self.accept_control(Request::new(id, setup, data, room));
            }
            TransferKind::In { length } => PendingKind::In {
                length: length as usize,
            },
            TransferKind::Out { data, zero_packet } => {
                let (data, rest) = Rest::split(data);
                PendingKind::Out {
                    data,
                    rest,
                    zero_packet,
                }
            }
            TransferKind::Isochronous { data, packets } => {
                PendingKind::Isochronous(Box::new(IsoTransfer::new(data, packets)))
            }
        };
        self.accept_on(endpoint, Pending::new(id, kind));
    }

    fn accept_on(&mut self, address: EndpointAddress, mut pending: Pending) {
        let index = address.index();
        let Some(endpoint) = self.endpoints[index]
            .as_mut()
            .filter(|endpoint| endpoint.takes(&pending.kind))
        else {
            debug!(endpoint = %address, "transfer refused: the present settings have no such endpoint for it");
            return self.done.push_back(pending.end(Status::NoEndpoint));
        };
        if endpoint.halted {
            debug!(endpoint = %address, "transfer refused: the endpoint is halted");
            return self.done.push_back(pending.end(Status::Stalled));
        }
        endpoint.align(&mut pending);
        if endpoint.transfer_type != TransferType::Bulk {
            return self.accept_periodic(index, pending);
        }
        if !endpoint.queue.is_empty() {
            endpoint.queue.push_back(pending);
            if endpoint.wanted.is_some_and(|it| it <= endpoint.queue.len()) {
                self.pump();
            }
            return;
        }
        self.waiting |= 1 << index;
        let moved = self.ask(index, pending) != Attempt::Waits { progress: false };
        self.settle(index);
        if moved {
            self.pump();
        }
    }

    /// Asks the firmware about the first transfer of an endpoint, which is out of its queue; it goes back if it waits.
    fn ask(&mut self, index: usize, mut pending: Pending) -> Attempt {
        let Some(endpoint) = &mut self.endpoints[index] else {
            return Attempt::Waits { progress: false };
        };
        self.in_hand = Some(pending.id);
        self.world.queued = endpoint.queue.len() + 1;
        let attempt = endpoint.attempt(&mut pending, &mut *self.firmware, &mut self.world);
        endpoint.wanted = self.world.wanted.take();
        self.in_hand = None;
        match attempt {
            Attempt::Ended(status) => self.finish(index, pending, status),
            Attempt::Waits { .. } => endpoint.queue.push_front(pending),
        }
        attempt
    }

    /// Notes it where nothing waits on an endpoint any more.
    fn settle(&mut self, index: usize) {
        let queue = self.endpoints[index].as_ref().map(|it| &it.queue);
        if queue.is_none_or(VecDeque::is_empty) {
            self.forget(index);
        }
    }

    /// Ends a transfer that was tried; a stall halts its endpoint and ends what is queued behind it.
    fn finish(&mut self, index: usize, pending: Pending, status: Status) {
        let moved = pending.moved;
        self.done.push_back(pending.end(status));
        if status == Status::Done {
            return;
        }
        if let Some(endpoint) = &self.endpoints[index] {
            debug!(endpoint = %endpoint.address, moved, "transfer refused by the firmware: {status:?}");
        }
        if status == Status::Stalled {
            self.halt(index);
        }
    }

    fn halt(&mut self, index: usize) {
        if let Some(endpoint) = &mut self.endpoints[index] {
            debug!(endpoint = %endpoint.address, "endpoint halted");
            endpoint.halted = true;
        }
        self.end_queue(index, Status::Stalled);
    }

    fn end_queue(&mut self, index: usize, status: Status) {
        if let Some(endpoint) = &mut self.endpoints[index] {
            self.done
                .extend(endpoint.queue.drain(..).map(|pending| pending.end(status)));
        }
        self.forget(index);
    }

    /// An endpoint's queue is empty.
    fn forget(&mut self, index: usize) {
        self.waiting &= !(1 << index);
        self.running &= !(1 << index);
        self.parked &= !(1 << index);
    }

    fn end_all(&mut self, status: Status) {
        let control = self.control.drain(..);
        self.done
            .extend(control.map(|request| Completion::empty(request.id, status)));
        for index in 0..self.endpoints.len() {
            self.end_queue(index, status);
        }
    }

    /// Something has happened: asks every endpoint that waits, until none of them moves any more, and interrupt endpoints at
    /// their next opportunity.
    fn pump(&mut self) {
        if self.parked != 0 {
            self.unpark();
        }
        while self.waiting != 0 || !self.control.is_empty() {
            let mut progress = self.serve_control();
            for index in bits(self.waiting) {
                progress |= self.serve(index);
            }
            if !progress {
                return;
            }
        }
    }

    /// Serves an endpoint's queue, and tells whether anything moved.
    fn serve(&mut self, index: usize) -> bool {
        let mut moved = false;
        while let Some(endpoint) = &mut self.endpoints[index]
            && let Some(pending) = endpoint.queue.pop_front()
        {
            match self.ask(index, pending) {
                Attempt::Ended(_) => moved = true,
                Attempt::Waits { progress } => return moved || progress,
            }
        }
        self.waiting &= !(1 << index);
        moved
    }

    fn take_back(&mut self, id: TransferId) {
        if let Some(place) = self.control.iter().position(|request| request.id == id) {
            self.control.remove(place);
            self.done
                .push_back(Completion::empty(id, Status::Cancelled));
            return self.pump();
        }
        for index in bits(self.waiting | self.running | self.parked) {
            let Some(endpoint) = &mut self.endpoints[index] else {
                continue;
            };
            if let Some(place) = endpoint.queue.iter().position(|pending| pending.id == id) {
                let pending = endpoint.queue.remove(place);
                self.done
                    .extend(pending.map(|pending| pending.end(Status::Cancelled)));
                endpoint.give_frames_back();
                self.settle(index);
                return self.pump();
            }
        }
    }

    fn react(&mut self) {
        self.rouse();
        self.run_periodic();
        // Periodic packets are told the time of their frames, which have passed: what they asked for may be due by now.
        self.rouse();
    }

    /// Tells the firmware that its time has come, or that its bell was rung.
    fn rouse(&mut self) {
        let due = self
            .world
            .wake_at
            .is_some_and(|time| time <= self.world.now());
        if due {
            self.world.wake_at = None;
        }
        if due | self.world.bell.take() {
            self.firmware.woken(&mut Context(&mut self.world));
            self.pump();
        }
    }

    fn restart(&mut self) {
        self.end_all(Status::Disconnected);
        self.settings = Settings::default();
        self.world.configuration = None;
        self.world.wake_at = None;
        self.endpoints.fill_with(|| None);
        self.firmware.reset(&mut Context(&mut self.world));
    }
}

impl Port for EmulatedDevice {
    fn summary(&self) -> DeviceSummary {
        self.settings.summary(&self.descriptors)
    }

    fn transfer_type(&self, endpoint: EndpointAddress) -> Option<TransferType> {
        if endpoint.is_control() {
            return Some(TransferType::Control);
        }
        match &self.endpoints[endpoint.index()] {
            Some(endpoint) => Some(endpoint.transfer_type),
            None => settings::type_in_any_setting(&self.descriptors, endpoint),
        }
    }

    fn submit(&mut self, transfer: Transfer, now: Now) {
        self.catch_up(now);
        if self.connected {
            self.guarded(now, |device| device.accept(transfer));
        } else {
            self.done
                .push_back(Completion::empty(transfer.id, Status::Disconnected));
        }
    }

    fn cancel(&mut self, id: TransferId, now: Instant) {
        self.catch_up(now.into());
        self.guarded(now.into(), |device| device.take_back(id));
    }

    fn reset(&mut self, now: Instant) {
        if self.connected {
            self.guarded(now.into(), Self::restart);
        }
    }

    fn poll(&mut self, now: Instant) {
        if self.connected {
            self.guarded(now.into(), Self::react);
        }
    }

    fn completion(&mut self) -> Option<Completion> {
        self.done.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        let periodic = self.next_periodic().map(|(due, _)| due);
        periodic.into_iter().chain(self.world.wake_at).min()
    }

    fn set_waker(&mut self, waker: Waker) {
        self.world.bell.listen(waker);
    }

    fn may_wake(&self) -> bool {
        let wakers = Arc::strong_count(&self.world.bell) - 1;
        // What a waker did before it was dropped is seen by whoever sees that it was dropped.
        fence(Ordering::Acquire);
        wakers > 0
    }

    fn is_connected(&self) -> bool {
        self.connected
    }
}

impl std::fmt::Debug for EmulatedDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmulatedDevice")
            .field("device", self.descriptors.device())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The places of the bits that are set.
fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (mask != 0).then(|| mask.trailing_zeros())?;
        mask &= mask - 1;
        Some(lowest as usize)
    })
}
