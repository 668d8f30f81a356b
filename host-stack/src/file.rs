//! Files: a device that an application has opened.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::{
    device::DeviceShared,
    request::{
        Parameters,
        irp::{Asker, Irp, Level, Origin, Outcome},
    },
};

/// A device that was opened, as drivers see it. Clones are the same file, and compare so.
#[doc(alias = "IWDFFile")]
#[doc(alias = "IWDFFile2")]
#[derive(Clone)]
pub struct File(Arc<FileShared>);

pub(crate) struct FileShared {
    name: Arc<str>,
    process: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Requests of the application that have not ended.
    outstanding: Vec<Arc<Irp>>,
    /// The device at the top, once the last handle is closed and what was left is to end.
    closes: Option<Weak<DeviceShared>>,
    /// Nothing of it is left, and the drivers are told so.
    closed: bool,
}

impl File {
    pub(crate) fn new(name: Arc<str>, process: u32) -> Self {
        Self(Arc::new(FileShared {
            name,
            process,
            state: Mutex::default(),
        }))
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

    /// A request has ended.
    pub(crate) fn ended(&self, irp: &Arc<Irp>) {
        let mut state = self.state();
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

    fn close_if_idle(&self, mut state: MutexGuard<'_, State>) {
        if !state.outstanding.is_empty() {
            return;
        }
        let top = state.closes.take().and_then(|top| top.upgrade());
        state.closed |= top.is_some();
        drop(state);
        if let Some(top) = top {
            self.tell(&top, Parameters::Close, Box::new(|_| ()));
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
