//! Drivers for usbwright's host stack, to read and to start from; a module for each.

pub mod bulk;
pub mod echo;
pub mod filter;
pub mod fx2;
mod passing;

pub use usbwright_host_stack as host_stack;
