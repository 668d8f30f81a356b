//! What makes a program of drivers a *host process* of the host stack: the library of a driver author's host executable.
//!
//! ```
//! use usbwright_host_stack::{Device, DeviceInit, Driver, status::HResult};
//!
//! struct Nothing;
//!
//! impl Driver for Nothing {
//!     fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
//!         Ok(init.create(()))
//!     }
//! }
//!
//! usbwright_driver_host::main! {
//!     "nothing" => || Nothing,
//! }
//! ```
//!
//! A driver manager starts such a program, once for a device or once for a pool of devices, as a driver package says. It is told what to do over one
//! descriptor; it opens nothing by itself, and is confined before any driver runs: [`Measure`] lists by what. Each stack has a thread of its own, so that a driver that takes its
//! time holds up no other device; what a driver is called for is told to the manager as it begins and as it ends, so that one that hangs can be told from one that is slow. A driver
//! that takes long within one callback, and knows that it gets on, says so: [`progress`].
//!
//! Started by hand, the program tells what it is, and ends.

mod changes;
mod channels;
mod commands;
mod confinement;
mod host;
mod operations;
mod reports;
mod stack;

use std::{io, process::ExitCode};

use rustix::stdio::dup2_stdin;
use usbwright_host_control::{Channel, DESCRIPTOR_VARIABLE};
use usbwright_host_stack::{Driver, StackBuilder};

pub use self::{
    channels::{Channels, Serving},
    operations::{Operations, Underway, progress},
};
pub use usbwright_host_control::{Measure, OperationKind};
pub use usbwright_host_stack as host_stack;

/// The `main` of a host executable: the names of its drivers, as packages have them (`UmdfService`), and what makes each, which is called for every stack that it is in.
#[macro_export]
macro_rules! main {
    { $($name:expr => $make:expr),+ $(,)? } => {
        fn main() -> ::std::process::ExitCode {
            $crate::Drivers::new()$(.with($name, $make))+.run()
        }
    };
}

type Add = Box<dyn Fn(StackBuilder) -> StackBuilder + Send + Sync>;

/// The drivers of a host executable.
#[must_use]
pub struct Drivers {
    drivers: Vec<(String, Add)>,
    channels: Box<dyn Channels>,
}

impl Default for Drivers {
    fn default() -> Self {
        Self::new()
    }
}

impl Drivers {
    /// None yet. Requests of applications come from the manager's [reflector](usbwright_reflector).
    pub fn new() -> Self {
        Self {
            drivers: Vec::new(),
            channels: Box::new(channels::reflected),
        }
    }

    /// Adds a driver, and what makes it.
    pub fn with<D: Driver>(
        mut self,
        name: &str,
        make: impl Fn() -> D + Send + Sync + 'static,
    ) -> Self {
        let own = name.to_owned();
        let add: Add = Box::new(move |builder| builder.driver(&own, make()));
        self.drivers.push((name.to_owned(), add));
        self
    }

    /// What else carries the requests of applications to stacks.
    pub fn channels(mut self, channels: impl Channels) -> Self {
        self.channels = Box::new(channels);
        self
    }

    /// Is a host process, until its manager has it end. It belongs at the beginning of `main`: it takes away what the process has from elsewhere.
    pub fn run(self) -> ExitCode {
        let channel = match control_channel() {
            Ok(channel) => channel,
            Err(error) => {
                eprintln!("{}", self.explain(&error));
                return ExitCode::from(2);
            }
        };
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(io::stderr)
            .init();
        match host::run(self, channel) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    fn explain(&self, error: &StartedByHand) -> String {
        let names: Vec<&str> = self.names().collect();
        format!(
            "this is a host process for the drivers {}, and {error}: name its package to `usbwright stack run`",
            names.join(", ")
        )
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.drivers.iter().map(|(name, _)| &**name)
    }

    fn find(&self, name: &str) -> Option<&Add> {
        let named = |it: &&(String, Add)| it.0 == name;
        self.drivers.iter().find(named).map(|(_, add)| add)
    }
}

/// Why there is no way to talk to a manager.
#[derive(Debug, thiserror::Error)]
enum StartedByHand {
    #[error("a driver manager starts it")]
    NoVariable,
    #[error("{DESCRIPTOR_VARIABLE} is {0:?} where a driver manager sets it to 0")]
    Variable(String),
    #[error("its standard input can't be taken: {0}")]
    Descriptor(#[from] io::Error),
}

/// The connection to the manager, which is the standard input. What is left of that reads nothing.
fn control_channel() -> Result<Channel, StartedByHand> {
    let told = std::env::var(DESCRIPTOR_VARIABLE).map_err(|_| StartedByHand::NoVariable)?;
    if told != "0" {
        return Err(StartedByHand::Variable(told));
    }
    confinement::close_others()?;
    let channel = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3).map_err(io::Error::from)?;
    let nothing = std::fs::File::open("/dev/null")?;
    dup2_stdin(&nothing).map_err(io::Error::from)?;
    Ok(channel.into())
}
