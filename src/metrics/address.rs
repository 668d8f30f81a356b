//! Where metrics are told.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// Where metrics are told: a TCP port, of this machine alone unless an address is given, or a UNIX socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A UNIX stream socket.
    Unix(PathBuf),
}

/// A text that is no address for metrics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no address for metrics: use PORT, IP:PORT (127.0.0.1:9185, [::1]:9185) or unix:/PATH"
)]
pub struct MetricsAddressError(String);

impl MetricsAddress {
    /// Whether other machines can reach it.
    pub fn is_exposed(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }
}

impl FromStr for MetricsAddress {
    type Err = MetricsAddressError;

    fn from_str(text: &str) -> Result<Self, MetricsAddressError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let port = |_| text.parse().map(|port| (Ipv4Addr::LOCALHOST, port).into());
        let address = text.parse().or_else(port);
        address
            .map(Self::Tcp)
            .map_err(|_| MetricsAddressError(text.to_owned()))
    }
}

/// As an URL, where it is one.
impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}/metrics"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_this_machine_alone_unless_it_says_otherwise() {
        for (text, shown, exposed) in [
            ("9185", "http://127.0.0.1:9185/metrics", false),
            ("127.0.0.1:0", "http://127.0.0.1:0/metrics", false),
            ("[::1]:9185", "http://[::1]:9185/metrics", false),
            ("0.0.0.0:9185", "http://0.0.0.0:9185/metrics", true),
            ("unix:/run/m", "unix:/run/m", false),
        ] {
            let address: MetricsAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.is_exposed(), exposed, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_address_is_explained() {
        for text in ["", "localhost", "127.0.0.1", "65536", "unix:", ":9185"] {
            let error = text.parse::<MetricsAddress>().unwrap_err().to_string();
            assert!(error.contains("use PORT, IP:PORT"), "{error}");
        }
    }
}
