//! Real devices, as they come and go.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use tracing::warn;
use usbwright_driver_manager::{
    manager::{Connection, Offer, OpenError, Plug},
    package::HardwareId,
    policy::DeviceKey,
};

use super::Exported;
use crate::{
    emulator::{Bus, BusId},
    target::libusb::{
        Change, LibusbDevice, LibusbError, LibusbPort, Selector, Watch, WatchStop, watch,
    },
};

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
        let thread = thread::Builder::new()
            .name("real devices".to_owned())
            .spawn(move || follow(changes, &selector, &name, &plug))
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

fn follow(changes: Watch, selector: &Selector, name: &str, plug: &Plug) {
    let mut known: BTreeMap<(u8, u8), DeviceKey> = BTreeMap::new();
    for change in changes {
        match change {
            Change::Arrived(device) if selector.matches(&device) => {
                let place = (device.bus, device.address);
                known.insert(place, plug.arrived(offer(name, &device)));
            }
            Change::Left(device) => {
                if let Some(key) = known.remove(&(device.bus, device.address)) {
                    plug.departed(key);
                }
            }
            Change::Arrived(_) => {}
        }
    }
}

fn offer(name: &str, device: &LibusbDevice) -> Offer {
    // Its class is not known before somebody has it.
    let product = HardwareId::Device {
        vendor: device.vendor_id,
        product: device.product_id,
        revision: None,
        interface: None,
    };
    let real = Real {
        selector: Selector {
            bus: Some(device.bus),
            address: Some(device.address),
            ..Selector::default()
        },
        bus: Bus::new(),
        exported: Mutex::default(),
    };
    Offer {
        name: format!("{name} {:03}/{:03}", device.bus, device.address),
        ids: vec![product],
        source: Arc::new(move || real.open()),
    }
}

/// A real device, which is taken anew for each host, and is on a bus of its own.
struct Real {
    selector: Selector,
    bus: Bus,
    exported: Mutex<Option<(BusId, Exported)>>,
}

impl Real {
    fn open(&self) -> Result<Connection, OpenError> {
        let mut exported = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((bus_id, before)) = exported.take() {
            drop(before);
            self.bus.unplug(&bus_id);
        }
        let port = LibusbPort::open(&self.selector).inspect_err(|error| warn!("{error}"))?;
        let bus_id = self.bus.plug(Box::new(port), None)?;
        let new = Exported::new(&self.bus, bus_id.clone());
        let connection = new.open()?;
        *exported = Some((bus_id, new));
        Ok(connection)
    }
}
