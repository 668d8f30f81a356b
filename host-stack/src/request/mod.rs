//! Requests: what an application or a driver asks for, owned by one driver at a time.

mod body;
mod callbacks;
mod cancelable;
mod completion;
pub(crate) mod format;
pub(crate) mod irp;
mod parameters;
mod sending;
mod sent;
pub(crate) mod stuck;

use std::{any::Any, fmt, future::poll_fn, sync::Arc, task::Poll};

pub use self::{
    body::RequestId,
    callbacks::{CompletionCallback, OnCancel},
    cancelable::{CancelStarted, Cancelable},
    completion::{
        IoControl, IoRequestCompletionParams, IoTransfer, RequestCompletionParams, UsbRequest,
        UsbRequestCompletionParams,
    },
    parameters::{Control, CreateParameters, Parameters, RequestType, Transfer},
    sent::{SendError, SendOptions, Sent, Timeout},
};
use self::{
    format::Format,
    irp::{Irp, Level, Location, Origin},
};
use crate::{
    Window,
    device::{Device, DeviceShared},
    file::File,
    queue::Queue,
    status::{HResult, NtStatus},
    verifier::Rule,
};

/// A request that a driver has. Whatever ends that takes it: to [complete](Self::complete), [forward](Self::forward), [requeue](Self::requeue) or
/// [send](Self::send) it, or to [mark it as cancelable](Self::mark_cancelable).
///
/// A request that is dropped is lost: it is completed as failed, and the verifier tells of it. One that a driver [made](Device::create_request) itself is not completed
/// but dropped.
#[doc(alias = "IWDFIoRequest")]
#[doc(alias = "IWDFIoRequest2")]
#[must_use = "a request that is dropped is lost"]
pub struct Request {
    irp: Option<Arc<Irp>>,
}

impl Request {
    pub(crate) fn of(irp: Arc<Irp>) -> Self {
        Self { irp: Some(irp) }
    }

    fn irp(&self) -> &Arc<Irp> {
        self.irp
            .as_ref()
            .expect("a request is had until it is given away")
    }

    pub(crate) fn into_irp(mut self) -> Arc<Irp> {
        self.irp
            .take()
            .expect("a request is had until it is given away")
    }

    fn with<T>(&self, look: impl FnOnce(&mut Level) -> T) -> T {
        look(self.irp().body().top())
    }

    pub(crate) fn created(device: &Arc<DeviceShared>) -> Self {
        let mut level = Level::new(Arc::clone(device), Parameters::NoFormat);
        level.is_own = true;
        let file = device.own_file().clone();
        Self::of(Irp::new(Origin::Driver, Some(file), level))
    }

    /// Gives the request a context: what the driver keeps with it, wherever it goes, until it is completed or, if the driver has made it, dropped. Each driver of a
    /// stack has one of its own.
    ///
    /// ```
    /// # use usbwright_host_stack::{Queue, Request, RequestCompletionParams, SendError, SendOptions};
    /// # use std::{sync::Arc, time::Instant};
    /// fn pass_on(queue: &Queue, mut request: Request) {
    ///     let _ = request.assign_context(Instant::now());
    ///     request.format_using_current_type();
    ///     let ended = |request: Request, params: &RequestCompletionParams| {
    ///         if let Some(began) = request.context::<Instant>() {
    ///             println!("it took {:?}", began.elapsed());
    ///         }
    ///         request.complete_with_information(params.status(), params.information());
    ///     };
    ///     let device = queue.device();
    ///     let sent = request.send_then(device.default_target(), SendOptions::new(), Arc::new(ended));
    ///     sent.unwrap_or_else(SendError::complete);
    /// }
    /// ```
    ///
    /// # Errors
    /// With the context, where the driver has given it one.
    #[doc(alias = "AssignContext")]
    pub fn assign_context<T: Any + Send + Sync>(&self, context: T) -> Result<(), T> {
        let mut body = self.irp().body();
        match &mut body.top().context {
            Some(_) => Err(context),
            none => {
                *none = Some(Arc::new(context));
                Ok(())
            }
        }
    }

    /// The context that the driver has given the request; `None` where it has given none, or one of another type.
    #[doc(alias = "RetrieveContext")]
    pub fn context<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let context = self.irp().body().top().context.clone();
        context?.downcast().ok()
    }

    /// Its name, by which [`StopNotice`](crate::StopNotice)s tell of it.
    pub fn id(&self) -> RequestId {
        self.irp().body().id
    }

    /// What it asks for.
    #[doc(alias = "WdfRequestGetParameters")]
    pub fn parameters(&self) -> Parameters {
        self.with(|level| level.parameters.clone())
    }

    /// The kind of thing that it asks for.
    #[doc(alias = "GetType")]
    pub fn request_type(&self) -> RequestType {
        self.with(|level| level.parameters.request_type())
    }

    /// The file that it was made for. One that a driver has made has a file of the driver's own, which nobody opens or closes, unless it was
    /// [told](Self::set_file) another.
    #[doc(alias = "GetFileObject")]
    pub fn file(&self) -> Option<File> {
        self.irp().body().file.clone()
    }

    /// The queue that delivered it; `None` for one that a driver made.
    #[doc(alias = "GetIoQueue")]
    pub fn queue(&self) -> Option<Queue> {
        self.with(|level| level.queue.as_ref().map(Queue::of))
    }

    /// The process of the application that made it.
    #[doc(alias = "GetRequestorProcessId")]
    pub fn requestor_process_id(&self) -> Option<u32> {
        self.file().map(|file| file.initiator_process_id())
    }

    /// The data that came with it: what is to be written, or a control code's input.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_REQUEST`] where none can come with such a request; [`NtStatus::BUFFER_TOO_SMALL`] where it has none, or fewer
    /// bytes than `least`.
    #[doc(alias = "RetrieveInputMemory")]
    #[doc(alias = "GetInputMemory")]
    pub fn input(&self, least: usize) -> Result<Window, HResult> {
        self.with(|level| match &level.parameters {
            Parameters::Write(_)
            | Parameters::DeviceControl(_)
            | Parameters::InternalControl(_)
            | Parameters::SetInformation { .. } => large_enough(level.input.as_ref(), least),
            _ => Err(NtStatus::INVALID_DEVICE_REQUEST.into()),
        })
    }

    /// The room for what it is answered: for what is read, or a control code's output.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_REQUEST`] where such a request has no room for an answer; [`NtStatus::BUFFER_TOO_SMALL`] where there is none, or
    /// less than `least` bytes.
    #[doc(alias = "RetrieveOutputMemory")]
    #[doc(alias = "GetOutputMemory")]
    pub fn output(&self, least: usize) -> Result<Window, HResult> {
        self.with(|level| match &level.parameters {
            Parameters::Read(_)
            | Parameters::DeviceControl(_)
            | Parameters::InternalControl(_)
            | Parameters::QueryInformation { .. } => large_enough(level.output.as_ref(), least),
            _ => Err(NtStatus::INVALID_DEVICE_REQUEST.into()),
        })
    }

    /// Tells how much was done. [`complete`](Self::complete) tells it on.
    #[doc(alias = "SetInformation")]
    pub fn set_information(&self, information: usize) {
        self.with(|level| level.information = information);
    }

    /// Completes it, with what [`set_information`](Self::set_information) has told.
    #[doc(alias = "Complete")]
    pub fn complete(self, status: impl Into<HResult>) {
        let information = self.with(|level| level.information);
        self.complete_with_information(status, information);
    }

    /// Completes it, and tells how much was done: for a transfer, the bytes that moved, which are at most as many as its buffer has.
    ///
    /// A request that a driver has made itself is not completed: this drops it.
    ///
    /// A status that no application can be told is [reported](Rule::InvalidStatus), and the request ends as [`NtStatus::UNSUCCESSFUL`]: an error that is neither an `NTSTATUS`
    /// nor a Win32 code, such as `E_FAIL`, and [`NtStatus::PENDING`].
    #[doc(alias = "CompleteWithInformation")]
    pub fn complete_with_information(self, status: impl Into<HResult>, information: usize) {
        let result = status.into();
        let status = match NtStatus::from_hresult(result) {
            NtStatus::PENDING => self.invalid(result),
            NtStatus::UNSUCCESSFUL if result != NtStatus::UNSUCCESSFUL.into() => {
                self.invalid(result)
            }
            status => status,
        };
        self.into_irp().complete_by_driver(status, information);
    }

    /// It can't be completed so. Tells what it is completed with instead.
    #[cold]
    fn invalid(&self, result: HResult) -> NtStatus {
        let mut body = self.irp().body();
        let level = body.top();
        let (device, is_own) = (Arc::clone(&level.device), level.is_own);
        let kind = level.parameters.request_type();
        drop(body);
        if !is_own {
            let object = format!("{result}, for a request of type {kind:?}");
            device.report(Rule::InvalidStatus, object);
        }
        NtStatus::UNSUCCESSFUL
    }

    /// How what was sent has ended; `None` where nothing was.
    #[doc(alias = "GetCompletionParams")]
    pub fn completion_params(&self) -> Option<RequestCompletionParams> {
        self.with(|level| level.result.clone())
    }

    /// Its status: how what was sent has ended, or why it was not sent.
    #[doc(alias = "GetStatus")]
    pub fn status(&self) -> HResult {
        self.with(|level| level.status).into()
    }

    /// Whether it was cancelled. What to do then is up to the driver.
    #[doc(alias = "IsCanceled")]
    pub fn is_canceled(&self) -> bool {
        self.with(|level| level.canceled)
    }

    /// Waits until it is cancelled, for drivers that are written with `async`. The driver has the request still, to be completed with [`NtStatus::CANCELLED`].
    #[doc(alias = "IsCanceled")]
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + '_ {
        poll_fn(|cx| {
            self.with(|level| match level.canceled {
                true => Poll::Ready(()),
                false => {
                    level.cancel_waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            })
        })
    }

    /// Has `on_cancel` called when the request is cancelled, at once if it has been. Until then it can be [had back](Cancelable::unmark).
    #[doc(alias = "MarkCancelable")]
    pub fn mark_cancelable(self, on_cancel: Arc<dyn OnCancel>) -> Cancelable {
        Cancelable::mark(self.into_irp(), on_cancel)
    }

    /// Marks it as [`mark_cancelable`](Self::mark_cancelable) does, unless it has been cancelled.
    ///
    /// # Errors
    /// With the request, where it has been cancelled: complete it with [`NtStatus::CANCELLED`].
    #[doc(alias = "MarkCancelableEx")]
    pub fn try_mark_cancelable(self, on_cancel: Arc<dyn OnCancel>) -> Result<Cancelable, Self> {
        match self.is_canceled() {
            true => Err(self),
            false => Ok(self.mark_cancelable(on_cancel)),
        }
    }

    /// Makes a request that the driver has created, and that has come back, as good as new. It is to be formatted again.
    #[doc(alias = "Reuse")]
    pub fn reuse(&mut self, status: impl Into<HResult>) {
        let status = NtStatus::from_hresult(status.into());
        self.with(|level| {
            level.format = Format::None;
            level.result = None;
            level.status = status;
            level.information = 0;
            level.canceled = false;
        });
    }

    /// The device whose driver has it.
    pub fn device(&self) -> Device {
        self.with(|level| Device::of(&level.device))
    }
}

fn large_enough(window: Option<&Window>, least: usize) -> Result<Window, HResult> {
    match window {
        Some(window) if window.len() >= least => Ok(window.clone()),
        _ => Err(NtStatus::BUFFER_TOO_SMALL.into()),
    }
}

/// A driver has dropped a request: it has forgotten it, or it panics and its stack is about to fail.
fn lost(irp: &Arc<Irp>, device: &DeviceShared, what: impl FnOnce() -> String) {
    if std::thread::panicking() {
        return irp.complete(NtStatus::DRIVER_PROCESS_TERMINATED.into());
    }
    irp.complete(NtStatus::UNSUCCESSFUL.into());
    device.report(Rule::LostRequest, what());
}

impl Drop for Request {
    fn drop(&mut self) {
        let Some(irp) = self.irp.take() else {
            return;
        };
        let mut body = irp.body();
        let level = body.top();
        if level.is_own {
            let context = level.context.take();
            body.location = Location::Ended;
            drop(body);
            return drop(context);
        }
        let device = Arc::clone(&level.device);
        let kind = level.parameters.request_type();
        drop(body);
        lost(&irp, &device, || format!("a request of type {kind:?}"));
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("parameters", &self.parameters())
            .finish_non_exhaustive()
    }
}
