//! What is counted of a device's transfers, for whoever watches a server.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use usbwright_protocol::{EndpointAddress, Status, TransferType};

/// The upper bounds of the ranges that durations are counted in; what takes longer than the last one has a range of its own.
pub const DURATIONS: [Duration; 13] = [
    Duration::from_micros(10),
    Duration::from_micros(30),
    Duration::from_micros(100),
    Duration::from_micros(300),
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];

/// The same, in nanoseconds.
const BOUNDS: [u64; DURATIONS.len()] = {
    let mut bounds = [0; DURATIONS.len()];
    let mut range = 0;
    while range < bounds.len() {
        bounds[range] = nanoseconds(DURATIONS[range]);
        range += 1;
    }
    bounds
};

/// A duration in nanoseconds; 584 years at the most.
const fn nanoseconds(time: Duration) -> u64 {
    let seconds = time.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(time.subsec_nanos() as u64)
}

/// How many ranges there are.
const RANGES: usize = DURATIONS.len() + 1;

/// What is counted of a device since it was plugged in. Whoever has the device counts, and anybody may read meanwhile.
#[derive(Debug, Default)]
pub struct DeviceCounters {
    endpoints: Mutex<Vec<Arc<EndpointCounters>>>,
    sessions: AtomicU64,
    configuration: AtomicU8,
}

impl DeviceCounters {
    /// How often a client has had the device.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Relaxed)
    }

    /// The configuration that its host has set; 0 where there is none.
    #[doc(alias = "bConfigurationValue")]
    pub fn configuration(&self) -> u8 {
        self.configuration.load(Relaxed)
    }

    /// What was counted of each endpoint that a transfer was sent to, in the order of their addresses.
    pub fn endpoints(&self) -> Vec<EndpointCounts> {
        let mut all: Vec<_> = self.known().iter().map(|it| it.read()).collect();
        all.sort_by_key(|it| {
            (
                it.endpoint.number(),
                it.endpoint,
                it.transfer_type.map(|it| it as u8),
            )
        });
        all
    }

    pub(crate) fn session_begins(&self) {
        self.sessions.fetch_add(1, Relaxed);
        self.configuration.store(0, Relaxed);
    }

    pub(crate) fn set_configuration(&self, value: u8) {
        self.configuration.store(value, Relaxed);
    }

    /// The counters of an endpoint; an address that has another type in another setting is another endpoint.
    pub(crate) fn endpoint(
        &self,
        endpoint: EndpointAddress,
        transfer_type: Option<TransferType>,
    ) -> Arc<EndpointCounters> {
        let mut known = self.known();
        let found = known.iter().find(|it| it.is(endpoint, transfer_type));
        if let Some(found) = found {
            return Arc::clone(found);
        }
        let new = Arc::new(EndpointCounters::new(endpoint, transfer_type));
        known.push(Arc::clone(&new));
        new
    }

    fn known(&self) -> MutexGuard<'_, Vec<Arc<EndpointCounters>>> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counters of an endpoint, in one direction. One thread at a time counts: that of the session that has the device.
#[derive(Debug)]
pub(crate) struct EndpointCounters {
    endpoint: EndpointAddress,
    transfer_type: Option<TransferType>,
    bytes: Count,
    stalls: Count,
    errors: Count,
    cancelled: Count,
    packets: Count,
    packet_errors: Count,
    pending: AtomicU32,
    nanoseconds: Count,
    ranges: [Count; RANGES],
}

/// A number that one thread at a time raises, which needs no locked instruction.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    #[inline]
    fn add(&self, more: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl EndpointCounters {
    fn new(endpoint: EndpointAddress, transfer_type: Option<TransferType>) -> Self {
        Self {
            endpoint,
            transfer_type,
            bytes: Count::default(),
            stalls: Count::default(),
            errors: Count::default(),
            cancelled: Count::default(),
            packets: Count::default(),
            packet_errors: Count::default(),
            pending: AtomicU32::new(0),
            nanoseconds: Count::default(),
            ranges: Default::default(),
        }
    }

    #[inline]
    pub(crate) fn is(
        &self,
        endpoint: EndpointAddress,
        transfer_type: Option<TransferType>,
    ) -> bool {
        self.endpoint == endpoint && self.transfer_type == transfer_type
    }

    /// So many bytes have moved.
    pub(crate) fn moved(&self, bytes: u64) {
        self.bytes.add(bytes);
    }

    /// A transfer has ended so; that it has is counted by [`took`](Self::took).
    pub(crate) fn ended(&self, status: Status) {
        match status {
            Status::Done => {}
            Status::Stalled => self.stalls.add(1),
            Status::Cancelled => self.cancelled.add(1),
            _ => self.errors.add(1),
        }
    }

    /// Isochronous packets have ended, so many of them in error.
    pub(crate) fn packets_ended(&self, packets: usize, errors: u32) {
        self.packets.add(packets as u64);
        self.packet_errors.add(errors.into());
    }

    /// So many transfers have ended, each after that time.
    pub(crate) fn took(&self, time: Duration, transfers: u32) {
        let nanoseconds = nanoseconds(time);
        let range = BOUNDS.partition_point(|bound| *bound < nanoseconds);
        self.nanoseconds
            .add(nanoseconds.saturating_mul(transfers.into()));
        self.ranges[range].add(transfers.into());
    }

    /// So many transfers wait for the device.
    pub(crate) fn pending(&self, transfers: u32) {
        self.pending.store(transfers, Relaxed);
    }

    fn read(&self) -> EndpointCounts {
        EndpointCounts {
            endpoint: self.endpoint,
            transfer_type: self.transfer_type,
            bytes: self.bytes.read(),
            stalls: self.stalls.read(),
            errors: self.errors.read(),
            cancelled: self.cancelled.read(),
            packets: self.packets.read(),
            packet_errors: self.packet_errors.read(),
            pending: self.pending.load(Relaxed),
            time: Duration::from_nanos(self.nanoseconds.read()),
            durations: std::array::from_fn(|range| self.ranges[range].read()),
        }
    }
}

/// What was counted of an endpoint, in one direction, up to now. Each number is exact; two of them may be those of two moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointCounts {
    /// The endpoint. What goes IN on endpoint zero is told apart from what goes OUT: its address is 0x80.
    pub endpoint: EndpointAddress,
    /// Its type; `None` where the device has no such endpoint.
    pub transfer_type: Option<TransferType>,
    /// Bytes moved, of data stages for control transfers.
    pub bytes: u64,
    /// Transfers that ended because the endpoint is halted, or the request refused.
    pub stalls: u64,
    /// Transfers that ended in any other error.
    pub errors: u64,
    /// Transfers that were taken back.
    #[doc(alias = "unlinked")]
    pub cancelled: u64,
    /// Isochronous packets that have ended.
    pub packets: u64,
    /// How many of them ended in error.
    pub packet_errors: u64,
    /// Transfers that wait for the device, which has nothing to send or no room (NAK).
    pub pending: u32,
    /// How long all transfers together took.
    pub time: Duration,
    /// How many transfers took how long: up to each of [`DURATIONS`] and over the one before, and over the last one.
    pub durations: [u64; RANGES],
}

impl EndpointCounts {
    /// Transfers that have ended, however.
    pub fn transfers(&self) -> u64 {
        self.durations.iter().sum()
    }
}
