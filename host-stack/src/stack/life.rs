//! The life of one device: its callbacks in the order that UMDF documents, as far as what they undo was done.

use std::sync::Arc;

use super::{
    StackShared,
    change::{Callback, CallbackError, Called, called},
    idle::Wake,
};
use crate::{
    callbacks::{DeviceCallbacks, PowerState},
    device::{Device, DeviceShared, SelfManaged},
    queue::QueueShared,
    status::{HResult, NtStatus},
    target::{TargetShared, TargetState},
    verifier::Rule,
};

impl StackShared {
    /// Calls a device's driver, unless the stack has failed. Its panic makes the stack fail.
    pub(super) fn call(
        &self,
        device: &Arc<DeviceShared>,
        name: &'static str,
        callback: Callback<'_>,
    ) -> Called {
        if let Some(failure) = self.state().failure.clone() {
            return Err(failure);
        }
        let callbacks = device.callbacks();
        let ended = self.guard(device, name, || callback(&*callbacks, &Device::of(device)));
        if let Err(CallbackError::Failed { status, .. }) = &ended
            && *status == HResult::from_nt(NtStatus::NOT_SUPPORTED)
        {
            device.report(Rule::NotSupported, name);
        }
        ended
    }

    fn guard(
        &self,
        device: &Arc<DeviceShared>,
        name: &'static str,
        call: impl FnOnce() -> Result<(), HResult>,
    ) -> Called {
        let driver = device.driver();
        let called = || called(driver, name, call).inspect_err(|it| self.fail_if_panicked(it));
        let observer = self.verifier.observer();
        self.scheduler
            .enter_for(driver, name, || observer.around(driver, name, called))
    }

    /// Drops what a device's driver has put into something. Its panic makes the stack fail.
    pub(crate) fn drop_of(
        &self,
        device: &Arc<DeviceShared>,
        what: &'static str,
        dropping: impl FnOnce(),
    ) {
        let _told = self.guard(device, what, || {
            dropping();
            Ok(())
        });
    }

    /// Calls a device's driver where a failure changes nothing.
    pub(super) fn tell(
        &self,
        device: &Arc<DeviceShared>,
        name: &'static str,
        callback: Callback<'_>,
    ) {
        if let Err(error) = self.call(device, name, callback) {
            tracing::warn!("{error}");
        }
    }

    /// Prepares a device's hardware, and brings it to D0.
    pub(super) fn start_device(&self, device: &Arc<DeviceShared>) -> Called {
        device.life().is_prepared = true;
        self.call(device, "prepare_hardware", &|it, device| {
            it.prepare_hardware(device)
        })?;
        self.power_up(device, false)
    }

    /// Brings a device to D0. It was woken by the device itself, or by what somebody wants of it.
    pub(super) fn power_up(&self, device: &Arc<DeviceShared>, woken: bool) -> Called {
        let from = device.life().power;
        let entered = self.call(device, "d0_entry", &|it, device| it.d0_entry(device, from));
        if let Err(error) = entered {
            self.tell(device, "d0_entry_failed", &|it, device| {
                it.d0_entry_failed(device);
                Ok(())
            });
            device.stop_readers();
            return Err(error);
        }
        device.life().power = PowerState::D0;
        self.disarm(device, woken);
        device.set_in_d0(true);
        managed(device).iter().for_each(|queue| queue.release());
        self.scheduler.go_on();
        self.begin_self_managed(device)
    }

    /// Has a device's driver arm it to wake the stack.
    fn arm(&self, device: &Arc<DeviceShared>, wake: Wake) {
        let armed = match wake {
            Wake::Idle => self.call(device, "arm_wake", &|it, device| it.arm_wake(device)),
            Wake::Sleep => self.call(device, "arm_wake_from_sleep", &|it, device| {
                it.arm_wake_from_sleep(device)
            }),
        };
        device.life().armed = armed.is_ok().then_some(wake);
    }

    fn disarm(&self, device: &Arc<DeviceShared>, woken: bool) {
        let armed = device.life().armed.take();
        let tell = |name, callback: &dyn Fn(&dyn DeviceCallbacks, &Device)| {
            self.tell(device, name, &|it, device| {
                callback(it, device);
                Ok(())
            });
        };
        match armed {
            Some(Wake::Idle) => {
                if woken {
                    tell("wake_triggered", &|it, device| it.wake_triggered(device));
                }
                tell("disarm_wake", &|it, device| it.disarm_wake(device));
            }
            Some(Wake::Sleep) => {
                if woken {
                    tell("wake_from_sleep_triggered", &|it, device| {
                        it.wake_from_sleep_triggered(device);
                    });
                }
                tell("disarm_wake_from_sleep", &|it, device| {
                    it.disarm_wake_from_sleep(device);
                });
            }
            None => {}
        }
    }

    fn begin_self_managed(&self, device: &Arc<DeviceShared>) -> Called {
        let first = device.life().managed == SelfManaged::Created;
        let begun = match first {
            true => self.call(device, "self_managed_io_init", &|it, device| {
                it.self_managed_io_init(device)
            }),
            false => self.call(device, "self_managed_io_restart", &|it, device| {
                it.self_managed_io_restart(device)
            }),
        };
        device.life().managed = match begun {
            Ok(()) => SelfManaged::Started,
            Err(_) => SelfManaged::Failed,
        };
        begun
    }

    /// Takes a device out of D0, if it is there. It goes there whatever fails on the way; the first failure is told.
    pub(super) fn power_down(
        &self,
        device: &Arc<DeviceShared>,
        to: PowerState,
        arm: Option<Wake>,
    ) -> Called {
        if device.life().power != PowerState::D0 {
            return Ok(());
        }
        let suspended = self.suspend_self_managed(device);
        managed(device).iter().for_each(|queue| queue.hold());
        device.set_in_d0(false);
        self.wait_until(|| managed(device).iter().all(|queue| queue.is_settled()));
        if let Some(wake) = arm {
            self.arm(device, wake);
        }
        let exited = self.call(device, "d0_exit", &|it, device| it.d0_exit(device, to));
        for _ in 0..device.stop_readers() {
            device.report(Rule::ReaderNotStopped, "a pipe");
        }
        device.life().power = to;
        suspended.and(exited)
    }

    fn suspend_self_managed(&self, device: &Arc<DeviceShared>) -> Called {
        if device.life().managed != SelfManaged::Started {
            return Ok(());
        }
        let suspended = self.call(device, "self_managed_io_suspend", &|it, device| {
            it.self_managed_io_suspend(device)
        });
        device.life().managed = match suspended {
            Ok(()) => SelfManaged::Suspended,
            Err(_) => SelfManaged::Failed,
        };
        suspended
    }

    /// Has a device's driver let go of the hardware, if it has any.
    pub(super) fn release_hardware(&self, device: &Arc<DeviceShared>) {
        if std::mem::take(&mut device.life().is_prepared) {
            self.tell(device, "release_hardware", &|it, device| {
                it.release_hardware(device)
            });
        }
    }

    /// Deletes a device's targets that are hardware, as that has been released, and waits until nothing that was sent to them is outstanding.
    pub(super) fn close_hardware(&self, device: &Arc<DeviceShared>) {
        let targets = device.take_hardware();
        targets
            .iter()
            .for_each(|target| target.close(TargetState::Deleted));
        self.wait_until(|| targets.iter().all(|target| target.is_idle()));
        self.end_contexts(device, &targets);
    }

    /// Drops what a device's driver keeps with targets that have gone.
    fn end_contexts(&self, device: &Arc<DeviceShared>, targets: &[Arc<TargetShared>]) {
        for target in targets {
            self.drop_of(device, "a target's context was dropped", || {
                target.end_contexts();
            });
        }
    }

    /// Takes a device down from wherever it is, and deletes it. Its driver may know of files.
    pub(super) fn take_down(&self, device: &Arc<DeviceShared>, knows_files: bool) {
        if !self.scheduler.has_ended() {
            self.wind_up(device, knows_files);
        }
        self.delete(device);
    }

    fn wind_up(&self, device: &Arc<DeviceShared>, knows_files: bool) {
        if let Err(error) = self.power_down(device, PowerState::D3Final, None) {
            tracing::warn!("{error}");
        }
        self.release_hardware(device);
        self.purge(device, true);
        let begun = device.life().managed != SelfManaged::Created;
        if begun {
            self.tell(device, "self_managed_io_flush", &|it, device| {
                it.self_managed_io_flush(device);
                Ok(())
            });
        }
        self.purge(device, false);
        if knows_files {
            self.files().iter().for_each(|file| file.close_for(device));
        }
        if begun {
            self.tell(device, "self_managed_io_cleanup", &|it, device| {
                it.self_managed_io_cleanup(device);
                Ok(())
            });
        }
        device.close_targets();
        let targets = device.targets();
        self.wait_until(|| targets.iter().all(|target| target.is_idle()));
        self.scheduler.go_on();
    }

    /// Cancels all there is in a device's queues, and has the driver end what it has of them.
    fn purge(&self, device: &Arc<DeviceShared>, power_managed: bool) {
        let mut queues = device.all_queues();
        queues.retain(|queue| queue.is_power_managed() == power_managed);
        queues.iter().for_each(|queue| queue.purge_for_removal());
        self.wait_until(|| queues.iter().all(|queue| queue.is_settled()));
    }

    /// Deletes a device: its queues, then itself.
    fn delete(&self, device: &Arc<DeviceShared>) {
        let Some(children) = device.begin_delete() else {
            return;
        };
        self.scheduler.enter(|| {
            for child in children {
                self.drop_of(device, "a future or a timer was dropped", || child.end());
            }
        });
        let targets = device.take_targets();
        self.end_contexts(device, &targets);
        for queue in &device.take_queues() {
            self.tell(device, "a queue's cleanup", &|_, _| {
                queue.tell_cleanup();
                Ok(())
            });
            if !queue.is_empty_handed() && !self.scheduler.has_ended() {
                device.report(Rule::LeakedRequest, "a request that is kept of a queue");
            }
            self.drop_of(device, "a queue's handlers were dropped", || queue.delete());
        }
        self.tell(device, "cleanup", &|it, device| {
            it.cleanup(device);
            Ok(())
        });
        let files = self.files();
        self.drop_of(device, "its context was dropped", || {
            files.iter().for_each(|file| file.context_of(device).end());
            device.end_delete();
        });
    }

    /// Waits, as long as there is anybody to wait for.
    pub(super) fn wait_until(&self, ready: impl Fn() -> bool) {
        self.scheduler
            .wait_for(|| (ready() || self.scheduler.has_ended()).then_some(()));
    }
}

fn managed(device: &DeviceShared) -> Vec<Arc<QueueShared>> {
    let mut queues = device.all_queues();
    queues.retain(|queue| queue.is_power_managed());
    queues
}
