//! The manager's thread: it waits for hosts and for what it is told, and does what the policy says.

use std::{
    collections::BTreeMap,
    os::fd::AsFd as _,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Input, Inputs, Offer, Settings, changes::Asker, process::Process, source::shown};
use crate::{
    package::{HostProcessSharing, Package},
    policy::{DeviceKey, Fault, HostKey, HostStage, Policy, Pool, Stage, Terms},
    record::{DetectedBy, Event, EventKind, Operation, Problem},
};

/// A device that is plugged in.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) offer: Offer,
    pub(super) package: Option<Arc<Package>>,
    /// Why its drivers did not take it.
    pub(super) why: Option<String>,
    pub(super) starts: u64,
}

pub(super) struct Engine {
    pub(super) settings: Settings,
    pub(super) policy: Policy,
    pub(super) devices: BTreeMap<DeviceKey, Known>,
    pub(super) hosts: BTreeMap<HostKey, Process>,
    /// Who is told of the changes that stacks were asked for.
    pub(super) changes: BTreeMap<DeviceKey, Asker>,
    packages: Vec<Arc<Package>>,
    pub(super) inputs: Inputs,
    receiver: mpsc::Receiver<Input>,
    /// What [`run`](Self::run) is to return.
    pub(super) finished: Option<Vec<u32>>,
}

/// What a wait has brought.
struct Heard {
    /// This thread was told something.
    rung: bool,
    hosts: Vec<Sign>,
}

/// What a host does.
struct Sign {
    host: HostKey,
    has_ended: bool,
    speaks: bool,
}

/// How many messages of a host are taken before others have their turn.
const TURN: usize = 256;
/// How many of a host that has ended: more than a socket holds.
const LAST_WORDS: usize = 4096;

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
            changes: BTreeMap::new(),
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
            self.end_hung_up(now);
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
        let Some(heard) = self.poll() else {
            return;
        };
        if heard.rung {
            let _ = rustix::io::read(&*self.inputs.bell, &mut [0; 8]);
        }
        for sign in heard.hosts {
            if sign.speaks || sign.has_ended {
                // What one has told that is dead is all there will be.
                let most = if sign.has_ended { LAST_WORDS } else { TURN };
                self.listen(sign.host, most);
                self.act();
            }
            if sign.has_ended {
                self.bury(sign.host);
                self.act();
            }
        }
    }

    /// Waits until something happens, or is due.
    fn poll(&self) -> Option<Heard> {
        let hung_up = self.hung_up().map(|(_, at)| at);
        let until = hung_up.chain(self.policy.deadline()).min();
        let time = until.map(|it| it.saturating_duration_since(self.now()));
        let time = time.map(|it| Timespec::try_from(it).unwrap_or_default());
        let bell = self.inputs.bell.as_fd();
        let mut watched = vec![PollFd::from_borrowed_fd(bell, PollFlags::IN)];
        for (key, process) in &self.hosts {
            watched.push(PollFd::new(process.pidfd(), PollFlags::IN));
            // A connection that has ended would tell so again and again, as would what one says that was killed.
            let is_killed = self.policy.stage_of(*key) == Some(HostStage::Killed);
            watched.push(match process.disconnected.is_some() || is_killed {
                false => PollFd::new(&process.channel, PollFlags::IN),
                true => PollFd::new(process.pidfd(), PollFlags::empty()),
            });
        }
        poll(&mut watched, time.as_ref()).ok()?;
        let has = |it: &PollFd<'_>| !it.revents().is_empty();
        let hosts = self.hosts.keys().zip(watched[1..].chunks_exact(2));
        let hosts = hosts.map(|(host, pair)| Sign {
            host: *host,
            has_ended: has(&pair[0]),
            speaks: has(&pair[1]),
        });
        Some(Heard {
            rung: has(&watched[0]),
            hosts: hosts.collect(),
        })
    }

    /// The hosts that have closed their connections though nobody has asked them to end, and until when they may live on.
    fn hung_up(&self) -> impl Iterator<Item = (HostKey, Instant)> {
        self.hosts.iter().filter_map(|(key, process)| {
            let stage = self.policy.stage_of(*key);
            let lives = matches!(stage, Some(HostStage::Starting | HostStage::Ready));
            let since = process.disconnected.filter(|_| lives)?;
            Some((*key, since + HANG_UP))
        })
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
            Input::Change {
                device,
                change,
                asker,
            } => self.change(device.as_deref(), change, &asker),
            Input::Begun(device, number, operation) => self.begun(device, number, operation),
            Input::Ended(device, number) => {
                if let Some(host) = self.policy.host_of(device) {
                    self.policy.ended(host, device, number);
                }
            }
            Input::BadReply(device, detail) => self.bad_answer(device, detail),
            Input::End(grace) => {
                let now = self.now();
                self.policy.end(grace, now);
            }
        }
    }

    /// Whoever serves applications can make no sense of what a host has answered.
    fn bad_answer(&mut self, device: DeviceKey, detail: String) {
        if let Some(host) = self.policy.host_of(device) {
            let fault = Fault {
                device: Some(device),
                detected_by: DetectedBy::Reflector,
                detail,
                ..Fault::new(Problem::BadReply)
            };
            self.policy.fault(host, fault);
        }
    }

    /// Whoever serves applications has asked a host for something critical.
    fn begun(&mut self, device: DeviceKey, number: u64, operation: Operation) {
        let (now, host) = (self.now(), self.policy.host_of(device));
        let Some(host) = host else { return };
        if !self.policy.begun(host, device, (number, operation), now) {
            let fault = Fault {
                operation,
                device: Some(device),
                detail: "it does not end what it was asked for".to_owned(),
                ..Fault::new(Problem::SendFailure)
            };
            self.policy.fault(host, fault);
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
        // The policy knows nothing of one without a package.
        let unused = |_: &DeviceKey, it: &mut Known| it.package.is_none();
        for (_, gone) in self.devices.extract_if(key..=key, unused) {
            gone.offer.source.gone();
        }
    }

    /// Forgets devices that the policy knows no more.
    pub(super) fn forget_gone(&mut self) {
        let policy = &self.policy;
        let is_gone =
            |key: &DeviceKey, it: &mut Known| it.package.is_some() && policy.stage(*key).is_none();
        for (key, gone) in self.devices.extract_if(.., is_gone) {
            // Its name is free before another device comes that has it as well.
            if let Some(channels) = &self.settings.channels {
                channels.detach(key, false);
            }
            gone.offer.source.gone();
        }
    }

    /// Ends hosts that have closed their connections, and live on.
    fn end_hung_up(&mut self, now: Instant) {
        let late = self.hung_up().filter(|(_, at)| *at <= now);
        for (host, _) in late.collect::<Vec<_>>() {
            let fault = Fault::new(Problem::HostDisconnect);
            self.policy.fault(host, fault);
        }
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
