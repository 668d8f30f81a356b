//! What a SPEC of the command line stands for: a model, or a device that is somewhere else.

use std::{fmt, str::FromStr, time::Instant};

use crate::{
    emulator::BusId,
    models::{BuildError, Handle, Made, ParameterError, Parameters, Spec, SpecError, words},
    protocol::Port,
    remote::{Remote, RemoteDevice, RemotePort, RemotePortError},
    serial::{self, ConnectError, Connected},
    target::libusb::{LibusbError, LibusbPort, Selector, SelectorError},
};

/// The word that begins the SPEC of another server's device.
const REMOTE: &str = "remote";
/// The word that begins the SPEC of a real device.
const LIBUSB: &str = "libusb";

/// A kind of device that is somewhere else, for whoever lists what a SPEC may name.
#[derive(Debug)]
pub struct Elsewhere {
    /// The word that begins its SPEC.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Its parameters: the key, what it takes, and what it says.
    pub parameters: &'static [(&'static str, &'static str, &'static str)],
}

/// Every kind of device that is somewhere else.
pub static ELSEWHERE: &[Elsewhere] = &[SERVED, REAL];

const SERVED: Elsewhere = Elsewhere {
    name: REMOTE,
    summary: "a device that another USB/IP server exports",
    parameters: &[
        (
            "host",
            "HOST[:PORT]",
            "where that server is (port 3240 if none is given)",
        ),
        (
            "unix",
            "PATH",
            "the UNIX socket at which it listens, instead of host",
        ),
        ("busid", "ID", "the device's bus id at that server"),
    ],
};

const REAL: Elsewhere = Elsewhere {
    name: LIBUSB,
    summary: "a real device of this machine; what is said of it has to fit one alone",
    parameters: &[
        (
            "id",
            "VVVV:PPPP",
            "its vendor's and its own number, in hexadecimal",
        ),
        ("serial", "TEXT", "its serial number"),
        ("bus", "N", "its bus"),
        ("address", "N", "its address there"),
        (
            "path",
            "BUS-PORT[.PORT]…",
            "its bus and the ports on the way to it",
        ),
    ],
};

/// Where a device comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A model makes it: `MODEL[,key[=value]]…`.
    Model(Spec),
    /// Another USB/IP server exports it: `remote,host=HOST[:PORT],busid=ID` or `remote,unix=/PATH,busid=ID`.
    Remote(RemoteDevice),
    /// It is a real one of this machine: `libusb,key=value,…`.
    Libusb(Selector),
}

/// A device that was made or taken.
pub struct Opened {
    /// The device.
    pub port: Box<dyn Port>,
    /// Its user's side, where a model made it: a handle for each of its functions that has one.
    pub handles: Vec<Handle>,
    /// What is at the other ends of its serial lines, each of which tells where. They are disconnected where this is dropped.
    pub connected: Vec<Connected>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("device", &self.port.summary())
            .field("handles", &self.handles)
            .field("connected", &self.connected)
            .finish()
    }
}

/// A text that is no SPEC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It names no model.
    #[error(
        "{0}; another server's device is remote,host=HOST,busid=ID, a real one libusb,id=VVVV:PPPP"
    )]
    Model(SpecError),
    /// The parameters of its model are wrong.
    #[error(transparent)]
    Parameter(SpecError),
    /// It does not say which server's device is meant.
    #[error("{REMOTE}: {0}")]
    Remote(#[from] RemoteSourceError),
    /// It does not say which real device is meant.
    #[error("{LIBUSB}: {0}")]
    Libusb(#[from] SelectorError),
}

/// A text that names no device of another server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteSourceError {
    /// A parameter that can't be used.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// No server.
    #[error("which server is not said: use host=HOST, host=HOST:PORT or unix=/PATH, one of them")]
    NoServer,
    /// No device.
    #[error("which device is not said: use busid=ID, as `usbwright list HOST` tells it")]
    NoBusId,
}

/// A device that can't be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A model can't make it.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Its server does not give it.
    #[error(transparent)]
    Remote(#[from] RemotePortError),
    /// A real device can't be taken.
    #[error(transparent)]
    Libusb(#[from] LibusbError),
    /// There is nothing at the other end of a serial line.
    #[error(transparent)]
    Serial(#[from] ConnectError),
}

impl Source {
    /// The bus id asked for.
    pub fn bus_id(&self) -> Option<&BusId> {
        match self {
            Self::Model(spec) => spec.bus_id(),
            Self::Remote(_) | Self::Libusb(_) => None,
        }
    }

    /// Whether a serial line of the device is to have the process's input and output.
    pub fn takes_stdio(&self) -> bool {
        // However deep it is within a composite device, it is a word of its own.
        let stdio = |spec: &Spec| spec.to_string().split(',').any(|word| word == "stdio");
        matches!(self, Self::Model(spec) if stdio(spec))
    }

    /// Makes or takes the device alone; a model's (micro)frames count from `now`. For a device of another server it blocks, for up to
    /// 20 s. Nobody is at the other end of a serial line then.
    ///
    /// # Errors
    /// Where a model can't be made so, and where the server can't be reached or does not give the device; where a real
    /// device is not there, is not the only one, or may not be used.
    pub fn open(&self, now: Instant) -> Result<Box<dyn Port>, OpenError> {
        Ok(match self {
            Self::Model(spec) => Box::new(spec.build(now)?),
            Self::Remote(device) => Box::new(RemotePort::open(device)?),
            Self::Libusb(selector) => Box::new(LibusbPort::open(selector)?),
        })
    }

    /// As [`open`](Self::open), with what the device's user has of it, and with its serial lines connected to what the SPEC says.
    ///
    /// # Errors
    /// As there; and where a serial line can't be connected.
    pub fn open_with_handles(&self, now: Instant) -> Result<Opened, OpenError> {
        self.open_again(now, &[])
    }

    /// As [`open_with_handles`](Self::open_with_handles), for a device that was taken off its bus: it has what it had
    /// ([`Spec::build_again`]). What was at the other ends of its serial lines is to be disconnected before.
    ///
    /// # Errors
    /// As there.
    pub fn open_again(&self, now: Instant, before: &[Handle]) -> Result<Opened, OpenError> {
        let Self::Model(spec) = self else {
            return Ok(Opened {
                port: self.open(now)?,
                handles: Vec::new(),
                connected: Vec::new(),
            });
        };
        let Made { device, handles } = spec.build_again(now, before)?;
        let mut connected = Vec::new();
        for handle in &handles {
            if let Handle::Serial(terminal) = handle {
                connected.extend(serial::connect(terminal)?);
            }
        }
        Ok(Opened {
            port: Box::new(device),
            handles,
            connected,
        })
    }
}

impl Source {
    /// The same device at another speed.
    ///
    /// # Errors
    /// Why it can't run at it.
    pub fn at_speed(&self, speed: &str) -> Result<Self, String> {
        match self {
            Self::Model(spec) => match spec.at_speed(speed) {
                Ok(spec) => Ok(Self::Model(spec)),
                Err(error) => Err(error.to_string()),
            },
            Self::Remote(_) | Self::Libusb(_) => Err(
                "it is a device that is somewhere else, which has the speed that it has".to_owned(),
            ),
        }
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        match text.split_once(',').unwrap_or((text, "")) {
            (REMOTE, parameters) => Ok(Self::Remote(remote(parameters)?)),
            (LIBUSB, selector) => Ok(Self::Libusb(selector.parse()?)),
            _ => match text.parse() {
                Ok(spec) => Ok(Self::Model(spec)),
                Err(error @ SpecError::Model { .. }) => Err(SourceError::Model(error)),
                Err(error) => Err(SourceError::Parameter(error)),
            },
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(spec) => spec.fmt(f),
            Self::Libusb(selector) => write!(f, "{LIBUSB},{selector}"),
            Self::Remote(device) => {
                let server = match &device.remote {
                    Remote::Unix(path) => format!("unix={}", path.display()),
                    tcp => format!("host={tcp}"),
                };
                let server = server.replace(',', ",,");
                write!(f, "{REMOTE},{server},busid={}", device.bus_id)
            }
        }
    }
}

/// The device that `host=…,busid=…` or `unix=…,busid=…` names.
fn remote(text: &str) -> Result<RemoteDevice, RemoteSourceError> {
    let mut parameters = Parameters::default();
    for word in words(text).iter().filter(|word| !word.is_empty()) {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word.as_str(), None),
        };
        let known = SERVED.parameters.iter().map(|(key, ..)| *key);
        if !known.clone().any(|it| it == key) {
            return Err(RemoteSourceError::Parameter(ParameterError::Unknown {
                key: key.to_owned(),
                known: known.map(str::to_owned).collect(),
            }));
        }
        parameters.add(key, value)?;
    }
    let unix = parameters.text("unix")?.filter(|path| !path.is_empty());
    let remote = match (parameters.parsed::<Remote>("host")?, unix) {
        (Some(remote), None) => remote,
        (None, Some(path)) => Remote::Unix(path.into()),
        _ => return Err(RemoteSourceError::NoServer),
    };
    let bus_id = parameters.parsed::<BusId>("busid")?;
    let bus_id = bus_id.ok_or(RemoteSourceError::NoBusId)?;
    Ok(RemoteDevice {
        remote,
        bus_id: bus_id.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_names_a_model_another_servers_device_or_a_real_one() {
        for (text, shown) in [
            (
                "gadget-zero,speed=super,busid=1-7",
                "gadget-zero,speed=super,busid=1-7",
            ),
            ("remote,host=pc,busid=1-1", "remote,host=pc:3240,busid=1-1"),
            (
                "remote,busid=1-1,host=[::1]:7",
                "remote,host=[::1]:7,busid=1-1",
            ),
            (
                "remote,unix=/run/a,,b,busid=2-1",
                "remote,unix=/run/a,,b,busid=2-1",
            ),
            (
                "libusb,serial=1,,2,id=525:a4a0",
                "libusb,id=0525:a4a0,serial=1,,2",
            ),
        ] {
            let source: Source = text.parse().unwrap();
            assert_eq!(source.to_string(), shown);
        }
    }

    #[test]
    fn a_text_that_is_no_spec_is_explained() {
        for (text, told) in [
            (
                "disc",
                "there is no model `disc` (did you mean `disk`?): choose one of",
            ),
            (
                "disc",
                "another server's device is remote,host=HOST,busid=ID",
            ),
            ("remote", "remote: which server is not said: use host=HOST"),
            (
                "remote,host=pc",
                "remote: which device is not said: use busid=ID",
            ),
            ("remote,host=pc,unix=/a,busid=1-1", "one of them"),
            ("remote,unix=,busid=1-1", "which server is not said"),
            ("remote,host=a b,busid=1-1", "`a b` names no server"),
            ("remote,host=pc,busid=a b", "`a b` is no bus id"),
            (
                "remote,port=7",
                "there is no parameter `port`: it takes host, unix, busid",
            ),
            ("remote,host", "parameter `host` needs a value"),
            ("libusb", "libusb: which device is not said: use id="),
            ("libusb,vid=1", "libusb: `vid` is no key"),
        ] {
            let error = text.parse::<Source>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
