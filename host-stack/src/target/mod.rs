//! I/O targets: what a driver sends requests to.

mod file;
mod format;
mod lower;
mod remote;
mod state;
pub mod usb;

use std::{any::Any, fmt, sync::Arc};

pub use self::{
    file::{FileKind, FileTarget, FileTargetError},
    remote::{RemoteTarget, RemoteTargetCallbacks},
};
pub(crate) use self::{
    format::window,
    lower::Lower,
    state::{Admission, Backend, TargetShared},
};
use crate::{
    file::File,
    status::{HResult, NtStatus, Win32Error},
    verifier::Rule,
};

/// Whether a target takes requests.
#[doc(alias = "WDF_IO_TARGET_STATE")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetState {
    /// It does.
    #[default]
    Started,
    /// It keeps them until it is started.
    Stopped,
    /// It does not, as the device of a [remote target](RemoteTarget) may be removed: whatever is sent is refused.
    ClosedForQueryRemove,
    /// It does not: whatever is sent is refused.
    Closed,
    /// It never will again, as its driver's device has gone.
    Deleted,
}

impl TargetState {
    /// Whether whatever is sent is refused, also where the state is to be ignored.
    fn is_closed(self) -> bool {
        matches!(
            self,
            Self::ClosedForQueryRemove | Self::Closed | Self::Deleted
        )
    }
}

/// What becomes of what was sent, when a target is stopped.
#[doc(alias = "WDF_IO_TARGET_SENT_IO_ACTION")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentIoAction {
    /// It is taken back, and waited for.
    CancelSentIo,
    /// It is waited for.
    WaitForSentIoToComplete,
    /// It is left alone.
    LeaveSentIoPending,
}

/// What a driver sends requests to: the next driver below, a USB device or pipe, a [file](FileTarget) or the device of [another stack](RemoteTarget). Clones are handles of
/// the same target.
///
/// ```
/// use usbwright_host_stack::{Device, Memory, SendOptions, status::HResult};
///
/// async fn first_bytes(device: &Device, memory: &Memory) -> Result<usize, HResult> {
///     let target = device.default_target();
///     let mut request = device.create_request();
///     target.format_for_read(&mut request, Some(memory), None, 0)?;
///     let sent = request.send(target, SendOptions::new());
///     let (_request, params) = sent.map_err(|error| error.status)?.await;
///     Ok(params.information())
/// }
/// ```
///
/// A request that is on its way is not sent again:
///
/// ```compile_fail,E0382
/// use usbwright_host_stack::{IoTarget, Request, SendOptions};
///
/// fn twice(request: Request, target: &IoTarget) {
///     let _first = request.send(target, SendOptions::new());
///     let _second = request.send(target, SendOptions::new());
/// }
/// ```
#[doc(alias = "IWDFIoTarget")]
#[doc(alias = "IWDFIoTargetStateManagement")]
#[derive(Clone)]
pub struct IoTarget(Arc<TargetShared>);

impl IoTarget {
    pub(crate) fn of(shared: Arc<TargetShared>) -> Self {
        Self(shared)
    }

    pub(crate) fn shared(&self) -> &Arc<TargetShared> {
        &self.0
    }

    pub(crate) fn takes_forgotten(&self) -> bool {
        self.0.backend.takes_forgotten()
    }

    /// Gives the target a context: what the driver keeps with it. It is dropped when the target goes: with its driver's device, with the hardware if it is a USB target
    /// ([`release_hardware`](crate::DeviceCallbacks::release_hardware)), with its interface's setting if it is a pipe; or with its last handle.
    ///
    /// # Errors
    /// With the context, where it has or had one, or has gone.
    #[doc(alias = "AssignContext")]
    pub fn assign_context<T: Any + Send + Sync>(&self, context: T) -> Result<(), T> {
        if let Some(device) = self.0.device() {
            device.add_target(&self.0);
        }
        self.0.context().assign(context)
    }

    /// The target's context; `None` where it has none, or one of another type.
    #[doc(alias = "RetrieveContext")]
    pub fn context<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.context().retrieve()
    }

    /// Whether it takes requests.
    #[doc(alias = "GetState")]
    pub fn state(&self) -> TargetState {
        self.0.state().state
    }

    /// Takes requests again; those that wait are sent in their order.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_STATE`] where it has been closed.
    #[doc(alias = "Start")]
    pub fn start(&self) -> Result<(), HResult> {
        let mut state = self.0.state();
        if state.state.is_closed() {
            return Err(NtStatus::INVALID_DEVICE_STATE.into());
        }
        state.state = TargetState::Started;
        drop(state);
        self.0.backend.started();
        self.0.start_all();
        Ok(())
    }

    /// Keeps requests until it is started. It may be stopped again, with a stronger action.
    ///
    /// With [`SentIoAction::WaitForSentIoToComplete`] and [`SentIoAction::CancelSentIo`] it returns when what was sent has ended; other callbacks run
    /// in this thread meanwhile.
    ///
    /// # Errors
    /// `ERROR_POSSIBLE_DEADLOCK` for [`SentIoAction::WaitForSentIoToComplete`] in a callback for a request, where what is waited for may wait for that callback. The
    /// target is stopped all the same.
    #[doc(alias = "Stop")]
    pub fn stop(&self, action: SentIoAction) -> Result<(), HResult> {
        let mut state = self.0.state();
        if state.state == TargetState::Started {
            state.state = TargetState::Stopped;
        }
        drop(state);
        self.0.backend.stopped();
        let Some(device) = self.0.device() else {
            return Ok(());
        };
        match action {
            SentIoAction::LeaveSentIoPending => return Ok(()),
            SentIoAction::CancelSentIo => self.0.cancel_all(),
            SentIoAction::WaitForSentIoToComplete => {
                if device.scheduler().is_in_callback() {
                    device.report(Rule::WaitWithin, "a target");
                    return Err(Win32Error::POSSIBLE_DEADLOCK.into());
                }
            }
        }
        let scheduler = device.scheduler();
        scheduler.wait_for(|| (self.0.is_idle() || scheduler.has_ended()).then_some(()));
        Ok(())
    }

    /// Refuses requests from now on. What was sent is taken back; what waits ends with [`NtStatus::WDF_DEVICE_REMOVED_NOT_SENT`].
    #[doc(alias = "Remove")]
    pub fn remove(&self) {
        self.0.close(TargetState::Closed);
    }

    /// Takes back what was sent for a file, and has not ended, and what of that file waits. It ends in its time, and tells how.
    #[doc(alias = "CancelSentRequestsForFile")]
    pub fn cancel_sent_for_file(&self, file: &File) {
        self.0.cancel_for(file);
    }
}

impl fmt::Debug for IoTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoTarget")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
