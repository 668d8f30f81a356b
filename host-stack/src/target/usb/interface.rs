//! A USB device's interface, as a driver has it.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use usbwright_target::{
    Interface, SettingError, Wait,
    protocol::{EndpointAddress, descriptor::InterfaceDescriptor},
};

use super::UsbTargetPipe;
use crate::{
    context::Context,
    device::DeviceShared,
    status::{HResult, NtStatus},
    target::{SentIoAction, TargetState},
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
    context: Arc<Context>,
}

impl UsbInterface {
    pub(super) fn new(device: &Arc<DeviceShared>, claimed: Interface) -> Self {
        let interface = Self(Arc::new(Shared {
            device: Arc::downgrade(device),
            claimed,
            pipes: Mutex::default(),
            context: Arc::default(),
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
        for pipe in &before {
            pipe.target().remove();
            pipe.target().shared().end_contexts();
        }
    }

    pub(super) fn of_context(&self) -> Arc<Context> {
        Arc::clone(&self.0.context)
    }

    /// Gives the interface a context: what the driver keeps with it. It is dropped with the hardware, when that was
    /// [released](crate::DeviceCallbacks::release_hardware).
    ///
    /// # Errors
    /// With the context, where it has or had one, or has gone.
    #[doc(alias = "AssignContext")]
    pub fn assign_context<T: Any + Send + Sync>(&self, context: T) -> Result<(), T> {
        self.0.context.assign(context)
    }

    /// The interface's context; `None` where it has none, or one of another type.
    #[doc(alias = "RetrieveContext")]
    pub fn context<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.context.retrieve()
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

    /// The interface to a program without a stack.
    #[doc(alias = "GetWinUsbHandle")]
    pub fn usb(&self) -> &Interface {
        &self.0.claimed
    }

    /// The pipe of an endpoint.
    #[doc(alias = "RetrieveUsbPipeObject")]
    pub fn pipe(&self, address: EndpointAddress) -> Option<UsbTargetPipe> {
        self.pipes()
            .into_iter()
            .find(|pipe| pipe.address() == address)
    }

    /// Chooses a setting, and waits until that is done. To choose the one in force does nothing.
    ///
    /// The pipes of the one before are closed: what they were sent is taken back first, and ends as [`NtStatus::CANCELLED`]; what waits in a stopped one ends as
    /// [`NtStatus::WDF_DEVICE_REMOVED_NOT_SENT`]. The new ones are started, without a reader, and with their policies at their defaults, whatever those of the same endpoints
    /// were before (no public source tells what UMDF does).
    ///
    /// # Errors
    /// [`NtStatus::INVALID_PARAMETER`] where there is none of that number; as the device told, otherwise: the pipes stay as they were then, but for what they were sent.
    #[doc(alias = "SelectSetting")]
    #[doc(alias = "WdfUsbInterfaceSelectSetting")]
    pub fn select_setting(&self, setting: u8) -> Result<(), HResult> {
        if setting == self.setting() {
            return Ok(());
        }
        if self.descriptor().setting(setting).is_none() {
            return Err(NtStatus::INVALID_PARAMETER.into());
        }
        let started = self.stop_pipes();
        let chosen = self.0.claimed.set_alternate(setting).wait();
        if chosen.is_ok() {
            self.make_pipes();
            return Ok(());
        }
        for pipe in started {
            pipe.target().start()?;
        }
        chosen.map_err(|error| match error {
            SettingError::Refused(failed) => super::flight::status_of(&failed.error).into(),
            SettingError::Unknown { .. } => NtStatus::INVALID_PARAMETER.into(),
        })
    }

    /// Stops the pipes and takes back what they were sent. Returns those that were started.
    fn stop_pipes(&self) -> Vec<UsbTargetPipe> {
        let mut pipes = self.pipes();
        pipes.retain(|pipe| {
            let target = pipe.target();
            let was_started = target.state() == TargetState::Started;
            // To take back what was sent is allowed everywhere.
            let _ = target.stop(SentIoAction::CancelSentIo);
            was_started
        });
        pipes
    }
}

impl fmt::Debug for UsbInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsbInterface")
            .field("number", &self.number())
            .finish_non_exhaustive()
    }
}
