//! The processes that are on the way: each is this program, started as a part.

use std::{
    env,
    io::{self, Read as _},
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    process::{Child, Command, Stdio},
    str::FromStr,
    time::Instant,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use usbwright_ports::{Client, NameSpace, parts::Socket};
use usbwright_reflector::{
    HostEnd, HostInfo, Reflector, SecurityDescriptor, host::Serving, status::NtStatus,
};
use usbwright_samples::bulk::BulkDriver;

use super::{WayError, floor};
use crate::{
    host_stack::Stack,
    models::Spec,
    target::{Device, Wait as _},
};

/// The device's name, and the port's.
pub(super) const NAME: &str = "bench";
/// The device: it takes and sends whatever it is asked to.
const DEVICE: &str = "gadget-zero,pattern=2";

/// A process on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What applications reach: it stands between them and the host.
    Reflector,
    /// The host, with the driver's stack and its device.
    Host,
    /// The floor's, in the reflector's place: it hands packets on.
    Relay,
    /// The floor's, in the host's place: it answers.
    Echo,
    /// The service at a communication port.
    Service,
    /// The floor's, in the service's place.
    Mirror,
}

/// A text that names no part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no part of the way: `usbwright bench --stack` starts its parts itself")]
pub struct UnknownPart(String);

const NAMES: [(Part, &str); 6] = [
    (Part::Reflector, "reflector"),
    (Part::Host, "host"),
    (Part::Relay, "relay"),
    (Part::Echo, "echo"),
    (Part::Service, "service"),
    (Part::Mirror, "mirror"),
];

impl FromStr for Part {
    type Err = UnknownPart;

    fn from_str(text: &str) -> Result<Self, UnknownPart> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        let part = found.map(|(part, _)| *part);
        part.ok_or_else(|| UnknownPart(text.to_owned()))
    }
}

impl Part {
    fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(part, _)| *part == self);
        found.map_or("", |(_, name)| name)
    }

    /// Is this part, until the measurement is over. Its standard input is its socket, or that of its data; the standard output that of a host's cancels.
    ///
    /// # Errors
    /// Where something can't be had that it needs.
    pub fn play(self, directory: &Path) -> Result<(), WayError> {
        match self {
            Self::Reflector => reflect(directory),
            Self::Host => host(),
            Self::Relay => floor::relay(input()?),
            Self::Echo | Self::Mirror => {
                floor::echo(&input()?);
                Ok(())
            }
            Self::Service => serve(directory),
        }
    }
}

/// A process; it ends with this.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn start(
        part: Part,
        directory: &Path,
        input: OwnedFd,
        output: impl Into<Stdio>,
    ) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let command = command.args(["bench", "part", part.name()]).arg(directory);
        Ok(Self(command.stdin(input).stdout(output).spawn()?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two ends of a socket that keeps packets apart.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(socketpair(family, kind, SocketFlags::CLOEXEC, None)?)
}

fn input() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

/// The reflector, with a host behind it, until the input ends.
fn reflect(directory: &Path) -> Result<(), WayError> {
    let ((data, its_data), (cancel, its_cancel)) = (pair()?, pair()?);
    let _host = Running::start(Part::Host, directory, its_data, its_cancel)?;
    let reflector = Reflector::start(NameSpace::at(directory), |_, _| {})?;
    let name = NAME.parse().map_err(WayError::setup("the device's name"))?;
    let (access, end) = (SecurityDescriptor::default(), HostEnd { data, cancel });
    reflector
        .add_device(&name, access, end, HostInfo { pid: 0 })
        .map_err(WayError::setup("the device can't be added"))?;
    let input = Socket::from(input()?);
    input.send_parts(b"ready", &[], None)?;
    // It ends with whoever has started it.
    let _ = io::stdin().read(&mut [0]);
    Ok(())
}

/// The host: a stack of the shortest driver over its device, which is in this process as well.
fn host() -> Result<(), WayError> {
    let cancel = io::stdout().as_fd().try_clone_to_owned()?;
    let spec: Spec = DEVICE.parse().map_err(WayError::setup("the device"))?;
    let port = spec.build(Instant::now());
    let port = port.map_err(WayError::setup("the device can't be made"))?;
    let builder = Stack::builder().usb_device(Device::open(port).wait()?);
    let stack = builder.driver("bulk", BulkDriver).start();
    let stack = stack.map_err(WayError::setup("the stack does not start"))?;
    Serving::start(stack, input()?, cancel)?.wait();
    Ok(())
}

/// The service: it replies to each message with what that was, and gets the next one.
fn serve(directory: &Path) -> Result<(), WayError> {
    let name = NAME.parse().map_err(WayError::setup("the port's name"))?;
    let client = Client::connect(&NameSpace::at(directory), &name, b"");
    let client = client.map_err(WayError::setup("the port can't be reached"))?;
    let Ok(mut message) = client.get_message().wait() else {
        return Ok(());
    };
    while let Some(token) = message.reply.take() {
        let data = message.data;
        let ended = token.reply_and_get(NtStatus::SUCCESS, data, usbwright_ports::LONGEST);
        match ended.wait() {
            (Ok(_), Ok(next)) => message = next,
            // The port is gone: the measurement is over.
            _ => break,
        }
    }
    Ok(())
}
