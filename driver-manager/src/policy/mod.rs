//! What becomes of devices and their hosts: when one is started, how long it may take, and what follows when it fails. No I/O, and no clock.
//!
//! Whoever runs hosts tells what has happened, with the time, and does each [`Action`] that comes of it, in order:
//!
//! - A device has a host of its own, or shares one with the other devices of its [`Pool`].
//! - A *critical operation* (plug and play, power, cancellation, cleanup and close) has a deadline, which begins anew as its driver makes progress. A host that
//!   misses one is killed.
//! - A host that fails is killed, if it runs still, and its devices start again: those of a pooled host in the pool, and when that fails with the same device again, that device in a host
//!   of its own. There it starts again as often as its package says ([`Terms::restarts`]), and is then [offline](Stage::Offline). Without a failure for
//!   [`Terms::restart_reset`] all that is forgotten, as it is when the device is plugged in anew; but a device that was taken out of the pool does not go back.
//! - A failure counts for the device that has caused it; where nobody can tell which that was, for all devices of the host.
//! - A driver that refuses its device is not asked again: it would say the same.
//!
//! (UMDF: "How UMDF Enforces Time-Outs", "Handling Driver Failures", "Using Device Pooling".)

mod action;
mod changing;
mod device;
mod failure;
mod host;
mod placing;

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

pub use self::{
    action::{Action, Fate, HostFailure, Removal},
    changing::NotChanged,
    device::{DeviceKey, Pool, Stage, Terms},
    host::{Fault, HostKey, HostStage, MOST_OPERATIONS, OperationId},
};
use self::{device::Device, host::Host};
use crate::record::{Operation, Problem};

/// What is left out for whoever looks for a driver's mistakes.
#[doc(alias = "DebugModeFlags")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DebugMode {
    /// A host that has failed is not started again.
    pub no_restarts: bool,
    /// Every device has a host of its own.
    pub no_pooling: bool,
    /// Nothing has a deadline.
    pub no_deadlines: bool,
}

/// How long a host that was killed may take to be gone, when all is to end.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// How long a host that has no devices any more may take to end.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// The state of all devices and hosts.
#[derive(Debug, Default)]
pub struct Policy {
    debug: DebugMode,
    devices: BTreeMap<DeviceKey, Device>,
    hosts: BTreeMap<HostKey, Host>,
    hosts_made: u64,
    actions: VecDeque<Action>,
    ending: Ending,
}

/// Whether all is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ending {
    #[default]
    No,
    /// Hosts that are still there then are killed.
    Orderly(Instant),
    /// Hosts that are still there then are given up.
    Killed(Instant),
    Over,
}

impl Policy {
    /// There is nothing yet.
    pub fn new(debug: DebugMode) -> Self {
        Self {
            debug,
            ..Self::default()
        }
    }

    /// The next thing to be done.
    pub fn action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`tick`](Self::tick) is to be called next, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let ending = match self.ending {
            Ending::Orderly(at) | Ending::Killed(at) => Some(at),
            Ending::No | Ending::Over => None,
        };
        let hosts = self.hosts.values().filter_map(Host::deadline);
        hosts.chain(ending).min()
    }

    /// A device is there, which is not known yet.
    pub fn arrived(&mut self, key: DeviceKey, terms: Terms, now: Instant) {
        if self.ending != Ending::No || self.devices.contains_key(&key) {
            return;
        }
        let device = Device::new(terms, self.debug.no_pooling);
        self.devices.insert(key, device);
        self.place(key, now);
    }

    /// A device has been unplugged.
    pub fn departed(&mut self, key: DeviceKey, now: Instant) {
        self.take_down(key, Removal::Surprise, now);
    }

    /// A host has told what it is, and may be used.
    pub fn ready(&mut self, key: HostKey, now: Instant) {
        let Some(host) = self.hosts.get_mut(&key) else {
            return;
        };
        if host.stage != HostStage::Starting {
            return;
        }
        host.stage = HostStage::Ready;
        host.end(OperationId::Init);
        for device in host.members.clone() {
            self.build(key, device, now);
        }
    }

    /// A host has built a device's stack.
    pub fn built(&mut self, key: HostKey, device: DeviceKey) {
        if let Some(device) = self.answered(key, device, Stage::Building) {
            device.stage = Stage::Running;
        }
    }

    /// A host could not build a device's stack: its drivers, or what they need, refused.
    pub fn refused(&mut self, key: HostKey, device: DeviceKey, now: Instant) {
        if let Some(found) = self.answered(key, device, Stage::Building) {
            found.stage = Stage::Refused;
            self.leave(key, device, now);
        }
    }

    /// A host has taken a device's stack down.
    pub fn torn_down(&mut self, key: HostKey, device: DeviceKey, now: Instant) {
        if self.answered(key, device, Stage::Leaving).is_some() {
            self.devices.remove(&device);
            self.leave(key, device, now);
        }
    }

    /// What a host was asked for has ended, if it was asked for that: the device is in the stage `asked`.
    fn answered(&mut self, key: HostKey, device: DeviceKey, asked: Stage) -> Option<&mut Device> {
        let host = self.hosts.get_mut(&key)?;
        let found = self.devices.get_mut(&device)?;
        if found.host != Some(key) || found.stage != asked {
            return None;
        }
        host.end(match asked {
            Stage::Leaving => OperationId::TearDown(device),
            _ => OperationId::Build(device),
        });
        Some(found)
    }

    /// A host has begun a critical operation by itself, or one was begun in it; tells whether there is room for it.
    #[must_use]
    pub fn begun(
        &mut self,
        key: HostKey,
        device: DeviceKey,
        (number, operation): (u64, Operation),
        now: Instant,
    ) -> bool {
        let (Some(host), Some(found)) = (self.hosts.get_mut(&key), self.devices.get(&device))
        else {
            return true;
        };
        let allowed = found.terms.deadline;
        let id = OperationId::Numbered(device, number);
        found.host != Some(key) || host.begin(id, operation, allowed, now)
    }

    /// That has ended.
    pub fn ended(&mut self, key: HostKey, device: DeviceKey, number: u64) {
        if let Some(host) = self.hosts.get_mut(&key) {
            host.end(OperationId::Numbered(device, number));
        }
    }

    /// A device's driver has made progress: whatever it is about may take its time anew.
    pub fn progressed(&mut self, key: HostKey, device: DeviceKey, now: Instant) {
        if let Some(host) = self.hosts.get_mut(&key) {
            host.extend(device, now);
        }
    }

    /// Something is wrong with a host: it is killed, and what follows is told when it [is gone](Self::gone).
    pub fn fault(&mut self, key: HostKey, fault: Fault) {
        let Some(host) = self.hosts.get_mut(&key) else {
            return;
        };
        if host.stage == HostStage::Killed {
            return;
        }
        host.fault = Some(fault);
        host.stage = HostStage::Killed;
        host.operations.clear();
        self.actions.push_back(Action::Kill { host: key });
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        self.kill_late(now);
        match self.ending {
            Ending::Orderly(at) if at <= now => {
                for host in self.hosts.keys().copied().collect::<Vec<_>>() {
                    let operation = Operation::HostShutdown;
                    let fault = Fault::new(Problem::HostTimeout);
                    self.fault(host, Fault { operation, ..fault });
                }
                self.ending = Ending::Killed(now + LAST_WAIT);
            }
            Ending::Killed(at) if at <= now => self.finish(),
            _ => {}
        }
    }

    fn kill_late(&mut self, now: Instant) {
        let late = self.hosts.iter().filter_map(|(key, host)| {
            let (id, operation) = host.late(now)?;
            let fault = Fault {
                device: id.device(),
                operation,
                ..Fault::new(Problem::HostTimeout)
            };
            Some((*key, fault))
        });
        for (host, fault) in late.collect::<Vec<_>>() {
            self.fault(host, fault);
        }
    }

    /// All is to end: stacks are taken down, and hosts asked to end. Those that are still there after `grace` are killed. [`Action::Finished`] comes when
    /// none is left.
    pub fn end(&mut self, grace: Duration, now: Instant) {
        if self.ending != Ending::No {
            return;
        }
        self.ending = Ending::Orderly(now + grace);
        for key in self.devices.keys().copied().collect::<Vec<_>>() {
            self.take_down(key, Removal::Orderly, now);
        }
        self.finish_if_done();
    }

    fn finish_if_done(&mut self) {
        if self.ending != Ending::No && self.hosts.is_empty() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if self.ending != Ending::Over {
            self.ending = Ending::Over;
            let left = self.hosts.keys().copied().collect();
            self.actions.push_back(Action::Finished { left });
        }
    }

    /// The devices that are known.
    pub fn devices(&self) -> impl Iterator<Item = DeviceKey> {
        self.devices.keys().copied()
    }

    /// What a device does at present, where it is known.
    pub fn stage(&self, key: DeviceKey) -> Option<Stage> {
        self.devices.get(&key).map(|it| it.stage)
    }

    /// A device's host.
    pub fn host_of(&self, key: DeviceKey) -> Option<HostKey> {
        self.devices.get(&key)?.host
    }

    /// How often a device can be started again, after failures, before it is offline.
    pub fn restarts_left(&self, key: DeviceKey) -> Option<u32> {
        self.devices.get(&key).map(Device::restarts_left)
    }

    /// The hosts that there are: what each does at present, and the devices in it.
    pub fn hosts(&self) -> impl Iterator<Item = (HostKey, HostStage, &[DeviceKey])> {
        let hosts = self.hosts.iter();
        hosts.map(|(key, host)| (*key, host.stage, &host.members[..]))
    }

    /// What a host does at present, where it is known.
    pub fn stage_of(&self, key: HostKey) -> Option<HostStage> {
        self.hosts.get(&key).map(|it| it.stage)
    }

    /// Whether a host is one of a pool.
    pub fn is_pooled(&self, key: HostKey) -> bool {
        self.hosts.get(&key).is_some_and(|it| it.pool.is_some())
    }
}
