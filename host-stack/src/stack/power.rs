//! A stack's life: it starts, stops, sleeps, wakes and is removed, device by device.

use std::sync::Arc;

use super::{
    Stack, StackShared,
    change::{Callback, CallbackError, Called, ChangeError, PnpState},
    idle::Wake,
};
use crate::{callbacks::PowerState, device::DeviceShared, file::File, status::NtStatus};

impl StackShared {
    pub(super) fn devices(&self) -> Vec<Arc<DeviceShared>> {
        self.state().devices.clone()
    }

    pub(super) fn devices_from_above(&self) -> impl Iterator<Item = Arc<DeviceShared>> {
        self.devices().into_iter().rev()
    }

    fn set_pnp(&self, pnp: PnpState) {
        let mut state = self.state();
        if !state.pnp.is_gone() {
            self.put_pnp(&mut state, pnp);
        }
    }

    /// Starts every device, the lowest first. Where one fails, the stack is taken away.
    pub(super) fn start(&self) -> Called {
        let started = self
            .devices()
            .iter()
            .try_for_each(|it| self.start_device(it));
        self.ended(started, PnpState::Started)
    }

    /// Brings every device to D0, the lowest first.
    pub(super) fn wake(&self, woken: bool) -> Called {
        let devices = self.devices();
        let up = devices.iter().try_for_each(|it| self.power_up(it, woken));
        self.ended(up, PnpState::Started)
    }

    /// Takes every device out of D0, the highest first.
    pub(super) fn sleep(&self, to: PowerState, arm: Option<Wake>, pnp: PnpState) -> Called {
        self.set_pnp(pnp);
        let mut down = Ok(());
        for device in self.devices_from_above() {
            let arm = arm.filter(|_| device.owns_power_policy());
            down = down.and(self.power_down(&device, to, arm));
        }
        self.ended(down, pnp)
    }

    /// Has every device let go of its hardware, the highest first.
    fn stop(&self) -> Called {
        self.set_pnp(PnpState::Stopped);
        let mut down = Ok(());
        for device in self.devices_from_above() {
            down = down.and(self.power_down(&device, PowerState::D3Final, None));
            self.release_hardware(&device);
            self.close_hardware(&device);
        }
        self.ended(down, PnpState::Stopped)
    }

    /// The state has changed, or a driver has failed and the stack goes.
    fn ended(&self, ended: Called, pnp: PnpState) -> Called {
        match ended {
            Ok(()) => self.set_pnp(pnp),
            Err(_) => self.take_away(),
        }
        ended
    }

    /// Takes the stack away. Where it has failed, its drivers are not called any more.
    pub(super) fn take_away(&self) {
        {
            let mut state = self.state();
            match state.pnp {
                PnpState::Removed => return,
                PnpState::Failed => {}
                _ => self.put_pnp(&mut state, PnpState::Removed),
            }
        }
        self.wait_until_told();
        self.watch_no_more();
        let mut knows_files = true;
        for device in self.devices_from_above() {
            self.take_down(&device, knows_files);
            knows_files &= device.forwards_files();
        }
        let mut state = self.state();
        let files = std::mem::take(&mut state.files);
        let devices = std::mem::take(&mut state.devices);
        drop(state);
        for irp in files.iter().flat_map(File::outstanding) {
            irp.abandon(NtStatus::DEVICE_REMOVED);
        }
        drop(devices);
        self.names.forget(self);
        self.tell_removed();
        self.scheduler.nudge();
    }

    /// Asks every driver, the highest first.
    fn ask(&self, name: &'static str, callback: Callback<'_>) -> Result<(), ChangeError> {
        for device in self.devices_from_above() {
            match self.call(&device, name, callback) {
                Err(CallbackError::Failed { driver, status, .. }) => {
                    return Err(ChangeError::Vetoed { driver, status });
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn pnp(&self) -> PnpState {
        self.state().pnp
    }
}

/// Changes of state. Each waits for the one that another thread makes, and for what drivers have of power-managed queues: see
/// [`StopNotice`](crate::StopNotice).
///
/// Where a driver fails, the stack is removed, and its devices would be enumerated again by whatever manages them.
impl Stack {
    /// Has every device leave D0 for D3, the highest first, as when the system goes to sleep; or for the state from which the device can wake it
    /// ([`Device::assign_sleep_wake`](crate::Device::assign_sleep_wake)). A stack that does not work stays as it is.
    ///
    /// # Errors
    /// [`ChangeError::Callback`] where a driver fails, [`ChangeError::Within`] within a callback.
    #[doc(alias = "IRP_MN_SET_POWER")]
    pub fn suspend(&self) -> Result<(), ChangeError> {
        let shared = self.shared();
        let _change = shared.begin_change()?;
        if matches!(shared.pnp(), PnpState::Started | PnpState::Idle) {
            let (to, arm) = shared.idle.asleep();
            shared.sleep(to, arm, PnpState::Sleeping)?;
        }
        Ok(())
    }

    /// Brings every device back to D0, the lowest first, if the stack was suspended.
    ///
    /// # Errors
    /// As those of [`suspend`](Self::suspend).
    #[doc(alias = "IRP_MN_SET_POWER")]
    pub fn resume(&self) -> Result<(), ChangeError> {
        let shared = self.shared();
        let _change = shared.begin_change()?;
        if shared.pnp() == PnpState::Sleeping {
            shared.wake(shared.idle.take_woken())?;
        }
        Ok(())
    }

    /// Stops the devices for a while, as when their resources are dealt out anew: if no driver objects, every device leaves D0 and lets go of its hardware.
    ///
    /// # Errors
    /// As those of [`suspend`](Self::suspend), and [`ChangeError::Vetoed`].
    #[doc(alias = "IRP_MN_QUERY_STOP_DEVICE")]
    #[doc(alias = "IRP_MN_STOP_DEVICE")]
    pub fn stop(&self) -> Result<(), ChangeError> {
        let shared = self.shared();
        let _change = shared.begin_change()?;
        if shared.pnp().is_started() {
            shared.ask("query_stop", &|it, device| it.query_stop(device))?;
            shared.stop()?;
        }
        Ok(())
    }

    /// Starts the devices again, if the stack was stopped.
    ///
    /// # Errors
    /// As those of [`suspend`](Self::suspend).
    #[doc(alias = "IRP_MN_START_DEVICE")]
    pub fn restart(&self) -> Result<(), ChangeError> {
        let shared = self.shared();
        let _change = shared.begin_change()?;
        if shared.pnp() == PnpState::Stopped {
            shared.start()?;
            shared.names.announce(shared);
        }
        Ok(())
    }

    /// Removes the stack in an orderly way, if no driver objects. Drivers of other stacks that have it [open](crate::RemoteTarget) are asked first.
    ///
    /// # Errors
    /// As those of [`suspend`](Self::suspend), and [`ChangeError::Vetoed`].
    #[doc(alias = "IRP_MN_QUERY_REMOVE_DEVICE")]
    #[doc(alias = "IRP_MN_REMOVE_DEVICE")]
    pub fn remove(&self) -> Result<(), ChangeError> {
        let shared = self.shared();
        let _change = shared.begin_change()?;
        if !shared.pnp().is_gone() {
            let asked = shared.ask_outside()?;
            shared
                .ask("query_remove", &|it, device| it.query_remove(device))
                .inspect_err(|_| shared.tell_kept(&asked))?;
        }
        shared.take_away();
        Ok(())
    }

    /// The device has been unplugged. Drivers are told at once, whatever the stack does at present, and once; then it is removed. Within a callback this returns at
    /// once, and the stack is removed afterwards.
    ///
    /// A stack over a [USB device](crate::StackBuilder::usb_device) does this by itself when that goes; without a thread ([`Threads::None`](crate::Threads::None)), when
    /// somebody waits or [runs](Self::run) it.
    #[doc(alias = "IRP_MN_SURPRISE_REMOVAL")]
    pub fn surprise_remove(&self) {
        self.shared().tell_unplugged();
        self.shared().remove_anyhow();
    }
}

impl StackShared {
    /// Removes the stack without asking, now or once the callback has returned in which this is called.
    pub(super) fn remove_anyhow(self: &Arc<Self>) {
        match self.begin_unless_within() {
            Some(change) => {
                self.take_away();
                drop(change);
            }
            None => self.remove_later(),
        }
    }
}
