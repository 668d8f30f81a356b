//! What a session counts, where somebody wants to know.
//!
//! The clock is read twice for a run of commands, however many there are. How long a transfer took is told from when its command was
//! taken up until its reply is ready to be written, with those of the same run.

use std::{sync::Arc, time::Instant};

use usbwright_protocol::{
    Completion, EndpointAddress, Now, Status, TransferType, usbip::urb::Submit,
};

use crate::counters::{DeviceCounters, EndpointCounters};

/// Endpoints, of both directions.
const ENDPOINTS: usize = 32;

/// Where the counters of a transfer's endpoint are in a [`Meter`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place(u8);

impl Place {
    fn index(self) -> usize {
        usize::from(self.0) % ENDPOINTS
    }
}

/// The counting of a session.
#[derive(Debug)]
pub(super) struct Meter {
    device: Arc<DeviceCounters>,
    endpoints: [Seen; ENDPOINTS],
    /// When the first command of this run was taken up.
    since: Option<Instant>,
    /// Endpoints of which something is not counted yet, a bit for each place.
    touched: u32,
    /// Transfers that had waited and have ended in this run: their places, and when they were taken up.
    waited: Vec<(Place, Instant)>,
    /// The last request that sets a configuration, by its number.
    setting: Option<(u32, u8)>,
}

/// An endpoint, in one direction, as this session sees it.
#[derive(Debug, Default)]
struct Seen {
    counters: Option<Arc<EndpointCounters>>,
    transfer_type: Option<TransferType>,
    /// Transfers that wait for the device.
    pending: u32,
    /// Transfers that were taken up and have ended in this run.
    at_once: u32,
    /// Bytes of those that have ended in this run.
    bytes: u64,
}

impl Meter {
    pub(super) fn new(device: Arc<DeviceCounters>) -> Self {
        device.session_begins();
        Self {
            device,
            endpoints: Default::default(),
            since: None,
            touched: 0,
            waited: Vec::new(),
            setting: None,
        }
    }

    /// A transfer is taken up, for that endpoint.
    #[inline]
    pub(super) fn takes_up(
        &mut self,
        submit: &Submit,
        endpoint: EndpointAddress,
        transfer_type: Option<TransferType>,
        now: Now,
    ) -> Place {
        if self.since.is_none() {
            self.since = Some(now.instant());
        }
        let address = match endpoint.is_control() {
            true => self.note_request(submit),
            false => endpoint,
        };
        let seen = &self.endpoints[address.index() % ENDPOINTS];
        if seen.counters.is_none() || seen.transfer_type != transfer_type {
            self.look_up(address, transfer_type, now);
        }
        Place(address.index() as u8)
    }

    /// Notes a request that sets a configuration; gives endpoint zero's address in the request's direction.
    fn note_request(&mut self, submit: &Submit) -> EndpointAddress {
        let setup = submit.setup();
        if let Some(value) = setup.sets_configuration() {
            self.setting = Some((submit.sequence, value));
        }
        EndpointAddress::new(0, setup.direction())
    }

    /// The endpoint is new to this session, or it has another type now.
    #[cold]
    fn look_up(&mut self, address: EndpointAddress, transfer_type: Option<TransferType>, now: Now) {
        let seen = &mut self.endpoints[address.index()];
        if let Some(before) = &seen.counters {
            before.pending(0);
            let since = self.since.unwrap_or_else(|| now.instant());
            let took = now.instant().saturating_duration_since(since);
            before.took(took, std::mem::take(&mut seen.at_once));
            before.moved(std::mem::take(&mut seen.bytes));
        }
        seen.transfer_type = transfer_type;
        seen.counters = Some(self.device.endpoint(address, transfer_type));
    }

    /// A transfer that was taken up waits for the device; gives when that was.
    pub(super) fn waits(&mut self, place: Place) -> Option<Instant> {
        let seen = &mut self.endpoints[place.index()];
        seen.pending += 1;
        self.touched |= 1 << place.0;
        self.since
    }

    /// A transfer has ended: in the run in which it was taken up, unless it says that it had waited.
    #[inline]
    pub(super) fn ends(
        &mut self,
        sequence: u32,
        place: Place,
        waited: Option<Instant>,
        completion: &Completion,
    ) {
        self.touched |= 1 << place.0;
        let seen = &mut self.endpoints[place.index()];
        seen.bytes += u64::from(completion.actual_length);
        if let Some(since) = waited {
            seen.pending -= 1;
            self.waited.push((place, since));
        } else {
            seen.at_once += 1;
        }
        let plain = completion.status == Status::Done && completion.iso.is_none();
        if !plain || self.setting.is_some() {
            self.note_end(sequence, place, completion);
        }
    }

    /// Counts what few transfers have: an end that is not well, packets, and a configuration that they set.
    fn note_end(&mut self, sequence: u32, place: Place, completion: &Completion) {
        if let Some(counters) = &self.endpoints[place.index()].counters {
            counters.ended(completion.status);
            if let Some(iso) = &completion.iso {
                counters.packets_ended(iso.packets.len(), iso.error_count);
            }
        }
        if let Some((number, value)) = self.setting
            && number == sequence
        {
            self.setting = None;
            if completion.status == Status::Done {
                self.device.set_configuration(value);
            }
        }
    }

    /// The client has reset the device.
    pub(super) fn resets(&mut self) {
        self.setting = None;
        self.device.set_configuration(0);
    }

    /// A run of commands is over: counts how long the transfers took that have ended in it.
    #[inline]
    pub(super) fn settle(&mut self, now: Now) {
        if self.touched != 0 {
            self.count(now.instant());
        }
        self.since = None;
    }

    fn count(&mut self, now: Instant) {
        for (place, since) in self.waited.drain(..) {
            if let Some(counters) = &self.endpoints[place.index()].counters {
                counters.took(now.saturating_duration_since(since), 1);
            }
        }
        let since = self.since.unwrap_or(now);
        while self.touched != 0 {
            let place = Place(self.touched.trailing_zeros() as u8);
            let seen = &mut self.endpoints[place.index()];
            self.touched &= self.touched - 1;
            let Some(counters) = &seen.counters else {
                continue;
            };
            if seen.at_once > 0 {
                counters.took(now.saturating_duration_since(since), seen.at_once);
                seen.at_once = 0;
            }
            counters.moved(std::mem::take(&mut seen.bytes));
            counters.pending(seen.pending);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        for seen in self.endpoints.iter().filter_map(|it| it.counters.as_ref()) {
            seen.pending(0);
        }
        self.device.set_configuration(0);
    }
}

#[cfg(test)]
mod tests;
