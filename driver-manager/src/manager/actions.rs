//! What the policy wants done: hosts are started and killed, and asked to build stacks and to take them down.

use std::{os::fd::AsFd as _, sync::Arc};

use tracing::{debug, warn};
use usbwright_host_control::{Build, Delivery, DriverEntry, ToHost};

use super::{Connection, Input, OpenError, engine::Engine, process::Process};
use crate::{
    package::{HostPriority, MethodNeitherAction, Package},
    policy::{Action, DeviceKey, Fault, HostKey, Removal, Stage},
    record::{Event, EventKind, Operation, Problem},
};

impl Engine {
    /// Does what the policy says.
    pub(super) fn act(&mut self) {
        while let Some(action) = self.policy.action() {
            debug!("{action:?}");
            match action {
                Action::Start { host, device } => self.start(host, device),
                Action::Build { host, device } => self.open(host, device),
                Action::TearDown {
                    host,
                    device,
                    removal,
                } => self.tear_down(host, device, removal),
                Action::Change {
                    host,
                    device,
                    change,
                } => self.ask_change(host, device, change),
                Action::End { host } => {
                    self.tell(Event::new(EventKind::HostEnding).host(host.0));
                    self.send(host, &ToHost::Shutdown, "end".to_owned());
                }
                Action::Kill { host } => {
                    if let Some(process) = self.hosts.get_mut(&host) {
                        process.kill();
                    }
                    self.tell(Event::new(EventKind::HostTerminated).host(host.0));
                }
                Action::Failed(failure) => self.record(failure),
                Action::Finished { left } => {
                    let pids = left.iter().filter_map(|it| self.hosts.get(it));
                    self.finished = Some(pids.map(Process::pid).collect());
                }
            }
        }
    }

    fn start(&mut self, host: HostKey, device: DeviceKey) {
        let Some(package) = self.package(device) else {
            return;
        };
        self.tell(self.event(EventKind::HostStarting, host, device));
        match Process::start(&package) {
            Ok(process) => {
                let pid = process.pid();
                if package.directives().host_priority == HostPriority::High {
                    raise_priority(pid);
                }
                self.hosts.insert(host, process);
                let event = self.event(EventKind::HostStarted, host, device);
                self.tell(event.detail(format!("process {pid}")));
            }
            Err(error) => {
                let detail = format!("{}: {error}", package.host().display());
                let event = self.event(EventKind::HostNotStarted, host, device);
                self.tell(event.detail(&detail));
                let fault = Fault {
                    operation: Operation::Init,
                    detail,
                    ..Fault::new(Problem::HostFailure)
                };
                let now = self.now();
                self.policy.gone(host, Some(fault), now);
            }
        }
    }

    pub(super) fn package(&self, device: DeviceKey) -> Option<Arc<Package>> {
        self.devices.get(&device)?.package.clone()
    }

    /// Has a device, on a thread of its own.
    fn open(&mut self, host: HostKey, device: DeviceKey) {
        let Some(known) = self.devices.get(&device) else {
            return;
        };
        let required = known
            .package
            .as_ref()
            .map(|it| it.policy().required.clone());
        let process = self.hosts.get(&host);
        if let Some(lacks) = process.and_then(|it| it.lacks(&required.unwrap_or_default())) {
            return self.refuse(host, device, &lacks.to_string());
        }
        let (source, inputs) = (Arc::clone(&known.offer.source), self.inputs.clone());
        let opening = std::thread::Builder::new().name("device opener".to_owned());
        let started = opening.spawn(move || {
            let connection = source.open();
            inputs.tell(Input::Opened {
                host,
                device,
                connection,
            });
        });
        if let Err(error) = started {
            self.refuse(host, device, &format!("no thread can be had: {error}"));
        }
    }

    pub(super) fn opened(
        &mut self,
        host: HostKey,
        device: DeviceKey,
        connection: Result<Connection, OpenError>,
    ) {
        let is_wanted = self.policy.stage(device) == Some(Stage::Building)
            && self.policy.host_of(device) == Some(host);
        match connection {
            _ if !is_wanted => {}
            Ok(connection) => self.build(host, device, &connection),
            Err(error) => self.refuse(host, device, &format!("the device can't be had: {error}")),
        }
    }

    fn build(&mut self, host: HostKey, device: DeviceKey, connection: &Connection) {
        let Some(package) = self.package(device) else {
            return;
        };
        let name = self.name(device).to_owned();
        let channels = self.settings.channels.clone();
        let ends = match channels.map(|it| it.attach(device, &name)).transpose() {
            Ok(ends) => ends,
            Err(error) => {
                let why = format!("applications can't be served: {error}");
                return self.refuse(host, device, &why);
            }
        };
        let drivers = package.drivers().iter().map(|it| DriverEntry {
            name: it.name.clone(),
            io_type: package.io_type(it),
        });
        let copies = package.directives().method_neither_action == MethodNeitherAction::Copy;
        let build = ToHost::Build(Build {
            stack: device.0,
            name: name.clone(),
            drivers: drivers.collect(),
            copies_neither: copies,
            device: connection.device.clone(),
            has_channels: ends.is_some(),
        });
        let mut descriptors = vec![connection.socket.as_fd()];
        descriptors.extend(ends.iter().flat_map(|it| it.descriptors()));
        let Some(process) = self.hosts.get_mut(&host) else {
            return;
        };
        let sent = process.tell(&build, &descriptors, format!("build {name}"));
        self.tell(self.event(EventKind::LoadingDrivers, host, device));
        self.check_sent(host, sent);
    }

    /// A device's stack can't be built.
    pub(super) fn refuse(&mut self, host: HostKey, device: DeviceKey, why: &str) {
        if let Some(known) = self.devices.get_mut(&device) {
            known.why = Some(why.to_owned());
        }
        let event = self.event(EventKind::DriversFailed, host, device);
        self.tell(event.detail(why));
        self.detach(device, false);
        let now = self.now();
        self.policy.refused(host, device, now);
    }

    pub(super) fn detach(&self, device: DeviceKey, failed: bool) {
        if let Some(channels) = &self.settings.channels {
            channels.detach(device, failed);
        }
    }

    fn tear_down(&mut self, host: HostKey, device: DeviceKey, removal: Removal) {
        if let Some(channels) = &self.settings.channels {
            channels.leaving(device);
        }
        let stack = device.0;
        let message = match removal {
            Removal::Orderly => ToHost::TearDown { stack },
            Removal::Surprise => ToHost::SurpriseRemove { stack },
        };
        let what = format!("{removal:?} removal of {}", self.name(device));
        self.send(host, &message, what);
    }

    pub(super) fn send(&mut self, host: HostKey, message: &ToHost, what: String) {
        if let Some(process) = self.hosts.get_mut(&host) {
            let sent = process.tell(message, &[], what);
            self.check_sent(host, sent);
        }
    }

    fn check_sent(&mut self, host: HostKey, sent: std::io::Result<Delivery>) {
        match sent {
            Ok(Delivery::Sent) => {}
            Ok(Delivery::Full) => {
                let fault = Fault {
                    detail: "it does not read what it is told".to_owned(),
                    ..Fault::new(Problem::SendFailure)
                };
                self.policy.fault(host, fault);
            }
            // It is about to end, or has hung up, which is seen otherwise.
            Err(error) => warn!("host {} can't be told something: {error}", host.0),
        }
    }
}

/// Has a host run before others, where this process may do so.
fn raise_priority(pid: u32) {
    const NICER: i32 = -5;
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Err(error) = rustix::process::setpriority_process(pid, NICER) {
        warn!("the host keeps its priority: {error}");
    }
}
