//! Where clients come in: a UNIX socket that is its owner's alone.

use std::{
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
};
use tracing::warn;

use super::{Devices, connection};
use crate::emulator::server::Inherited;

/// Clients at a time, at the most; others wait.
const CLIENTS: usize = 64;

/// Where a control socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlAddress(PathBuf);

/// A text that is no address of a control socket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address of a control socket: use unix:/PATH")]
pub struct ControlAddressError(String);

impl ControlAddress {
    /// The socket's file.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for ControlAddress {
    type Err = ControlAddressError;

    fn from_str(text: &str) -> Result<Self, ControlAddressError> {
        match text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            Some(path) => Ok(Self(path.into())),
            None => Err(ControlAddressError(text.to_owned())),
        }
    }
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}", self.0.display())
    }
}

/// A control socket. Dropping it ends its clients' connections, and removes its file if that was made here.
#[derive(Debug)]
pub struct Listener {
    address: ControlAddress,
    made_here: bool,
    _accepting: JoinSet<()>,
}

impl Listener {
    /// Lets clients at devices. It must be called within a tokio runtime that has I/O and time enabled. The socket of a server that is
    /// gone is replaced.
    ///
    /// # Errors
    /// Where the socket can't be made, as where one is in use, or where there is something else.
    pub fn bind(address: &ControlAddress, devices: &Devices) -> io::Result<Self> {
        let path = address.path();
        let socket = UnixListener::from_std(usbwright_wire_io::listen(path)?)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self::accept_at(socket, address.clone(), true, devices))
    }

    /// As [`bind`](Self::bind), at a socket that somebody else has opened, with the permissions that it has.
    ///
    /// # Errors
    /// Where it is no UNIX socket, or the system does not take it.
    pub fn on(socket: Inherited, devices: &Devices) -> io::Result<Self> {
        let Inherited::Unix(socket) = socket else {
            let told = "a server is controlled by a UNIX socket, and this is one of TCP";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
        };
        let path = socket.local_addr()?.as_pathname().map(PathBuf::from);
        let address = ControlAddress(path.unwrap_or_default());
        let socket = UnixListener::from_std(socket)?;
        Ok(Self::accept_at(socket, address, false, devices))
    }

    fn accept_at(
        socket: UnixListener,
        address: ControlAddress,
        made_here: bool,
        devices: &Devices,
    ) -> Self {
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(socket, devices.clone()));
        Self {
            address,
            made_here,
            _accepting: accepting,
        }
    }

    /// Where it is.
    pub fn address(&self) -> &ControlAddress {
        &self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.made_here {
            let _ = fs::remove_file(self.address.path());
        }
    }
}

/// Accepts clients for as long as it runs; their connections end with it.
async fn accept(socket: UnixListener, devices: Devices) {
    let room = Arc::new(Semaphore::new(CLIENTS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match socket.accept().await {
            Ok((stream, _)) if is_ours(&stream) => {
                let serving = connection::serve(stream, devices.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }
            Ok(_) => warn!("a client of the control socket is turned away: it is another user's"),
            Err(error) => {
                // Out of file descriptors, most likely: the next that is closed lets it go on.
                warn!("can't accept a client of the control socket: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Whether a client is this process's user, or root.
fn is_ours(stream: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred().map(|peer| peer.uid());
    peer.is_ok_and(|uid| uid == ours || uid == 0)
}
