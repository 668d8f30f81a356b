//! The policies of pipes, and of a device's power.

use usbwright_target::{PipePolicy, PolicyError, PolicyId, PowerPolicy, PowerUnsupported};

use super::{UsbTargetDevice, UsbTargetPipe};
use crate::status::{HResult, NtStatus};

impl UsbTargetPipe {
    /// Its policies. Each pipe of each setting has its own.
    #[doc(alias = "RetrievePipePolicy")]
    pub fn policy(&self) -> PipePolicy {
        self.core.pipe.policy()
    }

    /// Sets its policies. They hold for requests that are sent afterwards, and are at their defaults after a change of setting.
    ///
    /// # Errors
    /// Where a pipe of this type and direction does not have one of those that differ from their defaults.
    #[doc(alias = "SetPipePolicy")]
    pub fn set_policy(&self, policy: PipePolicy) -> Result<(), PolicyError> {
        self.core.pipe.set_policy(policy)
    }

    /// A policy's value as WinUSB has it.
    ///
    /// # Errors
    /// Where a pipe of this type and direction does not have it. For a driver's callback, `?` makes `E_INVALIDARG` of any [`PolicyError`].
    #[doc(alias = "RetrievePipePolicy")]
    pub fn policy_value(&self, id: PolicyId) -> Result<Vec<u8>, PolicyError> {
        self.core.pipe.policy_value(id)
    }

    /// Sets a policy by its value as WinUSB has it.
    ///
    /// # Errors
    /// Where a pipe of this type and direction does not have it, it can only be read, or the value is of another size. For a driver's callback, `?` makes
    /// `E_INVALIDARG` of any [`PolicyError`].
    #[doc(alias = "SetPipePolicy")]
    pub fn set_policy_value(&self, id: PolicyId, value: &[u8]) -> Result<(), PolicyError> {
        self.core.pipe.set_policy_value(id, value)
    }
}

impl UsbTargetDevice {
    /// When the device is suspended by itself.
    ///
    /// # Errors
    /// [`NtStatus::NOT_SUPPORTED`] where it can't be, as with every backend here. A stack's own way is [`assign_idle`](crate::Device::assign_idle).
    #[doc(alias = "RetrievePowerPolicy")]
    pub fn power_policy(&self) -> Result<PowerPolicy, HResult> {
        self.usb.power_policy().ok_or(PowerUnsupported.into())
    }

    /// Says when the device is to be suspended by itself.
    ///
    /// # Errors
    /// As those of [`power_policy`](Self::power_policy), unless the policy is not to suspend it.
    #[doc(alias = "SetPowerPolicy")]
    pub fn set_power_policy(&self, policy: PowerPolicy) -> Result<(), HResult> {
        self.usb.set_power_policy(policy).map_err(HResult::from)
    }
}

impl From<PolicyError> for HResult {
    fn from(_: PolicyError) -> Self {
        Self::INVALIDARG
    }
}

impl From<PowerUnsupported> for HResult {
    fn from(_: PowerUnsupported) -> Self {
        NtStatus::NOT_SUPPORTED.into()
    }
}
