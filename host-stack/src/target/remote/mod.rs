//! Remote targets: devices of other stacks that a driver opens.

mod core;
mod flight;
mod removal;

use std::{fmt, sync::Arc};

use self::core::Core;
pub use self::removal::RemoteTargetCallbacks;
use super::{IoTarget, TargetShared, TargetState};
use crate::{
    OpenOptions,
    device::Device,
    file::File,
    names::OpenError,
    status::{HResult, NtStatus},
};

/// A device of another stack, of this process, that a driver opens by its [name](crate::DeviceNames) and sends requests to. Clones are handles of the same target.
///
/// It is to the other stack what an application is: the other drivers see a [file](File) that is opened, requests of that file, and its closing; buffers are theirs, and
/// what came is copied to whoever has asked where the request has not failed. It does not keep the other stack, which goes with its last [`Stack`](crate::Stack) and
/// [`Handle`](crate::Handle); when that is about to happen, [`RemoteTargetCallbacks`] tell.
///
/// It is closed at first. Opened, it is started, and stays so until it is [closed](Self::close), or its device goes; it may then be opened again, also
/// by another name. A request that is cancelled is asked back from the other stack, and ends when that gives it back.
///
/// What the other stack is asked is done by its own thread, never within the call; for stacks without a thread ([`Threads::None`](crate::Threads::None)) whoever runs
/// this one does it. A driver that waits for its own device so, within a callback that has to return first, gets `ERROR_POSSIBLE_DEADLOCK`; one that waits for a stack which waits for this driver
/// in another thread waits for ever, as anywhere else.
#[doc(alias = "IWDFRemoteTarget")]
#[derive(Clone)]
pub struct RemoteTarget {
    target: IoTarget,
    core: Arc<Core>,
}

impl RemoteTarget {
    /// Makes one that is closed. `callbacks` are told when the device that it is opened for goes; `()` does what is to be done then.
    ///
    /// # Errors
    /// [`NtStatus::INVALID_DEVICE_STATE`] where the driver's device has gone.
    #[doc(alias = "CreateRemoteTarget")]
    pub fn new(device: &Device, callbacks: impl RemoteTargetCallbacks) -> Result<Self, HResult> {
        let device = device.shared();
        if device.life().is_deleted {
            return Err(NtStatus::INVALID_DEVICE_STATE.into());
        }
        let core = Core::new(device, Arc::new(callbacks));
        let shared = TargetShared::new(device, Box::new(flight::Remote(Arc::clone(&core))));
        shared.close(TargetState::Closed);
        core.belongs_to(&shared);
        Ok(Self {
            target: IoTarget::of(shared),
            core,
        })
    }

    fn again(core: &Arc<Core>) -> Option<Self> {
        Some(Self {
            target: IoTarget::of(core.target()?),
            core: Arc::clone(core),
        })
    }

    /// The target that requests are sent to.
    pub fn target(&self) -> &IoTarget {
        &self.target
    }

    /// Whether it takes requests.
    #[doc(alias = "GetState")]
    pub fn state(&self) -> TargetState {
        self.target.state()
    }

    /// The file that it is to the other stack, while it is open.
    #[doc(alias = "GetTargetFile")]
    pub fn file(&self) -> Option<File> {
        self.core.handle().map(|it| it.file().clone())
    }

    /// Opens a device by the name of one of its interfaces, or a symbolic link, and waits until it is open; other callbacks run in this thread meanwhile.
    ///
    /// # Errors
    /// See [`OpenError`]. The target stays closed then.
    #[doc(alias = "OpenFileByName")]
    #[doc(alias = "OpenRemoteInterface")]
    pub fn open(&self, name: &str, options: &OpenOptions) -> Result<(), OpenError> {
        self.core.open(self.target.shared(), name, options)
    }

    /// Opens the device again that was closed as it was to be removed, as [`open`](Self::open) did.
    ///
    /// # Errors
    /// As those of [`open`](Self::open), and [`OpenError::NotClosedForQueryRemove`].
    #[doc(alias = "Reopen")]
    pub fn reopen(&self) -> Result<(), OpenError> {
        match self.state() {
            TargetState::ClosedForQueryRemove => self.core.reopen(self.target.shared()),
            TargetState::Deleted => Err(OpenError::Gone),
            _ => Err(OpenError::NotClosedForQueryRemove),
        }
    }

    /// Closes it, without waiting for the other stack: what was sent ends as cancelled, and is asked back there; what waits ends with
    /// [`NtStatus::WDF_DEVICE_REMOVED_NOT_SENT`].
    #[doc(alias = "Close")]
    pub fn close(&self) {
        self.target.shared().close(TargetState::Closed);
    }

    /// Closes it as [`close`](Self::close) does, as its device may be removed; if it is not, the target can be [reopened](Self::reopen). A target that is closed stays
    /// so.
    #[doc(alias = "CloseForQueryRemove")]
    pub fn close_for_query_remove(&self) {
        if !self.state().is_closed() {
            let shared = self.target.shared();
            shared.close(TargetState::ClosedForQueryRemove);
        }
    }
}

impl fmt::Debug for RemoteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteTarget")
            .field("name", &self.core.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
