//! What a driver is: its entry, and the callbacks of its devices.

use crate::{
    device::{Device, DeviceInit},
    file::File,
    status::HResult,
};

/// A driver: what makes devices for stacks.
#[doc(alias = "IDriverEntry")]
pub trait Driver: Send + Sync + 'static {
    /// The driver is loaded. Where this fails, no stack with it starts.
    ///
    /// # Errors
    /// As the driver decides.
    #[doc(alias = "OnInitialize")]
    fn initialize(&self) -> Result<(), HResult> {
        Ok(())
    }

    /// A stack is built: the driver makes its device, with [`DeviceInit::create`], and its queues.
    ///
    /// # Errors
    /// As the driver decides; the stack does not start then.
    #[doc(alias = "OnDeviceAdd")]
    fn device_add(&self, init: DeviceInit) -> Result<Device, HResult>;

    /// The driver is unloaded.
    #[doc(alias = "OnDeinitialize")]
    fn deinitialize(&self) {}
}

/// A device's state of power.
#[doc(alias = "WDF_POWER_DEVICE_STATE")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerState {
    /// It works.
    D0,
    /// It sleeps lightly.
    D1,
    /// It sleeps.
    D2,
    /// It is off, and may come back.
    D3,
    /// It is off for good.
    D3Final,
}

/// A device's callbacks. Each has a default that does nothing.
///
/// Powering up, they are called for the lowest driver's device first: [`prepare_hardware`](Self::prepare_hardware), [`d0_entry`](Self::d0_entry),
/// [`disarm_wake`](Self::disarm_wake) if it was armed, then power-managed queues start and tell of what they resume, then
/// [`self_managed_io_init`](Self::self_managed_io_init), or [`self_managed_io_restart`](Self::self_managed_io_restart) if that was called before. Powering
/// down, for the highest first: [`self_managed_io_suspend`](Self::self_managed_io_suspend), power-managed queues stop, [`arm_wake`](Self::arm_wake),
/// [`d0_exit`](Self::d0_exit), and where the device goes [`release_hardware`](Self::release_hardware), power-managed queues are purged,
/// [`self_managed_io_flush`](Self::self_managed_io_flush), other queues are purged, files that are open are closed by [`cleanup_file`](Self::cleanup_file) and
/// [`close_file`](Self::close_file), [`self_managed_io_cleanup`](Self::self_managed_io_cleanup), [`cleanup`](Self::cleanup).
///
/// What was never begun is not undone: without a `self_managed_io_init` there is neither flush nor cleanup of it, and a device that has left D0 already goes on with
/// `release_hardware`. A callback that panics brings its stack down: no driver of it is called any more, and what applications have asked of it ends with
/// `ERROR_DRIVER_PROCESS_TERMINATED`.
///
/// None of them is serialised with the callbacks of queues.
#[doc(alias = "IPnpCallback")]
#[doc(alias = "IPnpCallbackHardware")]
#[doc(alias = "IPnpCallbackSelfManagedIo")]
#[doc(alias = "IPowerPolicyCallbackWakeFromS0")]
#[doc(alias = "IPowerPolicyCallbackWakeFromSx")]
#[doc(alias = "IFileCallbackCleanup")]
#[doc(alias = "IFileCallbackClose")]
pub trait DeviceCallbacks: Send + Sync + 'static {
    /// The hardware can be used: make targets, look at what there is.
    ///
    /// # Errors
    /// As the driver decides. [`release_hardware`](Self::release_hardware) is called all the same, and the device does not start.
    #[doc(alias = "OnPrepareHardware")]
    fn prepare_hardware(&self, _device: &Device) -> Result<(), HResult> {
        Ok(())
    }

    /// The hardware can't be used any more. Where the device is stopped for a while, its [USB targets](crate::usb) are deleted afterwards, and what is outstanding there
    /// is taken back: let go of them here, so that they can be made anew.
    ///
    /// # Errors
    /// As the driver decides. It is logged, and changes nothing.
    #[doc(alias = "OnReleaseHardware")]
    fn release_hardware(&self, _device: &Device) -> Result<(), HResult> {
        Ok(())
    }

    /// The device has come to D0, from the state that it was in before: [`PowerState::D3Final`] where it starts.
    ///
    /// # Errors
    /// As the driver decides. [`d0_exit`](Self::d0_exit) is not called then, but [`d0_entry_failed`](Self::d0_entry_failed), and the stack goes.
    #[doc(alias = "OnD0Entry")]
    fn d0_entry(&self, _device: &Device, _from: PowerState) -> Result<(), HResult> {
        Ok(())
    }

    /// [`d0_entry`](Self::d0_entry) has failed, and what it had begun is to be undone. UMDF has no such callback, and drivers that started something before the failure
    /// never stopped it. Continuous readers that run still are stopped afterwards.
    fn d0_entry_failed(&self, _device: &Device) {}

    /// The device leaves D0 for another state: [`PowerState::D3Final`] where it stops or goes.
    ///
    /// # Errors
    /// As the driver decides; the stack goes then.
    #[doc(alias = "OnD0Exit")]
    fn d0_exit(&self, _device: &Device, _to: PowerState) -> Result<(), HResult> {
        Ok(())
    }

    /// The device runs for the first time: begin what the driver does by itself.
    ///
    /// # Errors
    /// As the driver decides; the stack goes then.
    #[doc(alias = "OnSelfManagedIoInit")]
    fn self_managed_io_init(&self, _device: &Device) -> Result<(), HResult> {
        Ok(())
    }

    /// The device runs again.
    ///
    /// # Errors
    /// As the driver decides; the stack goes then.
    #[doc(alias = "OnSelfManagedIoRestart")]
    fn self_managed_io_restart(&self, _device: &Device) -> Result<(), HResult> {
        Ok(())
    }

    /// The device is about to leave D0.
    ///
    /// # Errors
    /// As the driver decides; the stack goes then.
    #[doc(alias = "OnSelfManagedIoSuspend")]
    fn self_managed_io_suspend(&self, _device: &Device) -> Result<(), HResult> {
        Ok(())
    }

    /// The device goes: complete what the driver keeps.
    #[doc(alias = "OnSelfManagedIoFlush")]
    fn self_managed_io_flush(&self, _device: &Device) {}

    /// The device goes: undo what [`self_managed_io_init`](Self::self_managed_io_init) has done.
    #[doc(alias = "OnSelfManagedIoCleanup")]
    fn self_managed_io_cleanup(&self, _device: &Device) {}

    /// The device is about to sleep for want of work, and is to wake the stack when something happens to it ([`IdleSettings::wake`](crate::IdleSettings::wake)).
    ///
    /// # Errors
    /// As the driver decides. The device sleeps all the same, and is not armed.
    #[doc(alias = "OnArmWakeFromS0")]
    fn arm_wake(&self, _device: &Device) -> Result<(), HResult> {
        Ok(())
    }

    /// The device, which was armed, is in D0 again.
    #[doc(alias = "OnDisarmWakeFromS0")]
    fn disarm_wake(&self, _device: &Device) {}

    /// The device, which was armed, has woken the stack: it is in D0 again, and not disarmed yet.
    #[doc(alias = "OnWakeFromS0Triggered")]
    fn wake_triggered(&self, _device: &Device) {}

    /// The device is about to sleep as the system does, and is to wake that when something happens to it
    /// ([`SleepWakeSettings`](crate::SleepWakeSettings)).
    ///
    /// # Errors
    /// As the driver decides. The device sleeps all the same, and is not armed.
    #[doc(alias = "OnArmWakeFromSx")]
    fn arm_wake_from_sleep(&self, _device: &Device) -> Result<(), HResult> {
        Ok(())
    }

    /// The device, which was armed to wake the system, is in D0 again.
    #[doc(alias = "OnDisarmWakeFromSx")]
    fn disarm_wake_from_sleep(&self, _device: &Device) {}

    /// The device, which was armed to wake the system, has done so: it is in D0 again, and not disarmed yet.
    #[doc(alias = "OnWakeFromSxTriggered")]
    fn wake_from_sleep_triggered(&self, _device: &Device) {}

    /// The device is about to be deleted; its queues have been. It is the last of its callbacks.
    #[doc(alias = "IObjectCleanup")]
    #[doc(alias = "OnCleanup")]
    fn cleanup(&self, _device: &Device) {}

    /// The device is to be removed, if the driver does not object.
    ///
    /// # Errors
    /// Where the driver objects.
    #[doc(alias = "OnQueryRemove")]
    fn query_remove(&self, _device: &Device) -> Result<(), HResult> {
        Ok(())
    }

    /// The device is to be stopped for a while, if the driver does not object.
    ///
    /// # Errors
    /// Where the driver objects.
    #[doc(alias = "OnQueryStop")]
    fn query_stop(&self, _device: &Device) -> Result<(), HResult> {
        Ok(())
    }

    /// The device has been unplugged. It may be called at any time.
    #[doc(alias = "OnSurpriseRemoval")]
    fn surprise_removal(&self, _device: &Device) {}

    /// An application has closed its last handle of a file; requests may be outstanding, and are cancelled afterwards. Or the device goes, and the file is open still:
    /// what the driver has kept of it until now ends afterwards, with `ERROR_DEVICE_REMOVED`.
    #[doc(alias = "OnCleanupFile")]
    fn cleanup_file(&self, _device: &Device, _file: &File) {}

    /// Nothing of a file is outstanding any more at this device. Its [context](File::assign_context) is dropped afterwards.
    #[doc(alias = "OnCloseFile")]
    fn close_file(&self, _device: &Device, _file: &File) {}
}

/// A device without callbacks.
impl DeviceCallbacks for () {}
