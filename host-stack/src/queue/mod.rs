//! Queues: where requests wait for a driver, and how it gets them.

mod builder;
mod idle;
mod power;
mod state;

use std::{any::Any, fmt, sync::Arc};

pub use self::builder::{Dispatch, ManualQueueBuilder, QueueBuilder};
pub(crate) use self::state::QueueShared;
use self::state::Wanted;
use crate::{
    device::Device,
    file::File,
    request::{Control, Parameters, Request, RequestId, SendError, irp::Irp},
    status::{HResult, NtStatus, Win32Error},
    verifier::Rule,
};

/// What a queue does at present.
#[doc(alias = "WDF_IO_QUEUE_STATE")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueState {
    /// New requests are accepted.
    #[doc(alias = "WdfIoQueueAcceptRequests")]
    pub accepts: bool,
    /// Requests are delivered, as far as the driver has said.
    #[doc(alias = "WdfIoQueueDispatchRequests")]
    pub dispatches: bool,
    /// Nothing is delivered as the device is not in D0.
    #[doc(alias = "WdfIoQueuePnpHeld")]
    pub is_held: bool,
    /// Requests that wait.
    #[doc(alias = "WdfIoQueueNoRequests")]
    pub waiting: usize,
    /// Requests of the queue that the driver has, those that it has sent included.
    #[doc(alias = "WdfIoQueueDriverNoRequests")]
    pub with_driver: usize,
}

/// Why a driver is to stop working at a request.
#[doc(alias = "WDF_IO_QUEUE_STOP_ACTION")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopAction {
    /// The device leaves D0, and may come back.
    #[doc(alias = "WdfIoQueueStopActionSuspend")]
    Suspend,
    /// The device goes.
    #[doc(alias = "WdfIoQueueStopActionPurge")]
    Purge,
}

/// Tells a driver to stop working at a request that it has. To be answered in the callback or later: by completing the request, by
/// requeueing it, or by [acknowledging](Self::acknowledge) that it is kept. The device does not leave D0 before that.
#[derive(Debug)]
#[doc(alias = "OnIoStop")]
pub struct StopNotice {
    irp: Arc<Irp>,
    queue: Arc<QueueShared>,
    id: RequestId,
    action: StopAction,
}

impl StopNotice {
    /// Which request is meant.
    pub fn request(&self) -> RequestId {
        self.id
    }

    /// Why.
    #[doc(alias = "ActionFlags")]
    pub fn action(&self) -> StopAction {
        self.action
    }

    /// Keeps the request while the device is not in D0. `on_resume` is called when it is again.
    #[doc(alias = "StopAcknowledge")]
    pub fn acknowledge(self) {
        self.queue.acknowledge(&self.irp);
    }

    /// Puts the request back at the head of its queue, whatever kind of queue that is. It is delivered again when the device is in D0 again.
    ///
    /// # Errors
    /// With the request, [`NtStatus::INVALID_PARAMETER`], where it is another one. The notice is not answered then, and the device waits for the request to end.
    #[doc(alias = "StopAcknowledge")]
    pub fn requeue(self, request: Request) -> Result<(), SendError> {
        if request.id() != self.id {
            return Err(SendError::new(request, NtStatus::INVALID_PARAMETER));
        }
        self.queue.requeue(&request.into_irp());
        Ok(())
    }

    /// Asks for the request back from where the driver has sent it: it ends soon, and can be completed then.
    #[doc(alias = "CancelSentRequest")]
    pub fn cancel_sent(self) {
        self.queue.take_back(&self.irp);
    }
}

type OnRequest = Box<dyn Fn(&Queue, Request) + Send + Sync>;
type OnTransfer = Box<dyn Fn(&Queue, Request, usize) + Send + Sync>;
type OnControl = Box<dyn Fn(&Queue, Request, Control) + Send + Sync>;
type OnCreate = Box<dyn Fn(&Queue, Request, File) + Send + Sync>;
type OnStop = Box<dyn Fn(&Queue, StopNotice) + Send + Sync>;
type OnResume = Box<dyn Fn(&Queue, RequestId) + Send + Sync>;
type OnState = Box<dyn Fn(&Queue) + Send + Sync>;

/// What a driver does with what a queue delivers.
#[derive(Default)]
pub(crate) struct Handlers {
    create: Option<OnCreate>,
    read: Option<OnTransfer>,
    write: Option<OnTransfer>,
    control: Option<OnControl>,
    default: Option<OnRequest>,
    stop: Option<OnStop>,
    resume: Option<OnResume>,
    canceled: Option<OnRequest>,
    state: Option<OnState>,
    cleanup: Option<OnState>,
}

/// What there are handlers for.
pub(crate) struct Handled {
    create: bool,
    read: bool,
    write: bool,
    control: bool,
    default: bool,
}

impl Handled {
    fn by(handlers: &Handlers) -> Self {
        Self {
            create: handlers.create.is_some(),
            read: handlers.read.is_some(),
            write: handlers.write.is_some(),
            control: handlers.control.is_some(),
            default: handlers.default.is_some(),
        }
    }
}

/// A queue of a device. Clones are handles of the same queue.
#[doc(alias = "IWDFIoQueue")]
#[derive(Clone)]
pub struct Queue(Arc<QueueShared>);

impl Queue {
    pub(crate) fn of(shared: &Arc<QueueShared>) -> Self {
        Self(Arc::clone(shared))
    }

    pub(crate) fn shared(&self) -> &Arc<QueueShared> {
        &self.0
    }

    /// Its device.
    ///
    /// # Panics
    /// Where the device has gone, which it has not within a callback.
    #[doc(alias = "GetDevice")]
    pub fn device(&self) -> Device {
        Device::of(&self.0.device().expect("a device outlives its callbacks"))
    }

    /// Gives the queue a context: what the driver keeps with it. The queue drops it when its device goes.
    ///
    /// # Errors
    /// With the context, where it has or had one, or goes.
    #[doc(alias = "AssignContext")]
    pub fn assign_context<T: Any + Send + Sync>(&self, context: T) -> Result<(), T> {
        self.0.context().assign(context)
    }

    /// The queue's context; `None` where it has none, or one of another type.
    #[doc(alias = "RetrieveContext")]
    pub fn context<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.context().retrieve()
    }

    /// What it does at present.
    #[doc(alias = "GetState")]
    pub fn state(&self) -> QueueState {
        self.0.state()
    }

    /// The oldest request, which is the driver's from now on.
    ///
    /// # Errors
    /// `ERROR_NO_MORE_ITEMS` where there is none; [`NtStatus::WDF_PAUSED`] where the queue is stopped or held; [`NtStatus::INVALID_DEVICE_STATE`] where it is
    /// a parallel one.
    #[doc(alias = "RetrieveNextRequest")]
    pub fn retrieve_next(&self) -> Result<Request, HResult> {
        self.0.retrieve(None)
    }

    /// The oldest request of a file.
    ///
    /// # Errors
    /// As those of [`retrieve_next`](Self::retrieve_next).
    #[doc(alias = "RetrieveNextRequestByFileObject")]
    pub fn retrieve_next_of(&self, file: &File) -> Result<Request, HResult> {
        self.0.retrieve(Some(file))
    }

    /// Accepts and delivers requests again.
    #[doc(alias = "Start")]
    pub fn start(&self) {
        self.0.start();
    }

    /// Delivers no more requests, but accepts them. `then` is called when the driver has none any more.
    ///
    /// # Errors
    /// Where it is waited for already.
    #[doc(alias = "Stop")]
    pub fn stop(&self, then: impl FnOnce(&Self) + Send + 'static) -> Result<(), HResult> {
        self.idle(Wanted::Stopped, Some(Box::new(then)))
    }

    /// Delivers those that wait, and refuses others. `then` is called when all have ended.
    ///
    /// # Errors
    /// Where it is waited for already.
    #[doc(alias = "Drain")]
    pub fn drain(&self, then: impl FnOnce(&Self) + Send + 'static) -> Result<(), HResult> {
        self.idle(Wanted::Drained, Some(Box::new(then)))
    }

    /// Cancels those that wait and those that are marked as cancelable, and refuses others. `then` is called when all have ended.
    ///
    /// # Errors
    /// Where it is waited for already.
    #[doc(alias = "Purge")]
    pub fn purge(&self, then: impl FnOnce(&Self) + Send + 'static) -> Result<(), HResult> {
        self.idle(Wanted::Purged, Some(Box::new(then)))
    }

    /// [Stops](Self::stop), and waits until the driver has no request any more.
    ///
    /// # Errors
    /// Where it is waited for already; `ERROR_POSSIBLE_DEADLOCK` in a callback for a request, where it might wait for ever.
    #[doc(alias = "StopSynchronously")]
    pub fn stop_and_wait(&self) -> Result<(), HResult> {
        self.idle_and_wait(Wanted::Stopped)
    }

    /// [Drains](Self::drain), and waits until all have ended.
    ///
    /// # Errors
    /// As those of [`stop_and_wait`](Self::stop_and_wait).
    #[doc(alias = "DrainSynchronously")]
    pub fn drain_and_wait(&self) -> Result<(), HResult> {
        self.idle_and_wait(Wanted::Drained)
    }

    /// [Purges](Self::purge), and waits until all have ended.
    ///
    /// # Errors
    /// As those of [`stop_and_wait`](Self::stop_and_wait).
    #[doc(alias = "PurgeSynchronously")]
    pub fn purge_and_wait(&self) -> Result<(), HResult> {
        self.idle_and_wait(Wanted::Purged)
    }

    fn idle(&self, wanted: Wanted, then: Option<state::Then>) -> Result<(), HResult> {
        if self.0.make_idle(wanted, then) {
            return Ok(());
        }
        self.broke(Rule::QueueBusy);
        Err(NtStatus::INVALID_DEVICE_REQUEST.into())
    }

    fn idle_and_wait(&self, wanted: Wanted) -> Result<(), HResult> {
        if self.0.scheduler().is_in_callback() {
            self.broke(Rule::WaitWithin);
            return Err(Win32Error::POSSIBLE_DEADLOCK.into());
        }
        self.idle(wanted, None)?;
        let scheduler = self.0.scheduler();
        scheduler.wait_for(|| self.0.take_idle().or(scheduler.has_ended().then_some(())));
        Ok(())
    }

    fn broke(&self, rule: Rule) {
        if let Some(device) = self.0.device() {
            device.report(rule, "a queue");
        }
    }

    /// Calls the driver with a request that is its own now.
    fn deliver(&self, handlers: &Handlers, parameters: &Parameters, request: Request) {
        let Handlers {
            create,
            read,
            write,
            control,
            default,
            ..
        } = handlers;
        match (parameters, read, write, control) {
            (Parameters::Read(it), Some(read), ..) => read(self, request, it.length),
            (Parameters::Write(it), _, Some(write), _) => write(self, request, it.length),
            (Parameters::DeviceControl(it), .., Some(control))
            | (Parameters::InternalControl(it), .., Some(control)) => control(self, request, *it),
            _ => match (create, request.file(), default) {
                (Some(create), Some(file), _) if matches!(parameters, Parameters::Create(_)) => {
                    create(self, request, file);
                }
                (.., Some(default)) => default(self, request),
                _ => request.complete_with_information(NtStatus::INVALID_DEVICE_REQUEST, 0),
            },
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
