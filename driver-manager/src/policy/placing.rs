//! Which host a device is in: it comes to one, and leaves it.

use std::time::Instant;

use super::{Action, DeviceKey, Host, HostKey, HostStage, OperationId, Policy, Removal, Stage};
use crate::record::Operation;

impl Policy {
    /// Finds a host for a device, or starts one.
    pub(super) fn place(&mut self, key: DeviceKey, now: Instant) {
        let Some(device) = self.devices.get_mut(&key) else {
            return;
        };
        device.stage = Stage::Waiting;
        let pool = device.terms.pool.clone().filter(|_| !device.is_alone);
        let fits = |it: &Host| pool.is_some() && it.pool == pool && it.takes_devices();
        let found = self.hosts.iter().find(|(_, host)| fits(host));
        let found = found.map(|(key, host)| (*key, host.stage));
        let host = found.map_or_else(|| HostKey(self.hosts_made + 1), |(host, _)| host);
        device.host = Some(host);
        let allowed = device.terms.deadline;
        let has_deadlines = !self.debug.no_deadlines;
        let made = || Host::new(pool, has_deadlines);
        let joined = self.hosts.entry(host).or_insert_with(made);
        joined.members.push(key);
        match found {
            Some((_, HostStage::Ready)) => self.build(host, key, now),
            Some(_) => {}
            None => {
                joined.begin(OperationId::Init, Operation::Init, allowed, now);
                self.hosts_made = host.0;
                self.actions.push_back(Action::Start { host, device: key });
            }
        }
    }

    /// Has a host build a device's stack.
    pub(super) fn build(&mut self, host: HostKey, key: DeviceKey, now: Instant) {
        let (Some(found), Some(device)) = (self.hosts.get_mut(&host), self.devices.get_mut(&key))
        else {
            return;
        };
        device.stage = Stage::Building;
        let allowed = device.terms.deadline;
        found.begin(OperationId::Build(key), Operation::Pnp, allowed, now);
        self.actions.push_back(Action::Build { host, device: key });
    }

    /// A device goes, in whatever stage it is.
    pub(super) fn take_down(&mut self, key: DeviceKey, removal: Removal, now: Instant) {
        let Some(device) = self.devices.get_mut(&key) else {
            return;
        };
        let host = device.host;
        match (device.stage, host) {
            (Stage::Leaving, _) => {}
            (Stage::Building | Stage::Running, Some(host)) => {
                device.stage = Stage::Leaving;
                let allowed = device.terms.deadline;
                let Some(found) = self.hosts.get_mut(&host) else {
                    return;
                };
                // With a host that was killed it goes anyway.
                if found.stage == HostStage::Killed {
                    return;
                }
                found.end(OperationId::Build(key));
                found.begin(OperationId::TearDown(key), Operation::Pnp, allowed, now);
                self.actions.push_back(Action::TearDown {
                    host,
                    device: key,
                    removal,
                });
            }
            (_, host) => {
                self.devices.remove(&key);
                if let Some(host) = host {
                    self.leave(host, key, now);
                }
            }
        }
    }

    /// A device is in a host no more. A host without devices ends.
    pub(super) fn leave(&mut self, key: HostKey, device: DeviceKey, now: Instant) {
        if let Some(device) = self.devices.get_mut(&device) {
            device.host = None;
        }
        let Some(host) = self.hosts.get_mut(&key) else {
            return;
        };
        host.members.retain(|it| *it != device);
        host.end(OperationId::Change(device));
        if host.members.is_empty() && host.takes_devices() {
            host.stage = HostStage::Ending;
            host.operations.clear();
            let allowed = super::SHUTDOWN;
            host.begin(OperationId::Shutdown, Operation::HostShutdown, allowed, now);
            self.actions.push_back(Action::End { host: key });
        }
    }
}
