//! Changes of a stack's state: the system sleeps and wakes, or a device is stopped for a while.

use std::time::Instant;

use usbwright_host_control::{Change, OperationKind};

use super::{Action, DeviceKey, HostKey, OperationId, Policy, Stage};
use crate::record::Operation;

/// Why a stack is not asked to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// It is not there.
    #[error("it has no stack that runs")]
    NotRunning,
    /// It has been asked for something, and has not answered yet.
    #[error("its stack is being changed already")]
    Underway,
    /// Its host has too many operations under way.
    #[error("its host has too much to do")]
    Busy,
}

impl Policy {
    /// A device's stack is to be changed. That is a critical operation, which ends as the host [answers](Self::changed).
    ///
    /// # Errors
    /// Where there is none that runs, or it is being changed.
    pub fn change(
        &mut self,
        key: DeviceKey,
        change: Change,
        now: Instant,
    ) -> Result<(), NotChanged> {
        let device = self.devices.get(&key);
        let device = device.filter(|it| it.stage == Stage::Running);
        let device = device.ok_or(NotChanged::NotRunning)?;
        let host = device.host.ok_or(NotChanged::NotRunning)?;
        let found = self.hosts.get_mut(&host).ok_or(NotChanged::NotRunning)?;
        let id = OperationId::Change(key);
        if !found.is_ready() {
            return Err(NotChanged::NotRunning);
        }
        if found.is_about(id) {
            return Err(NotChanged::Underway);
        }
        let operation = match change.operation() {
            OperationKind::Power => Operation::Power,
            _ => Operation::Pnp,
        };
        if !found.begin(id, operation, device.terms.deadline, now) {
            return Err(NotChanged::Busy);
        }
        self.actions.push_back(Action::Change {
            host,
            device: key,
            change,
        });
        Ok(())
    }

    /// A host has answered that; tells whether it was asked for it.
    #[must_use]
    pub fn changed(&mut self, key: HostKey, device: DeviceKey) -> bool {
        let host = self.hosts.get_mut(&key);
        host.is_some_and(|it| it.end(OperationId::Change(device)))
    }
}
