//! The reflector itself: devices by name, and the channels to their hosts.

pub(crate) mod application;
mod batch;
mod device;
mod events;
mod link;
mod replies;
mod serve;
mod threads;

use std::{
    collections::{BTreeMap, HashMap},
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use thiserror::Error;
use usbwright_host_stack::status::NtStatus;
use usbwright_ports::{
    CreateError, NameSpace, PortName, SecurityDescriptor,
    parts::{Listener, Watcher},
};

use self::{application::Application, device::Device, threads::Threads};
pub use self::{
    events::{DeviceKey, DeviceStatus, Event, Who},
    link::{HostEnd, HostInfo},
};
use crate::relay::RequestRecord;

/// What is told of events, by the threads of the reflector: it is not to wait for any of the reflector's calls' effects.
type OnEvent = dyn Fn(DeviceKey, &Event) + Send + Sync;

/// What stands between applications and hosts: a part of the driver manager's process.
///
/// Dropped, it ends all connections, and its threads.
pub struct Reflector {
    shared: Arc<Shared>,
}

struct Shared {
    space: NameSpace,
    watcher: Watcher,
    threads: Arc<Threads>,
    events: Box<OnEvent>,
    devices: Mutex<BTreeMap<DeviceKey, Arc<Device>>>,
    /// Those that are connected; none, once all is to end.
    applications: Mutex<Option<HashMap<u64, Arc<Application>>>>,
    last_key: AtomicU64,
    last_file: AtomicU64,
}

/// Why a device is not there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AddError {
    /// There is a device of this name, of this reflector or another.
    #[error("there is a device {0} already")]
    NameCollision(PortName),
    /// Its socket can't be made.
    #[error("the device's socket can't be made")]
    Socket(#[source] CreateError),
    /// The system has no thread for it.
    #[error("there is no thread for the device")]
    Thread(#[from] io::Error),
}

/// There is no such device, as it was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no device {0} any more")]
pub struct NoDevice(pub DeviceKey);

/// Why a device has no other host.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// It was removed.
    #[error(transparent)]
    NoDevice(#[from] NoDevice),
    /// The system has no thread for it.
    #[error("there is no thread for the host")]
    Thread(#[from] io::Error),
}

impl Shared {
    fn devices(&self) -> MutexGuard<'_, BTreeMap<DeviceKey, Arc<Device>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_file(&self) -> u64 {
        self.last_file.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn applications(&self) -> MutexGuard<'_, Option<HashMap<u64, Arc<Application>>>> {
        let applications = &self.applications;
        applications.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an application's connection end when all does.
    fn list(self: &Arc<Self>, application: &Arc<Application>) -> Listed {
        match &mut *self.applications() {
            Some(all) => drop(all.insert(application.file, Arc::clone(application))),
            None => application.end(),
        }
        Listed {
            shared: Arc::downgrade(self),
            file: application.file,
        }
    }
}

/// An application's place on the list of those that are connected.
struct Listed {
    shared: Weak<Shared>,
    file: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade()
            && let Some(all) = &mut *shared.applications()
        {
            all.remove(&self.file);
        }
    }
}

impl Reflector {
    /// One whose devices are sockets in a directory. `events` is called by the reflector's threads, each time something has come about; it must not drop the
    /// reflector.
    ///
    /// # Errors
    /// Where the system has no thread or descriptor for it.
    pub fn start(
        space: NameSpace,
        events: impl Fn(DeviceKey, &Event) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            space,
            watcher: Watcher::start()?,
            threads: Arc::default(),
            events: Box::new(events),
            devices: Mutex::default(),
            applications: Mutex::new(Some(HashMap::new())),
            last_key: AtomicU64::new(0),
            last_file: AtomicU64::new(0),
        });
        Ok(Self { shared })
    }

    /// Where its devices have their names.
    pub fn name_space(&self) -> &NameSpace {
        &self.shared.space
    }

    /// A device whose stack a host has built: applications that `access` lets in (the right to connect) can open it by its name from now on.
    ///
    /// # Errors
    /// See [`AddError`].
    pub fn add_device(
        &self,
        name: &PortName,
        access: SecurityDescriptor,
        host: HostEnd,
        info: HostInfo,
    ) -> Result<DeviceKey, AddError> {
        let shared = &self.shared;
        let bound = Listener::bind(&shared.space, name, access.is_open());
        let listener = bound.map_err(|error| match error {
            CreateError::NameCollision(name) => AddError::NameCollision(name),
            error => AddError::Socket(error),
        })?;
        let key = DeviceKey(shared.last_key.fetch_add(1, Ordering::Relaxed) + 1);
        let link = link::HostLink::new(host, info);
        let device = Device::new(shared, key, name.clone(), access, link);
        shared.devices().insert(key, Arc::clone(&device));
        let begun = device
            .read_replies(device.link())
            .and_then(|()| device.listen(shared, listener));
        if let Err(error) = begun {
            shared.devices().remove(&key);
            device.remove(NtStatus::INSUFFICIENT_RESOURCES);
            return Err(error.into());
        }
        Ok(key)
    }

    fn device(&self, key: DeviceKey) -> Result<Arc<Device>, NoDevice> {
        let device = self.shared.devices().get(&key).cloned();
        device.ok_or(NoDevice(key))
    }

    /// The host has died, or has to: all that it has ends with 1291 (`ERROR_DRIVER_PROCESS_TERMINATED`), its handles are dead, and opening the device fails so
    /// until [another host](Self::replace_host) is there. Where the device [leaves](Self::device_leaves), that is told instead.
    ///
    /// # Errors
    /// Where there is no such device.
    pub fn host_died(&self, key: DeviceKey) -> Result<(), NoDevice> {
        let device = self.device(key)?;
        device.link().end_lost();
        Ok(())
    }

    /// The device goes, and its host is asked to take the stack down: when it then ends its channels, or dies, what is outstanding ends as
    /// by [`remove_device`](Self::remove_device), which is yet to be called.
    ///
    /// # Errors
    /// Where there is no such device.
    pub fn device_leaves(&self, key: DeviceKey) -> Result<(), NoDevice> {
        self.device(key)?.link().leave_later();
        Ok(())
    }

    /// Another host has built the device's stack: it can be opened there from now on. Handles of the one before stay dead, or die by this.
    ///
    /// # Errors
    /// See [`ReplaceError`].
    pub fn replace_host(
        &self,
        key: DeviceKey,
        host: HostEnd,
        info: HostInfo,
    ) -> Result<(), ReplaceError> {
        let device = self.device(key)?;
        Ok(device.replace(link::HostLink::new(host, info))?)
    }

    /// The device goes, and with it its name. What is outstanding ends with `STATUS_DEVICE_REMOVED`, and so does what is asked by its handles.
    ///
    /// # Errors
    /// Where there is no such device.
    pub fn remove_device(&self, key: DeviceKey) -> Result<(), NoDevice> {
        let device = self.shared.devices().remove(&key).ok_or(NoDevice(key))?;
        device.remove(NtStatus::DEVICE_REMOVED);
        Ok(())
    }

    /// What all devices have and owe.
    pub fn devices(&self) -> Vec<DeviceStatus> {
        let devices: Vec<_> = self.shared.devices().values().cloned().collect();
        devices.iter().map(|it| it.status()).collect()
    }

    /// What a device has and owes.
    ///
    /// # Errors
    /// Where there is no such device.
    pub fn status(&self, key: DeviceKey) -> Result<DeviceStatus, NoDevice> {
        Ok(self.device(key)?.status())
    }

    /// The last requests that the device's present host was sent, up to 16, the oldest first; also once the host is dead.
    ///
    /// # Errors
    /// Where there is no such device.
    pub fn last_requests(&self, key: DeviceKey) -> Result<Vec<RequestRecord>, NoDevice> {
        Ok(self.device(key)?.link().relay().recent())
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        let devices = std::mem::take(&mut *self.shared.devices());
        for device in devices.values() {
            device.remove(NtStatus::DEVICE_REMOVED);
        }
        let applications = self.shared.applications().take();
        for application in applications.iter().flat_map(HashMap::values) {
            application.end();
        }
        self.shared.threads.wait();
    }
}

impl fmt::Debug for Reflector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reflector")
            .field("space", &self.shared.space)
            .finish_non_exhaustive()
    }
}
