//! The socket at which metrics are told, and who is heard there.

use std::{
    collections::VecDeque, fs, io, os::unix::fs::PermissionsExt, path::Path, time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    task::{AbortHandle, JoinSet},
};
use tracing::{debug, warn};

use super::{MetricsAddress, http, page};
use crate::emulator::{
    Bus,
    server::{Address, Inherited, remove_stale_socket},
};

/// Clients at a time, at the most; where another one comes, the one that has been here for the longest is dropped.
const CLIENTS: usize = 64;

/// A socket at which the metrics of a bus's devices are told. Dropping it ends its clients' connections and removes its file.
#[derive(Debug)]
pub struct Listener {
    address: MetricsAddress,
    made_here: bool,
    _accepting: JoinSet<()>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A client's connection.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Listener {
    /// Has metrics told at an address. Devices are counted that are plugged in after [`Bus::count`]. It must be called within a tokio
    /// runtime that has I/O and time enabled. The UNIX socket of a server that is gone is replaced.
    ///
    /// # Errors
    /// Where the address can't be listened at.
    pub async fn bind(address: &MetricsAddress, bus: Bus) -> io::Result<Self> {
        let (socket, address) = match address {
            MetricsAddress::Tcp(address) => {
                let socket = TcpListener::bind(address).await?;
                let bound = MetricsAddress::Tcp(socket.local_addr()?);
                (Socket::Tcp(socket), bound)
            }
            MetricsAddress::Unix(path) => (Socket::Unix(bind_unix(path)?), address.clone()),
        };
        Ok(Self::accept_at(socket, address, true, bus))
    }

    /// As [`bind`](Self::bind), at a socket that somebody else has opened.
    ///
    /// # Errors
    /// Where the system does not take it.
    pub fn on(socket: Inherited, bus: Bus) -> io::Result<Self> {
        let address = match socket.address()? {
            Address::Tcp(address) => MetricsAddress::Tcp(address),
            Address::Unix(path) => MetricsAddress::Unix(path),
        };
        let socket = match socket {
            Inherited::Tcp(socket) => Socket::Tcp(TcpListener::from_std(socket)?),
            Inherited::Unix(socket) => Socket::Unix(UnixListener::from_std(socket)?),
        };
        Ok(Self::accept_at(socket, address, false, bus))
    }

    fn accept_at(socket: Socket, address: MetricsAddress, made_here: bool, bus: Bus) -> Self {
        if address.is_exposed() {
            warn!(
                "{address} can be reached from other machines, which may see what devices there are"
            );
        }
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(socket, bus));
        Self {
            address,
            made_here,
            _accepting: accepting,
        }
    }

    /// Where it is; a TCP port of 0 is replaced by the one that was chosen.
    pub fn address(&self) -> &MetricsAddress {
        &self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let (MetricsAddress::Unix(path), true) = (&self.address, self.made_here) {
            let _ = fs::remove_file(path);
        }
    }
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    remove_stale_socket(path)?;
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(socket)
}

/// Accepts clients for as long as it runs; their connections end with it.
async fn accept(socket: Socket, bus: Bus) {
    let mut connections = JoinSet::new();
    let mut clients: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match socket.accept().await {
            Ok(stream) => {
                let bus = bus.clone();
                clients.push_back(connections.spawn(async move {
                    if let Err(error) = http::serve(stream, || page::render(&bus)).await {
                        debug!("a client of the metrics is dropped: {error}");
                    }
                }));
            }
            Err(error) => {
                // Out of file descriptors, most likely: the next that is closed lets it go on.
                warn!("can't accept a client of the metrics: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
        clients.retain(|client| !client.is_finished());
        if clients.len() > CLIENTS
            && let Some(oldest) = clients.pop_front()
        {
            oldest.abort();
        }
    }
}

impl Socket {
    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(socket) => Box::new(socket.accept().await?.0),
            Self::Unix(socket) => Box::new(socket.accept().await?.0),
        })
    }
}
