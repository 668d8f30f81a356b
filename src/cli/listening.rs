//! Addresses that can't be listened at, and what to do then.

use std::{fmt::Display, io};

/// What came of listening at an address; `what` was tried.
pub(super) fn heard<T>(what: impl Display, result: io::Result<T>) -> anyhow::Result<T> {
    result.map_err(|error| anyhow::anyhow!("{what}: {error}{}", remedy(&error)))
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; something listens there already: end it, or choose another address"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: choose one of its own, or 0.0.0.0 or [::] for all"
        }
        io::ErrorKind::PermissionDenied => "; choose a port above 1023, or a folder that is yours",
        io::ErrorKind::NotFound => "; the folder is not there: make it first",
        _ => "",
    }
}
