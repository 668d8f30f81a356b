//! Driver packages: TOML files that say which devices a host executable is for, and how its drivers are to be run.
//!
//! A package lies beside its host executable. Directives of the framework have the names and values of the INF file of a UMDF driver; all but `devices` and one
//! `[[driver]]` may be left out.
//!
//! ```toml
//! host = 'fx2-host'                                   # from the package's folder; by default the package's own name
//! devices = ['USB\VID_0547&PID_1002', 'USB\Class_FF'] # hardware ids and compatible ids: HardwareId
//!
//! [[driver]]                                          # the lowest first
//! UmdfService = 'fx2'
//! UmdfLibraryVersion = '2.15.0'
//! DriverCLSID = '{01234567-89AB-CDEF-0123-456789ABCDEF}'
//! RetrievalMode = 'Deferred'                          # CopyImmediately
//! RWPreference = 'BufferedOrDirect'                   # Buffered, Direct
//! IoctlPreference = 'Buffered'
//! DirectTransferThreshold = 16384                     # in bytes
//!
//! [[driver]]
//! UmdfService = 'inverter'
//! filter = 'upper'                                    # or 'lower'; not for the driver of the device itself
//! RetrievalMode = 'Deferred'
//! RWPreference = 'BufferedOrDirect'
//!
//! [framework]
//! UmdfServiceOrder = ['fx2', 'inverter']              # by default in the order above
//! UmdfHostProcessSharing = 'ProcessSharingDisabled'   # ProcessSharingEnabled: in the pool
//! UmdfImpersonationLevel = 'Identification'           # Anonymous, Impersonation, Delegation
//! UmdfMethodNeitherAction = 'Reject'                  # Copy
//! UmdfDispatcher = 'NativeUSB'                        # FileHandle, WinUsb
//! UmdfKernelModeClientPolicy = 'RejectKernelModeClients'
//! UmdfFileObjectPolicy = 'RejectNullAndUnknownFileObjects'
//! UmdfFsContextUsePolicy = 'CanUseFsContext'          # CanUseFsContext2, CannotUseFsContexts
//! UmdfDirectHardwareAccess = 'RejectDirectHardwareAccess'
//! UmdfHostPriority = 'PriorityHigh'
//!
//! [host-policy]
//! restarts = 5                                        # how many times a host of its own is started again
//! restart-reset-minutes = 30                          # the restarts are forgotten after so long without a failure
//! deadline-seconds = 60                               # for plug and play, power and cancellation
//! memory-mebibytes = 256                              # limits; without one there is none
//! cpu-percent = 50                                    # of one processor
//! descriptors = 256
//! read = ['/usr/share/fx2']                           # what the host may read; it can open nothing else
//! write = ['/var/lib/fx2']                            # what it may read and write
//! require = ['Landlock', 'Seccomp']                   # what has to hold, so that the drivers may run: Measure
//! ```

mod directives;
mod draft;
mod driver;
mod hardware_id;
mod policy;
mod problem;
mod rules;
mod table;

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use usbwright_host_stack::{Access, IoType, Stack, StackBuilder};

use self::problem::Problems;
pub use self::{
    directives::{
        DirectHardwareAccess, Directives, Dispatcher, FileObjectPolicy, FsContextUsePolicy,
        HostPriority, HostProcessSharing, ImpersonationLevel, KernelModeClientPolicy,
        MethodNeitherAction, Role,
    },
    driver::{ClassId, LibraryVersion, PackagedDriver},
    hardware_id::{HardwareId, HardwareIdError, Rank},
    policy::{HostPolicy, Limits},
    problem::{Invalid, LoadError, Problem},
};

/// How many bytes a package may have.
const LONGEST: u64 = 64 << 10;

/// A driver package that keeps all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    name: String,
    host: PathBuf,
    devices: Vec<HardwareId>,
    drivers: Vec<PackagedDriver>,
    directives: Directives,
    policy: HostPolicy,
}

/// Whether a package's host executable has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostCheck {
    /// It has to be there, and to be executable.
    Required,
    /// It is not looked at.
    Skipped,
}

impl Package {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it can't be read, is too long for a package (64 KiB), or breaks a rule; of the rules, all that are broken are told.
    pub fn load(path: &Path, host: HostCheck) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Read {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(LONGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > LONGEST {
            return Err(LoadError::TooLong {
                path: path.to_owned(),
                limit: LONGEST,
            });
        }
        let text = str::from_utf8(&bytes).map_err(|error| LoadError::NotUtf8 {
            path: path.to_owned(),
            line: 1 + bytes[..error.valid_up_to()]
                .iter()
                .filter(|it| **it == b'\n')
                .count(),
        })?;
        Ok(Self::parse(path, text, host)?)
    }

    /// Reads a text, as if it were in the file `path`: that gives the package its name, and the place of its host.
    ///
    /// # Errors
    /// Where it breaks rules: all that are broken are told.
    pub fn parse(path: &Path, text: &str, host: HostCheck) -> Result<Self, Invalid> {
        let mut problems = Problems::default();
        let package = draft::read(path, text, host, &mut problems);
        package.ok_or_else(|| Invalid::new(path.to_owned(), text, problems))
    }

    /// Its name: that of its file, without the ending.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host executable, which has the drivers.
    pub fn host(&self) -> &Path {
        &self.host
    }

    /// The devices that it is for.
    pub fn devices(&self) -> &[HardwareId] {
        &self.devices
    }

    /// Its drivers, the lowest first.
    #[doc(alias = "UmdfServiceOrder")]
    pub fn drivers(&self) -> &[PackagedDriver] {
        &self.drivers
    }

    /// What holds for the whole stack.
    pub fn directives(&self) -> &Directives {
        &self.directives
    }

    /// What its host may use, and what becomes of it when it fails.
    pub fn policy(&self) -> &HostPolicy {
        &self.policy
    }

    /// How well it fits a device with these ids, of which the most specific comes first; `None` where it does not.
    pub fn rank(&self, ids: &[HardwareId]) -> Option<Rank> {
        Rank::between(&self.devices, ids)
    }

    /// How one of its drivers gets at data. In a pooled host that is by copies, where the driver takes either.
    pub fn io_type(&self, driver: &PackagedDriver) -> IoType {
        let wanted = IoType::from(driver);
        let in_host = |access| match (access, self.directives.host_process_sharing) {
            (Access::BufferedOrDirect, HostProcessSharing::Pooled) => Access::Buffered,
            _ => access,
        };
        IoType {
            read_write: in_host(wanted.read_write),
            control: in_host(wanted.control),
            ..wanted
        }
    }
}

/// A stack with the package's options, but without drivers: these are added by whoever has them, under their names and in their order.
impl From<&Package> for StackBuilder {
    fn from(package: &Package) -> Self {
        let mut builder = Stack::builder();
        if package.directives.method_neither_action == MethodNeitherAction::Copy {
            builder = builder.copy_neither();
        }
        for driver in &package.drivers {
            builder = builder.io_type_preference(&driver.name, package.io_type(driver));
        }
        builder
    }
}

/// Its devices and its stack, the highest driver first.
impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let devices: Vec<String> = self.devices.iter().map(HardwareId::to_string).collect();
        let drivers: Vec<&str> = self.drivers.iter().rev().map(|it| &*it.name).collect();
        write!(f, "{}: {}", devices.join(", "), drivers.join(" over "))
    }
}
