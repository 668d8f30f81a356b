//! Devices: what a driver adds to a stack, with its queues, targets and callbacks.

mod init;
mod shared;

use std::{any::Any, fmt, sync::Arc, time::Duration};

pub use self::init::{DeviceInit, LockingConstraint};
pub(crate) use self::shared::{DeviceShared, Ends, SelfManaged};
use crate::{
    queue::{ManualQueueBuilder, QueueBuilder},
    request::Request,
    stack::{IdleSettings, SleepWakeSettings, StayAwake},
    status::HResult,
    target::IoTarget,
    timer::{Sleep, Timer},
};

/// A device of a stack, as its driver sees it. Clones are handles of the same device.
#[doc(alias = "IWDFDevice")]
#[derive(Clone)]
pub struct Device(Arc<DeviceShared>);

impl Device {
    pub(crate) fn of(shared: &Arc<DeviceShared>) -> Self {
        Self(Arc::clone(shared))
    }

    pub(crate) fn shared(&self) -> &Arc<DeviceShared> {
        &self.0
    }

    /// The name of its driver.
    #[doc(alias = "GetDriver")]
    pub fn driver(&self) -> &str {
        &self.0.driver
    }

    /// A queue that delivers the next request when the driver has none any more.
    #[doc(alias = "CreateIoQueue")]
    pub fn sequential_queue(&self) -> QueueBuilder {
        QueueBuilder::new(&self.0, false)
    }

    /// A queue that delivers each request as it comes.
    #[doc(alias = "CreateIoQueue")]
    pub fn parallel_queue(&self) -> QueueBuilder {
        QueueBuilder::new(&self.0, true)
    }

    /// A queue from which the driver takes requests itself.
    #[doc(alias = "CreateIoQueue")]
    pub fn manual_queue(&self) -> ManualQueueBuilder {
        ManualQueueBuilder::new(&self.0)
    }

    /// The default target: the next driver below.
    #[doc(alias = "GetDefaultIoTarget")]
    pub fn default_target(&self) -> &IoTarget {
        self.0.default_target()
    }

    /// Makes a request of the driver's own, to be formatted and sent. It is not completed but dropped.
    #[doc(alias = "CreateRequest")]
    pub fn create_request(&self) -> Request {
        Request::created(&self.0)
    }

    /// Gives the device a context: what the driver keeps with it. The device drops it when it goes, after its children.
    ///
    /// # Errors
    /// With the context, where it has or had one, or goes.
    #[doc(alias = "AssignContext")]
    pub fn assign_context<T: Any + Send + Sync>(&self, context: T) -> Result<(), T> {
        self.0.context.assign(context)
    }

    /// The device's context; `None` where it has none, or one of another type.
    #[doc(alias = "RetrieveContext")]
    pub fn context<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.context.retrieve()
    }

    /// Has a future run to its end, which may await what it has sent. It is dropped when the device goes.
    #[doc(alias = "CreateWorkItem")]
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let _ends_with_the_device = crate::task::spawn(&self.0, future);
    }

    /// Calls `then` once so much time has gone by, by the stack's clock, unless the timer is dropped before or the device goes. It is serialised with the
    /// callbacks of the device's queues, if those are.
    #[doc(alias = "WdfTimerStart")]
    pub fn after(&self, time: Duration, then: impl FnOnce(&Self) + Send + 'static) -> Timer {
        Timer::set(&self.0, time, Box::new(then))
    }

    /// A while, by the stack's clock, that begins now: for drivers that are written with `async`. Where the device goes before, it ends with
    /// [`NtStatus::DEVICE_REMOVED`](crate::status::NtStatus::DEVICE_REMOVED), which a future of [`spawn`](Self::spawn) does not live to see.
    ///
    /// Which of two things comes first is asked by any `select!` or `select` of Rust's ecosystem: a sleep that loses is dropped.
    ///
    /// ```
    /// # use usbwright_host_stack::{Device, Request, status::HResult};
    /// # use std::time::Duration;
    /// /// Completes a request later.
    /// fn complete_later(device: &Device, request: Request) {
    ///     let sleep = device.sleep(Duration::from_millis(100));
    ///     device.spawn(async move {
    ///         let slept = sleep.await;
    ///         request.complete(slept.err().unwrap_or(HResult::OK));
    ///     });
    /// }
    /// ```
    #[doc(alias = "KeDelayExecutionThread")]
    pub fn sleep(&self, time: Duration) -> Sleep {
        Sleep::new(&self.0, time)
    }

    /// Has the stack sleep when it has nothing to do: when no power-managed queue has had a request for so long, and nobody keeps it [awake](Self::stop_idle). A
    /// request that comes to a power-managed queue brings it back to D0 before it is delivered. Called again, it changes the settings.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_REQUEST`](crate::status::NtStatus::INVALID_DEVICE_REQUEST) where another driver has the stack's power policy, or this one
    /// [does not want it](DeviceInit::set_power_policy_ownership); [`NtStatus::INVALID_PARAMETER`](crate::status::NtStatus::INVALID_PARAMETER) for a state that is none to sleep in.
    #[doc(alias = "AssignS0IdleSettings")]
    pub fn assign_idle(&self, settings: IdleSettings) -> Result<(), HResult> {
        self.0.idle.assign(&self.0, settings)
    }

    /// Says whether the device can wake the system when that sleeps ([`Stack::suspend`](crate::Stack::suspend)), and in which state it sleeps then. It is
    /// [armed](crate::DeviceCallbacks::arm_wake_from_sleep) for it, unless it sleeps for want of work already. Called again, it changes the settings.
    ///
    /// # Errors
    /// As those of [`assign_idle`](Self::assign_idle).
    #[doc(alias = "AssignSxWakeSettings")]
    pub fn assign_sleep_wake(&self, settings: SleepWakeSettings) -> Result<(), HResult> {
        self.0.idle.assign_sleep(&self.0, settings)
    }

    /// Keeps the stack in D0 until what this returns is dropped, and brings it there if it sleeps for want of work.
    #[doc(alias = "StopIdle")]
    #[doc(alias = "ResumeIdle")]
    pub fn stop_idle(&self) -> StayAwake {
        StayAwake::new(&self.0)
    }

    /// Whether requests are delivered from power-managed queues: the device is in D0.
    pub fn is_in_d0(&self) -> bool {
        self.0.is_in_d0()
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("driver", &self.0.driver)
            .finish_non_exhaustive()
    }
}
