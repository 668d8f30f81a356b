//! Changes of stacks that somebody has asked for, and who is told how they end.

use std::sync::mpsc;

use serde::{Deserialize, Serialize};
use usbwright_host_control::{Change, Changed, ToHost};

use super::engine::Engine;
use crate::{
    policy::{DeviceKey, HostKey, Stage},
    record::EventKind,
};

/// How the change of a device's stack has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChangeOutcome {
    /// The device's name.
    pub device: String,
    /// Why its stack is not as it was to be, for people.
    pub error: Option<String>,
}

/// Whoever is told how changes end: each device once, until nothing more comes.
pub(super) type Asker = mpsc::Sender<ChangeOutcome>;

impl Engine {
    /// Asks the host of a device, or without a name those of all whose stacks run, for a change.
    pub(super) fn change(&mut self, name: Option<&str>, change: Change, asker: &Asker) {
        let is_meant = |key: &DeviceKey, it: &str| match name {
            Some(name) => it == name,
            None => self.policy.stage(*key) == Some(Stage::Running),
        };
        let all = self.devices.iter();
        let meant = all.filter(|(key, it)| is_meant(key, &it.name));
        let meant: Vec<DeviceKey> = meant.map(|(key, _)| *key).collect();
        if let (true, Some(name)) = (meant.is_empty(), name) {
            let error = "there is no such device: `usbwright stack list` tells what there is";
            return answer(asker, name, Some(error.to_owned()));
        }
        let now = self.now();
        for device in meant {
            match self.policy.change(device, change, now) {
                Ok(()) => _ = self.changes.insert(device, asker.clone()),
                Err(error) => answer(asker, self.name(device), Some(error.to_string())),
            }
        }
    }

    /// Asks a host for a change.
    pub(super) fn ask_change(&mut self, host: HostKey, device: DeviceKey, change: Change) {
        let event = self.event(EventKind::OperationBegun, host, device);
        self.tell(event.detail(change.to_string()));
        let what = format!("{change} {}", self.name(device));
        let stack = device.0;
        self.send(host, &ToHost::Change { stack, change }, what);
    }

    /// A host has answered, and was asked.
    pub(super) fn changed(&mut self, host: HostKey, device: DeviceKey, changed: Changed) {
        let event = self.event(EventKind::OperationEnded, host, device);
        self.tell(event.detail(changed.error.clone().unwrap_or_default()));
        self.end_change(device, changed.error);
    }

    /// The change of a device, if there is one, has ended.
    pub(super) fn end_change(&mut self, device: DeviceKey, error: Option<String>) {
        if let Some(asker) = self.changes.remove(&device) {
            answer(&asker, self.name(device), error);
        }
    }
}

fn answer(asker: &Asker, device: &str, error: Option<String>) {
    let device = device.to_owned();
    // Whoever has asked may have gone.
    let _ = asker.send(ChangeOutcome { device, error });
}
