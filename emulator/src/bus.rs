//! The bus: the devices that are plugged in, their names, and who has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Instant,
};

use tracing::{info, warn};
use usbwright_protocol::{Port, usbip::operation::ExportedDevice};

use crate::counters::DeviceCounters;

/// The largest bus and device number: the kernel's client keeps a byte of each.
const NUMBERS: u32 = 255;

/// A device's name on the bus, such as `1-1`: up to 31 letters, digits, `.`, `_`, `:` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[doc(alias = "busid")]
pub struct BusId(String);

/// A name that can't be a bus id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no bus id: it takes 1 to 31 letters, digits, `.`, `_`, `:` and `-`, such as 1-1")]
pub struct BusIdError(String);

impl FromStr for BusId {
    type Err = BusIdError;

    fn from_str(name: &str) -> Result<Self, BusIdError> {
        let fits = (1..=31).contains(&name.len());
        let plain = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
        if fits && name.chars().all(plain) {
            Ok(Self(name.to_owned()))
        } else {
            Err(BusIdError(name.to_owned()))
        }
    }
}

impl fmt::Display for BusId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BusId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(number: Number) -> Self {
        Self(format!("{}-{}", number.bus, number.device))
    }
}

/// A device's bus and device number; unique, and neither of them 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    bus: u32,
    device: u32,
}

impl Number {
    /// The numbers that a bus id of the form `3-7` speaks of.
    fn named_by(id: &BusId) -> Option<Self> {
        let (bus, device) = id.0.split_once('-')?;
        let number = Self {
            bus: bus.parse().ok()?,
            device: device.parse().ok()?,
        };
        let valid = 1..=NUMBERS;
        (valid.contains(&number.bus) && valid.contains(&number.device)).then_some(number)
    }

    fn all() -> impl Iterator<Item = Self> {
        (1..=NUMBERS).flat_map(|bus| (1..=NUMBERS).map(move |device| Self { bus, device }))
    }
}

/// The devices that are plugged in. Clones are handles of the same bus.
///
/// A device has one owner at a time: the bus while it is free, and otherwise the [`Lease`] that it was lent to.
#[derive(Clone, Debug, Default)]
pub struct Bus(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<BusId, Slot>,
    /// The numbers of all slots.
    numbers: BTreeSet<Number>,
    /// Whether the transfers of devices are counted.
    counts: bool,
    /// Told apart, so that a device plugged in under the name of one that is still lent is not mistaken for it.
    plugged: u64,
}

struct Slot {
    serial: u64,
    number: Number,
    description: ExportedDevice,
    holder: Holder,
    counters: Option<Arc<DeviceCounters>>,
}

enum Holder {
    Bus(Box<dyn Port>),
    /// Lent; the waker calls it back.
    Lease(Option<Waker>),
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("description", &self.description)
            .field("lent", &matches!(self.holder, Holder::Lease(_)))
            .finish_non_exhaustive()
    }
}

/// A device that is plugged in, as a list of the bus tells it.
#[derive(Clone, Debug)]
pub struct Plugged {
    /// Its name.
    pub bus_id: BusId,
    /// What it is.
    pub description: ExportedDevice,
    /// Whether somebody has it.
    pub in_use: bool,
    /// What is counted of it, if anything is.
    pub counters: Option<Arc<DeviceCounters>>,
}

/// Why a device can't be plugged in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlugError {
    /// Its name is taken.
    #[error("bus id {0} is taken: choose another, or leave it out to have one chosen")]
    Taken(BusId),
    /// All numbers are taken.
    #[error("the bus is full: it has room for 65,025 devices")]
    Full,
}

/// Why a device is not lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// There is none of that name.
    #[error("there is no such device")]
    NoDevice,
    /// Somebody has it.
    #[error("the device is in use")]
    Busy,
}

impl Bus {
    /// An empty bus.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has the transfers of devices counted that are plugged in from then on.
    pub fn count(&self) {
        self.state().counts = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plugs a device in, under the name it is to have or else under the first free one of `1-1`, `1-2`, ….
    ///
    /// # Errors
    /// Where the name is taken or the bus is full.
    pub fn plug(&self, port: Box<dyn Port>, bus_id: Option<BusId>) -> Result<BusId, PlugError> {
        let mut state = self.state();
        let (bus_id, number) = state.name(bus_id)?;
        let description = ExportedDevice {
            path: format!("/sys/devices/usbwright/usb{}/{bus_id}", number.bus),
            bus_id: bus_id.0.clone(),
            bus_number: number.bus,
            device_number: number.device,
            summary: port.summary(),
        };
        state.plugged += 1;
        let slot = Slot {
            serial: state.plugged,
            number,
            description,
            holder: Holder::Bus(port),
            counters: state.counts.then(Arc::default),
        };
        state.numbers.insert(number);
        state.slots.insert(bus_id.clone(), slot);
        Ok(bus_id)
    }

    /// Unplugs a device, and tells whether there was one. Whoever has it loses it.
    pub fn unplug(&self, bus_id: &BusId) -> bool {
        // The device is dropped, and its holder woken, when the lock is free again.
        let slot = self.state().remove(bus_id);
        match slot {
            Some(slot) => {
                if let Holder::Lease(Some(waker)) = slot.holder {
                    waker.wake();
                }
                true
            }
            None => false,
        }
    }

    /// The devices, by name.
    pub fn devices(&self) -> Vec<Plugged> {
        let state = self.state();
        let plugged = state.slots.iter().map(|(bus_id, slot)| Plugged {
            bus_id: bus_id.clone(),
            description: slot.description.clone(),
            in_use: matches!(slot.holder, Holder::Lease(_)),
            counters: slot.counters.clone(),
        });
        plugged.collect()
    }

    /// Lends a device, reset as if just plugged in.
    ///
    /// # Errors
    /// Where there is no such device, or somebody has it.
    pub fn lease(&self, bus_id: &BusId, now: Instant) -> Result<Lease, LeaseError> {
        let mut state = self.state();
        let slot = state.slots.get_mut(bus_id).ok_or(LeaseError::NoDevice)?;
        if let Holder::Lease(_) = slot.holder {
            return Err(LeaseError::Busy);
        }
        let Holder::Bus(port) = std::mem::replace(&mut slot.holder, Holder::Lease(None)) else {
            return Err(LeaseError::Busy);
        };
        let mut lease = Lease {
            bus: self.clone(),
            bus_id: bus_id.clone(),
            serial: slot.serial,
            description: slot.description.clone(),
            counters: slot.counters.clone(),
            port: Some(port),
        };
        drop(state);
        lease.port().reset(now);
        // What the holder before left behind ends here, and is not told to the next one.
        while lease.port().completion().is_some() {}
        Ok(lease)
    }
}

impl State {
    fn remove(&mut self, bus_id: &BusId) -> Option<Slot> {
        let slot = self.slots.remove(bus_id)?;
        self.numbers.remove(&slot.number);
        Some(slot)
    }

    fn name(&self, wanted: Option<BusId>) -> Result<(BusId, Number), PlugError> {
        let taken = |number: Number| self.numbers.contains(&number);
        let Some(bus_id) = wanted else {
            let number = Number::all()
                .find(|number| !taken(*number) && !self.slots.contains_key(&BusId::of(*number)))
                .ok_or(PlugError::Full)?;
            return Ok((BusId::of(number), number));
        };
        if self.slots.contains_key(&bus_id) {
            return Err(PlugError::Taken(bus_id));
        }
        let number = Number::named_by(&bus_id)
            .filter(|number| !taken(*number))
            .or_else(|| Number::all().find(|number| !taken(*number)))
            .ok_or(PlugError::Full)?;
        Ok((bus_id, number))
    }
}

/// A device lent by a [`Bus`]: dropping this gives it back, on whatever way out.
pub struct Lease {
    bus: Bus,
    bus_id: BusId,
    serial: u64,
    description: ExportedDevice,
    counters: Option<Arc<DeviceCounters>>,
    port: Option<Box<dyn Port>>,
}

impl Lease {
    /// The device's name.
    pub fn bus_id(&self) -> &BusId {
        &self.bus_id
    }

    /// What the device is.
    pub fn description(&self) -> &ExportedDevice {
        &self.description
    }

    /// What is counted of its transfers, if anything is.
    pub(crate) fn counters(&self) -> Option<Arc<DeviceCounters>> {
        self.counters.clone()
    }

    /// The device.
    pub fn port(&mut self) -> &mut dyn Port {
        self.port
            .as_deref_mut()
            .expect("the port is taken out on drop only")
    }

    /// Says whom to wake when the device is unplugged from the bus; at once, if it has been.
    pub fn set_waker(&self, waker: Waker) {
        let mut state = self.bus.state();
        let slot = state.slots.get_mut(&self.bus_id);
        let Some(slot) = slot.filter(|slot| slot.serial == self.serial) else {
            drop(state);
            return waker.wake();
        };
        let before = std::mem::replace(&mut slot.holder, Holder::Lease(Some(waker)));
        // A waker is woken and dropped when the lock is free again: it may use the bus.
        drop(state);
        drop(before);
    }

    /// Whether the device has been unplugged from the bus, or by its own fault.
    pub fn is_revoked(&self) -> bool {
        let connected = self.port.as_ref().is_some_and(|port| port.is_connected());
        let state = self.bus.state();
        let slot = state.slots.get(&self.bus_id);
        !connected || slot.is_none_or(|slot| slot.serial != self.serial)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut port) = self.port.take() else {
            return;
        };
        port.set_waker(Waker::noop().clone());
        let mut state = self.bus.state();
        let Some(slot) = state.slots.get_mut(&self.bus_id) else {
            return;
        };
        if slot.serial != self.serial {
            return;
        }
        if port.is_connected() {
            info!(busid = %self.bus_id, "device is free again");
            slot.holder = Holder::Bus(port);
        } else {
            warn!(busid = %self.bus_id, "device has unplugged itself and is gone");
            state.remove(&self.bus_id);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use usbwright_protocol::{EndpointAddress, Setup, Transfer, TransferId, TransferKind};

    use super::*;
    use crate::testing::waiting_device;

    /// Looks at a bus when it is woken.
    struct Looks(Bus, Mutex<Option<usize>>);

    impl std::task::Wake for Looks {
        fn wake(self: Arc<Self>) {
            *self.1.lock().unwrap() = Some(self.0.devices().len());
        }
    }

    #[test]
    fn whoever_is_woken_as_a_device_is_unplugged_may_use_the_bus() {
        let now = Instant::now();
        let bus = Bus::new();
        for unplugged_before in [false, true] {
            let bus_id = bus.plug(Box::new(waiting_device(now).0), None).unwrap();
            let lease = bus.lease(&bus_id, now).unwrap();
            let looks = Arc::new(Looks(bus.clone(), Mutex::default()));
            if unplugged_before {
                bus.unplug(&bus_id);
            }
            lease.set_waker(Waker::from(Arc::clone(&looks)));
            bus.unplug(&bus_id);
            assert_eq!(*looks.1.lock().unwrap(), Some(0));
        }
    }

    #[test]
    fn what_a_holder_left_behind_is_not_told_to_the_next() {
        let now = Instant::now();
        let bus = Bus::new();
        let (device, _) = waiting_device(now);
        let bus_id = bus.plug(Box::new(device), None).unwrap();
        let mut first = bus.lease(&bus_id, now).unwrap();
        let transfer = Transfer {
            id: TransferId(1),
            endpoint: EndpointAddress::CONTROL,
            kind: TransferKind::Control {
                setup: Setup::from_bytes([0xc0, 1, 0, 0, 0, 0, 8, 0]),
                data: bytes::Bytes::new(),
                room: 8,
            },
        };
        first.port().submit(transfer, now.into());
        drop(first);
        let mut second = bus.lease(&bus_id, now).unwrap();
        assert!(second.port().completion().is_none());
    }
}
