//! A manager, packages whose host is this program, and devices that are emulated in this process.

use std::{
    env,
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use usbwright_driver_manager::{
    manager::{Connection, DeviceSource, Manager, Offer, OpenError, Settings, View, ids_of},
    package::{HostCheck, Package},
    policy::{DebugMode, DeviceKey, HostKey},
    record::{Entry, EventKind, FailureRecord},
};
use usbwright_emulator::{
    Bus, BusId,
    server::{Limits, serve},
};
use usbwright_host_stack::usb_target::ManualClock;
use usbwright_models::Spec;
use usbwright_protocol::Port as _;

/// How long anything may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) manager: Manager,
    pub(crate) clock: ManualClock,
    pub(crate) bus: Bus,
    _folder: TempDir,
    seen: Mutex<u64>,
}

/// A package for the loopback device, with one driver.
pub(crate) struct Packaged<'a> {
    pub(crate) driver: &'a str,
    pub(crate) program: &'a str,
    pub(crate) pooled: bool,
    pub(crate) policy: &'a str,
}

impl Default for Packaged<'_> {
    fn default() -> Self {
        Self {
            driver: "fine",
            program: "host",
            pooled: false,
            policy: "",
        }
    }
}

impl Packaged<'_> {
    pub(crate) fn package(&self, folder: &Path, device: &str) -> Package {
        let program = folder.join(self.program);
        if !program.exists() && self.program != "missing" {
            std::os::unix::fs::symlink(env::current_exe().unwrap(), &program).unwrap();
        }
        let sharing = match self.pooled {
            true => "ProcessSharingEnabled",
            false => "ProcessSharingDisabled",
        };
        let (driver, program, policy) = (self.driver, self.program, self.policy);
        let text = format!(
            "host = '{program}'\ndevices = ['{device}']\n[[driver]]\nUmdfService = '{driver}'\n\
             [framework]\nUmdfHostProcessSharing = '{sharing}'\n[host-policy]\n{policy}\n"
        );
        let path = folder.join(format!("{driver}.toml"));
        Package::parse(&path, &text, HostCheck::Skipped).unwrap()
    }
}

/// The ids of the devices that packages are for here, and their SPECs.
pub(crate) const ZERO: (&str, &str) = (r"USB\VID_0525&PID_A4A0", "gadget-zero");
pub(crate) const BOARD: (&str, &str) = (r"USB\VID_0547&PID_1002", "osr-fx2");

impl Bench {
    /// A manager with one package, for the loopback device.
    pub(crate) fn with(packaged: &Packaged<'_>) -> Self {
        Self::with_all(&[(packaged, ZERO.0)])
    }

    pub(crate) fn with_all(packaged: &[(&Packaged<'_>, &str)]) -> Self {
        Self::with_debug(packaged, DebugMode::default())
    }

    pub(crate) fn with_debug(packaged: &[(&Packaged<'_>, &str)], debug: DebugMode) -> Self {
        let settings = Settings {
            debug,
            ..Settings::default()
        };
        Self::with_settings(packaged, settings)
    }

    /// The clock is the bench's.
    pub(crate) fn with_settings(packaged: &[(&Packaged<'_>, &str)], settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let packages = packaged.iter();
        let packages = packages.map(|(it, device)| it.package(folder.path(), device));
        let clock = ManualClock::new();
        let settings = Settings {
            clock: clock.clone().into(),
            ..settings
        };
        Self {
            manager: Manager::start(packages.collect(), settings).unwrap(),
            clock,
            bus: Bus::new(),
            _folder: folder,
            seen: Mutex::new(0),
        }
    }

    pub(crate) fn plug(&self) -> DeviceKey {
        self.plug_spec(ZERO.1)
    }

    pub(crate) fn plug_spec(&self, spec: &str) -> DeviceKey {
        let port = spec.parse::<Spec>().unwrap().build(Instant::now()).unwrap();
        let ids = ids_of(&port.summary());
        let bus_id = self.bus.plug(Box::new(port), None).unwrap();
        self.manager.plug().arrived(Offer {
            name: bus_id.to_string(),
            ids,
            source: Arc::new(Served {
                bus: self.bus.clone(),
                bus_id,
                server: Mutex::default(),
            }),
        })
    }

    /// Waits for the next event of a kind.
    #[track_caller]
    pub(crate) fn next(&self, kind: EventKind) -> Arc<Entry> {
        let until = Instant::now() + PATIENCE;
        let mut seen = self.seen.lock().unwrap();
        let mut passed = Vec::new();
        while Instant::now() < until {
            for entry in self.manager.journal().wait_after(*seen, PATIENCE) {
                *seen = entry.number;
                if entry.event.kind == kind {
                    return entry;
                }
                passed.push(entry.to_string());
            }
        }
        panic!("no {kind:?} after {passed:#?}");
    }

    /// Waits until a stack has started.
    #[track_caller]
    pub(crate) fn started(&self) {
        self.next(EventKind::DriversLoaded);
    }

    /// Waits for a failure.
    #[track_caller]
    pub(crate) fn failure(&self) -> FailureRecord {
        *self
            .next(EventKind::HostFailed)
            .event
            .record
            .clone()
            .unwrap()
    }

    pub(crate) fn view(&self) -> View {
        self.manager.view()
    }

    pub(crate) fn state(&self, device: DeviceKey) -> Option<String> {
        let view = self.view();
        let found = view.devices.into_iter().find(|it| it.key == device.0);
        found.map(|it| it.state)
    }

    /// The only host's process.
    pub(crate) fn pid(&self) -> u32 {
        let view = self.view();
        assert_eq!(view.hosts.len(), 1, "{view:?}");
        view.hosts[0].pid
    }

    pub(crate) fn host_of(&self, device: DeviceKey) -> HostKey {
        let view = self.view();
        let found = view.devices.iter().find(|it| it.key == device.0);
        HostKey(found.and_then(|it| it.host).unwrap())
    }

    pub(crate) fn signal(&self, pid: u32, signal: Signal) {
        kill_process(pid_of(pid), signal).unwrap();
    }

    /// Looks at the manager again and again, until something holds.
    #[track_caller]
    pub(crate) fn until(&self, mut holds: impl FnMut(&View) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(&self.view()) {
            assert!(Instant::now() < until, "{:?}", self.view());
        }
    }

    /// Lets time pass, and has the manager look at its clock.
    pub(crate) fn advance(&self, time: Duration) {
        self.clock.advance(time);
        self.view();
    }
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

/// A device of a bus, which is served at the other end of a socket pair.
struct Served {
    bus: Bus,
    bus_id: BusId,
    server: Mutex<Option<thread::JoinHandle<()>>>,
}

impl DeviceSource for Served {
    fn open(&self) -> Result<Connection, OpenError> {
        let mut server = self.server.lock().unwrap();
        // The one before sees that its host is gone.
        if let Some(before) = server.take() {
            before.join().unwrap();
        }
        let (ours, theirs) = UnixStream::pair()?;
        let lease = self.bus.lease(&self.bus_id, Instant::now())?;
        let device = lease.description().clone();
        *server = Some(thread::spawn(move || {
            serve(&Arc::new(ours.into()), lease, Limits::default());
        }));
        Ok(Connection {
            socket: theirs.into(),
            device,
        })
    }
}
