//! What a user writes for a serial port.

use std::path::PathBuf;

use crate::{BuildError, Parameter, ParameterError, Parameters};

/// What a serial port takes.
pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter::once(
        "pty",
        "[LINK]",
        "none",
        "a terminal of this machine is at the other end, and LINK a symbolic link to it",
    ),
    Parameter::once(
        "tcp",
        "[HOST:]PORT",
        "none",
        "a TCP connection is at the other end, one at a time; HOST is 127.0.0.1 if none is given",
    ),
    Parameter::once(
        "unix",
        "PATH",
        "none",
        "a connection of that UNIX socket is at the other end, one at a time",
    ),
    Parameter::once(
        "connect",
        "",
        "off",
        "with tcp and unix: connects there, and again where it is lost, rather than listening",
    ),
    Parameter::once(
        "stdio",
        "",
        "off",
        "this command's input and output are at the other end",
    ),
    Parameter::once(
        "loopback",
        "",
        "off",
        "what the host writes comes back, DTR as DSR and DCD, and a break as a break",
    ),
    Parameter::once("vendor", "TEXT", "usbwright", "who made it"),
    Parameter::once("product", "TEXT", "Serial port", "what it is"),
    Parameter::once("serial", "TEXT", "0", "its serial number"),
];

/// What is at the other end of a port's line. The model itself has the loopback; the others are connected to its
/// [`Terminal`](super::Terminal) by whoever has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OtherEnd {
    /// The line's own other wire.
    Loopback,
    /// A pseudoterminal.
    Pty {
        /// A symbolic link to it.
        link: Option<PathBuf>,
    },
    /// A TCP connection.
    Tcp {
        /// `HOST:PORT`.
        address: String,
        /// Whether to connect to it, rather than to listen.
        connect: bool,
    },
    /// A connection of a UNIX socket.
    Unix {
        /// The socket's path.
        path: PathBuf,
        /// Whether to connect to it, rather than to listen.
        connect: bool,
    },
    /// The process's input and output.
    Stdio,
}

/// Takes what is at the other end.
pub(super) fn take_other_end(parameters: &mut Parameters) -> Result<OtherEnd, BuildError> {
    let pty = parameters.optional("pty");
    let tcp = parameters.text("tcp")?;
    let unix = parameters.text("unix")?;
    let connect = parameters.flag("connect")?;
    let ends = [
        pty.map(|link| OtherEnd::Pty {
            link: link.map(PathBuf::from),
        }),
        tcp.map(|text| tcp_end(text, connect)).transpose()?,
        unix.map(|path| OtherEnd::Unix {
            path: path.into(),
            connect,
        }),
        parameters.flag("stdio")?.then_some(OtherEnd::Stdio),
        parameters.flag("loopback")?.then_some(OtherEnd::Loopback),
    ];
    let mut ends = ends.into_iter().flatten();
    let (Some(end), None) = (ends.next(), ends.next()) else {
        return Err(BuildError::Incomplete(
            "what is at the other end of the line: use pty, tcp=[HOST:]PORT, unix=PATH, stdio or loopback, one of them"
                .to_owned(),
        ));
    };
    let connects = matches!(&end, OtherEnd::Tcp { .. } | OtherEnd::Unix { .. });
    if connect && !connects {
        return Err(BuildError::Incomplete(
            "connect goes with tcp=HOST:PORT or unix=PATH: leave it out".to_owned(),
        ));
    }
    Ok(end)
}

fn tcp_end(text: String, connect: bool) -> Result<OtherEnd, ParameterError> {
    let address = match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => text,
        None if text.parse::<u16>().is_ok() => format!("127.0.0.1:{text}"),
        _ => {
            return Err(ParameterError::Value {
                key: "tcp".to_owned(),
                value: text,
                rule: "it takes PORT or HOST:PORT, such as 4000 or [::1]:4000".to_owned(),
            });
        }
    };
    Ok(OtherEnd::Tcp { address, connect })
}
