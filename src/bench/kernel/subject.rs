//! The devices that are measured: how each is brought up, found among those of the test driver, and taken away.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    Peer,
    error::KernelError,
    gadget::{Controller, Gadget},
    vudc::Vudc,
};
use crate::{
    protocol::Direction,
    sysfs::Sysfs,
    usbtest::{Runner, Target},
};

/// How long a device may take to come, or to go.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// How often what is waited for is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

const DUMMY: Controller = Controller {
    name: "dummy_udc.0",
    option: "CONFIG_USB_DUMMY_HCD",
    module: "dummy_hcd",
};

/// What devices are started with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'a> {
    pub(super) sysfs: &'a Sysfs,
    /// The program that attaches our device and the floor.
    pub(super) program: &'a Path,
}

/// A device under measurement.
#[derive(Debug)]
pub(super) struct Subject {
    /// Whose it is.
    pub(super) name: &'static str,
    /// What runs cases on it.
    pub(super) runner: Runner,
    sysfs: Sysfs,
    /// Its name in Linux.
    device: String,
    source: Source,
}

/// What a device is there by; it goes when this is dropped.
#[derive(Debug)]
enum Source {
    Process(Process),
    Gadget { _gadget: Gadget },
    Vudc { _vudc: Vudc },
}

impl Start<'_> {
    /// Our device.
    pub(super) fn ours(self, spec: &str) -> Result<Subject, KernelError> {
        self.device("ours", || self.process(&["attach", spec]))
    }

    /// A device to compare with, in this direction.
    pub(super) fn peer(self, peer: Peer, direction: Direction) -> Result<Subject, KernelError> {
        self.device(peer.name(), || match peer {
            Peer::Floor => self.process(&["bench", "floor", "--attach"]),
            Peer::DummyHcd => Ok(Source::Gadget {
                _gadget: Gadget::new(self.sysfs, &DUMMY, direction)?,
            }),
            Peer::UsbipVudc => Ok(Source::Vudc {
                _vudc: Vudc::new(self.sysfs, direction)?,
            }),
        })
    }

    fn process(self, arguments: &[&str]) -> Result<Source, KernelError> {
        Process::start(self.program, arguments).map(Source::Process)
    }

    /// The device that the test driver takes once its source is there.
    fn device(
        self,
        name: &'static str,
        source: impl FnOnce() -> Result<Source, KernelError>,
    ) -> Result<Subject, KernelError> {
        let before = names(self.sysfs)?;
        let mut source = source()?;
        let target = wait(PATIENCE, "taken", || {
            source.check()?;
            let mut targets = Target::all(self.sysfs)?.into_iter();
            Ok(targets.find(|it| !before.iter().any(|name| name == it.device().name())))
        })?;
        Ok(Subject {
            name,
            runner: target.open()?,
            sysfs: self.sysfs.clone(),
            device: target.device().name().to_owned(),
            source,
        })
    }
}

impl Subject {
    /// Takes the device away, and waits until Linux has seen it go.
    pub(super) fn end(self) -> Result<(), KernelError> {
        drop(self.source);
        wait(PATIENCE, "let go of", || {
            let gone = !names(&self.sysfs)?.contains(&self.device);
            Ok(gone.then_some(()))
        })
    }
}

/// The devices that the test driver has.
fn names(sysfs: &Sysfs) -> Result<Vec<String>, KernelError> {
    let targets = Target::all(sysfs)?.into_iter();
    Ok(targets.map(|it| it.device().name().to_owned()).collect())
}

impl Source {
    /// Fails where what was started has ended.
    fn check(&mut self) -> Result<(), KernelError> {
        match self {
            Self::Process(process) => process.check(),
            Self::Gadget { .. } | Self::Vudc { .. } => Ok(()),
        }
    }
}

/// A process that attaches a device, which goes with it.
#[derive(Debug)]
struct Process {
    child: Child,
    command: String,
}

impl Process {
    fn start(program: &Path, arguments: &[&str]) -> Result<Self, KernelError> {
        let command = format!("{} {}", program.display(), arguments.join(" "));
        let mut starting = Command::new(program);
        starting
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        match starting.spawn() {
            Ok(child) => Ok(Self { child, command }),
            Err(cause) => Err(KernelError::NotStarted { command, cause }),
        }
    }

    fn check(&mut self) -> Result<(), KernelError> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(KernelError::Ended {
                command: self.command.clone(),
                status: status.to_string(),
            }),
            _ => Ok(()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Looks until there is something to see, or the time is up: then the kernel has not done `verb`.
pub(super) fn wait<T>(
    timeout: Duration,
    verb: &'static str,
    mut look: impl FnMut() -> Result<Option<T>, KernelError>,
) -> Result<T, KernelError> {
    let deadline = Instant::now() + timeout;
    loop {
        match look()? {
            Some(seen) => return Ok(seen),
            None if Instant::now() < deadline => sleep(POLL_INTERVAL),
            None => {
                return Err(KernelError::Waited {
                    verb,
                    waited: timeout,
                });
            }
        }
    }
}
