//! Three socket options about a peer: two that no library has, its groups and its pidfd; and its ids, of which libraries take the process
//! id for a number above 0, which it is not where the peer's PID namespace is another.
//!
//! Each is a `getsockopt` of numbers into memory of ours, of which the kernel tells how much it has filled.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

/// `SO_PEERPIDFD` of `asm-generic/socket.h`, since Linux 6.5.
const SO_PEERPIDFD: libc::c_int = 77;

/// The process id, or 0, the effective user and the effective group of the process at the other end (`SO_PEERCRED`).
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<[u32; 3]> {
    let mut ids = [0; 3];
    match read(socket, libc::SO_PEERCRED, &mut ids) {
        Ok(3) => Ok(ids),
        Ok(_) => Err(io::ErrorKind::InvalidData.into()),
        Err((error, _)) => Err(error),
    }
}

/// The supplementary groups of the process at the other end (`SO_PEERGROUPS`, since Linux 4.13).
pub(crate) fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    // NGROUPS_MAX is 65536: it ends, as a list that was too short becomes as long as the kernel says.
    let mut groups = vec![0_u32; 64];
    loop {
        match read(socket, libc::SO_PEERGROUPS, &mut groups) {
            Ok(filled) => {
                groups.truncate(filled);
                return Ok(groups);
            }
            Err((error, wanted)) if error.raw_os_error() == Some(libc::ERANGE) => {
                if wanted <= groups.len() {
                    return Err(error);
                }
                groups.resize(wanted, 0);
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// The process at the other end (`SO_PEERPIDFD`).
pub(crate) fn peer_pidfd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut number = [0_u32];
    match read(socket, SO_PEERPIDFD, &mut number) {
        Ok(1) => {
            let number = libc::c_int::try_from(number[0]).map_err(io::Error::other)?;
            // SAFETY: the kernel has just made the descriptor for this call; nobody else has its number.
            Ok(unsafe { OwnedFd::from_raw_fd(number) })
        }
        Ok(_) => Err(io::ErrorKind::InvalidData.into()),
        Err((error, _)) => Err(error),
    }
}

/// Reads an option of numbers: how many there are, or the error and how many there would be.
fn read(
    socket: BorrowedFd<'_>,
    option: libc::c_int,
    into: &mut [u32],
) -> Result<usize, (io::Error, usize)> {
    let mut length = libc::socklen_t::try_from(size_of_val(into)).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: `into` is `length` bytes of memory that is ours to write, and any bytes make numbers.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            into.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let numbers = length as usize / size_of::<u32>();
    if result == 0 {
        Ok(numbers.min(into.len()))
    } else {
        Err((io::Error::last_os_error(), numbers))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::fd::AsFd as _, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn the_ids_are_those_of_this_process() {
        let (end, _other) = UnixStream::pair().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        let ids = peer_credentials(end.as_fd()).unwrap();
        assert_eq!(ids, [std::process::id(), uid, gid]);
    }

    #[test]
    fn the_groups_are_those_that_proc_tells() {
        let (end, _other) = UnixStream::pair().unwrap();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|it| it.strip_prefix("Groups:"));
        let told: Vec<u32> = line
            .unwrap()
            .split_whitespace()
            .map(|it| it.parse().unwrap())
            .collect();
        assert_eq!(peer_groups(end.as_fd()).unwrap(), told);
    }

    #[test]
    fn the_pidfd_is_of_this_process() {
        let (end, _other) = UnixStream::pair().unwrap();
        // A kernel before 6.5 has none.
        if let Ok(pidfd) = peer_pidfd(end.as_fd()) {
            let info = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
            let info = fs::read_to_string(info).unwrap();
            let pid = info.lines().find_map(|it| it.strip_prefix("Pid:")).unwrap();
            assert_eq!(pid.trim(), std::process::id().to_string());
        }
    }

    #[test]
    fn what_is_no_socket_has_no_peer() {
        let file = fs::File::open("/dev/null").unwrap();
        assert!(peer_credentials(file.as_fd()).is_err());
        assert!(peer_groups(file.as_fd()).is_err());
        assert!(peer_pidfd(file.as_fd()).is_err());
    }
}
