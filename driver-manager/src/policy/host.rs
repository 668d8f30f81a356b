//! A host: the devices in it, and what it has a deadline for.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{DeviceKey, Pool};
use crate::record::{DetectedBy, Operation, Problem};

/// A host process. One that is started again has another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKey(pub u64);

/// What a host does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostStage {
    /// It has been started, and has not told what it is.
    Starting,
    /// It can be used.
    Ready,
    /// It has been asked to end.
    Ending,
    /// It has been killed.
    Killed,
}

/// Something that has a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationId {
    /// The host's start.
    Init,
    /// A stack is built.
    Build(DeviceKey),
    /// A stack is taken down.
    TearDown(DeviceKey),
    /// A stack's state changes.
    Change(DeviceKey),
    /// The host's end.
    Shutdown,
    /// What has been begun otherwise, under a number.
    Numbered(DeviceKey, u64),
}

impl OperationId {
    /// The device that it is about.
    pub fn device(self) -> Option<DeviceKey> {
        match self {
            Self::Init | Self::Shutdown => None,
            Self::Build(device)
            | Self::TearDown(device)
            | Self::Change(device)
            | Self::Numbered(device, _) => Some(device),
        }
    }
}

/// What is wrong with a host that has to be killed, or has died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it is.
    pub problem: Problem,
    /// Who has seen it.
    pub detected_by: DetectedBy,
    /// What the host was about.
    pub operation: Operation,
    /// The device whose drivers have caused it, where that is known.
    pub device: Option<DeviceKey>,
    /// More about it, for people.
    pub detail: String,
}

impl Fault {
    /// A problem that the driver manager has seen, of which no more is known.
    pub fn new(problem: Problem) -> Self {
        Self {
            problem,
            detected_by: DetectedBy::DriverManager,
            operation: Operation::Other,
            device: None,
            detail: String::new(),
        }
    }
}

/// How many operations of a host may be under way.
pub const MOST_OPERATIONS: usize = 4096;

#[derive(Debug)]
struct Underway {
    operation: Operation,
    allowed: Duration,
    until: Instant,
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) pool: Option<Pool>,
    pub(super) stage: HostStage,
    pub(super) members: Vec<DeviceKey>,
    pub(super) operations: Operations,
    /// Why it was killed.
    pub(super) fault: Option<Fault>,
    has_deadlines: bool,
}

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Operations(BTreeMap<OperationId, Underway>);

impl Operations {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Host {
    pub(super) fn new(pool: Option<Pool>, has_deadlines: bool) -> Self {
        Self {
            pool,
            stage: HostStage::Starting,
            members: Vec::new(),
            operations: Operations::default(),
            fault: None,
            has_deadlines,
        }
    }

    /// Whether devices can come to it.
    pub(super) fn takes_devices(&self) -> bool {
        matches!(self.stage, HostStage::Starting | HostStage::Ready)
    }

    /// Whether it can be asked for something.
    pub(super) fn is_ready(&self) -> bool {
        self.stage == HostStage::Ready
    }

    /// Whether this is under way.
    pub(super) fn is_about(&self, id: OperationId) -> bool {
        self.operations.0.contains_key(&id)
    }

    /// Begins an operation, if there is room for it.
    pub(super) fn begin(
        &mut self,
        id: OperationId,
        operation: Operation,
        allowed: Duration,
        now: Instant,
    ) -> bool {
        if self.stage == HostStage::Killed {
            return true;
        }
        if self.operations.0.len() >= MOST_OPERATIONS {
            return false;
        }
        let underway = Underway {
            operation,
            allowed,
            until: now + allowed,
        };
        self.operations.0.insert(id, underway);
        true
    }

    /// Ends an operation, and tells whether it was under way.
    pub(super) fn end(&mut self, id: OperationId) -> bool {
        self.operations.0.remove(&id).is_some()
    }

    /// A device's operations may take their time anew.
    pub(super) fn extend(&mut self, device: DeviceKey, now: Instant) {
        for (id, underway) in &mut self.operations.0 {
            if id.device() == Some(device) {
                underway.until = now + underway.allowed;
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let all = self.operations.0.values().filter(|_| self.has_deadlines);
        all.map(|it| it.until).min()
    }

    /// The operation that has been late the longest, if one is late.
    pub(super) fn late(&self, now: Instant) -> Option<(OperationId, Operation)> {
        let all = self.operations.0.iter().filter(|_| self.has_deadlines);
        let late = all.filter(|it| it.1.until <= now);
        let (id, underway) = late.min_by_key(|it| it.1.until)?;
        Some((*id, underway.operation))
    }

    /// What it is about, where that is one thing only: the device, and the operation.
    pub(super) fn only_operation(&self) -> Option<(Option<DeviceKey>, Operation)> {
        let mut all = self.operations.0.iter();
        let (id, underway) = all.next()?;
        all.next()
            .is_none()
            .then(|| (id.device(), underway.operation))
    }
}
