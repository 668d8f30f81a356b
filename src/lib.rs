//! USB devices out of software.
//!
//! The facade over the crates of usbwright; the command line is built on it.

#[cfg(target_os = "linux")]
pub mod lab;

pub use usbwright_emulator as emulator;
pub use usbwright_models as models;
pub use usbwright_protocol as protocol;
