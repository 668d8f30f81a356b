//! USB devices out of software.
//!
//! The facade over the crates of usbwright, and what the command line needs of the system it runs on: a client for
//! USB/IP ([`remote`]), where a command's devices come from ([`source`]), what is at the other end of a serial port ([`serial`]), a server's
//! control socket ([`control`]) and [`metrics`], Linux' virtual host controller ([`vhci`]), devices
//! ([`sysfs`]) and test driver ([`usbtest`]), and a kernel as a process ([`lab`]).

pub mod bench;
pub mod control;
pub mod lab;
pub mod metrics;
pub mod serial;
pub mod source;
pub mod stack;
pub mod sysfs;
pub mod usbtest;
pub mod vhci;

pub use usbwright_emulator as emulator;
pub use usbwright_host_stack as host_stack;
pub use usbwright_models as models;
pub use usbwright_protocol as protocol;
pub use usbwright_target::{self as target, usbip as remote};
