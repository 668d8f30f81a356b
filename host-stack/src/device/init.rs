//! What a driver says of a device before it is made.

use std::sync::{Arc, Mutex, OnceLock, Weak, atomic::AtomicBool};

use super::{Device, DeviceShared};
use crate::{
    callbacks::DeviceCallbacks,
    context::Context,
    file::File,
    scheduler::Scheduler,
    stack::{Idle, StackShared},
    target::{IoTarget, Lower, TargetShared},
    verifier::Verifier,
};

/// Whether a device's callbacks run one at a time.
#[doc(alias = "WDF_CALLBACK_CONSTRAINT")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LockingConstraint {
    /// Those of its queues, cancellation and files do.
    #[doc(alias = "WdfDeviceLevel")]
    #[default]
    DeviceLevel,
    /// They do not.
    None,
}

/// What a driver says of a device before it is made.
#[doc(alias = "IWDFDeviceInitialize")]
#[doc(alias = "IWDFDeviceInitialize2")]
pub struct DeviceInit {
    pub(crate) driver: Arc<str>,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) usb: Option<usbwright_target::Device>,
    pub(crate) lower: Option<Weak<DeviceShared>>,
    pub(crate) is_filter: bool,
    pub(crate) locking: LockingConstraint,
    pub(crate) auto_forward: Option<bool>,
    pub(crate) io_type: crate::IoType,
    pub(crate) owns_power_policy: Option<bool>,
    pub(crate) idle: Arc<Idle>,
    pub(crate) stack: Weak<StackShared>,
    /// The device, once it is made.
    pub(crate) made: Arc<OnceLock<Arc<DeviceShared>>>,
}

impl DeviceInit {
    /// Makes it a filter: what it has no queue for goes to the next driver below.
    #[doc(alias = "SetFilter")]
    pub fn set_filter(&mut self) {
        self.is_filter = true;
    }

    /// Says whether its callbacks run one at a time, which they do unless told otherwise.
    #[doc(alias = "SetLockingConstraint")]
    pub fn set_locking_constraint(&mut self, locking: LockingConstraint) {
        self.locking = locking;
    }

    /// Says whether the opening and closing of files goes to the next driver below. By default it does from a filter.
    #[doc(alias = "AutoForwardCreateCleanupClose")]
    pub fn auto_forward_create_cleanup_close(&mut self, forward: bool) {
        self.auto_forward = Some(forward);
    }

    /// Says how the driver would like to get at requests' data. All drivers of a stack have to agree.
    #[doc(alias = "SetIoTypePreference")]
    pub fn set_io_type_preference(&mut self, io_type: crate::IoType) {
        self.io_type = io_type;
    }

    /// Says whether the driver decides when the device sleeps for want of work, which one driver of a stack does. By default a filter does not.
    #[doc(alias = "SetPowerPolicyOwnership")]
    pub fn set_power_policy_ownership(&mut self, owner: bool) {
        self.owns_power_policy = Some(owner);
    }

    /// The USB device at the bottom of the stack, if there is one.
    pub fn usb_device(&self) -> Option<&usbwright_target::Device> {
        self.usb.as_ref()
    }

    /// Makes the device.
    #[doc(alias = "CreateDevice")]
    pub fn create(self, callbacks: impl DeviceCallbacks) -> Device {
        let lock = match self.locking {
            LockingConstraint::DeviceLevel => Some(Arc::default()),
            LockingConstraint::None => None,
        };
        let shared = Arc::new(DeviceShared {
            own_file: File::new(Arc::clone(&self.driver), std::process::id()),
            stack: self.stack,
            driver: self.driver,
            callbacks: Mutex::new(Arc::new(callbacks)),
            scheduler: self.scheduler,
            verifier: self.verifier,
            lock,
            is_filter: self.is_filter,
            forwards_files: self.auto_forward.unwrap_or(self.is_filter),
            io_type: self.io_type,
            usb: self.usb,
            in_d0: AtomicBool::new(false),
            queues: Mutex::default(),
            targets: Mutex::default(),
            default_target: OnceLock::new(),
            context: Context::default(),
            owns_power_policy: self.owns_power_policy.unwrap_or(!self.is_filter),
            idle: self.idle,
            life: Mutex::default(),
            children: Mutex::default(),
        });
        let _ = self.made.set(Arc::clone(&shared));
        let lower = TargetShared::new(&shared, Box::new(Lower { device: self.lower }));
        let _ = shared.default_target.set(IoTarget::of(lower));
        Device(shared)
    }
}
