//! Who is at the other end of a connection, as the kernel tells it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::{socket::Socket, sockopt};

/// The process that made a connection, as it was then.
///
/// The kernel tells all of it; nothing comes from the process itself.
#[derive(Debug)]
pub struct Peer {
    uid: u32,
    gid: u32,
    pid: u32,
    groups: Vec<u32>,
    pidfd: Option<OwnedFd>,
}

impl Peer {
    /// Who is at the other end of a socket.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    #[doc(hidden)]
    pub fn of(socket: &Socket) -> io::Result<Self> {
        let [pid, uid, gid] = sockopt::peer_credentials(socket.as_fd())?;
        Ok(Self {
            uid,
            gid,
            pid,
            groups: sockopt::peer_groups(socket.as_fd())?,
            pidfd: sockopt::peer_pidfd(socket.as_fd()).ok(),
        })
    }

    /// Its effective user id.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Its effective group id.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Its process id; none where it has none here, as its PID namespace is another. The process may have ended, and another may have
    /// the number now: see [`pidfd`](Self::pidfd).
    pub fn pid(&self) -> Option<u32> {
        (self.pid > 0).then_some(self.pid)
    }

    /// Its supplementary groups.
    pub fn groups(&self) -> &[u32] {
        &self.groups
    }

    /// The process itself, whatever becomes of its number. Linux before 6.5 has none.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// A peer for tests.
    #[cfg(test)]
    pub(crate) fn fake(uid: u32, gid: u32, groups: &[u32]) -> Self {
        Self {
            uid,
            gid,
            pid: 1,
            groups: groups.to_vec(),
            pidfd: None,
        }
    }
}
