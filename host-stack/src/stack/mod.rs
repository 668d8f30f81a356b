//! Stacks: the devices of one or several drivers, one above the other, over a USB device or nothing.

mod builder;
mod change;
mod idle;
mod life;
mod outside;
mod power;
mod spare;
mod unplug;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::ThreadId,
};

use self::unplug::{Unplugged, Watch};
pub use self::{
    builder::{StackBuilder, StartError},
    change::{CallbackError, ChangeError, PnpState},
    idle::{IdleSettings, SleepWakeSettings, StayAwake},
};
pub(crate) use self::{
    idle::{Idle, Wake},
    outside::{Answer, Outsider},
    spare::{Buffers, Spare},
};
use crate::{
    application::{Handle, OpenOptions, Opening},
    buffers::{Agreed, IoType},
    callbacks::Driver,
    device::{Device, DeviceShared},
    file::File,
    names::DeviceNames,
    observer::StackEvent,
    request::Parameters,
    scheduler::Scheduler,
    status::NtStatus,
    verifier::{Rule, Verifier, Violation},
};

/// A stack that runs. Clones are handles of the same stack; when the last one and the last [`Handle`] are dropped, it is removed without asking its drivers, as
/// [`remove`](Self::remove) does otherwise, and these are unloaded.
#[derive(Clone)]
pub struct Stack(Arc<Owner>);

/// Removes the stack when nobody has it any more.
pub(crate) struct Owner(Arc<StackShared>);

pub(crate) struct StackShared {
    scheduler: Arc<Scheduler>,
    verifier: Arc<Verifier>,
    drivers: Vec<(Arc<str>, Arc<dyn Driver>)>,
    /// How drivers get at data, once their devices are made.
    agreed: OnceLock<Agreed>,
    copies_neither: bool,
    names: DeviceNames,
    /// Who has the stack, once it is built.
    owner: OnceLock<Weak<Owner>>,
    /// Drivers of other stacks that have opened this one.
    outside: Mutex<Vec<Weak<dyn Outsider>>>,
    /// What drivers want that say nothing of it themselves.
    io_types: Vec<(Arc<str>, IoType)>,
    state: Mutex<State>,
    /// As its state has it.
    is_gone: AtomicBool,
    spare: Spare,
    idle: Arc<Idle>,
    this: Weak<Self>,
}

struct State {
    /// The drivers that are loaded, the lowest ones.
    loaded: usize,
    /// The lowest first.
    devices: Vec<Arc<DeviceShared>>,
    pnp: PnpState,
    /// Why it has failed.
    failure: Option<CallbackError>,
    /// Who changes it.
    changes: Option<ThreadId>,
    /// It is to be removed when it is changed no more.
    is_to_be_removed: bool,
    /// It is to end as well, as nobody has it any more. It keeps itself until then.
    ends: Option<Arc<StackShared>>,
    /// Files that are open, or are being opened.
    files: Vec<File>,
    /// How far drivers were told that the USB device is unplugged.
    unplugged: Unplugged,
    /// Looks whether it is.
    watch: Option<Arc<Watch>>,
}

impl StackShared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }

    pub(crate) fn names(&self) -> &DeviceNames {
        &self.names
    }

    /// Who has the stack, if anybody does still.
    pub(crate) fn owner(&self) -> Option<Arc<Owner>> {
        self.owner.get()?.upgrade()
    }

    /// Whether it takes whoever wants to open it.
    pub(crate) fn can_be_opened(&self) -> bool {
        self.state().pnp.is_started()
    }

    pub(crate) fn copies_neither(&self) -> bool {
        self.copies_neither
    }

    /// Whether drivers get at a request's data directly.
    pub(crate) fn is_direct(&self, parameters: &Parameters) -> bool {
        let (method, length) = match parameters {
            Parameters::Read(it) | Parameters::Write(it) => (None, it.length),
            Parameters::DeviceControl(it) => (Some(it.code.method()), it.input.max(it.output)),
            _ => return false,
        };
        let kind = parameters.request_type();
        let agreed = self.agreed.get();
        agreed.is_some_and(|it| it.is_direct(kind, method, length))
    }

    /// The device that requests come to; `None` where the stack takes none such.
    pub(crate) fn top_for(&self, parameters: &Parameters) -> Option<Arc<DeviceShared>> {
        let state = self.state();
        let takes = match parameters {
            Parameters::Create(_) => state.pnp.is_started(),
            _ => !state.pnp.is_gone(),
        };
        takes.then(|| state.devices.last().cloned()).flatten()
    }

    /// What is told of a stack that takes nothing.
    pub(crate) fn gone(&self) -> NtStatus {
        match self.state().pnp {
            PnpState::Failed => NtStatus::DRIVER_PROCESS_TERMINATED,
            PnpState::Removed => NtStatus::DEVICE_REMOVED,
            _ => NtStatus::DEVICE_NOT_READY,
        }
    }

    /// The driver that this thread calls has broken a rule of waiting.
    pub(crate) fn report_caller(&self, object: String) {
        let caller = self.scheduler.caller();
        let (driver, _) = caller.unwrap_or_else(|| ("?".into(), "a callback"));
        self.verifier.report(&driver, Rule::WaitWithin, object);
    }

    pub(crate) fn spare(&self) -> &Spare {
        &self.spare
    }

    /// A file is opened, or is about to be.
    pub(crate) fn add_file(&self, file: &File) {
        let mut state = self.state();
        state.files.retain(|it| !it.is_closed());
        state.files.push(file.clone());
    }

    /// A file was not opened.
    pub(crate) fn drop_file(&self, file: &File) {
        self.state().files.retain(|it| it != file);
        for (device, context) in file.contexts() {
            self.drop_of(&device, "a file's context was dropped", || context.end());
        }
    }

    /// The files that are open, or are being opened.
    fn files(&self) -> Vec<File> {
        self.state().files.clone()
    }

    /// Whether the stack takes nothing any more. Whoever takes that away ends what was begun before.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    fn put_pnp(&self, state: &mut State, pnp: PnpState) {
        state.pnp = pnp;
        self.is_gone.store(pnp.is_gone(), Ordering::Release);
    }

    /// The last handle of a file was closed.
    pub(crate) fn close(&self, file: &File) {
        self.scheduler.enter(|| self.clean_up(file));
    }

    /// Has the drivers told that the last handle of a file was closed.
    pub(crate) fn clean_up(&self, file: &File) {
        let top = self.state().devices.last().cloned();
        if let Some(top) = top.filter(|_| !self.is_gone()) {
            file.clean_up(&top);
        }
    }

    fn fail_if_panicked(&self, error: &CallbackError) {
        if let CallbackError::Panicked {
            driver,
            callback,
            message,
        } = error
        {
            self.fail(driver, callback, message.clone());
        }
    }

    /// A callback has panicked: nothing of the stack can be relied on.
    fn fail(&self, driver: &Arc<str>, callback: &'static str, message: String) {
        self.verifier
            .report(driver, Rule::Panic, format!("{callback}: {message}"));
        let failure = CallbackError::Panicked {
            driver: Arc::clone(driver),
            callback,
            message,
        };
        self.verifier.observer().tell(StackEvent::Failed(&failure));
        let mut state = self.state();
        state.failure.get_or_insert(failure);
        if state.pnp == PnpState::Failed {
            return;
        }
        self.put_pnp(&mut state, PnpState::Failed);
        let devices = state.devices.clone();
        let files = state.files.clone();
        drop(state);
        for irp in files.iter().flat_map(File::outstanding) {
            irp.abandon(NtStatus::DRIVER_PROCESS_TERMINATED);
        }
        devices
            .iter()
            .rev()
            .for_each(|device| device.abandon(NtStatus::DRIVER_PROCESS_TERMINATED));
        self.tell_removed();
        self.scheduler.end();
    }

    /// Nothing is done any more, and the drivers are unloaded.
    fn end(&self) {
        self.scheduler.end();
        self.unload();
    }

    /// Unloads the drivers that were loaded, the highest first, unless one has panicked.
    fn unload(&self) {
        let loaded = std::mem::take(&mut self.state().loaded);
        for (name, driver) in self.drivers[..loaded].iter().rev() {
            if self.state().failure.is_some() {
                return;
            }
            let ended = change::called(name, "deinitialize", || {
                driver.deinitialize();
                Ok(())
            });
            if let Err(error) = ended {
                self.fail_if_panicked(&error);
            }
        }
    }
}

impl Drop for StackShared {
    /// The drivers go last, the highest first. One that panics then harms nobody.
    fn drop(&mut self) {
        for (name, driver) in self.drivers.drain(..).rev() {
            let dropped = change::called(&name, "its drop", || {
                drop(driver);
                Ok(())
            });
            if let Err(error) = dropped {
                tracing::error!("{error}");
            }
        }
    }
}

impl Stack {
    /// A stack that is to be built.
    pub fn builder() -> StackBuilder {
        StackBuilder::new()
    }

    fn shared(&self) -> &Arc<StackShared> {
        self.0.shared()
    }

    /// Opens the device for an application.
    #[doc(alias = "CreateFile")]
    pub fn open(&self, options: &OpenOptions) -> Opening {
        Handle::open(&self.0, options)
    }

    /// Opens the device, and waits until it is open.
    ///
    /// # Errors
    /// The code with which the stack refused it.
    #[doc(alias = "CreateFile")]
    pub fn open_and_wait(&self) -> Result<Handle, crate::status::Win32Error> {
        self.open(&OpenOptions::new()).wait()
    }

    /// Does what is to be done, and returns when there is nothing more. For stacks without a thread ([`Threads::None`](crate::Threads::None)).
    pub fn run(&self) {
        while self.shared().scheduler.pump() {}
    }

    /// The rules that drivers have broken.
    pub fn violations(&self) -> Vec<Violation> {
        self.shared().verifier.seen()
    }

    /// The device signals that it wants to wake the stack, as by USB's remote wake-up. It does so if the stack is [idle](PnpState::Idle) or
    /// [asleep](PnpState::Sleeping) and the device was armed for that ([`IdleSettings::wake`], [`SleepWakeSettings`]).
    #[doc(alias = "IRP_MN_WAIT_WAKE")]
    pub fn signal_wake(&self) {
        self.shared().idle.signal_wake();
        self.shared().scheduler.enter(|| ());
    }

    /// Why it has failed, if it has.
    pub fn failure(&self) -> Option<CallbackError> {
        self.shared().state().failure.clone()
    }

    /// Its state.
    pub fn state(&self) -> PnpState {
        self.shared().state().pnp
    }

    /// Its devices, the lowest first.
    pub fn devices(&self) -> Vec<Device> {
        self.shared()
            .state()
            .devices
            .iter()
            .map(Device::of)
            .collect()
    }
}

impl Owner {
    pub(crate) fn shared(&self) -> &Arc<StackShared> {
        &self.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.0.scheduler.is_here() {
            return self.0.end_later();
        }
        self.0.remove_anyhow();
        self.0.end();
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
