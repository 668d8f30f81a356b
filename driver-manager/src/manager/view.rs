//! What there is at present, for whoever looks at it.

use serde::{Deserialize, Serialize};
use usbwright_host_control::Holds;

use super::engine::Engine;
use crate::policy::{DeviceKey, HostKey, HostStage};

/// The devices and the hosts of a manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct View {
    /// The devices, in the order in which they came.
    pub devices: Vec<DeviceView>,
    /// The hosts, in the order in which they were started.
    pub hosts: Vec<HostView>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeviceView {
    /// Its number.
    pub key: u64,
    /// Its name.
    pub name: String,
    /// Its most specific id.
    pub id: String,
    /// The package that is for it, if there is one.
    pub package: Option<String>,
    /// Its drivers, the highest first.
    pub drivers: Vec<String>,
    /// What it does: `waiting`, `building`, `running`, `leaving`, `refused`, `offline`, or `no package`.
    pub state: String,
    /// Why it was refused.
    pub why: Option<String>,
    /// Its host.
    pub host: Option<u64>,
    /// How often it can be started again, after failures.
    pub restarts_left: u32,
    /// How often its stack was started.
    pub starts: u64,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostView {
    /// Its number.
    pub key: u64,
    /// Its process.
    pub pid: u32,
    /// Its program.
    pub executable: String,
    /// Whether it may have several devices.
    pub pooled: bool,
    /// What it does: `starting`, `ready`, `ending`, or `killed`.
    pub state: String,
    /// The numbers of its devices.
    pub devices: Vec<u64>,
    /// What it is confined by.
    pub confinement: Holds,
    /// Messages that have come from it.
    pub messages: u64,
    /// Critical operations that it has begun.
    pub operations: u64,
    /// Rules that its drivers have broken, and threads that have panicked.
    pub reports: u64,
}

impl Engine {
    /// What there is at present.
    pub(super) fn view(&self) -> View {
        let devices = self.devices.iter().map(|(key, known)| {
            let stage = self.policy.stage(*key);
            DeviceView {
                key: key.0,
                name: known.name.clone(),
                id: known
                    .offer
                    .ids
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                package: known.package.as_ref().map(|it| it.name().to_owned()),
                drivers: known
                    .package
                    .iter()
                    .flat_map(|it| it.drivers().iter().rev())
                    .map(|it| it.name.clone())
                    .collect(),
                state: stage.map_or("no package".to_owned(), |it| {
                    format!("{it:?}").to_lowercase()
                }),
                why: known.why.clone(),
                host: self.policy.host_of(*key).map(|it| it.0),
                restarts_left: self.policy.restarts_left(*key).unwrap_or_default(),
                starts: known.starts,
            }
        });
        View {
            devices: devices.collect(),
            hosts: self
                .policy
                .hosts()
                .filter_map(|it| self.host_view(it))
                .collect(),
        }
    }

    fn host_view(
        &self,
        (key, stage, members): (HostKey, HostStage, &[DeviceKey]),
    ) -> Option<HostView> {
        let process = self.hosts.get(&key)?;
        Some(HostView {
            key: key.0,
            pid: process.pid(),
            executable: process.executable.clone(),
            pooled: self.policy.is_pooled(key),
            state: format!("{stage:?}").to_lowercase(),
            devices: members.iter().map(|it| it.0).collect(),
            confinement: process.holds.clone().unwrap_or_default(),
            messages: process.messages,
            operations: process.operations,
            reports: process.reports,
        })
    }
}
