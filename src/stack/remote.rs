//! Devices of other servers. One that goes, or whose server does, is had again once it is back.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tracing::{debug, info};
use usbwright_driver_manager::{
    manager::{Connection, DeviceSource, Offer, OpenError, Plug, ids_of},
    package::HardwareId,
    policy::DeviceKey,
};

use super::search::Search;
use crate::{
    protocol::usbip::operation::ReplyStatus,
    remote::{RemoteDevice, RemoteError},
};

/// How long a server may take to see that the host before is gone.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it is left alone meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// The devices of other servers that a manager is told of, and the thread that looks for those that have gone.
pub(super) struct RemoteDevices {
    told: mpsc::Sender<Told>,
    thread: Option<JoinHandle<()>>,
}

/// What that thread is told.
enum Told {
    Added(Remote, Vec<HardwareId>),
    /// The manager has forgotten it.
    Gone(usize),
    /// It can't be imported.
    Refused(usize),
    End,
}

/// A device, by its name for the manager.
struct Remote {
    name: String,
    device: RemoteDevice,
    /// Its key there, at present.
    key: Option<DeviceKey>,
}

/// The ids of a device that a server lists; none where it does not.
pub(super) fn listed(device: &RemoteDevice) -> Result<Option<Vec<HardwareId>>, RemoteError> {
    let listed = device.remote.list()?;
    let found = listed.iter().find(|it| it.bus_id == device.bus_id);
    Ok(found.map(|it| ids_of(&it.summary)))
}

impl RemoteDevices {
    pub(super) fn start(plug: Plug) -> io::Result<Self> {
        let (told, hears) = mpsc::channel();
        let watch = Watch {
            plug,
            told: told.clone(),
            remotes: Vec::new(),
            search: Search::default(),
        };
        let thread = thread::Builder::new()
            .name("remote devices".to_owned())
            .spawn(move || watch.run(&hears))?;
        Ok(Self {
            told,
            thread: Some(thread),
        })
    }

    /// Tells the manager of a device, which is there.
    pub(super) fn add(&self, name: String, device: RemoteDevice, ids: Vec<HardwareId>) {
        let remote = Remote {
            name,
            device,
            key: None,
        };
        // The thread lives as long as this.
        let _ = self.told.send(Told::Added(remote, ids));
    }
}

impl Drop for RemoteDevices {
    fn drop(&mut self) {
        let _ = self.told.send(Told::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watch {
    plug: Plug,
    told: mpsc::Sender<Told>,
    remotes: Vec<Remote>,
    search: Search,
}

impl Watch {
    fn run(mut self, hears: &mpsc::Receiver<Told>) {
        loop {
            let now = Instant::now();
            let left = self.search.deadline().map(|it| it - now.min(it));
            let told = match left {
                Some(left) => hears.recv_timeout(left),
                None => hears.recv().map_err(RecvTimeoutError::from),
            };
            match told {
                Ok(Told::Added(remote, ids)) => {
                    self.remotes.push(remote);
                    self.offer(self.remotes.len() - 1, ids);
                }
                Ok(Told::Gone(number)) => self.search.lost(number, Instant::now()),
                Ok(Told::Refused(number)) => {
                    // Once the manager has forgotten it, it is looked for.
                    let key = self.remotes.get(number).and_then(|it| it.key);
                    key.into_iter().for_each(|key| self.plug.departed(key));
                }
                Ok(Told::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => self.look(),
            }
        }
    }

    /// Looks for what is due.
    fn look(&mut self) {
        let Some(number) = self.search.due(Instant::now()) else {
            return;
        };
        let remote = &self.remotes[number];
        match listed(&remote.device) {
            Ok(Some(ids)) => {
                info!("{} is back", remote.name);
                self.search.found(number);
                self.offer(number, ids);
            }
            Ok(None) => self.search.missed(number, Instant::now()),
            Err(error) => {
                debug!("{} is not back: {error}", remote.name);
                self.search.missed(number, Instant::now());
            }
        }
    }

    fn offer(&mut self, number: usize, ids: Vec<HardwareId>) {
        let told = self.told.clone();
        let remote = &mut self.remotes[number];
        let source = Import {
            device: remote.device.clone(),
            number,
            told,
        };
        remote.key = Some(self.plug.arrived(Offer {
            name: remote.name.clone(),
            ids,
            source: Arc::new(source),
        }));
    }
}

/// A device that is imported for each host.
struct Import {
    device: RemoteDevice,
    number: usize,
    told: mpsc::Sender<Told>,
}

impl DeviceSource for Import {
    fn open(&self) -> Result<Connection, OpenError> {
        let imported = import_when_free(&self.device);
        Ok(imported.inspect_err(|_| _ = self.told.send(Told::Refused(self.number)))?)
    }

    fn gone(&self) {
        let _ = self.told.send(Told::Gone(self.number));
    }
}

/// Imports a device that has been had before, as soon as its server has it back.
fn import_when_free(device: &RemoteDevice) -> Result<Connection, RemoteError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match device.remote.import(&device.bus_id) {
            Ok((socket, device)) => return Ok(Connection { socket, device }),
            Err(RemoteError::NotImported {
                status: ReplyStatus::Busy,
                ..
            }) if Instant::now() < until => thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
}
