//! What decides which drivers run for which USB device, and how: driver packages; and what runs them: a manager of host processes.
//!
//! A [`Package`](package::Package) is a file that says which devices a driver's host executable is for, the order of its stack, the directives of the framework and
//! what its host process may use:
//!
//! ```
//! use std::path::Path;
//! use usbwright_driver_manager::package::{HardwareId, HostCheck, Package};
//!
//! let text = r"
//! devices = ['USB\VID_0547&PID_1002']
//!
//! [[driver]]
//! UmdfService = 'fx2'
//!
//! [[driver]]
//! UmdfService = 'inverter'
//! filter = 'upper'
//! ";
//! let package = Package::parse(Path::new("fx2.toml"), text, HostCheck::Skipped)?;
//! assert_eq!(package.to_string(), r"USB\VID_0547&PID_1002: inverter over fx2");
//!
//! let device: HardwareId = r"USB\VID_0547&PID_1002".parse()?;
//! assert!(package.rank(&[device]).is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Manager`](manager::Manager) is given packages, and told of devices as they come and go; it starts a host process for each, or one for a pool of them, hands the device over, and does what its
//! [policy] says when a host fails or takes too long. What has happened is in its [journal](record::Journal), and other processes look at it by a [service](service::Service).

/// What hosts are confined by.
pub mod confinement {
    pub use usbwright_host_control::{Holds, Measure, MeasureState};
}
pub mod manager;
pub mod package;
pub mod policy;
pub mod record;
pub mod service;
