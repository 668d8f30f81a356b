//! A USB device's interface, as a driver has it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use usbwright_target::{
    Interface, SettingError, Wait,
    protocol::{EndpointAddress, descriptor::InterfaceDescriptor},
};

use super::UsbTargetPipe;
use crate::{
    device::DeviceShared,
    status::{HResult, NtStatus},
};

/// An interface of a USB device. Clones are handles of the same interface.
#[doc(alias = "IWDFUsbInterface")]
#[derive(Clone)]
pub struct UsbInterface(Arc<Shared>);

struct Shared {
    device: Weak<DeviceShared>,
    claimed: Interface,
    /// Those of the setting in force.
    pipes: Mutex<Vec<UsbTargetPipe>>,
}

impl UsbInterface {
    pub(super) fn new(device: &Arc<DeviceShared>, claimed: Interface) -> Self {
        let interface = Self(Arc::new(Shared {
            device: Arc::downgrade(device),
            claimed,
            pipes: Mutex::default(),
        }));
        interface.make_pipes();
        interface
    }

    fn make_pipes(&self) {
        let Some(device) = self.0.device.upgrade() else {
            return;
        };
        let pipes = self.0.claimed.pipes().into_iter();
        let pipes = pipes
            .map(|pipe| UsbTargetPipe::new(&device, pipe))
            .collect();
        let mut present = self.0.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *present, pipes);
        drop(present);
        before.iter().for_each(|pipe| pipe.target().remove());
    }

    /// Its number.
    #[doc(alias = "GetInterfaceNumber")]
    pub fn number(&self) -> u8 {
        self.0.claimed.number()
    }

    /// Its descriptors, of every setting.
    #[doc(alias = "GetInterfaceDescriptor")]
    pub fn descriptor(&self) -> &InterfaceDescriptor {
        self.0.claimed.descriptor()
    }

    /// The number of the setting in force.
    #[doc(alias = "GetConfiguredSettingIndex")]
    pub fn setting(&self) -> u8 {
        self.0.claimed.alternate()
    }

    /// The pipes of the setting in force, in the order of their addresses. A setting may have none.
    #[doc(alias = "GetNumEndPoints")]
    #[doc(alias = "RetrieveUsbPipeObject")]
    pub fn pipes(&self) -> Vec<UsbTargetPipe> {
        self.0
            .pipes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The pipe of an endpoint.
    pub fn pipe(&self, address: EndpointAddress) -> Option<UsbTargetPipe> {
        self.pipes()
            .into_iter()
            .find(|pipe| pipe.address() == address)
    }

    /// Chooses a setting, and waits until that is done. The pipes of the one before are closed. To choose the one in force does nothing.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_PARAMETER`] where there is none of that number; as the device told, otherwise.
    #[doc(alias = "SelectSetting")]
    pub fn select_setting(&self, setting: u8) -> Result<(), HResult> {
        if setting == self.setting() {
            return Ok(());
        }
        match self.0.claimed.set_alternate(setting).wait() {
            Ok(()) => {
                self.make_pipes();
                Ok(())
            }
            Err(SettingError::Refused(failed)) => {
                Err(super::flight::status_of(&failed.error).into())
            }
            Err(_) => Err(NtStatus::INVALID_PARAMETER.into()),
        }
    }
}

impl fmt::Debug for UsbInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsbInterface")
            .field("number", &self.number())
            .finish_non_exhaustive()
    }
}
