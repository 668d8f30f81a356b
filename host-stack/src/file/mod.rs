//! Files: a device that an application has opened.

mod told;

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

pub(crate) use self::told::FileEnds;
use self::told::{Told, Views};
use crate::{
    context::Context,
    device::{Device, DeviceShared},
    request::{
        Parameters, RequestType,
        irp::{Asker, Irp, Level, Origin, Outcome},
    },
    status::{NtStatus, Win32Error},
};

/// A device that was opened, as drivers see it. Clones are the same file, and compare so.
///
/// Every driver of a stack that a file's opening gets to is told of its end, once and in this order: [`cleanup_file`](crate::DeviceCallbacks::cleanup_file) when the
/// last handle is closed, and [`close_file`](crate::DeviceCallbacks::close_file) when nothing of it is outstanding any more. Files that are open when a stack goes
/// are closed by that.
#[doc(alias = "IWDFFile")]
#[doc(alias = "IWDFFile2")]
#[derive(Clone)]
pub struct File(Arc<FileShared>);

pub(crate) struct FileShared {
    name: Arc<str>,
    process: u32,
    state: Mutex<State>,
    views: Views,
}

#[derive(Default)]
struct State {
    /// Requests of the application that have not ended.
    outstanding: Vec<Arc<Irp>>,
    /// Whether the drivers have opened it, once they have answered.
    opened: Option<bool>,
    /// The device at the top, once the last handle is closed and what was left is to end.
    closes: Option<Weak<DeviceShared>>,
    /// Nothing of it is left, and the drivers have been told so.
    closed: bool,
}

impl File {
    pub(crate) fn new(name: Arc<str>, process: u32) -> Self {
        Self(Arc::new(FileShared {
            name,
            process,
            state: Mutex::default(),
            views: Views::default(),
        }))
    }

    /// Gives the file a context: what the driver of a device keeps with it. Each device has one of its own. It is dropped when the file is closed, after that driver's
    /// [`close_file`](crate::DeviceCallbacks::close_file), or when the file was not opened.
    ///
    /// # Errors
    /// With the context, where it has or had one, or has been closed.
    #[doc(alias = "AssignContext")]
    pub fn assign_context<T: Any + Send + Sync>(
        &self,
        device: &Device,
        context: T,
    ) -> Result<(), T> {
        self.0.views.context(device.shared()).assign(context)
    }

    /// The context that the driver of a device has given the file; `None` where it has given none, or one of another type.
    #[doc(alias = "RetrieveContext")]
    pub fn context<T: Any + Send + Sync>(&self, device: &Device) -> Option<Arc<T>> {
        self.0.views.context(device.shared()).retrieve()
    }

    /// What followed the device's name when it was opened.
    #[doc(alias = "RetrieveFileName")]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The process that opened it.
    #[doc(alias = "GetInitiatorProcessId")]
    pub fn initiator_process_id(&self) -> u32 {
        self.0.process
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request of the application begins.
    pub(crate) fn begin(&self, irp: &Arc<Irp>) {
        self.state().outstanding.push(Arc::clone(irp));
    }

    /// A request has ended. The first one is that which opens the file.
    pub(crate) fn ended(&self, irp: &Arc<Irp>, status: NtStatus) {
        let mut state = self.state();
        let went_well = || Win32Error::from_nt(status) == Win32Error::SUCCESS;
        state.opened.get_or_insert_with(went_well);
        if let Some(place) = state
            .outstanding
            .iter()
            .rposition(|it| Arc::ptr_eq(it, irp))
        {
            state.outstanding.swap_remove(place);
        }
        self.close_if_idle(state);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// The requests that have not ended.
    pub(crate) fn outstanding(&self) -> Vec<Arc<Irp>> {
        self.state().outstanding.clone()
    }

    /// The last handle was closed: the drivers are told, what is outstanding is cancelled, and when that has ended the drivers are told again.
    pub(crate) fn clean_up(&self, top: &Arc<DeviceShared>) {
        let file = self.clone();
        let device = Arc::downgrade(top);
        let then = move |_| {
            for irp in file.outstanding() {
                irp.cancel(Asker::Origin);
            }
            let mut state = file.state();
            state.closes = Some(device);
            file.close_if_idle(state);
        };
        self.tell(top, Parameters::Cleanup, Box::new(then));
    }

    /// Has a device's driver told that the file is closed, as far as it has not been: its device goes. What the driver keeps of the file ends in between.
    pub(crate) fn close_for(&self, device: &Arc<DeviceShared>) {
        if self.state().opened != Some(true) {
            return;
        }
        self.tell_only(device, RequestType::Cleanup, Told::CleanedUp);
        for irp in self.outstanding() {
            irp.cancel(Asker::Origin);
        }
        device.scheduler().go_on();
        let kept = self.outstanding().into_iter();
        for irp in kept.filter(|it| it.is_kept_by(device)) {
            irp.abandon(NtStatus::DEVICE_REMOVED);
        }
        self.tell_only(device, RequestType::Close, Told::Closed);
    }

    /// Tells a driver, and waits until it has been told, as long as there is anybody to wait for.
    fn tell_only(&self, device: &Arc<DeviceShared>, kind: RequestType, told: Told) {
        device.post(Arc::new(FileEnds {
            device: Arc::clone(device),
            file: self.clone(),
            kind,
            irp: None,
        }));
        let scheduler = device.scheduler();
        let is_told = || self.0.views.told(device) >= told;
        scheduler.wait_for(|| (is_told() || scheduler.has_ended()).then_some(()));
    }

    /// The context of a device that goes, to be ended.
    pub(crate) fn context_of(&self, device: &Arc<DeviceShared>) -> Arc<Context> {
        self.0.views.context(device)
    }

    /// The contexts of all devices, to be ended: the file was not opened.
    pub(crate) fn contexts(&self) -> Vec<(Arc<DeviceShared>, Arc<Context>)> {
        self.0.views.contexts()
    }

    fn close_if_idle(&self, mut state: MutexGuard<'_, State>) {
        if !state.outstanding.is_empty() {
            return;
        }
        let top = state.closes.take().and_then(|top| top.upgrade());
        drop(state);
        if let Some(top) = top {
            let file = self.clone();
            let then = move |_| file.state().closed = true;
            self.tell(&top, Parameters::Close, Box::new(then));
        }
    }

    fn tell(
        &self,
        top: &Arc<DeviceShared>,
        parameters: Parameters,
        then: Box<dyn FnOnce(Outcome) + Send>,
    ) {
        let level = Level::new(Arc::clone(top), parameters);
        let irp = Irp::new(Origin::Stack(Some(then)), Some(self.clone()), level);
        top.arrive(&irp);
    }
}

impl PartialEq for File {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for File {}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}
