//! Making queues.

use std::sync::Arc;

use super::{Handlers, Queue, QueueShared, StopNotice};
use crate::{
    device::DeviceShared,
    file::File,
    request::{Control, Request, RequestId, RequestType},
    status::{HResult, Win32Error},
};

/// How a queue delivers.
#[doc(alias = "WDF_IO_QUEUE_DISPATCH_TYPE")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispatch {
    /// The next request when the driver has none of the queue any more.
    #[doc(alias = "WdfIoQueueDispatchSequential")]
    Sequential,
    /// Each as it comes.
    #[doc(alias = "WdfIoQueueDispatchParallel")]
    Parallel,
    /// When the driver asks for one.
    #[doc(alias = "WdfIoQueueDispatchManual")]
    Manual,
}

/// What is common to the queues that are being made.
struct Plan {
    device: Arc<DeviceShared>,
    dispatch: Dispatch,
    is_default: bool,
    power_managed: bool,
    allows_empty: bool,
    takes: Vec<RequestType>,
    handlers: Handlers,
}

impl Plan {
    fn new(device: &Arc<DeviceShared>, dispatch: Dispatch) -> Self {
        Self {
            device: Arc::clone(device),
            dispatch,
            is_default: false,
            power_managed: true,
            allows_empty: false,
            takes: Vec::new(),
            handlers: Handlers::default(),
        }
    }

    fn create(self) -> Result<Queue, HResult> {
        let queue = QueueShared::new(
            &self.device,
            self.dispatch,
            self.power_managed,
            self.allows_empty,
            self.handlers,
        );
        self.device
            .add_queue(&queue, self.is_default, &self.takes)?;
        Ok(Queue::of(&queue))
    }
}

macro_rules! common {
    () => {
        /// Makes it the device's default queue: it gets what no other is for.
        #[doc(alias = "bDefaultQueue")]
        pub fn default_queue(mut self) -> Self {
            self.0.is_default = true;
            self
        }

        /// Has requests of a type come to this queue (create, read, write and device control).
        #[doc(alias = "ConfigureRequestDispatching")]
        pub fn takes(mut self, kind: RequestType) -> Self {
            self.0.takes.push(kind);
            self
        }

        /// Whether it delivers only while the device is in D0, which it does unless told otherwise.
        #[doc(alias = "bPowerManaged")]
        pub fn power_managed(mut self, power_managed: bool) -> Self {
            self.0.power_managed = power_managed;
            self
        }

        /// Whether reads and writes of no bytes get to the driver. Otherwise they end well at once.
        #[doc(alias = "bAllowZeroLengthRequests")]
        pub fn allow_zero_length(mut self, allow: bool) -> Self {
            self.0.allows_empty = allow;
            self
        }

        /// Calls this for each request that the driver has, when the device leaves D0 or goes. Without it, the device waits until they have ended, in a host process as
        /// long as the deadline of its package allows; once it is purged as the device goes, what the driver has sent on is taken back.
        #[doc(alias = "IQueueCallbackIoStop")]
        pub fn on_stop(
            mut self,
            handler: impl Fn(&Queue, StopNotice) + Send + Sync + 'static,
        ) -> Self {
            self.0.handlers.stop = Some(Box::new(handler));
            self
        }

        /// Calls this for each request that the driver has kept, when the device is in D0 again.
        #[doc(alias = "IQueueCallbackIoResume")]
        pub fn on_resume(
            mut self,
            handler: impl Fn(&Queue, RequestId) + Send + Sync + 'static,
        ) -> Self {
            self.0.handlers.resume = Some(Box::new(handler));
            self
        }

        /// Calls this when the queue is about to be deleted, before its device is.
        #[doc(alias = "IObjectCleanup")]
        pub fn on_cleanup(mut self, handler: impl Fn(&Queue) + Send + Sync + 'static) -> Self {
            self.0.handlers.cleanup = Some(Box::new(handler));
            self
        }

        /// Calls this for a request that was cancelled while it waited here, after the driver had had it before. Without it, the framework completes it.
        #[doc(alias = "IQueueCallbackIoCanceledOnQueue")]
        pub fn on_canceled(
            mut self,
            handler: impl Fn(&Queue, Request) + Send + Sync + 'static,
        ) -> Self {
            self.0.handlers.canceled = Some(Box::new(handler));
            self
        }
    };
}

/// A queue that is being made, and delivers.
#[must_use]
#[doc(alias = "WDF_IO_QUEUE_CONFIG")]
pub struct QueueBuilder(Plan);

impl QueueBuilder {
    pub(crate) fn new(device: &Arc<DeviceShared>, parallel: bool) -> Self {
        let dispatch = match parallel {
            true => Dispatch::Parallel,
            false => Dispatch::Sequential,
        };
        Self(Plan::new(device, dispatch))
    }

    common!();

    /// Calls this for requests that open the device. What it completes well opens the file.
    #[doc(alias = "IQueueCallbackCreate")]
    pub fn on_create(
        mut self,
        handler: impl Fn(&Queue, Request, File) + Send + Sync + 'static,
    ) -> Self {
        self.0.handlers.create = Some(Box::new(handler));
        self
    }

    /// Calls this for reads, with the bytes asked for.
    #[doc(alias = "IQueueCallbackRead")]
    pub fn on_read(
        mut self,
        handler: impl Fn(&Queue, Request, usize) + Send + Sync + 'static,
    ) -> Self {
        self.0.handlers.read = Some(Box::new(handler));
        self
    }

    /// Calls this for writes, with the bytes to be written.
    #[doc(alias = "IQueueCallbackWrite")]
    pub fn on_write(
        mut self,
        handler: impl Fn(&Queue, Request, usize) + Send + Sync + 'static,
    ) -> Self {
        self.0.handlers.write = Some(Box::new(handler));
        self
    }

    /// Calls this for control codes.
    #[doc(alias = "IQueueCallbackDeviceIoControl")]
    pub fn on_device_control(
        mut self,
        handler: impl Fn(&Queue, Request, Control) + Send + Sync + 'static,
    ) -> Self {
        self.0.handlers.control = Some(Box::new(handler));
        self
    }

    /// Calls this for all that there is no other handler for, but for requests that open the device.
    #[doc(alias = "IQueueCallbackDefaultIoHandler")]
    pub fn on_default(mut self, handler: impl Fn(&Queue, Request) + Send + Sync + 'static) -> Self {
        self.0.handlers.default = Some(Box::new(handler));
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// `ERROR_BAD_CONFIGURATION` where it has no handler for requests; [`NtStatus::INVALID_DEVICE_REQUEST`](crate::status::NtStatus::INVALID_DEVICE_REQUEST) where the device has a default
    /// queue, or one for such requests, already.
    #[doc(alias = "CreateIoQueue")]
    pub fn create(self) -> Result<Queue, HResult> {
        let handlers = &self.0.handlers;
        let any = handlers.create.is_some()
            || handlers.read.is_some()
            || handlers.write.is_some()
            || handlers.control.is_some()
            || handlers.default.is_some();
        match any {
            true => self.0.create(),
            false => Err(Win32Error::BAD_CONFIGURATION.into()),
        }
    }
}

/// A queue that is being made, and from which the driver takes requests itself. It has no handlers for them.
#[must_use]
#[doc(alias = "WDF_IO_QUEUE_CONFIG")]
pub struct ManualQueueBuilder(Plan);

impl ManualQueueBuilder {
    pub(crate) fn new(device: &Arc<DeviceShared>) -> Self {
        Self(Plan::new(device, Dispatch::Manual))
    }

    common!();

    /// Calls this when the queue, which was empty, is so no more.
    #[doc(alias = "IQueueCallbackStateChange")]
    pub fn on_state_change(mut self, handler: impl Fn(&Queue) + Send + Sync + 'static) -> Self {
        self.0.handlers.state = Some(Box::new(handler));
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// As those of [`QueueBuilder::create`].
    #[doc(alias = "CreateIoQueue")]
    pub fn create(self) -> Result<Queue, HResult> {
        self.0.create()
    }
}
