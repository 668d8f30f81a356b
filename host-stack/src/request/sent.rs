//! Requests that were sent to a target.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{
    Request, RequestCompletionParams,
    format::Format,
    irp::{Asker, Expired, Irp, Level, Location, SendId, SentTo, Told},
    stuck::Waiter,
};
use crate::{
    status::{HResult, NtStatus},
    target::{Admission, IoTarget, TargetShared},
    verifier::Rule,
};

/// How long a request may take, the time that it waits in a stopped target included. With no time at all it is taken back at once, unless it ends as it is sent;
/// for one that may take as long as it likes, set none (UMDF: a timeout of 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "WDF_REQUEST_SEND_OPTION_TIMEOUT")]
pub enum Timeout {
    /// So long from now on.
    After(Duration),
    /// Until then.
    At(Instant),
}

impl Timeout {
    /// When that is; `None` where no clock gets there.
    fn due(self, now: Instant) -> Option<Instant> {
        match self {
            Self::After(time) => now.checked_add(time),
            Self::At(time) => Some(time),
        }
    }
}

/// How a request is sent.
#[doc(alias = "WDF_REQUEST_SEND_OPTIONS_FLAGS")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    timeout: Option<Timeout>,
    ignore_target_state: bool,
}

impl SendOptions {
    /// No timeout, and only to a target that is started, or will be.
    pub const fn new() -> Self {
        Self {
            timeout: None,
            ignore_target_state: false,
        }
    }

    /// Takes it back when its time is up; it ends with [`NtStatus::IO_TIMEOUT`], and tells what had moved.
    #[doc(alias = "WDF_REQUEST_SEND_OPTION_TIMEOUT")]
    pub const fn timeout(mut self, timeout: Timeout) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it though the target is stopped.
    #[doc(alias = "WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE")]
    pub const fn ignore_target_state(mut self) -> Self {
        self.ignore_target_state = true;
        self
    }
}

/// Why a request was not handed on. The driver still has it.
#[derive(Debug, thiserror::Error)]
#[error("the request was not taken: {status}")]
pub struct SendError {
    /// The request.
    pub request: Request,
    /// What to complete it with.
    pub status: HResult,
}

impl SendError {
    pub(crate) fn new(request: Request, status: NtStatus) -> Self {
        Self::with(request, status.into())
    }

    pub(super) fn with(request: Request, status: HResult) -> Self {
        Self { request, status }
    }

    /// Completes the request with the code.
    pub fn complete(self) {
        self.request.complete_with_information(self.status, 0);
    }
}

/// Sends a request on its way, and tells what names that.
pub(super) fn send(
    request: Request,
    target: &IoTarget,
    options: SendOptions,
    told: Told,
) -> Result<(Arc<Irp>, SendId), SendError> {
    let target = target.shared();
    let id = match leave(request.irp(), target, told) {
        Ok(id) => id,
        Err(status) => return Err(refused(request, status)),
    };
    let Some(admission) = target.admit(request.irp(), options.ignore_target_state) else {
        stay(request.irp());
        return Err(refused(request, NtStatus::INVALID_DEVICE_STATE));
    };
    let irp = request.into_irp();
    if let Some(timeout) = options.timeout {
        set_timer(&irp, id, timeout);
    }
    match admission {
        Admission::Start => target.start(&irp),
        Admission::Wait => target.take_back_if_asked(&irp),
    }
    Ok((irp, id))
}

/// It is the target's from now on, unless that refuses it as it is formatted, or it has been abandoned.
fn leave(irp: &Arc<Irp>, target: &Arc<TargetShared>, told: Told) -> Result<SendId, NtStatus> {
    let mut body = irp.body();
    if let Some(status) = refusal(body.top(), target) {
        let device = Arc::clone(&body.top().device);
        let formatted = !matches!(body.top().format, Format::None);
        drop(body);
        if !formatted {
            device.report(Rule::NotFormatted, "a request");
        }
        return Err(status);
    }
    if !body.place(Location::Target) {
        return Err(NtStatus::INVALID_DEVICE_STATE);
    }
    body.sends += 1;
    let id = SendId {
        level: body.levels.len() - 1,
        serial: body.sends,
    };
    let level = body.top();
    level.result = None;
    level.sent = Some(SentTo {
        target: Arc::clone(target),
        told,
        timer: None,
        timed_out: false,
        serial: id.serial,
        canceled: false,
    });
    Ok(id)
}

/// What is wrong with sending it there as it is formatted.
fn refusal(level: &Level, target: &TargetShared) -> Option<NtStatus> {
    match &level.format {
        Format::None => Some(NtStatus::INVALID_DEVICE_REQUEST),
        Format::Current => target.refuses_current(&level.parameters),
        format => target.refuses(format),
    }
}

/// The target has not taken it.
fn stay(irp: &Irp) {
    let mut body = irp.body();
    body.top().sent = None;
    body.place(Location::Driver);
}

fn set_timer(irp: &Arc<Irp>, send: SendId, timeout: Timeout) {
    let scheduler = irp.scheduler();
    let Some(due) = timeout.due(scheduler.now()) else {
        return;
    };
    let expired = Expired {
        irp: Arc::downgrade(irp),
        send,
    };
    let timer = scheduler.at(due, Arc::new(expired));
    let mut body = irp.body();
    match body.sent(send) {
        Some(sent) => sent.timer = Some(timer),
        None => {
            drop(body);
            scheduler.unset(timer);
        }
    }
}

pub(super) fn refused(request: Request, status: NtStatus) -> SendError {
    request.with(|level| {
        level.status = status;
        level.result = None;
    });
    SendError::new(request, status)
}

/// A request that is on its way. It ends with the request, and how what was sent has ended.
///
/// As a future it can be awaited; [`wait`](Self::wait) is the synchronous send. Dropped before, it is taken back, and what the driver was asked for is completed
/// with the status with which that ends.
#[must_use = "what is dropped is taken back"]
#[doc(alias = "WDF_REQUEST_SEND_OPTION_SYNCHRONOUS")]
pub struct Sent {
    irp: Option<Arc<Irp>>,
    id: SendId,
}

impl Sent {
    pub(super) fn new((irp, id): (Arc<Irp>, SendId)) -> Self {
        Self { irp: Some(irp), id }
    }

    fn irp(&self) -> &Arc<Irp> {
        self.irp.as_ref().expect("a send has not ended twice")
    }

    /// Asks for it back. It ends in its time, and tells how.
    #[doc(alias = "CancelSentRequest")]
    pub fn cancel(&self) {
        self.irp().cancel(Asker::Sender(self.id));
    }

    fn take(&mut self) -> Option<(Request, RequestCompletionParams)> {
        let body = self.irp().body();
        let level = body.levels.get(self.id.level)?;
        let params = match level.sent.is_some() {
            _ if body.has_ended() => RequestCompletionParams::new(body.outcome, Format::None),
            true => return None,
            false => level.result.clone()?,
        };
        drop(body);
        let irp = self.irp.take()?;
        Some((Request::of(irp), params))
    }

    /// Waits until it has ended (UMDF's synchronous send). Other callbacks run meanwhile in this thread, but those of devices that are in a
    /// callback already.
    ///
    /// Where it would wait for ever, as the request is for a driver that gets it only when a callback returns which this thread is within, the request ends with
    /// `ERROR_POSSIBLE_DEADLOCK`, and that is [reported](Rule::WaitWithin).
    #[doc(alias = "WDF_REQUEST_SEND_OPTION_SYNCHRONOUS")]
    pub fn wait(mut self) -> (Request, RequestCompletionParams) {
        let scheduler = Arc::clone(self.irp().scheduler());
        let waiter = Waiter::here();
        scheduler.wait_for(|| {
            if scheduler.has_ended() {
                // Nobody ends what was sent any more.
                self.irp().abandon(NtStatus::DRIVER_PROCESS_TERMINATED);
            }
            self.take().or_else(|| {
                self.report(waiter.refuse(self.irp())?);
                self.take()
            })
        })
    }
}

impl Sent {
    /// Its driver would have waited for itself.
    fn report(&self, object: String) {
        let body = self.irp().body();
        let level = body.levels.get(self.id.level);
        let device = level.map(|it| Arc::clone(&it.device));
        drop(body);
        if let Some(device) = device {
            device.report(Rule::WaitWithin, object);
        }
    }
}

impl Future for Sent {
    type Output = (Request, RequestCompletionParams);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut body = self.irp().body();
        if let Some(SentTo {
            told: Told::Future(waker),
            ..
        }) = body.sent(self.id)
        {
            waker
                .get_or_insert_with(|| cx.waker().clone())
                .clone_from(cx.waker());
        }
        drop(body);
        self.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if self.irp.is_none() {
            return;
        }
        let irp = Arc::clone(self.irp());
        let mut body = irp.body();
        if let Some(sent) = body.sent(self.id) {
            sent.told = Told::Nobody;
            drop(body);
            return irp.cancel(Asker::Sender(self.id));
        }
        drop(body);
        if let Some((request, params)) = self.take() {
            request.complete_with_information(params.status(), params.information());
        }
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}
