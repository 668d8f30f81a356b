//! Real devices, as they come and go.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tracing::{debug, warn};
use usbwright_driver_manager::{
    manager::{Connection, DeviceSource, Offer, OpenError, Plug, ids_of},
    package::HardwareId,
    policy::DeviceKey,
};

use super::Exported;
use crate::{
    emulator::{Bus, BusId},
    protocol::DeviceSummary,
    target::libusb::{
        Change, LibusbDevice, LibusbError, LibusbPort, Selector, Watch, WatchStop, watch,
    },
};

/// How long udev may take to say who may open a device that has come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it is left alone meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// Those of this machine's devices that a selector fits. Dropping this ends the watch.
pub(super) struct RealDevices {
    stop: WatchStop,
    thread: Option<JoinHandle<()>>,
}

impl RealDevices {
    /// Tells a manager of each from now on.
    pub(super) fn watch(selector: Selector, name: String, plug: Plug) -> Result<Self, LibusbError> {
        let changes = watch()?;
        let stop = changes.stopper();
        let told = Arc::new(Told::new(name, plug));
        let thread = thread::Builder::new()
            .name("real devices".to_owned())
            .spawn(move || follow(changes, &selector, &told))
            .map_err(LibusbError::Thread)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for RealDevices {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn follow(changes: Watch, selector: &Selector, told: &Arc<Told>) {
    for change in changes {
        match change {
            Change::Arrived(device) if selector.matches(&device) => told.arrived(device),
            Change::Arrived(_) => {}
            Change::Left(device) => told.left(&device),
        }
    }
}

/// What the manager was told of. A device is called by where it is plugged in, so that it has the same name when it comes again; it waits until the one before it is forgotten.
struct Told {
    name: String,
    plug: Plug,
    /// By the ways to them.
    places: Mutex<BTreeMap<String, Place>>,
}

struct Place {
    /// The manager's key of the device there.
    key: DeviceKey,
    /// One that has come since.
    next: Option<LibusbDevice>,
}

impl Told {
    fn new(name: String, plug: Plug) -> Self {
        let places = Mutex::default();
        Self { name, plug, places }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrived(self: &Arc<Self>, device: LibusbDevice) {
        let mut places = self.places();
        if let Some(place) = places.get_mut(&device.path) {
            place.next = Some(device);
            return;
        }
        let key = self.plug.arrived(self.offer(&device));
        places.insert(device.path, Place { key, next: None });
    }

    fn left(&self, device: &LibusbDevice) {
        if let Some(place) = self.places().get_mut(&device.path) {
            match place.next.as_ref() == Some(device) {
                true => place.next = None,
                false => self.plug.departed(place.key),
            }
        }
    }

    /// The manager has forgotten the device there.
    fn forgotten(self: &Arc<Self>, path: &str) {
        let place = self.places().remove(path);
        if let Some(next) = place.and_then(|it| it.next) {
            self.arrived(next);
        }
    }

    fn offer(self: &Arc<Self>, device: &LibusbDevice) -> Offer {
        let selector = Selector {
            bus: Some(device.bus),
            address: Some(device.address),
            ..Selector::default()
        };
        Offer {
            name: format!("{} {}", self.name, device.path),
            ids: ids(device),
            source: Arc::new(Real {
                told: Arc::clone(self),
                path: device.path.clone(),
                selector,
                bus: Bus::new(),
                exported: Mutex::default(),
            }),
        }
    }
}

/// What a package may name it by, as far as the system tells that while nobody has it.
fn ids(device: &LibusbDevice) -> Vec<HardwareId> {
    ids_of(&DeviceSummary {
        speed: device.speed,
        vendor_id: device.vendor_id,
        product_id: device.product_id,
        device_release: device.device_release,
        class: device.class,
        configuration: 0,
        configurations: 0,
        interfaces: device.interfaces.clone(),
    })
}

/// A real device, which is taken anew for each host, and is on a bus of its own.
struct Real {
    told: Arc<Told>,
    path: String,
    selector: Selector,
    bus: Bus,
    exported: Mutex<Option<(BusId, Exported)>>,
}

impl DeviceSource for Real {
    fn open(&self) -> Result<Connection, OpenError> {
        let mut exported = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((bus_id, before)) = exported.take() {
            drop(before);
            self.bus.unplug(&bus_id);
        }
        let port = open_when_allowed(&self.selector).inspect_err(|error| warn!("{error}"))?;
        let bus_id = self.bus.plug(Box::new(port), None)?;
        let new = Exported::new(&self.bus, bus_id.clone());
        let connection = new.open()?;
        *exported = Some((bus_id, new));
        Ok(connection)
    }

    fn gone(&self) {
        self.told.forgotten(&self.path);
    }
}

/// Opens a device as soon as this user may: libusb tells of it before udev has said who may.
fn open_when_allowed(selector: &Selector) -> Result<LibusbPort, LibusbError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match LibusbPort::open(selector) {
            Err(LibusbError::Denied { device }) if Instant::now() < until => {
                debug!("this user may not open {device} yet");
                thread::sleep(PAUSE);
            }
            ended => return ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use usbwright_driver_manager::manager::{Manager, Settings};

    use super::*;
    use crate::protocol::{Class, Speed};

    fn device(address: u8) -> LibusbDevice {
        LibusbDevice {
            bus: 1,
            address,
            path: "1-1.2".to_owned(),
            vendor_id: 0x0547,
            product_id: 0x1002,
            device_release: 0x0100,
            class: Class::PER_INTERFACE,
            interfaces: vec![Class::VENDOR],
            speed: Speed::High,
            manufacturer: None,
            product: None,
            serial: None,
        }
    }

    /// Waits until the manager knows these devices, by name, and tells their keys.
    fn until(manager: &Manager, is_so: impl Fn(&[u64]) -> bool) -> Vec<u64> {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let devices = manager.view().devices;
            assert!(devices.iter().all(|it| it.name == "real 1-1.2"));
            let keys: Vec<u64> = devices.iter().map(|it| it.key).collect();
            if is_so(&keys) {
                return keys;
            }
            assert!(Instant::now() < end, "{keys:?}");
        }
    }

    #[test]
    fn a_device_that_comes_again_has_its_name_again_once_the_one_before_is_forgotten() {
        let manager = Manager::start(Vec::new(), Settings::default()).unwrap();
        let told = Arc::new(Told::new("real".to_owned(), manager.plug()));
        told.arrived(device(5));
        let first = until(&manager, |keys| keys.len() == 1);
        told.arrived(device(6));
        assert_eq!(until(&manager, |keys| keys.len() == 1), first);
        told.left(&device(5));
        let second = until(&manager, |keys| keys.len() == 1 && keys != first);
        // One that goes before its turn is never told of.
        told.arrived(device(7));
        told.left(&device(7));
        told.left(&device(6));
        until(&manager, <[u64]>::is_empty);
        told.arrived(device(8));
        let third = until(&manager, |keys| keys.len() == 1);
        assert_ne!(third, second);
    }

    #[test]
    fn a_package_finds_a_device_by_its_release_and_by_its_interfaces_class() {
        let ids: Vec<String> = ids(&device(5)).iter().map(ToString::to_string).collect();
        assert_eq!(ids[0], r"USB\VID_0547&PID_1002&REV_0100");
        assert!(ids.contains(&r"USB\Class_FF".to_owned()), "{ids:?}");
    }
}
