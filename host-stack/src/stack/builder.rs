//! Building a stack: its drivers are loaded, they make their devices, and these start.

use std::sync::{Arc, Mutex, OnceLock, Weak, atomic::AtomicBool};

use usbwright_target::Clock;

use super::{
    CallbackError, Idle, Owner, PnpState, Spare, Stack, StackShared, State, Unplugged,
    change::{Called, called},
};
use crate::{
    buffers::{Agreed, IoType, IoTypeError},
    callbacks::Driver,
    device::{DeviceInit, DeviceShared, LockingConstraint},
    names::DeviceNames,
    observer::{Observer, StackEvent},
    scheduler::{Scheduler, Threads},
    status::NtStatus,
    verifier::{OnViolation, Verifier},
};

/// A stack that is to be built.
#[must_use]
#[derive(Default)]
pub struct StackBuilder {
    usb: Option<usbwright_target::Device>,
    drivers: Vec<(Arc<str>, Arc<dyn Driver>)>,
    clock: Clock,
    threads: Threads,
    on_violation: OnViolation,
    copies_neither: bool,
    names: DeviceNames,
    observer: Observer,
    io_types: Vec<(Arc<str>, IoType)>,
}

/// Why a stack did not start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// It has no drivers.
    #[error("a stack has at least one driver: name one with StackBuilder::driver")]
    NoDrivers,
    /// The drivers don't go together.
    #[error(transparent)]
    IoType(#[from] IoTypeError),
    /// A driver failed.
    #[error(transparent)]
    Callback(#[from] CallbackError),
}

impl StackBuilder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The USB device at the bottom. When it is unplugged, the drivers are told, and the stack is removed: as [`Stack::surprise_remove`] has it, without being
    /// asked for.
    pub fn usb_device(mut self, device: usbwright_target::Device) -> Self {
        self.usb = Some(device);
        self
    }

    /// Adds a driver above those that were added before.
    #[doc(alias = "UmdfServiceOrder")]
    pub fn driver(mut self, name: &str, driver: impl Driver) -> Self {
        self.drivers.push((name.into(), Arc::new(driver)));
        self
    }

    /// The time that requests' timeouts go by.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Whether the stack has a thread of its own.
    pub fn threads(mut self, threads: Threads) -> Self {
        self.threads = threads;
        self
    }

    /// What a broken rule brings about.
    pub fn on_violation(mut self, on_violation: OnViolation) -> Self {
        self.on_violation = on_violation;
        self
    }

    /// Who is told of what happens in the stack: for whoever runs it on behalf of others.
    pub fn observer(mut self, observer: impl Fn(StackEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observer);
        self
    }

    /// The names that its devices get, and find others by. By default they are known to nobody else.
    pub fn names(mut self, names: &DeviceNames) -> Self {
        self.names = names.clone();
        self
    }

    /// Has the data of control codes of method "neither" copied, where they are refused otherwise.
    #[doc(alias = "UmdfMethodNeitherAction")]
    pub fn copy_neither(mut self) -> Self {
        self.copies_neither = true;
        self
    }

    /// How a driver gets at data that says nothing of it itself ([`DeviceInit::set_io_type_preference`]). Drivers that the stack does not have make no difference.
    pub fn io_type_preference(mut self, driver: &str, wanted: IoType) -> Self {
        self.io_types.push((driver.into(), wanted));
        self
    }

    /// Loads the drivers, has them make their devices, the lowest first, and starts these.
    ///
    /// # Errors
    /// Where a driver fails, or they don't go together. What was begun is undone then.
    pub fn start(mut self) -> Result<Stack, StartError> {
        if self.drivers.is_empty() {
            return Err(StartError::NoDrivers);
        }
        let stack = Stack(Arc::new(Owner(self.load())));
        let shared = stack.shared();
        let _ = shared.owner.set(Arc::downgrade(&stack.0));
        let change = shared.try_change();
        shared
            .scheduler
            .enter(|| shared.add_devices(self.usb.as_ref()))?;
        let devices = shared.devices();
        let wanted: Vec<(&str, IoType)> = devices
            .iter()
            .map(|device| (&**device.driver(), device.io_type))
            .collect();
        let agreed = Agreed::between(wanted.iter().copied())?;
        let _ = shared.agreed.set(agreed);
        if let Some(usb) = &self.usb {
            shared.watch(usb);
        }
        shared.start()?;
        drop(change);
        shared.names.announce(shared);
        Ok(stack)
    }

    /// A stack that has no devices yet.
    fn load(&mut self) -> Arc<StackShared> {
        let scheduler = Scheduler::new(self.clock.clone(), self.threads);
        let idle = Idle::new(&scheduler);
        let shared = Arc::new_cyclic(|this: &Weak<StackShared>| StackShared {
            scheduler,
            verifier: Verifier::new(self.on_violation, self.observer.clone()),
            drivers: std::mem::take(&mut self.drivers),
            agreed: OnceLock::new(),
            copies_neither: self.copies_neither,
            names: self.names.clone(),
            owner: OnceLock::new(),
            outside: Mutex::default(),
            io_types: self.io_types.clone(),
            state: Mutex::new(State {
                loaded: 0,
                devices: Vec::new(),
                pnp: PnpState::Stopped,
                failure: None,
                changes: None,
                is_to_be_removed: false,
                ends: None,
                files: Vec::new(),
                unplugged: Unplugged::default(),
                watch: None,
            }),
            is_gone: AtomicBool::new(false),
            spare: Spare::default(),
            idle,
            this: Weak::clone(this),
        });
        shared.idle.belongs_to(&shared);
        let weak = Arc::downgrade(&shared);
        shared.scheduler.on_panic(move |calls, message| {
            if let Some(stack) = weak.upgrade() {
                let (driver, callback) = calls.unwrap_or(("?".into(), "a callback"));
                stack.fail(&driver, callback, message);
            }
        });
        shared
    }
}

impl StackShared {
    /// Loads the drivers, and has them make their devices, the lowest first.
    fn add_devices(&self, usb: Option<&usbwright_target::Device>) -> Called {
        for (name, driver) in &self.drivers {
            called(name, "initialize", || driver.initialize())
                .inspect_err(|it| self.fail_if_panicked(it))?;
            self.state().loaded += 1;
            let init = self.init(name, usb);
            let made = Arc::clone(&init.made);
            let observer = self.verifier.observer();
            let add = || {
                let device = driver.device_add(init)?;
                let is_it = |made| Arc::ptr_eq(made, device.shared());
                match made.get().is_some_and(is_it) {
                    true => Ok(()),
                    false => Err(NtStatus::INVALID_DEVICE_REQUEST.into()),
                }
            };
            let added = observer.around(name, "device_add", || called(name, "device_add", add));
            self.state().devices.extend(made.get().cloned());
            added.inspect_err(|it| self.fail_if_panicked(it))?;
        }
        Ok(())
    }

    fn init(&self, driver: &Arc<str>, usb: Option<&usbwright_target::Device>) -> DeviceInit {
        let lower: Option<Weak<DeviceShared>> = self.state().devices.last().map(Arc::downgrade);
        let mut wanted = self.io_types.iter().rev();
        let io_type = wanted.find_map(|(name, it)| (name == driver).then_some(*it));
        DeviceInit {
            driver: Arc::clone(driver),
            scheduler: Arc::clone(&self.scheduler),
            verifier: Arc::clone(&self.verifier),
            usb: usb.cloned(),
            lower,
            is_filter: false,
            locking: LockingConstraint::default(),
            auto_forward: None,
            io_type: io_type.unwrap_or_default(),
            owns_power_policy: None,
            idle: Arc::clone(&self.idle),
            stack: Weak::clone(&self.this),
            made: Arc::default(),
        }
    }
}
