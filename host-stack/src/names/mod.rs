//! The names by which devices are found: interfaces and symbolic links.

mod guid;
mod interface;
mod registry;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use self::guid::{Guid, NoGuid};
use self::registry::Registry;
pub(crate) use self::registry::Resolved;
use crate::{
    application::{Handle, OpenOptions, Opening},
    stack::StackShared,
    status::{HResult, NtStatus, Win32Error},
};

/// The names of devices, for stacks of one process to find one another by, and for applications that do not have the [`Stack`](crate::Stack) itself.
///
/// Give the same to every stack that is to know the others ([`StackBuilder::names`](crate::StackBuilder::names)); a stack that is given none has one of its own. Drivers
/// name their devices with [`Device::create_interface`](crate::Device::create_interface) and
/// [`Device::create_symbolic_link`](crate::Device::create_symbolic_link).
///
/// A name can be opened while its stack works ([`PnpState::Started`](crate::PnpState::Started), idle or sleeping): from the time that all of its devices have started until
/// it is about to go. Names compare as on Windows, without regard to case, and `\\?\`, `\\.\`, `\??\` and `\DosDevices\` before them mean the same. What
/// follows a name, from a backslash on, is the name of the [file](crate::File) within the device.
#[derive(Clone, Default)]
pub struct DeviceNames(Arc<Mutex<Registry>>);

/// Why a device was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Nothing has this name, or had it and is gone.
    #[error("no device has the name {0:?}: see that its stack has started, and has the same names")]
    NoSuchDevice(String),
    /// The name is there, and disabled: by the driver, or as its stack does not work at present.
    #[error("{0:?} is disabled at present: its driver has done so, or its stack does not work")]
    Disabled(String),
    /// The stack has refused it.
    #[error("the device's stack has refused to be opened: {0}")]
    Refused(Win32Error),
    /// The target is open.
    #[error("the target is open: close it before it is opened again")]
    AlreadyOpen,
    /// The target was not closed for a removal.
    #[error(
        "only a target that was closed as its device was to be removed can be reopened; others are opened by name"
    )]
    NotClosedForQueryRemove,
    /// The driver's own device has gone.
    #[error("the driver's own device has gone, and has no targets any more")]
    Gone,
}

impl From<OpenError> for HResult {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NoSuchDevice(_) | OpenError::Disabled(_) => {
                Win32Error::FILE_NOT_FOUND.into()
            }
            OpenError::Refused(error) => error.into(),
            OpenError::AlreadyOpen | OpenError::NotClosedForQueryRemove => {
                NtStatus::INVALID_DEVICE_STATE.into()
            }
            OpenError::Gone => NtStatus::DEVICE_REMOVED.into(),
        }
    }
}

impl DeviceNames {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The symbolic names of the interfaces of a class that are enabled, in the order in which they were made.
    #[doc(alias = "CM_Get_Device_Interface_List")]
    pub fn interfaces(&self, class: Guid) -> Vec<Arc<str>> {
        let enabled = self.registry().enabled(class);
        enabled.into_iter().map(|(name, _stack)| name).collect()
    }

    /// Opens a device for an application.
    ///
    /// # Errors
    /// Where nothing has the name, or what has it is disabled; what the stack tells comes with the [`Opening`].
    #[doc(alias = "CreateFile")]
    pub fn open(&self, name: &str, options: &OpenOptions) -> Result<Opening, OpenError> {
        let Resolved { stack, file } = self.resolve(name)?;
        let owner = stack.owner();
        let owner = owner.ok_or_else(|| OpenError::NoSuchDevice(name.to_owned()))?;
        Ok(Handle::open(&owner, &options.clone().within(&file)))
    }

    /// The stack that a name is of, and what follows it.
    pub(crate) fn resolve(&self, name: &str) -> Result<Resolved, OpenError> {
        self.registry().resolve(name)
    }

    /// A stack works: whoever waits for interfaces is told of its own.
    pub(crate) fn announce(&self, stack: &StackShared) {
        let told = self.registry().arrivals_of(stack);
        told.into_iter().for_each(registry::Arrival::tell);
    }

    /// A stack has gone.
    pub(crate) fn forget(&self, stack: &StackShared) {
        let forgotten = self.registry().forget(stack);
        drop(forgotten);
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DeviceNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeviceNames")
            .field(&self.registry().names())
            .finish()
    }
}
