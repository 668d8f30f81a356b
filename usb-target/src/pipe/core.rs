//! What all handles of a pipe share: its endpoint, its policies, what was read and not taken, and whose turn it is.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio::sync::{Semaphore, SemaphorePermit};
use usbwright_protocol::{
    Direction, EndpointAddress, Payload, Setup, Speed, Status, TransferKind, TransferType,
    descriptor::EndpointDescriptor, request,
};

use super::{Kept, PipePolicy};
use crate::{
    completion::{Completion, TransferError},
    engine::{Engine, Flight, Parked},
};

/// The feature selector of an endpoint's halt (USB 2.0 table 9-6).
const ENDPOINT_HALT: u16 = 0;
/// Reads, or writes, that may be on their way at once.
const TURNS: u32 = 1 << 20;
/// The most bytes in a transfer at high speed and above: 2 MiB.
const LARGEST_HIGH: usize = 2 << 20;
/// The most bytes in a transfer at full and low speed: 256 KiB.
const LARGEST_FULL: usize = 256 << 10;

/// A pipe, as all of its handles share it.
#[derive(Debug)]
pub(crate) struct PipeCore {
    pub(crate) engine: Arc<Engine>,
    pub(crate) endpoint: EndpointDescriptor,
    pub(crate) interval: u32,
    policy: Mutex<PipePolicy>,
    /// Whether that differs from the default: most pipes' never does.
    has_policy: AtomicBool,
    pub(crate) kept: Arc<Kept>,
    /// Reads, or writes, that have not begun stand in it.
    line: tokio::sync::Mutex<()>,
    /// Those that have begun and not ended hold a permit each.
    begun: Semaphore,
    largest: usize,
    stale: AtomicBool,
    /// How often everything outstanding was taken back.
    aborts: AtomicU64,
    /// How often a failed read has had the halt cleared.
    clears: AtomicU64,
    clearing: tokio::sync::Mutex<()>,
    /// A continuous reader has reads pending.
    pub(crate) reading: AtomicBool,
    /// There is a continuous reader.
    pub(crate) has_reader: AtomicBool,
}

impl PipeCore {
    pub(crate) fn new(engine: &Arc<Engine>, endpoint: &EndpointDescriptor, speed: Speed) -> Self {
        let packet = usize::from(endpoint.max_packet_size).max(1);
        let largest = match speed {
            Speed::Low | Speed::Full => LARGEST_FULL,
            _ => LARGEST_HIGH,
        };
        Self {
            engine: Arc::clone(engine),
            endpoint: endpoint.clone(),
            interval: endpoint.service_interval(speed),
            policy: Mutex::default(),
            has_policy: AtomicBool::new(false),
            kept: Arc::new(Kept::new(packet)),
            line: tokio::sync::Mutex::default(),
            begun: Semaphore::new(TURNS as usize),
            largest: (largest / packet).max(1) * packet,
            stale: AtomicBool::new(false),
            aborts: AtomicU64::new(0),
            clears: AtomicU64::new(0),
            clearing: tokio::sync::Mutex::default(),
            reading: AtomicBool::new(false),
            has_reader: AtomicBool::new(false),
        }
    }

    pub(crate) fn address(&self) -> EndpointAddress {
        self.endpoint.address
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Keeps data for the next read; `ends` tells whether a short packet ended it.
    pub(crate) fn keep(&self, data: Payload, ends: bool) {
        self.kept.push(data, ends);
    }

    /// Takes a transfer back, as nobody waits for it; what it brings is kept for the next read.
    pub(crate) fn abandon(&self, transfer: &mut Parked) {
        transfer.abandon(&self.engine, Some(&self.kept));
    }

    pub(crate) fn policy(&self) -> PipePolicy {
        match self.has_policy.load(Ordering::Acquire) {
            true => *self.policy.lock().unwrap_or_else(PoisonError::into_inner),
            false => PipePolicy::DEFAULT,
        }
    }

    pub(crate) fn change_policy<T>(&self, change: impl FnOnce(&mut PipePolicy) -> T) -> T {
        let mut policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut policy);
        let differs = *policy != PipePolicy::DEFAULT;
        self.has_policy.store(differs, Ordering::Release);
        changed
    }

    /// The most bytes in one transfer, a multiple of the packet size.
    pub(crate) fn largest(&self) -> usize {
        self.largest
    }

    pub(crate) fn packet(&self) -> usize {
        usize::from(self.endpoint.max_packet_size).max(1)
    }

    /// The pipe is in force no more.
    pub(crate) fn retire(&self) {
        self.stale.store(true, Ordering::Release);
        self.take_back();
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// What is wrong with a transfer of bytes this way.
    pub(crate) fn refuse_bytes(&self, way: Direction) -> Result<(), TransferError> {
        match self.endpoint.transfer_type {
            TransferType::Bulk | TransferType::Interrupt => self.refuse(way),
            is => Err(TransferError::Type {
                address: self.address(),
                is,
            }),
        }
    }

    /// What is wrong with a transfer of packets this way.
    pub(crate) fn refuse_packets(&self, way: Direction) -> Result<(), TransferError> {
        match self.endpoint.transfer_type {
            TransferType::Isochronous => self.refuse(way),
            is => Err(TransferError::Type {
                address: self.address(),
                is,
            }),
        }
    }

    fn refuse(&self, way: Direction) -> Result<(), TransferError> {
        let address = self.address();
        if self.is_stale() {
            return Err(TransferError::Stale(address));
        }
        if address.direction() != way {
            return Err(TransferError::Direction {
                address,
                wanted: way,
            });
        }
        Ok(())
    }

    /// The next turn, in the order in which they were asked for. Those behind wait until it is
    /// [passed on](Turn::pass_on).
    ///
    /// # Errors
    /// Where everything outstanding was taken back meanwhile.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>, TransferError> {
        let aborts = self.aborts.load(Ordering::Acquire);
        let front = match self.line.try_lock() {
            Ok(front) => front,
            Err(_) => self.line.lock().await,
        };
        let permit = match self.begun.try_acquire() {
            Ok(permit) => permit,
            Err(_) => self.permits(1).await,
        };
        let turn = Turn {
            pipe: self,
            aborts,
            front: Some(front),
            _permit: permit,
        };
        turn.check().map(|()| turn)
    }

    async fn permits(&self, count: u32) -> SemaphorePermit<'_> {
        let permits = self.begun.acquire_many(count).await;
        permits.expect("the semaphore is never closed")
    }

    /// Until when a transfer may last that begins now.
    pub(crate) fn until(&self, policy: &PipePolicy) -> Option<Instant> {
        self.engine.after(policy.transfer_timeout)
    }

    /// A transfer on the bus.
    pub(crate) fn fly(&self, kind: TransferKind, until: Option<Instant>) -> Flight<'_> {
        Flight::new(&self.engine, Some(&self.kept), self.address(), kind, until)
    }

    /// Clears the endpoint's halt on both sides, once what is outstanding has been taken back.
    pub(crate) async fn reset(&self) -> Completion {
        if self.is_stale() {
            return Completion::failed(TransferError::Stale(self.address()));
        }
        self.abort().await;
        self.clear_halt().await
    }

    /// Takes back what is outstanding, and waits until it has ended.
    pub(crate) async fn abort(&self) {
        self.take_back();
        self.engine.idle(self.address()).await;
    }

    fn take_back(&self) {
        self.aborts.fetch_add(1, Ordering::AcqRel);
        self.engine.cancel_all(self.address());
    }

    /// Clears the endpoint's halt on both sides.
    pub(crate) async fn clear_halt(&self) -> Completion {
        let setup = Setup {
            request_type: 0x02,
            request: request::CLEAR_FEATURE,
            value: ENDPOINT_HALT,
            index: self.address().byte().into(),
            length: 0,
        };
        crate::control::transfer(&self.engine, setup, bytes::Bytes::new()).await
    }

    /// How often failed reads have had the halt cleared.
    pub(crate) fn clears(&self) -> u64 {
        self.clears.load(Ordering::Acquire)
    }

    /// Clears the halt after a failed read, but for where that has been done since the read began: many may fail at once.
    pub(crate) async fn clear_halt_since(&self, clears: u64) {
        let _one = self.clearing.lock().await;
        if self.clears() == clears {
            // If that fails, the next read tells so.
            let _ = self.clear_halt().await;
            self.clears.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whether a failed read has the halt cleared, by the pipe's policy.
    pub(crate) fn is_to_clear(policy: &PipePolicy, error: Option<&TransferError>) -> bool {
        let harmless = [
            Some(Status::Cancelled),
            Some(Status::TimedOut),
            Some(Status::Disconnected),
            None,
        ];
        policy.auto_clear_stall && !harmless.contains(&error.and_then(TransferError::status))
    }
}

/// A turn to use a pipe, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pipe: &'a PipeCore,
    aborts: u64,
    /// Keeps those behind from beginning.
    front: Option<tokio::sync::MutexGuard<'a, ()>>,
    /// Tells those behind that it has not ended.
    _permit: SemaphorePermit<'a>,
}

impl Turn<'_> {
    /// Lets those behind begin as well, as everything is on its way that is to come before theirs.
    pub(crate) fn pass_on(&mut self) {
        self.front = None;
    }

    /// Waits until those before it have ended. It is not to be passed on then.
    ///
    /// # Errors
    /// Where everything outstanding was taken back meanwhile.
    pub(crate) async fn alone(&self) -> Result<(), TransferError> {
        drop(self.pipe.permits(TURNS - 1).await);
        self.check()
    }

    /// Whether the turn is still good: everything outstanding is taken back at times, and so is what has not begun yet.
    pub(crate) fn check(&self) -> Result<(), TransferError> {
        match self.pipe.aborts.load(Ordering::Acquire) == self.aborts {
            true => Ok(()),
            false => Err(Status::Cancelled.into()),
        }
    }
}
