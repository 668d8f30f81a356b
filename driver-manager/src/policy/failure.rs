//! What follows when a host is gone.

use std::time::Instant;

use super::{Action, DeviceKey, Fate, Fault, Host, HostFailure, HostKey, HostStage, Policy, Stage};
use crate::record::Problem;

impl Policy {
    /// A host is gone: it has ended, was killed, or could not be started. `why` is told of it where nothing else was wrong before; without one it has ended well, as one does
    /// that was asked to. Otherwise its devices start again, if they may.
    pub fn gone(&mut self, key: HostKey, why: Option<Fault>, now: Instant) {
        let Some(host) = self.hosts.remove(&key) else {
            return;
        };
        if host.stage == HostStage::Ending && why.is_none() {
            return self.finish_if_done();
        }
        let fault = host.fault.clone().unwrap_or_else(|| blame(&host, why));
        let fates: Vec<(DeviceKey, Fate)> = host
            .members
            .iter()
            .map(|device| (*device, self.fate(*device, &host, &fault, now)))
            .collect();
        self.actions.push_back(Action::Failed(HostFailure {
            host: key,
            problem: fault.problem,
            detected_by: fault.detected_by,
            operation: fault.operation,
            detail: fault.detail,
            cause: fault.device,
            fates: fates.clone(),
        }));
        for (device, fate) in fates {
            self.follow(device, fate, now);
        }
        self.finish_if_done();
    }

    /// What becomes of a device of a host that has failed.
    fn fate(&mut self, key: DeviceKey, host: &Host, fault: &Fault, now: Instant) -> Fate {
        let Some(device) = self.devices.get_mut(&key) else {
            return Fate::Gone;
        };
        if device.stage == Stage::Leaving || self.ending != super::Ending::No {
            return Fate::Gone;
        }
        let counts = fault.device.is_none_or(|it| it == key);
        let fate = match host.pool {
            Some(_) => device.failed_in_pool(counts, now),
            None => device.failed_alone(now),
        };
        match self.debug.no_restarts {
            true => Fate::Offline,
            false => fate,
        }
    }

    fn follow(&mut self, key: DeviceKey, fate: Fate, now: Instant) {
        match fate {
            Fate::Pooled { .. } | Fate::Alone { .. } => self.place(key, now),
            Fate::Offline => {
                if let Some(device) = self.devices.get_mut(&key) {
                    device.stage = Stage::Offline;
                    device.host = None;
                }
            }
            Fate::Gone => {
                self.devices.remove(&key);
            }
        }
    }
}

/// Where a host has died of itself: if it was about one thing only, that has caused it.
fn blame(host: &Host, why: Option<Fault>) -> Fault {
    let why = why.unwrap_or_else(|| Fault {
        detail: "it ended, and nobody had asked it to".to_owned(),
        ..Fault::new(Problem::HostFailure)
    });
    match host.only_operation() {
        Some((device, operation)) if why.device.is_none() => Fault {
            device,
            operation,
            ..why
        },
        _ => why,
    }
}
