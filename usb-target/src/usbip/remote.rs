//! Where a USB/IP server is, and which of its devices is meant.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use usbwright_protocol::usbip;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// At a TCP port.
    Tcp {
        /// The host's name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// At a UNIX stream socket.
    Unix(PathBuf),
}

/// A text that names no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no server: use HOST or HOST:PORT (pc.example, 10.0.0.7:3240, [::1]:3240), or unix:/PATH"
)]
pub struct RemoteAddressError(String);

/// A device that a server exports: `HOST/BUSID`, `HOST:PORT/BUSID`, or `unix:/PATH/BUSID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteDevice {
    /// The server.
    pub remote: Remote,
    /// The device's bus id there.
    #[doc(alias = "busid")]
    pub bus_id: String,
}

/// A text that names no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteDeviceError {
    /// It has no bus id.
    #[error(
        "`{0}` names no device: use HOST:PORT/BUSID such as 127.0.0.1:3240/1-1, or unix:/PATH/BUSID"
    )]
    NoBusId(String),
    /// What stands before the bus id names no server.
    #[error(transparent)]
    Remote(#[from] RemoteAddressError),
}

impl FromStr for Remote {
    type Err = RemoteAddressError;

    fn from_str(text: &str) -> Result<Self, RemoteAddressError> {
        let wrong = || RemoteAddressError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(wrong()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::tcp(&address.ip().to_string(), address.port()));
        }
        let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(text).parse::<IpAddr>() {
            return Ok(Self::tcp(&ip.to_string(), usbip::PORT));
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (text, usbip::PORT),
        };
        let plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(wrong());
        }
        Ok(Self::tcp(host, port))
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Remote {
    fn tcp(host: &str, port: u16) -> Self {
        Self::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    /// Whether it is at a UNIX socket.
    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }
}

impl FromStr for RemoteDevice {
    type Err = RemoteDeviceError;

    fn from_str(text: &str) -> Result<Self, RemoteDeviceError> {
        match text.rsplit_once('/') {
            Some((remote, bus_id)) if !remote.is_empty() && !bus_id.is_empty() => Ok(Self {
                remote: remote.parse()?,
                bus_id: bus_id.to_owned(),
            }),
            _ => Err(RemoteDeviceError::NoBusId(text.to_owned())),
        }
    }
}

impl fmt::Display for RemoteDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.remote, self.bus_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_host_and_port_or_path() {
        for (text, shown) in [
            ("localhost", "localhost:3240"),
            ("pc.example:9", "pc.example:9"),
            ("127.0.0.1", "127.0.0.1:3240"),
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("::1", "[::1]:3240"),
            ("[::1]", "[::1]:3240"),
            ("[::1]:9", "[::1]:9"),
            ("unix:/run/a b", "unix:/run/a b"),
        ] {
            assert_eq!(text.parse::<Remote>().unwrap().to_string(), shown);
        }
        for text in ["", ":9", "unix:", "pc:port", "pc:99999", "a b", "tcp://pc"] {
            assert!(text.parse::<Remote>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_device_is_named_by_its_server_and_bus_id() {
        for (text, shown) in [
            ("127.0.0.1:3240/1-1", "127.0.0.1:3240/1-1"),
            ("pc/1-1", "pc:3240/1-1"),
            ("[::1]:7/2-3", "[::1]:7/2-3"),
            ("unix:/tmp/a.sock/1-1", "unix:/tmp/a.sock/1-1"),
        ] {
            assert_eq!(text.parse::<RemoteDevice>().unwrap().to_string(), shown);
        }
        for text in ["127.0.0.1:3240", "", "/1-1", "host/", "a b/1-1"] {
            assert!(text.parse::<RemoteDevice>().is_err(), "{text}");
        }
    }
}
