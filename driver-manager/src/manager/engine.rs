//! The manager's thread: it waits for hosts and for what it is told, and does what the policy says.

use std::{
    collections::BTreeMap,
    os::fd::AsFd as _,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{debug, warn};
use usbwright_host_control::{Build, Delivery, DriverEntry, ToHost};

use super::{
    Connection, DeviceView, HostView, Input, Inputs, Offer, OpenError, Settings, View,
    process::Process, source::shown,
};
use crate::{
    package::{HostPriority, HostProcessSharing, MethodNeitherAction, Package},
    policy::{Action, DeviceKey, Fault, HostKey, HostStage, Policy, Pool, Removal, Stage, Terms},
    record::{DetectedBy, Event, EventKind, Operation, Problem},
};

/// A device that is plugged in.
pub(super) struct Known {
    pub(super) name: String,
    offer: Offer,
    package: Option<Arc<Package>>,
    /// Why its drivers did not take it.
    pub(super) why: Option<String>,
    pub(super) starts: u64,
}

pub(super) struct Engine {
    pub(super) settings: Settings,
    pub(super) policy: Policy,
    pub(super) devices: BTreeMap<DeviceKey, Known>,
    pub(super) hosts: BTreeMap<HostKey, Process>,
    packages: Vec<Arc<Package>>,
    inputs: Inputs,
    receiver: mpsc::Receiver<Input>,
    /// What [`run`](Self::run) is to return.
    finished: Option<Vec<u32>>,
}

/// How long a host that has closed its connection may take to end.
const HANG_UP: Duration = Duration::from_secs(1);

impl Engine {
    pub(super) fn new(
        packages: Vec<Arc<Package>>,
        settings: Settings,
        inputs: Inputs,
        receiver: mpsc::Receiver<Input>,
    ) -> Self {
        Self {
            policy: Policy::new(settings.debug),
            settings,
            devices: BTreeMap::new(),
            hosts: BTreeMap::new(),
            packages,
            inputs,
            receiver,
            finished: None,
        }
    }

    /// Runs until it is told to end; the processes that did not go even then.
    pub(super) fn run(mut self) -> Vec<u32> {
        let left = loop {
            if let Some(left) = self.finished.take() {
                break left;
            }
            self.wait();
            while let Ok(input) = self.receiver.try_recv() {
                self.take(input);
                self.act();
            }
            let now = self.now();
            self.policy.tick(now);
            self.hang_up(now);
            self.act();
        };
        self.settings.journal.close();
        left
    }

    pub(super) fn now(&self) -> Instant {
        self.settings.clock.now()
    }

    pub(super) fn tell(&self, event: Event) {
        self.settings.journal.add(event);
    }

    pub(super) fn name(&self, key: DeviceKey) -> &str {
        self.devices.get(&key).map_or("?", |it| &it.name)
    }

    /// An event of a device, in a host.
    pub(super) fn event(&self, kind: EventKind, host: HostKey, device: DeviceKey) -> Event {
        Event::new(kind).host(host.0).device(self.name(device))
    }

    /// Waits for whatever comes first, and looks at the hosts that have something to tell.
    fn wait(&mut self) {
        let hung_up = self.hosts.values().filter_map(|it| it.disconnected);
        let hung_up = hung_up.map(|it| it + HANG_UP).min();
        let until = [self.policy.deadline(), hung_up]
            .into_iter()
            .flatten()
            .min();
        let time = until.map(|it| it.saturating_duration_since(self.now()));
        let time = time.map(|it| Timespec::try_from(it).unwrap_or_default());
        let keys: Vec<HostKey> = self.hosts.keys().copied().collect();
        let mut watched = vec![PollFd::from_borrowed_fd(
            self.inputs.bell.as_fd(),
            PollFlags::IN,
        )];
        for process in self.hosts.values() {
            watched.push(PollFd::new(process.pidfd(), PollFlags::IN));
            let listening = match process.disconnected {
                None => PollFlags::IN,
                Some(_) => PollFlags::empty(),
            };
            watched.push(PollFd::new(&process.channel, listening));
        }
        if poll(&mut watched, time.as_ref()).is_err() {
            return;
        }
        let has = |it: &PollFd<'_>| !it.revents().is_empty();
        let rung = has(&watched[0]);
        let hosts: Vec<(HostKey, bool, bool)> = keys
            .into_iter()
            .zip(watched[1..].chunks_exact(2))
            .map(|(key, pair)| (key, has(&pair[0]), has(&pair[1])))
            .collect();
        if rung {
            let _ = rustix::io::read(&*self.inputs.bell, &mut [0; 8]);
        }
        for (key, ended, speaks) in hosts {
            if speaks || ended {
                self.listen(key);
                self.act();
            }
            if ended {
                self.bury(key);
                self.act();
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Arrived(key, offer) => self.arrived(key, offer),
            Input::Departed(key) => self.departed(key),
            Input::Opened {
                host,
                device,
                connection,
            } => self.opened(host, device, connection),
            Input::View(asker) => {
                // Whoever has asked may have gone.
                let _ = asker.send(self.view());
            }
            Input::Kill(host, asker) => {
                let fault = Fault {
                    detected_by: DetectedBy::Test,
                    detail: "a user had it killed".to_owned(),
                    ..Fault::new(Problem::Other)
                };
                let _ = asker.send(self.hosts.contains_key(&host));
                self.policy.fault(host, fault);
            }
            Input::Asked(device, what) => {
                let host = self.policy.host_of(device);
                if let Some(process) = host.and_then(|it| self.hosts.get_mut(&it)) {
                    process.asked(what);
                }
            }
            Input::End(grace) => {
                let now = self.now();
                self.policy.end(grace, now);
            }
        }
    }

    fn arrived(&mut self, key: DeviceKey, offer: Offer) {
        let ranked = self.packages.iter().filter_map(|package| {
            let rank = package.rank(&offer.ids)?;
            Some((rank, package))
        });
        // The first of those that fit as well.
        let package = ranked
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, it)| Arc::clone(it));
        let name = shown(&offer.name);
        self.tell(Event::new(EventKind::DeviceArrived).device(&name));
        match &package {
            Some(package) => {
                let terms = Terms::new(package.policy(), pool_of(package));
                let now = self.now();
                self.policy.arrived(key, terms, now);
            }
            None => {
                let ids = offer.ids.first().map(ToString::to_string);
                let event = Event::new(EventKind::NoPackage).device(&name);
                self.tell(event.detail(ids.unwrap_or_default()));
            }
        }
        let known = Known {
            name,
            offer,
            package,
            why: None,
            starts: 0,
        };
        self.devices.insert(key, known);
    }

    pub(super) fn departed(&mut self, key: DeviceKey) {
        let now = self.now();
        if self.devices.contains_key(&key) && self.policy.stage(key) != Some(Stage::Leaving) {
            self.tell(Event::new(EventKind::DeviceDeparted).device(self.name(key)));
        }
        self.policy.departed(key, now);
        self.forget_gone();
    }

    /// Forgets devices that the policy knows no more.
    pub(super) fn forget_gone(&mut self) {
        let policy = &self.policy;
        self.devices
            .retain(|key, it| it.package.is_none() || policy.stage(*key).is_some());
    }

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

    fn opened(
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

    /// Ends hosts that have closed their connections, and live on.
    fn hang_up(&mut self, now: Instant) {
        let late = self.hosts.iter().filter_map(|(key, process)| {
            let since = process.disconnected?;
            (since + HANG_UP <= now).then_some(*key)
        });
        for host in late.collect::<Vec<_>>() {
            let fault = Fault::new(Problem::HostDisconnect);
            self.policy.fault(host, fault);
        }
    }

    fn view(&self) -> View {
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

/// The pool of a package's devices: packages with the same host executable, limits and rights share one.
fn pool_of(package: &Package) -> Option<Pool> {
    let directives = package.directives();
    if directives.host_process_sharing == HostProcessSharing::Own {
        return None;
    }
    let policy = package.policy();
    let executable = package.host().canonicalize();
    let executable = executable.unwrap_or_else(|_| package.host().to_owned());
    let rights = (
        &policy.limits,
        &policy.read,
        &policy.write,
        &policy.required,
    );
    let name = format!("{executable:?} {:?} {rights:?}", directives.host_priority);
    Some(Pool(name.into()))
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
