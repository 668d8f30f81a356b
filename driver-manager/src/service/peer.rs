//! Who is at the other end of a socket: an option that libraries read with a process id above 0, which it is not where the peer's PID namespace is another.
//!
//! It is a `getsockopt` of numbers into memory of ours.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

/// The user of the process at the other end (`SO_PEERCRED`), as it was when it connected.
pub(super) fn user(socket: BorrowedFd<'_>) -> io::Result<u32> {
    // The process, the user, the group.
    let mut ids = [0_u32; 3];
    let mut length = libc::socklen_t::try_from(size_of_val(&ids)).map_err(io::Error::other)?;
    // SAFETY: `ids` is `length` bytes of memory that is ours to write, and any bytes make numbers.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            ids.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    match result {
        0 if length as usize == size_of_val(&ids) => Ok(ids[1]),
        0 => Err(io::ErrorKind::InvalidData.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsFd as _, unix::net::UnixStream};

    use super::*;

    #[test]
    fn the_user_at_the_other_end_is_that_of_this_process() {
        let (end, _other) = UnixStream::pair().unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(user(end.as_fd()).unwrap(), own);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(user(file.as_fd()).is_err());
    }
}
