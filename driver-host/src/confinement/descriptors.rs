//! The descriptors that a process has from elsewhere are closed: whoever started the manager may have left some open.
//!
//! There is no way to close what nobody owns but to do so by number.
#![allow(unsafe_code)]

use std::io;

/// Closes all descriptors but the three standard ones. Called first of all in a process, when nothing of it has opened any.
pub(crate) fn close_others() -> io::Result<()> {
    // SAFETY: the process has opened nothing yet (`Drivers::run` belongs at the beginning of `main`), so nobody relies on one of these numbers; what is closed was left open by others.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
    match closed {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
