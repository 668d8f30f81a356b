//! Where a server listens and a client connects: TCP and UNIX socket addresses, and the connections they give.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    path::PathBuf,
    pin::Pin,
    str::FromStr,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream},
};
use usbwright_protocol::usbip;
use usbwright_wire_io::{remove_stale_socket, widen};

use super::Inherited;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A UNIX stream socket.
    Unix(PathBuf),
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no address: use IP:PORT (127.0.0.1:3240, [::1]:3240), IP alone for port 3240, or unix:/PATH"
)]
pub struct AddressError(String);

impl Address {
    /// Whether other machines can reach it.
    pub fn is_exposed(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let ip = text.trim_start_matches('[').trim_end_matches(']');
        text.parse()
            .or_else(|_| {
                ip.parse()
                    .map(|ip: IpAddr| SocketAddr::new(ip, usbip::PORT))
            })
            .map(Self::Tcp)
            .map_err(|_| AddressError(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that listens. The file of a UNIX socket that was made here is removed with it.
#[derive(Debug)]
pub(super) struct Listener {
    address: Address,
    socket: ListeningSocket,
    made_here: bool,
}

#[derive(Debug)]
enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(super) async fn bind(address: &Address) -> io::Result<Self> {
        Ok(match address {
            Address::Tcp(address) => {
                let listener = bind_tcp(*address)?;
                Self {
                    address: Address::Tcp(listener.local_addr()?),
                    socket: ListeningSocket::Tcp(listener),
                    made_here: true,
                }
            }
            Address::Unix(path) => {
                remove_stale_socket(path)?;
                Self {
                    socket: ListeningSocket::Unix(UnixListener::bind(path)?),
                    address: address.clone(),
                    made_here: true,
                }
            }
        })
    }

    pub(super) fn inherited(socket: Inherited) -> io::Result<Self> {
        Ok(Self {
            address: socket.address()?,
            socket: match socket {
                Inherited::Tcp(socket) => ListeningSocket::Tcp(TcpListener::from_std(socket)?),
                Inherited::Unix(socket) => ListeningSocket::Unix(UnixListener::from_std(socket)?),
            },
            made_here: false,
        })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) async fn accept(&self) -> io::Result<Connection> {
        match &self.socket {
            ListeningSocket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                keep_alive(&stream)?;
                Ok(Connection {
                    peer: peer.to_string(),
                    stream: Stream::Tcp(stream),
                })
            }
            ListeningSocket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                widen(&stream);
                Ok(Connection {
                    peer: self.address.to_string(),
                    stream: Stream::Unix(stream),
                })
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let (Address::Unix(path), true) = (&self.address, self.made_here) {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            SockRef::from(&socket).set_only_v6(true)?;
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(128)
}

/// Has a client that has vanished noticed within 15 s, so that its device is free again.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(1))
        .with_retries(5);
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    peer: String,
    stream: Stream,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    /// Who is at the other end.
    pub(super) fn peer(&self) -> &str {
        &self.peer
    }

    /// The bare socket, out of tokio's hands.
    pub(super) fn into_socket(self) -> io::Result<OwnedFd> {
        Ok(match self.stream {
            Stream::Tcp(stream) => stream.into_std()?.into(),
            Stream::Unix(stream) => stream.into_std()?.into(),
        })
    }

    fn reader(&mut self) -> Pin<&mut (dyn AsyncRead + Unpin)> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream),
            Stream::Unix(stream) => Pin::new(stream),
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream),
            Stream::Unix(stream) => Pin::new(stream),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.reader().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writer().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_port() {
        for (text, shown, exposed) in [
            ("127.0.0.1", "127.0.0.1:3240", false),
            ("127.0.0.1:9", "127.0.0.1:9", false),
            ("::1", "[::1]:3240", false),
            ("[::1]", "[::1]:3240", false),
            ("[::1]:9", "[::1]:9", false),
            ("0.0.0.0:9", "0.0.0.0:9", true),
            ("[::ffff:127.0.0.1]:9", "[::ffff:127.0.0.1]:9", false),
            ("unix:/run/x", "unix:/run/x", false),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.is_exposed()),
                (shown, exposed)
            );
        }
        for text in ["", "unix:", "here", "1.2.3.4:x"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_tcp_client_waits_for_no_acknowledgement_and_is_missed_when_it_vanishes() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let accepted = runtime.block_on(async {
            let address = Address::Tcp("127.0.0.1:0".parse().unwrap());
            let listener = Listener::bind(&address).await.unwrap();
            let Address::Tcp(bound) = listener.address() else {
                panic!("it listens elsewhere");
            };
            let _client = std::net::TcpStream::connect(bound).unwrap();
            listener.accept().await.unwrap().into_socket().unwrap()
        });
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        let silence = socket.tcp_keepalive_interval().unwrap()
            * socket.tcp_keepalive_retries().unwrap()
            + socket.tcp_keepalive_time().unwrap();
        assert!(silence <= Duration::from_secs(15));
    }
}
