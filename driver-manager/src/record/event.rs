//! Events: what has happened to hosts and their devices, with the numbers of Windows' operational log.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DetectedBy, Exit, Operation, Problem};

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// The host, if it has to do with one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<u64>,
    /// The device's name, if it has to do with one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<String>,
    /// More about it, for people.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub detail: String,
    /// The record, where a host has failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub record: Option<Box<FailureRecord>>,
}

impl Event {
    /// Something that has happened, of which no more is known.
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            host: None,
            device: None,
            detail: String::new(),
            record: None,
        }
    }

    /// It has to do with this host.
    #[must_use]
    pub fn host(mut self, host: u64) -> Self {
        self.host = Some(host);
        self
    }

    /// It has to do with this device.
    #[must_use]
    pub fn device(mut self, name: &str) -> Self {
        self.device = Some(name.to_owned());
        self
    }

    /// More about it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.id())?;
        if let Some(device) = &self.device {
            write!(f, "{device}: ")?;
        }
        if let Some(host) = self.host {
            write!(f, "host {host} ")?;
        }
        f.write_str(self.kind.text())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        self.record
            .as_ref()
            .map_or(Ok(()), |record| write!(f, ": {record}"))
    }
}

/// Makes the kinds of events, with their numbers and texts.
macro_rules! kinds {
    ($($(#[$about:meta])* $name:ident = $id:literal $text:literal,)+) => {
        /// What has happened. The numbers are those of `Microsoft-Windows-DriverFrameworks-UserMode`, from 10110 on those of the system log, and from 20000 on our own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum EventKind { $($(#[$about])* $name,)+ }

        impl EventKind {
            /// The number by which it is known.
            pub fn id(self) -> u32 {
                match self { $(Self::$name => $id,)+ }
            }

            fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

kinds! {
    /// The manager starts a host for a device.
    HostStarting = 1003 "is being started",
    /// The host has been started.
    HostStarted = 1004 "was started",
    /// The host could not be started.
    HostNotStarted = 1005 "could not be started",
    /// The host was asked to shut down.
    HostEnding = 1006 "was asked to shut down",
    /// The host has a problem and is being terminated.
    HostTerminated = 1007 "has a problem and is being terminated",
    /// The host has shut down.
    HostEnded = 1008 "has shut down",
    /// The host has told its drivers.
    HostReady = 2000 "is ready",
    /// The host was asked to load drivers for a device.
    LoadingDrivers = 2003 "was asked to load the drivers",
    /// All drivers are loaded, and the stack has started.
    DriversLoaded = 2010 "has loaded the drivers, and the stack has started",
    /// The stack could not be started.
    DriversFailed = 2011 "could not start the stack",
    /// An operation for plug and play, or power, was begun.
    OperationBegun = 2100 "has begun an operation",
    /// Such an operation has ended.
    OperationEnded = 2101 "has ended an operation",
    /// A host has failed.
    HostFailed = 10110 "has failed",
    /// A device is offline for a while, as its host has failed.
    DeviceRestarts = 10111 "is offline for now",
    /// A device is offline for good, as its hosts have failed too often.
    DeviceOffline = 10112 "is offline: the limit of restarts is reached",
    /// A device was plugged in.
    DeviceArrived = 20001 "was plugged in",
    /// A device was unplugged.
    DeviceDeparted = 20002 "was unplugged",
    /// No package is for a device.
    NoPackage = 20003 "has no driver package",
    /// A driver broke a rule.
    RuleBroken = 20004 "had a driver break a rule",
    /// A thread of a host panicked.
    Panicked = 20005 "had a thread panic",
    /// The stack was taken down.
    StackRemoved = 20006 "has taken the stack down",
}

/// What is kept of a host's failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailureRecord {
    /// What went wrong.
    pub problem: Problem,
    /// Who saw it.
    pub detected_by: DetectedBy,
    /// What the host was about.
    pub operation: Operation,
    /// How the process has ended.
    pub exit: Exit,
    /// The device whose drivers have caused it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// More about it, for people.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub detail: String,
    /// What the host was asked last, the oldest first.
    pub last_requests: Vec<String>,
    /// Its devices, and what becomes of them.
    pub devices: Vec<(String, Outlook)>,
}

/// What becomes of a device whose host has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outlook {
    /// It starts again in the pool, and so often after that.
    RestartsPooled(u32),
    /// It starts again in a host of its own, and so often after that.
    RestartsAlone(u32),
    /// It does not start again.
    LimitReached,
    /// It was about to go.
    Gone,
}

impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, left) = match self {
            Self::RestartsPooled(left) => ("in the pool", left),
            Self::RestartsAlone(left) => ("in a host of its own", left),
            Self::LimitReached => return f.write_str("the limit of restarts is reached"),
            Self::Gone => return f.write_str("it is gone"),
        };
        write!(f, "restarts {place}, and will restart {left} more times")
    }
}

impl fmt::Display for FailureRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, detected by {}, operation {}, {}",
            self.problem, self.detected_by, self.operation, self.exit
        )?;
        if let Some(cause) = &self.cause {
            write!(f, ", caused by {cause}")?;
        }
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        for (device, outlook) in &self.devices {
            write!(f, "; {device}: {outlook}")?;
        }
        Ok(())
    }
}
