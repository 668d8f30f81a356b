//! How drivers name their devices, and learn of those of others.

use std::sync::Arc;

use super::{DeviceNames, Guid};
use crate::{
    device::Device,
    status::{HResult, NtStatus},
};

/// The names of a device, in the [`DeviceNames`] that its stack was built with. They go with the stack.
impl Device {
    /// Makes an interface of the device, and tells its symbolic name, by which others open the device. With a `reference`, the name ends with it, and what is opened so has
    /// it as the beginning of its [name](crate::File::name).
    ///
    /// It is enabled once the whole stack has started, and disabled when that is about to go, unless the driver has
    /// [disabled](Self::set_interface_enabled) it.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_PARAMETER`] where the reference has `/` or `\`; [`NtStatus::OBJECT_NAME_COLLISION`] where the device has such an interface;
    /// [`NtStatus::INVALID_DEVICE_STATE`] where it has gone.
    #[doc(alias = "CreateDeviceInterface")]
    pub fn create_interface(&self, class: Guid, reference: &str) -> Result<Arc<str>, HResult> {
        if reference.contains(['/', '\\']) {
            return Err(NtStatus::INVALID_PARAMETER.into());
        }
        let names = self.names()?;
        let name = names
            .registry()
            .add_interface(self.shared(), class, reference)?;
        self.announce(&names);
        Ok(name)
    }

    /// Enables an interface of the device, or disables it: it can't be opened then. What is open stays so.
    ///
    /// # Errors
    /// [`NtStatus::OBJECT_NAME_NOT_FOUND`] where the device has no such interface; [`NtStatus::INVALID_DEVICE_STATE`] where it has gone.
    #[doc(alias = "AssignDeviceInterfaceState")]
    pub fn set_interface_enabled(
        &self,
        class: Guid,
        reference: &str,
        enabled: bool,
    ) -> Result<(), HResult> {
        let names = self.names()?;
        names
            .registry()
            .want(self.shared(), class, reference, enabled)?;
        self.announce(&names);
        Ok(())
    }

    /// Gives the device a name of the driver's choice, under which it can be opened while the stack works: `Echo` is `\\.\Echo` for an application.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_PARAMETER`] where the name is empty or has `/` or `\`; [`NtStatus::OBJECT_NAME_COLLISION`] where something has it;
    /// [`NtStatus::INVALID_DEVICE_STATE`] where the device has gone.
    #[doc(alias = "CreateSymbolicLink")]
    pub fn create_symbolic_link(&self, name: &str) -> Result<(), HResult> {
        self.names()?.registry().add_link(self.shared(), name)?;
        Ok(())
    }

    /// Calls `callback` with the name of each interface of a class that is enabled from now on, of any stack; with `existing` also of those that are already. It is not serialised
    /// with other callbacks, and may be called for an interface that is gone again. It is dropped when the stack goes.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_STATE`] where the device has gone.
    #[doc(alias = "RegisterRemoteInterfaceNotification")]
    #[doc(alias = "OnRemoteInterfaceArrival")]
    pub fn on_interface_arrival(
        &self,
        class: Guid,
        existing: bool,
        callback: impl Fn(&Self, &str) + Send + Sync + 'static,
    ) -> Result<(), HResult> {
        let names = self.names()?;
        let there = names
            .registry()
            .watch(self.shared(), class, Arc::new(callback));
        for (arrival, _stack) in there.into_iter().filter(|_| existing) {
            arrival.tell();
        }
        Ok(())
    }

    /// The names that its stack knows.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_STATE`] where the device has gone.
    pub fn names(&self) -> Result<DeviceNames, HResult> {
        let stack = self.shared().stack().upgrade();
        let stack = stack.filter(|it| !it.is_gone());
        let stack = stack.ok_or(NtStatus::INVALID_DEVICE_STATE)?;
        Ok(stack.names().clone())
    }

    fn announce(&self, names: &DeviceNames) {
        if let Some(stack) = self.shared().stack().upgrade() {
            names.announce(&stack);
        }
    }
}
