//! The command line: one module for each subcommand.

#[cfg(target_os = "linux")]
pub(crate) mod lab;
