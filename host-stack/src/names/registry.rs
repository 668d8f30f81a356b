//! Which name is of which device.

use std::sync::{Arc, Weak};

use super::{Guid, OpenError};
use crate::{
    device::{Device, DeviceShared},
    scheduler::Job,
    stack::StackShared,
    status::NtStatus,
};

/// What may stand before a name, and means nothing more than that it is one.
const PREFIXES: [&str; 4] = [r"\\?\", r"\\.\", r"\??\", r"\DosDevices\"];

#[derive(Default)]
pub(super) struct Registry {
    entries: Vec<Entry>,
    watches: Vec<Watch>,
    /// Devices that have got a number.
    numbered: u64,
}

/// A name.
struct Entry {
    /// As it is told, with its prefix.
    name: Arc<str>,
    /// What it is, if it is an interface.
    interface: Option<Interface>,
    device: Weak<DeviceShared>,
    stack: Weak<StackShared>,
    /// The driver wants it to be enabled while the stack works.
    is_wanted: bool,
    /// Whoever waits for interfaces was told of it.
    is_announced: bool,
}

struct Interface {
    class: Guid,
    reference: Arc<str>,
    number: u64,
}

pub(super) type OnArrival = dyn Fn(&Device, &str) + Send + Sync;

/// A driver that is told of interfaces.
struct Watch {
    class: Guid,
    device: Weak<DeviceShared>,
    stack: Weak<StackShared>,
    callback: Arc<OnArrival>,
}

/// What a name is of.
pub(crate) struct Resolved {
    pub(crate) stack: Arc<StackShared>,
    /// The name within the device.
    pub(crate) file: String,
}

impl Entry {
    fn stack(&self) -> Option<Arc<StackShared>> {
        let stack = self.stack.upgrade();
        stack.filter(|it| self.is_wanted && it.can_be_opened())
    }

    fn is_of(&self, device: &Arc<DeviceShared>) -> bool {
        std::ptr::eq(self.device.as_ptr(), Arc::as_ptr(device))
    }
}

/// A name without what may stand before it.
fn bare(name: &str) -> &str {
    PREFIXES
        .iter()
        .find_map(|prefix| {
            let (start, rest) = name.split_at_checked(prefix.len())?;
            start.eq_ignore_ascii_case(prefix).then_some(rest)
        })
        .unwrap_or(name)
}

/// What follows `name` in `text`, if that begins with it.
fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(name.len())?;
    let ends = rest.is_empty() || rest.starts_with('\\');
    (ends && start.eq_ignore_ascii_case(name)).then_some(rest)
}

impl Registry {
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.entries.iter().map(|it| Arc::clone(&it.name)).collect()
    }

    /// The interfaces of a class that are enabled, with their stacks, which are not to be dropped under the lock.
    pub(super) fn enabled(&self, class: Guid) -> Vec<(Arc<str>, Arc<StackShared>)> {
        let of_class = |it: &&Entry| it.interface.as_ref().is_some_and(|it| it.class == class);
        let all = self.entries.iter().filter(of_class);
        all.filter_map(|it| Some((Arc::clone(&it.name), it.stack()?)))
            .collect()
    }

    pub(super) fn resolve(&self, name: &str) -> Result<Resolved, OpenError> {
        let text = bare(name);
        let found = self.entries.iter().filter_map(|it| {
            let rest = after(text, bare(&it.name))?;
            Some((it, rest))
        });
        let Some((entry, rest)) = found.max_by_key(|(it, _)| it.name.len()) else {
            return Err(OpenError::NoSuchDevice(name.to_owned()));
        };
        let stack = entry.stack();
        let stack = stack.ok_or_else(|| OpenError::Disabled(name.to_owned()))?;
        let reference = entry.interface.as_ref().map(|it| &*it.reference);
        let file = match reference.filter(|it| !it.is_empty()) {
            Some(reference) => format!(r"\{reference}{rest}"),
            None => rest.to_owned(),
        };
        Ok(Resolved { stack, file })
    }

    /// Makes an interface, and tells its name.
    pub(super) fn add_interface(
        &mut self,
        device: &Arc<DeviceShared>,
        class: Guid,
        reference: &str,
    ) -> Result<Arc<str>, NtStatus> {
        let mut own = self.entries.iter().filter(|it| it.is_of(device));
        if own.any(|it| it.is_interface(class, reference)) {
            return Err(NtStatus::OBJECT_NAME_COLLISION);
        }
        let mut own = self.entries.iter().filter(|it| it.is_of(device));
        let number = own.find_map(|it| Some(it.interface.as_ref()?.number));
        let number = number.unwrap_or_else(|| {
            self.numbered += 1;
            self.numbered
        });
        let driver = device.driver().replace(['\\', '/', '#'], "_");
        let name = match reference {
            "" => format!(r"\\?\{driver}#{number:04}#{class}"),
            _ => format!(r"\\?\{driver}#{number:04}#{class}\{reference}"),
        };
        let interface = Interface {
            class,
            reference: reference.into(),
            number,
        };
        Ok(self.add(name.into(), Some(interface), device))
    }

    /// Makes a symbolic link, whose name has nothing before it.
    pub(super) fn add_link(
        &mut self,
        device: &Arc<DeviceShared>,
        name: &str,
    ) -> Result<(), NtStatus> {
        let name = bare(name);
        if name.is_empty() || name.contains(['\\', '/']) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let taken = |it: &Entry| bare(&it.name).eq_ignore_ascii_case(name);
        if self.entries.iter().any(taken) {
            return Err(NtStatus::OBJECT_NAME_COLLISION);
        }
        self.add(format!(r"\\.\{name}").into(), None, device);
        Ok(())
    }

    fn add(
        &mut self,
        name: Arc<str>,
        interface: Option<Interface>,
        device: &Arc<DeviceShared>,
    ) -> Arc<str> {
        self.entries.retain(|it| it.stack.strong_count() > 0);
        self.entries.push(Entry {
            name: Arc::clone(&name),
            interface,
            device: Arc::downgrade(device),
            stack: device.stack().clone(),
            is_wanted: true,
            is_announced: false,
        });
        name
    }

    /// Enables or disables an interface.
    pub(super) fn want(
        &mut self,
        device: &Arc<DeviceShared>,
        class: Guid,
        reference: &str,
        wanted: bool,
    ) -> Result<(), NtStatus> {
        let entry = self
            .entries
            .iter_mut()
            .find(|it| it.is_of(device) && it.is_interface(class, reference));
        let entry = entry.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        entry.is_wanted = wanted;
        entry.is_announced &= wanted;
        Ok(())
    }

    /// Has a driver told of interfaces that are enabled from now on. Returns what there is already.
    pub(super) fn watch(
        &mut self,
        device: &Arc<DeviceShared>,
        class: Guid,
        callback: Arc<OnArrival>,
    ) -> Vec<(Arrival, Arc<StackShared>)> {
        let watch = Watch {
            class,
            device: Arc::downgrade(device),
            stack: device.stack().clone(),
            callback,
        };
        let there = self.enabled(class).into_iter();
        let there = there.map(|(name, stack)| (watch.arrival(&name), stack));
        let there = there.collect();
        self.watches.push(watch);
        there
    }

    /// What is to be told of a stack's interfaces, now that it works.
    pub(super) fn arrivals_of(&mut self, stack: &StackShared) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for entry in &mut self.entries {
            let is_its = std::ptr::eq(entry.stack.as_ptr(), stack);
            if !is_its || entry.is_announced || entry.stack().is_none() {
                continue;
            }
            entry.is_announced = true;
            let Some(interface) = &entry.interface else {
                continue;
            };
            let told = self.watches.iter().filter(|it| it.class == interface.class);
            arrivals.extend(told.map(|it| it.arrival(&entry.name)));
        }
        arrivals
    }

    /// Forgets what a stack has named, and what it is told. That is to be dropped without the lock.
    #[must_use]
    pub(super) fn forget(&mut self, stack: &StackShared) -> impl Sized + use<> {
        self.entries
            .retain(|it| !std::ptr::eq(it.stack.as_ptr(), stack));
        let is_its = |it: &mut Watch| std::ptr::eq(it.stack.as_ptr(), stack);
        let forgotten: Vec<Watch> = self.watches.extract_if(.., is_its).collect();
        forgotten
    }
}

impl Entry {
    fn is_interface(&self, class: Guid, reference: &str) -> bool {
        let interface = self.interface.as_ref();
        interface
            .is_some_and(|it| it.class == class && it.reference.eq_ignore_ascii_case(reference))
    }
}

impl Watch {
    fn arrival(&self, name: &Arc<str>) -> Arrival {
        Arrival {
            device: Weak::clone(&self.device),
            name: Arc::clone(name),
            callback: Arc::clone(&self.callback),
        }
    }
}

/// Tells a driver of an interface.
pub(super) struct Arrival {
    device: Weak<DeviceShared>,
    name: Arc<str>,
    callback: Arc<OnArrival>,
}

impl Arrival {
    pub(super) fn tell(self) {
        if let Some(device) = self.device.upgrade() {
            device.scheduler().post(None, Arc::new(self));
        }
    }
}

impl Job for Arrival {
    fn run(self: Arc<Self>) {
        let device = self.device.upgrade();
        if let Some(device) = device.filter(|it| !it.life().is_deleted) {
            (self.callback)(&Device::of(&device), &self.name);
        }
    }

    fn is_callback(&self) -> bool {
        false
    }

    fn calls(&self) -> Option<(Arc<str>, &'static str)> {
        let device = self.device.upgrade()?;
        Some((Arc::clone(device.driver()), "an interface's arrival"))
    }
}
