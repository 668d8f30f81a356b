//! What follows when a host process has ended, and what is kept of it.

use super::engine::Engine;
use crate::{
    policy::{DeviceKey, Fate, Fault, HostFailure, HostKey},
    record::{DetectedBy, Event, EventKind, Exit, FailureRecord, Outlook, Problem},
};

impl Engine {
    /// A host process has ended.
    pub(super) fn bury(&mut self, key: HostKey) {
        let Some(process) = self.hosts.get_mut(&key) else {
            return;
        };
        let Some(exit) = process.reap() else {
            return;
        };
        let why = match exit {
            Exit::Code(0) => None,
            _ => Some(Fault {
                detected_by: DetectedBy::Platform,
                ..Fault::new(Problem::HostFailure)
            }),
        };
        let members = self.policy.hosts().find(|it| it.0 == key);
        let members: Vec<DeviceKey> = members.map(|it| it.2.to_vec()).unwrap_or_default();
        for device in members {
            self.note_requests(key, device);
            self.detach(device, true);
            let why = "its host has failed: `usbwright stack events` tells why";
            self.end_change(device, Some(why.to_owned()));
        }
        let now = self.now();
        self.policy.gone(key, why, now);
        self.act();
        self.forget_gone();
        self.hosts.remove(&key);
        let ended = Event::new(EventKind::HostEnded).host(key.0);
        self.tell(ended.detail(exit.to_string()));
    }

    /// Notes what applications have asked last of a device whose host has failed.
    fn note_requests(&mut self, key: HostKey, device: DeviceKey) {
        let Some(channels) = &self.settings.channels else {
            return;
        };
        let requests = channels.last_requests(device);
        if let Some(process) = self.hosts.get_mut(&key) {
            requests.into_iter().for_each(|it| process.asked(it));
        }
    }

    /// Keeps a record of a failure, and tells what becomes of the devices.
    pub(super) fn record(&mut self, failure: HostFailure) {
        let process = self.hosts.get(&failure.host);
        let exit = process.and_then(|it| it.exit);
        let outlooks: Vec<(DeviceKey, Outlook)> = failure
            .fates
            .iter()
            .map(|(device, fate)| (*device, outlook(*fate)))
            .collect();
        let named = outlooks
            .iter()
            .map(|(device, outlook)| (self.name(*device).to_owned(), *outlook));
        let record = FailureRecord {
            problem: failure.problem,
            detected_by: failure.detected_by,
            operation: failure.operation,
            exit: exit.unwrap_or(Exit::NotStarted),
            cause: failure.cause.map(|it| self.name(it).to_owned()),
            detail: failure.detail,
            last_requests: process.map(|it| it.last_requests()).unwrap_or_default(),
            devices: named.collect(),
        };
        let mut event = Event::new(EventKind::HostFailed).host(failure.host.0);
        event.record = Some(Box::new(record));
        self.tell(event);
        for (device, outlook) in outlooks {
            let kind = match outlook {
                Outlook::RestartsPooled(_) | Outlook::RestartsAlone(_) => EventKind::DeviceRestarts,
                Outlook::LimitReached => EventKind::DeviceOffline,
                Outlook::Gone => continue,
            };
            let event = Event::new(kind).device(self.name(device));
            self.tell(match kind {
                EventKind::DeviceOffline => event,
                _ => event.detail(outlook.to_string()),
            });
        }
    }
}

fn outlook(fate: Fate) -> Outlook {
    match fate {
        Fate::Pooled { left } => Outlook::RestartsPooled(left),
        Fate::Alone { left } => Outlook::RestartsAlone(left),
        Fate::Offline => Outlook::LimitReached,
        Fate::Gone => Outlook::Gone,
    }
}
