//! The driver manager: it is told of devices, starts hosts for them, watches these, and does what the [policy](crate::policy) says.
//!
//! One thread does all of it, which never waits for a host or a device: hosts are processes of which it has a pidfd and a socket, and a device is opened on a thread of its own.

mod actions;
mod cgroup;
mod changes;
mod engine;
mod failures;
mod messages;
mod process;
mod settings;
mod source;
mod view;

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use rustix::event::{EventfdFlags, eventfd};
pub use usbwright_host_control::Change;

use self::engine::Engine;
pub use self::{
    changes::ChangeOutcome,
    settings::{Channels, HostEnds, Settings},
    source::{Connection, DeviceSource, Offer, OpenError, ids_of},
    view::{DeviceView, HostView, View},
};
use crate::{
    package::Package,
    policy::{DeviceKey, HostKey},
    record::{Journal, Operation},
};

/// The first number of an operation that is begun here; those of hosts are below.
const OWN_NUMBERS: u64 = 1 << 63;

/// What the manager's thread is told.
enum Input {
    Arrived(DeviceKey, Offer),
    Departed(DeviceKey),
    Opened {
        host: HostKey,
        device: DeviceKey,
        connection: Result<Connection, OpenError>,
    },
    View(mpsc::Sender<View>),
    Kill(HostKey, mpsc::Sender<bool>),
    Change {
        device: Option<String>,
        change: Change,
        asker: changes::Asker,
    },
    Begun(DeviceKey, u64, Operation),
    Ended(DeviceKey, u64),
    BadReply(DeviceKey, String),
    End(Duration),
}

/// The way to the manager's thread.
#[derive(Clone)]
struct Inputs {
    sender: mpsc::Sender<Input>,
    bell: Arc<OwnedFd>,
}

impl Inputs {
    fn new() -> io::Result<(Self, mpsc::Receiver<Input>)> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (sender, receiver) = mpsc::channel();
        let bell = Arc::new(bell);
        Ok((Self { sender, bell }, receiver))
    }

    /// Tells something; once the manager has ended, nobody listens.
    fn tell(&self, input: Input) {
        let _ = self.sender.send(input);
        // An event that is not read yet is one already.
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
    }
}

/// A driver manager that runs. Dropping it kills its hosts; [`end`](Self::end) has them end in order.
pub struct Manager {
    inputs: Inputs,
    journal: Journal,
    thread: Option<JoinHandle<Vec<u32>>>,
}

impl Manager {
    /// Starts one, for devices that fit these packages.
    ///
    /// # Errors
    /// Where the system has no more threads or descriptors.
    pub fn start(packages: Vec<Package>, settings: Settings) -> io::Result<Self> {
        let (inputs, receiver) = Inputs::new()?;
        let journal = settings.journal.clone();
        let packages = packages.into_iter().map(Arc::new).collect();
        let engine = Engine::new(packages, settings, inputs.clone(), receiver);
        let thread = std::thread::Builder::new()
            .name("driver manager".to_owned())
            .spawn(move || engine.run())?;
        Ok(Self {
            inputs,
            journal,
            thread: Some(thread),
        })
    }

    /// Where devices are told.
    pub fn plug(&self) -> Plug {
        Plug {
            inputs: self.inputs.clone(),
        }
    }

    /// What has happened.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// For whoever looks at it from other threads.
    pub fn observer(&self) -> ManagerHandle {
        ManagerHandle {
            inputs: self.inputs.clone(),
            journal: self.journal.clone(),
        }
    }

    /// What there is at present.
    pub fn view(&self) -> View {
        self.observer().view()
    }

    /// Ends: stacks are taken down in order, and hosts asked to end; those that are there still after `grace` are killed. Returns the processes that even then did not go. A
    /// device that is just being asked for elsewhere is not waited for.
    pub fn end(mut self, grace: Duration) -> Vec<u32> {
        self.finish(grace)
    }

    fn finish(&mut self, grace: Duration) -> Vec<u32> {
        self.inputs.tell(Input::End(grace));
        let ended = self.thread.take().map(JoinHandle::join);
        match ended {
            Some(Ok(left)) => left,
            Some(Err(panic)) if !std::thread::panicking() => std::panic::resume_unwind(panic),
            _ => Vec::new(),
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

/// A handle of a manager, for those who look at it.
#[derive(Clone)]
pub struct ManagerHandle {
    inputs: Inputs,
    journal: Journal,
}

impl ManagerHandle {
    /// What there is at present; nothing once the manager has ended.
    pub fn view(&self) -> View {
        let (sender, receiver) = mpsc::channel();
        self.inputs.tell(Input::View(sender));
        receiver.recv().unwrap_or_default()
    }

    /// Kills a host, as if it had failed: to try the recovery. Tells whether there is such a host.
    pub fn kill_host(&self, host: HostKey) -> bool {
        let (sender, receiver) = mpsc::channel();
        self.inputs.tell(Input::Kill(host, sender));
        receiver.recv().unwrap_or_default()
    }

    /// Has the stack of the device of this name changed, or without one all stacks that run, and waits until each has been, or could not be: that takes no longer than the
    /// deadline of its package.
    pub fn change(&self, device: Option<&str>, change: Change) -> Vec<ChangeOutcome> {
        let (asker, outcomes) = mpsc::channel();
        self.inputs.tell(Input::Change {
            device: device.map(str::to_owned),
            change,
            asker,
        });
        outcomes.iter().collect()
    }

    /// What has happened.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

/// Where devices are told as they come and go. Clones lead to the same manager.
#[derive(Clone)]
pub struct Plug {
    inputs: Inputs,
}

/// The number of the next device, or operation, of this process.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl Plug {
    /// A device has come.
    pub fn arrived(&self, offer: Offer) -> DeviceKey {
        let key = DeviceKey(NEXT.fetch_add(1, Ordering::Relaxed));
        self.inputs.tell(Input::Arrived(key, offer));
        key
    }

    /// A device has gone.
    pub fn departed(&self, device: DeviceKey) {
        self.inputs.tell(Input::Departed(device));
    }

    /// What a device's host has answered to an application makes no sense: it is to be ended.
    pub fn bad_reply(&self, device: DeviceKey, detail: String) {
        self.inputs.tell(Input::BadReply(device, detail));
    }

    /// A device's host is asked for something critical on behalf of an application: to cancel, or to close a file. It has to end, or its driver to make progress, before the
    /// deadline that the device's package sets, also where the host has not even read it.
    pub fn begin(&self, device: DeviceKey, operation: Operation) -> Critical {
        let number = OWN_NUMBERS | NEXT.fetch_add(1, Ordering::Relaxed);
        self.inputs.tell(Input::Begun(device, number, operation));
        Critical {
            plug: self.clone(),
            device,
            number,
        }
    }
}

/// Something critical that a host was asked for; it has ended when this is dropped.
#[must_use]
pub struct Critical {
    plug: Plug,
    device: DeviceKey,
    number: u64,
}

impl Drop for Critical {
    fn drop(&mut self) {
        self.plug
            .inputs
            .tell(Input::Ended(self.device, self.number));
    }
}
