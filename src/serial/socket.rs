//! A TCP or UNIX socket at the other end of a line: one connection at a time.

use std::{
    fmt, fs, io,
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tracing::{info, warn};

use super::{
    ConnectError,
    line::{End, Line, Peer},
};
use crate::emulator::server::remove_stale_socket;

/// How long to wait for a TCP connection, and then until the next try.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait for the first TCP connection.
const FIRST: Duration = Duration::from_secs(20);

/// Where a socket is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// `HOST:PORT`.
    Tcp(String),
    /// A UNIX socket's path.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Listens for connections.
#[derive(Debug)]
pub(super) struct Listening {
    /// Where, with the port that was chosen.
    place: Place,
    socket: Listener,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    pub(super) fn new(place: &Place) -> Result<Self, ConnectError> {
        let failed = |cause| ConnectError::Listen {
            place: place.to_string(),
            cause,
        };
        listen(place).map_err(failed)
    }

    /// Where it listens.
    pub(super) fn told(&self) -> String {
        format!("line at {}", self.place)
    }

    /// Serves one connection after the other, until the line is over.
    pub(super) fn serve(&self, line: &mut Line) -> io::Result<()> {
        while line.wait_for(Some(self.as_fd()), None)? {
            let stream: OwnedFd = match self.accept() {
                Ok(stream) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => {
                    warn!("can't take a connection at {}: {error}", self.place);
                    line.wait_for(None, Some(PATIENCE))?;
                    continue;
                }
            };
            if run(line, &stream, &self.place) == End::Over {
                break;
            }
        }
        Ok(())
    }

    fn accept(&self) -> io::Result<OwnedFd> {
        Ok(match &self.socket {
            Listener::Tcp(listener) => prepared(listener.accept()?.0)?,
            Listener::Unix(listener) => listener.accept()?.0.into(),
        })
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Place::Unix(path) = &self.place {
            let _ = fs::remove_file(path);
        }
    }
}

fn listen(place: &Place) -> io::Result<Listening> {
    Ok(match place {
        Place::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Listening {
                place: Place::Tcp(listener.local_addr()?.to_string()),
                socket: Listener::Tcp(listener),
            }
        }
        Place::Unix(path) => {
            remove_stale_socket(path)?;
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            Listening {
                place: place.clone(),
                socket: Listener::Unix(listener),
            }
        }
    })
}

/// Connects, and again where the connection is lost.
#[derive(Debug)]
pub(super) struct Connecting {
    place: Place,
    first: OwnedFd,
}

impl Connecting {
    pub(super) fn new(place: &Place) -> Result<Self, ConnectError> {
        let first = connect(place, FIRST).map_err(|cause| ConnectError::Connect {
            place: place.to_string(),
            cause,
        })?;
        Ok(Self {
            place: place.clone(),
            first,
        })
    }

    /// Where it is connected to.
    pub(super) fn told(&self) -> String {
        format!("line connected to {}", self.place)
    }

    /// Serves the connection, and those after it, until the line is over.
    pub(super) fn serve(self, line: &mut Line) -> io::Result<()> {
        let mut stream = Some(self.first);
        loop {
            if let Some(stream) = stream.take()
                && run(line, &stream, &self.place) == End::Over
            {
                return Ok(());
            }
            if !line.wait_for(None, Some(PATIENCE))? {
                return Ok(());
            }
            stream = connect(&self.place, PATIENCE).ok();
        }
    }
}

fn connect(place: &Place, limit: Duration) -> io::Result<OwnedFd> {
    let address = match place {
        Place::Tcp(address) => address,
        Place::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            return Ok(stream.into());
        }
    };
    let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    let mut failed = io::Error::other("the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(stream) => return prepared(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A connection on which nothing waits for more to come, and on which a peer is missed that has vanished.
fn prepared(stream: TcpStream) -> io::Result<OwnedFd> {
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(1))
        .with_retries(5);
    SockRef::from(&stream).set_tcp_keepalive(&probes)?;
    stream.set_nodelay(true)?;
    Ok(stream.into())
}

/// Serves a connection.
fn run(line: &mut Line, stream: &OwnedFd, place: &Place) -> End {
    info!("the serial line at {place} is connected");
    line.set_carrier(true);
    let served = rustix::io::ioctl_fionbio(stream, true).map_err(io::Error::from);
    let served = served.and_then(|()| {
        line.run(Peer {
            input: Some(stream.as_fd()),
            output: stream.as_fd(),
            blocking: false,
        })
    });
    line.set_carrier(false);
    match served {
        Ok(end) => {
            info!("the serial line at {place} is not connected any more");
            end
        }
        Err(error) => {
            info!("the serial line at {place} has lost its connection: {error}");
            End::Closed
        }
    }
}
