//! What hosts tell.

use std::process;

use usbwright_host_control::{
    Channel, Confine, FromHost, Hello, Holds, Measure, OperationKind, ReceiveError, Received,
    Report, ToHost, VERSION,
};

use super::{OWN_NUMBERS, engine::Engine};
use crate::{
    policy::{DeviceKey, Fault, HostKey, HostStage, Stage},
    record::{DetectedBy, Event, EventKind, Operation, Problem},
};

/// How many reports of a host are kept.
const KEPT_REPORTS: u64 = 100;

impl Engine {
    /// Takes what a host has told, as far as it is no more than `most` messages.
    pub(super) fn listen(&mut self, key: HostKey, most: usize) {
        let mut buffer = Channel::buffer();
        for _ in 0..most {
            let now = self.now();
            // What one says that was killed is of no account.
            let is_killed = self.policy.stage_of(key) == Some(HostStage::Killed);
            let process = self.hosts.get_mut(&key).filter(|_| !is_killed);
            let Some(process) = process else {
                return;
            };
            match process.channel.receive::<FromHost>(&mut buffer, false) {
                Ok(Received::Message(message, _)) => {
                    process.messages += 1;
                    if let Err(why) = self.hear(key, message) {
                        return self.bad_reply(key, why);
                    }
                }
                Ok(Received::Nothing) => return,
                Ok(Received::End) | Err(ReceiveError::Broken(_)) => {
                    process.disconnected.get_or_insert(now);
                    return;
                }
                Err(ReceiveError::Malformed(error)) => {
                    return self.bad_reply(key, error.to_string());
                }
            }
        }
    }

    /// A host that makes no sense is ended.
    fn bad_reply(&mut self, host: HostKey, detail: String) {
        let fault = Fault {
            detail,
            ..Fault::new(Problem::BadReply)
        };
        self.policy.fault(host, fault);
    }

    /// Takes a message; an error where it makes no sense now.
    fn hear(&mut self, key: HostKey, message: FromHost) -> Result<(), String> {
        let now = self.now();
        let is_known = self.hosts.get(&key).is_some_and(|it| it.hello.is_some());
        match message {
            FromHost::Hello(hello) if !is_known => return self.welcome(key, hello),
            FromHost::Hello(_) => return Err("it has told twice what it is".to_owned()),
            _ if !is_known => return Err("it has not told what it is".to_owned()),
            FromHost::Confined(holds) => self.confined(key, holds)?,
            FromHost::Built { stack } => {
                let device = self.asked_for(key, stack)?;
                self.built(key, device);
            }
            FromHost::Refused(report) => {
                let device = self.asked_for(key, report.stack)?;
                self.refuse(key, device, &report.text);
            }
            FromHost::TornDown { stack } => {
                let device = self.asked_for(key, stack)?;
                if self.policy.stage(device) != Some(Stage::Leaving) {
                    return Err(format!("it was not asked to take stack {stack} down"));
                }
                self.tell(self.event(EventKind::StackRemoved, key, device));
                self.end_change(device, Some("it is gone".to_owned()));
                self.policy.torn_down(key, device, now);
                self.forget_gone();
            }
            FromHost::Changed(changed) => {
                let device = self.member(key, changed.stack)?;
                if !self.policy.changed(key, device) {
                    return Err(format!(
                        "it was not asked to change stack {}",
                        changed.stack
                    ));
                }
                self.changed(key, device, changed);
            }
            FromHost::Unplugged { stack } => {
                let device = self.member(key, stack)?;
                self.departed(device);
            }
            FromHost::Operation(phase) => {
                let device = self.member(key, phase.stack)?;
                if phase.number >= OWN_NUMBERS {
                    return Err(format!("{} is no number of an operation", phase.number));
                }
                self.operation(key, device, (phase.number, phase.begun))?;
            }
            FromHost::Progress { stack } => {
                let device = self.member(key, stack)?;
                self.policy.progressed(key, device, now);
            }
            FromHost::Failed(report) => self.stack_failed(key, report)?,
            FromHost::RuleBroken(report) => self.reported(key, EventKind::RuleBroken, report),
            FromHost::Panicked(report) => self.reported(key, EventKind::Panicked, report),
        }
        Ok(())
    }

    fn welcome(&mut self, key: HostKey, hello: Hello) -> Result<(), String> {
        if hello.version != VERSION {
            return Err(format!(
                "it speaks version {} of the protocol, and this manager version {VERSION}: build both from the same release",
                hello.version
            ));
        }
        let first = self.policy.hosts().find(|it| it.0 == key);
        let first = first.and_then(|it| it.2.first().copied());
        let package = first.and_then(|it| self.package(it));
        let policy = package.map(|it| it.policy().clone()).unwrap_or_default();
        let confine = Confine {
            memory: policy.limits.memory,
            descriptors: policy.limits.descriptors,
            read: policy.read,
            write: policy.write,
            manager: process::id(),
        };
        if let Some(process) = self.hosts.get_mut(&key) {
            process.hello = Some(hello);
        }
        self.send(key, &ToHost::Confine(confine), "confine".to_owned());
        Ok(())
    }

    fn confined(&mut self, key: HostKey, mut holds: Holds) -> Result<(), String> {
        let now = self.now();
        let Some(process) = self.hosts.get_mut(&key) else {
            return Ok(());
        };
        // Whether there is a control group is not the host's to tell.
        holds.0.retain(|(it, _)| *it != Measure::Cgroup);
        holds.0.push((Measure::Cgroup, process.cgroup.clone()));
        if process.holds.replace(holds).is_some() {
            return Err("it has told twice what it is confined by".to_owned());
        }
        self.tell(Event::new(EventKind::HostReady).host(key.0));
        self.policy.ready(key, now);
        Ok(())
    }

    /// The device of a stack, which is in this host.
    fn member(&self, key: HostKey, stack: u64) -> Result<DeviceKey, String> {
        let device = DeviceKey(stack);
        match self.policy.host_of(device) == Some(key) {
            true => Ok(device),
            false => Err(format!("it has no stack {stack}")),
        }
    }

    /// The device of a stack that the host was asked to build, or to take down.
    fn asked_for(&self, key: HostKey, stack: u64) -> Result<DeviceKey, String> {
        let device = self.member(key, stack)?;
        match self.policy.stage(device) {
            Some(Stage::Building | Stage::Leaving) => Ok(device),
            _ => Err(format!("nothing was asked of stack {stack}")),
        }
    }

    fn built(&mut self, key: HostKey, device: DeviceKey) {
        self.policy.built(key, device);
        if self.policy.stage(device) != Some(Stage::Running) {
            return;
        }
        if let Some(known) = self.devices.get_mut(&device) {
            known.starts += 1;
        }
        if let Some(channels) = &self.settings.channels {
            let host = self.hosts.get(&key).map_or(0, |it| it.pid());
            channels.started(device, host);
        }
        self.tell(self.event(EventKind::DriversLoaded, key, device));
    }

    fn operation(
        &mut self,
        key: HostKey,
        device: DeviceKey,
        (number, begun): (u64, Option<OperationKind>),
    ) -> Result<(), String> {
        let now = self.now();
        // What begins or ends is progress of whatever it is a part of.
        self.policy.progressed(key, device, now);
        let Some(kind) = begun else {
            self.policy.ended(key, device, number);
            return Ok(());
        };
        if let Some(process) = self.hosts.get_mut(&key) {
            process.operations += 1;
        }
        let operation = match kind {
            OperationKind::Pnp => Operation::Pnp,
            OperationKind::Power => Operation::Power,
            OperationKind::Cancel => Operation::Cancel,
            OperationKind::Cleanup => Operation::Cleanup,
            OperationKind::Close => Operation::Close,
        };
        match self.policy.begun(key, device, (number, operation), now) {
            true => Ok(()),
            false => Err("it has too many operations under way".to_owned()),
        }
    }

    /// A driver has panicked: its host can't be relied on.
    fn stack_failed(&mut self, key: HostKey, report: Report) -> Result<(), String> {
        let device = self.member(key, report.stack)?;
        let fault = Fault {
            detected_by: DetectedBy::Framework,
            device: Some(device),
            detail: report.text,
            ..Fault::new(Problem::HostFailure)
        };
        self.policy.fault(key, fault);
        Ok(())
    }

    fn reported(&mut self, key: HostKey, kind: EventKind, report: Report) {
        let Some(process) = self.hosts.get_mut(&key) else {
            return;
        };
        process.reports += 1;
        if process.reports > KEPT_REPORTS {
            return;
        }
        let mut event = Event::new(kind).host(key.0).detail(report.text);
        if let Some(known) = self.devices.get(&DeviceKey(report.stack)) {
            event = event.device(&known.name);
        }
        self.tell(event);
    }
}
