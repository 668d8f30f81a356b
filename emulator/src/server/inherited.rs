//! Sockets that listen already, as a service manager hands them to a server that it starts.

use std::{
    io,
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::PathBuf,
};

use socket2::{SockRef, Type};

/// A socket that was given to this process, and listens.
#[derive(Debug)]
pub enum Inherited {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A UNIX stream socket. Its file is left alone, as it is somebody else's.
    Unix(UnixListener),
}

/// Why nobody can be heard at a descriptor.
#[derive(Debug, thiserror::Error)]
pub enum InheritedError {
    /// It is something else.
    #[error("it is no stream socket that listens: use ListenStream= and Accept=no")]
    NotListening,
    /// It is a socket of another kind.
    #[error("it is neither a TCP nor a UNIX socket")]
    Family,
    /// The system does not tell.
    #[error("the system does not tell what it is: {0}")]
    Unknown(#[from] io::Error),
}

impl Inherited {
    /// Where it listens; the path is empty for a UNIX socket that has none.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn address(&self) -> io::Result<super::Address> {
        Ok(match self {
            Self::Tcp(socket) => super::Address::Tcp(socket.local_addr()?),
            Self::Unix(socket) => {
                let address = socket.local_addr()?;
                let path = address.as_pathname().map(PathBuf::from);
                super::Address::Unix(path.unwrap_or_default())
            }
        })
    }
}

impl TryFrom<OwnedFd> for Inherited {
    type Error = InheritedError;

    fn try_from(descriptor: OwnedFd) -> Result<Self, InheritedError> {
        let socket = SockRef::from(&descriptor);
        let not_listening = |error: io::Error| match error.raw_os_error() {
            Some(_) => InheritedError::NotListening,
            None => InheritedError::Unknown(error),
        };
        let listens = socket.is_listener().map_err(not_listening)?;
        if !listens || socket.r#type()? != Type::STREAM {
            return Err(InheritedError::NotListening);
        }
        let address = socket.local_addr()?;
        socket.set_nonblocking(true)?;
        if address.as_socket().is_some() {
            Ok(Self::Tcp(descriptor.into()))
        } else if address.is_unix() {
            Ok(Self::Unix(descriptor.into()))
        } else {
            Err(InheritedError::Family)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, net::UdpSocket, os::unix::net::UnixStream};

    use super::*;
    use crate::server::Address;

    #[test]
    fn a_socket_that_listens_is_taken_for_what_it_is() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let taken = Inherited::try_from(OwnedFd::from(tcp)).unwrap();
        assert_eq!(taken.address().unwrap(), Address::Tcp(address));
        let path = std::env::temp_dir().join(format!("usbwright-inherited-{}", std::process::id()));
        let unix = UnixListener::bind(&path).unwrap();
        let taken = Inherited::try_from(OwnedFd::from(unix)).unwrap();
        assert_eq!(taken.address().unwrap(), Address::Unix(path.clone()));
        drop(taken);
        std::fs::remove_file(path).expect("its file is left alone");
    }

    #[test]
    fn what_does_not_listen_is_refused() {
        let (connected, _other) = UnixStream::pair().unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = File::open("/dev/null").unwrap();
        for descriptor in [connected.into(), udp.into(), OwnedFd::from(file)] {
            let refused = Inherited::try_from(descriptor).unwrap_err();
            assert!(matches!(refused, InheritedError::NotListening), "{refused}");
        }
    }
}
