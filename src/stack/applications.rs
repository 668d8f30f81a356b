//! How applications reach the stacks of a driver manager: its reflector.

use std::{
    collections::HashMap,
    error::Error,
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tracing::{debug, info, warn};
use usbwright_driver_manager::{
    manager::{self, Channels, HostEnds, Plug},
    policy::DeviceKey,
    record::Operation,
};
use usbwright_reflector::{
    self as reflector, DeviceName, Event, HostEnd, HostInfo, NameSpace, Reflector,
    SecurityDescriptor,
};

use super::Nodes;

/// How often it is looked for closes and cancels that hosts owe. Deadlines are a minute.
const LOOK: Duration = Duration::from_secs(1);

/// The applications' way to stacks. It goes into the manager's [settings](usbwright_driver_manager::manager::Settings::channels).
pub struct Applications {
    shared: Arc<Shared>,
    /// Dropped, the watch ends.
    stop: Option<mpsc::Sender<()>>,
    watch: Option<JoinHandle<()>>,
}

struct Shared {
    reflector: Reflector,
    access: SecurityDescriptor,
    nodes: Option<Nodes>,
    plug: OnceLock<Plug>,
    devices: Mutex<HashMap<DeviceKey, Reached>>,
    /// Answers that made no sense, of a device whose key in the reflector is not known yet. Its lock is taken after the devices'.
    early: Mutex<Vec<(reflector::DeviceKey, String)>>,
}

/// A device that applications reach, or will.
struct Reached {
    name: DeviceName,
    /// The ends of a stack that is being built.
    ends: Option<HostEnd>,
    /// Its key in the reflector, once it has been built.
    key: Option<reflector::DeviceKey>,
    /// What its host owes an application.
    critical: Option<manager::Critical>,
}

/// The name by which applications open a device that the manager calls `name`: what can't be in a name is a `-` there.
pub fn device_name(name: &str) -> Option<DeviceName> {
    let allowed = |it: char| match it.is_ascii_alphanumeric() || "-_.".contains(it) {
        true => it,
        false => '-',
    };
    let name: String = name.chars().take(64).map(allowed).collect();
    name.trim_start_matches('.').parse().ok()
}

impl Applications {
    /// For devices whose names are in `space`, and which those may open whom `access` lets in; with `nodes`, they are character devices as well.
    ///
    /// # Errors
    /// Where the system has no thread for it.
    pub fn start(
        space: NameSpace,
        access: SecurityDescriptor,
        nodes: Option<Nodes>,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let this = Arc::new(OnceLock::<Weak<Shared>>::new());
        let its = Arc::clone(&this);
        let reflector = Reflector::start(space, move |key, event| {
            if let Some(shared) = its.get().and_then(Weak::upgrade) {
                shared.heard(key, event);
            }
        })?;
        let shared = Arc::new(Shared {
            reflector,
            access,
            nodes,
            plug: OnceLock::new(),
            devices: Mutex::default(),
            early: Mutex::default(),
        });
        let _ = this.set(Arc::downgrade(&shared));
        let watched = Arc::clone(&shared);
        let watch = thread::Builder::new()
            .name("critical operations".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                    watched.look();
                }
            })?;
        Ok(Self {
            shared,
            stop: Some(stop),
            watch: Some(watch),
        })
    }

    /// Tells the manager from now on what hosts owe, and what they answer that makes no sense.
    pub fn tell(&self, plug: Plug) {
        let _ = self.shared.plug.set(plug);
    }

    /// Takes the character devices away, for good. What waits there ends, and keeps no stack from being taken down.
    pub fn end_nodes(&self) {
        if let Some(nodes) = &self.shared.nodes {
            nodes.end();
        }
    }
}

impl Drop for Applications {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(watch) = self.watch.take() {
            let _ = watch.join();
        }
    }
}

impl Shared {
    fn devices(&self) -> MutexGuard<'_, HashMap<DeviceKey, Reached>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key_of(&self, device: DeviceKey) -> Option<reflector::DeviceKey> {
        self.devices().get(&device)?.key
    }

    /// The reflector tells of something.
    fn heard(&self, key: reflector::DeviceKey, event: &Event) {
        match event {
            Event::BadReply { violation } => self.complain(key, &violation.to_string()),
            Event::Refused { by, why } => warn!("device {key}: {by:?} was refused: {why}"),
            event => debug!("device {key}: {event:?}"),
        }
    }

    fn complain(&self, key: reflector::DeviceKey, detail: &str) {
        let devices = self.devices();
        let found = devices.iter().find(|(_, it)| it.key == Some(key));
        match (found, self.plug.get()) {
            (Some((device, _)), Some(plug)) => plug.bad_reply(*device, detail.to_owned()),
            _ => self.early().push((key, detail.to_owned())),
        }
    }

    fn early(&self) -> MutexGuard<'_, Vec<(reflector::DeviceKey, String)>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reflector has a device under this key. Its host may have talked nonsense already.
    fn has_key(&self, device: DeviceKey, key: reflector::DeviceKey) {
        let mut devices = self.devices();
        if let Some(reached) = devices.get_mut(&device) {
            reached.key = Some(key);
        }
        // One device at a time is given to the reflector: others' are of devices that have gone.
        let early = std::mem::take(&mut *self.early());
        drop(devices);
        for (_, detail) in early.into_iter().filter(|(of, _)| *of == key) {
            if let Some(plug) = self.plug.get() {
                plug.bad_reply(device, detail);
            }
        }
    }

    /// Tells the manager of what hosts owe, and that they do not any more.
    fn look(&self) {
        let Some(plug) = self.plug.get() else {
            return;
        };
        let statuses = self.reflector.devices();
        for (device, reached) in self.devices().iter_mut() {
            let status = statuses.iter().find(|it| Some(it.key) == reached.key);
            let owed = status.and_then(|it| it.critical);
            let owed = owed.filter(|(_, since)| since.elapsed() >= LOOK);
            match owed {
                Some((what, _)) if reached.critical.is_none() => {
                    let operation = match what {
                        reflector::Critical::Cancel => Operation::Cancel,
                        reflector::Critical::Close => Operation::Close,
                    };
                    reached.critical = Some(plug.begin(*device, operation));
                }
                Some(_) => {}
                None => reached.critical = None,
            }
        }
    }

    fn attach(&self, device: DeviceKey, name: &str) -> io::Result<HostEnds> {
        let pair = || {
            let flags = SocketFlags::CLOEXEC;
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        };
        let name = device_name(name)
            .ok_or_else(|| io::Error::other(format!("no device can be named {name:?}")))?;
        let ((data, its_data), (cancel, its_cancel)) = (pair()?, pair()?);
        let mut devices = self.devices();
        let reached = devices.entry(device).or_insert(Reached {
            name,
            ends: None,
            key: None,
            critical: None,
        });
        reached.ends = Some(HostEnd { data, cancel });
        Ok(HostEnds {
            data: its_data,
            cancel: its_cancel,
        })
    }

    fn started(&self, device: DeviceKey, host: u32) {
        let begun = self.devices().get_mut(&device).and_then(|reached| {
            let ends = reached.ends.take()?;
            Some((reached.name.clone(), reached.key, ends))
        });
        let Some((name, key, ends)) = begun else {
            return;
        };
        // The reflector tells of events as well, so nothing is locked here.
        match self.hand_over(&name, key, ends, HostInfo { pid: host }) {
            Ok(key) => {
                info!("applications can open {name}");
                self.has_key(device, key);
                if let Some(nodes) = &self.nodes {
                    nodes.add(device, &name, self.reflector.name_space());
                }
            }
            Err(error) => warn!("{name} can't be opened by applications: {error}"),
        }
    }

    /// Gives the ends of a stack's channels to the reflector.
    fn hand_over(
        &self,
        name: &DeviceName,
        key: Option<reflector::DeviceKey>,
        ends: HostEnd,
        host: HostInfo,
    ) -> Result<reflector::DeviceKey, Box<dyn Error>> {
        match key {
            Some(key) => {
                self.reflector.replace_host(key, ends, host)?;
                Ok(key)
            }
            None => {
                let access = self.access.clone();
                Ok(self.reflector.add_device(name, access, ends, host)?)
            }
        }
    }

    fn last_requests(&self, device: DeviceKey) -> Vec<String> {
        let key = self.key_of(device);
        let last = key.and_then(|key| self.reflector.last_requests(key).ok());
        let told = last.into_iter().flatten().map(|it| {
            let ended = match it.status {
                Some(status) => status.to_string(),
                None => "outstanding".to_owned(),
            };
            let (kind, code, input, output) = (it.kind, it.code, it.input, it.output);
            format!("{kind} {code:#x}, {input} bytes in, {output} out: {ended}")
        });
        told.collect()
    }

    fn leaving(&self, device: DeviceKey) {
        if let Some(key) = self.key_of(device) {
            // It is there, as it has not been removed.
            let _ = self.reflector.device_leaves(key);
        }
    }

    fn detach(&self, device: DeviceKey, failed: bool) {
        let mut devices = self.devices();
        let Some(reached) = devices.get_mut(&device) else {
            return;
        };
        (reached.ends, reached.critical) = (None, None);
        let key = reached.key;
        if !failed {
            devices.remove(&device);
        }
        drop(devices);
        let Some(key) = key else {
            return;
        };
        // It is there, as it has not been removed.
        let _ = match failed {
            true => self.reflector.host_died(key),
            false => self.reflector.remove_device(key),
        };
        if let Some(nodes) = self.nodes.as_ref().filter(|_| !failed) {
            nodes.remove(device);
        }
    }
}

impl Channels for Applications {
    fn attach(&self, device: DeviceKey, name: &str) -> io::Result<HostEnds> {
        self.shared.attach(device, name)
    }

    fn started(&self, device: DeviceKey, host: u32) {
        self.shared.started(device, host);
    }

    fn last_requests(&self, device: DeviceKey) -> Vec<String> {
        self.shared.last_requests(device)
    }

    fn leaving(&self, device: DeviceKey) {
        self.shared.leaving(device);
    }

    fn detach(&self, device: DeviceKey, failed: bool) {
        self.shared.detach(device, failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_a_name_that_a_file_can_have() {
        for (name, expected) in [
            ("osr-fx2", "osr-fx2"),
            ("osr-fx2,switches=3 (2)", "osr-fx2-switches-3--2-"),
            ("127.0.0.1:3240/1-1", "127.0.0.1-3240-1-1"),
            ("../etc", "-etc"),
        ] {
            assert_eq!(device_name(name).unwrap().as_str(), expected);
        }
        assert!(device_name("...").is_none());
    }
}
