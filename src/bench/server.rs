//! The servers that are measured: where a device is, how one is started, and the CPU time it takes.

use std::{
    ffi::OsString,
    fs,
    io::{self, BufRead, BufReader},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    blocking::BlockingClient,
    cell::Cell,
    client::{Client, ClientError, Endpoints},
    pipes::PipeClient,
    sample::Sample,
    stack::StackClient,
};
use crate::{
    host_stack::{StartError, status::Win32Error},
    lab::START_BOUND,
    protocol::{
        Direction, Speed, TransferType,
        descriptor::{ConfigurationDescriptor, ParseError, kind},
        request,
        usbip::operation::{ExportedDevice, ReplyStatus},
    },
    remote::{Remote, RemoteDevice, RemoteError, RemotePortError},
    target::{
        ClaimError, OpenError, PipeError,
        libusb::{LibusbError, Selector},
    },
};

/// How much of a run goes before it and is not counted.
const WARM_UP: u32 = 5;
/// How long a server may take to notice that a device's client has left.
const TAKE_BACK: Duration = Duration::from_secs(1);

/// Why a device can't be measured.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It can't be imported.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// It does not answer as it should.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Its configuration can't be understood.
    #[error("the device's configuration can't be understood: {0}")]
    Parse(#[from] ParseError),
    /// It can't be opened as a program opens one.
    #[error("the device can't be had: {0}")]
    Port(#[from] RemotePortError),
    /// It can't be opened as a program opens one.
    #[error("the device can't be opened: {0}")]
    Open(#[from] OpenError),
    /// Libusb can't tell its devices.
    #[error(transparent)]
    List(#[from] LibusbError),
    /// Libusb can't open it.
    #[error("libusb can't open the device: {0}")]
    Libusb(#[from] rusb::Error),
    /// Libusb knows none.
    #[error("there is no device `libusb:{0}`: `lsusb` tells which there are")]
    NoSuch(String),
    /// Somebody has its interface.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// It lacks a pipe.
    #[error(transparent)]
    Pipe(#[from] PipeError),
    /// No stack starts above it.
    #[error("a host stack can't be started above the device: {0}")]
    Stack(#[from] StartError),
    /// The stack above it does not let itself be opened.
    #[error("the host stack above the device can't be opened: {0}")]
    Opened(#[from] Win32Error),
    /// It has no source and sink.
    #[error(
        "the device's first configuration has no pair of bulk endpoints, IN and OUT: it has to be a Gadget Zero"
    )]
    NoEndpoints,
    /// It has no interrupt endpoint.
    #[error("the device's first configuration has no interrupt endpoint IN")]
    NoInterrupt,
    /// A server can't be started.
    #[error("can't start the server `{command}`: {cause}")]
    NotStarted {
        /// How it was to be started.
        command: String,
        /// Why not.
        cause: io::Error,
    },
}

/// Imports the device and has it take its first configuration.
///
/// # Errors
/// Where the device can't be had, or is no Gadget Zero.
pub(super) fn open(device: &RemoteDevice) -> Result<Client, ServerError> {
    let (mut client, configuration, _) = configure(device)?;
    let number = |direction| {
        let mut endpoints = configuration.endpoints().map(|(_, _, endpoint)| endpoint);
        let bulk = endpoints.find(|it| {
            it.transfer_type == TransferType::Bulk && it.address.direction() == direction
        });
        bulk.map(|it| it.address.number())
    };
    let pair = number(Direction::In).zip(number(Direction::Out));
    let (input, output) = pair.ok_or(ServerError::NoEndpoints)?;
    client.endpoints = Endpoints { input, output };
    Ok(client)
}

/// Imports the device, has it take its first configuration, and tells what that is and the device's speed.
pub(super) fn configure(
    remote: &RemoteDevice,
) -> Result<(Client, ConfigurationDescriptor, Speed), ServerError> {
    let (socket, device) = import(remote)?;
    let client = Client::new(socket, device.device_id());
    let mut client = client.map_err(ClientError::Broken)?;
    let get = request::GET_DESCRIPTOR;
    let bytes = client.control([0x80, get, 0, kind::CONFIGURATION, 0, 0, 0xff, 0x0f])?;
    let speed = device.summary.speed;
    let configuration = ConfigurationDescriptor::parse(&bytes, speed)?;
    let value = configuration.value;
    client.control([0, request::SET_CONFIGURATION, value, 0, 0, 0, 0, 0])?;
    Ok((client, configuration, speed))
}

/// Imports the device, once the server has taken it back from the connection before.
fn import(device: &RemoteDevice) -> Result<(OwnedFd, ExportedDevice), RemoteError> {
    let until = Instant::now() + TAKE_BACK;
    loop {
        match device.remote.import(&device.bus_id) {
            Err(RemoteError::NotImported { status, .. })
                if status == ReplyStatus::Busy && Instant::now() < until =>
            {
                thread::sleep(TAKE_BACK / 100);
            }
            imported => return imported,
        }
    }
}

/// A server's device under measurement, and the server's process where it is known.
#[derive(Debug)]
pub struct Subject {
    client: Driver,
    process: Option<u32>,
}

/// Who drives a device.
#[derive(Debug)]
enum Driver {
    Bare(Box<Client>),
    Pipes(Box<PipeClient>),
    Stack(Box<StackClient>),
    Blocking(Box<BlockingClient>),
}

impl Driver {
    fn run(&mut self, cell: &Cell, duration: Duration) -> Result<Sample, ClientError> {
        match self {
            Self::Bare(client) => client.run(cell, duration),
            Self::Pipes(pipes) => pipes.run(cell, duration).map_err(ClientError::Pipe),
            Self::Stack(stack) => stack.run(cell, duration),
            Self::Blocking(client) => client.run(cell, duration),
        }
    }
}

impl Subject {
    /// Opens a device of a server whose process has this id.
    ///
    /// # Errors
    /// Where the device can't be had, or is no Gadget Zero.
    pub fn open(device: &RemoteDevice, process: Option<u32>) -> Result<Self, ServerError> {
        Ok(Self {
            client: Driver::Bare(Box::new(open(device)?)),
            process,
        })
    }

    /// Opens a device, to be driven through the pipes of `usb-target`.
    ///
    /// # Errors
    /// Where the device can't be had, or is no Gadget Zero.
    pub fn open_pipes(device: &RemoteDevice, process: Option<u32>) -> Result<Self, ServerError> {
        Ok(Self {
            client: Driver::Pipes(Box::new(PipeClient::open(device)?)),
            process,
        })
    }

    /// Opens a device, to be driven through a host stack of one driver.
    ///
    /// # Errors
    /// Where the device can't be had, or is no Gadget Zero.
    pub fn open_stack(device: &RemoteDevice, process: Option<u32>) -> Result<Self, ServerError> {
        Ok(Self {
            client: Driver::Stack(Box::new(StackClient::open(device)?)),
            process,
        })
    }

    /// Opens a device that a kernel has, to be driven by libusb's blocking calls.
    ///
    /// # Errors
    /// Where the device can't be had, or is no Gadget Zero.
    pub fn open_blocking(selector: &Selector) -> Result<Self, ServerError> {
        Ok(Self {
            client: Driver::Blocking(Box::new(BlockingClient::open(selector)?)),
            process: None,
        })
    }

    /// Runs a cell for `duration`, after a shorter run that is not counted.
    ///
    /// # Errors
    /// Where the server breaks off, or a transfer fails.
    pub fn run(&mut self, cell: &Cell, duration: Duration) -> Result<Sample, ClientError> {
        self.client.run(cell, duration / WARM_UP)?;
        let cpu = self.cpu();
        let mut sample = self.client.run(cell, duration)?;
        sample.server_cpu = cpu
            .zip(self.cpu())
            .map(|(before, after)| after.saturating_sub(before));
        Ok(sample)
    }

    fn cpu(&self) -> Option<Duration> {
        self.process.and_then(cpu_time)
    }
}

/// The CPU time that a process's living threads have taken, as Linux tells it in ns.
fn cpu_time(process: u32) -> Option<Duration> {
    let mut total = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{process}/task")).ok()? {
        let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else {
            continue; // it has just ended
        };
        total += Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?);
    }
    Some(total)
}

/// A server that was started to be measured. It ends with this.
#[derive(Debug)]
pub struct Started {
    child: Child,
    /// Where it listens, for TCP.
    pub tcp: Remote,
    /// Where it listens, for UNIX sockets.
    pub unix: Remote,
    _directory: TempDir,
}

impl Started {
    /// Starts `program`, which is usbwright's own, with `arguments` and what has it listen at a TCP port of its choice and a
    /// UNIX socket. It has to tell both in lines that begin with `listening at`, and then `ready`, as `usbwright serve` does.
    /// It ends with the thread that calls this, whatever that ends of.
    ///
    /// # Errors
    /// Where it can't be started, or ends before it is ready.
    pub fn new(program: &Path, arguments: &[OsString]) -> Result<Self, ServerError> {
        let start = || {
            let directory = tempfile::tempdir()?;
            let socket = directory.path().join("server.sock");
            let child = Command::new(program)
                .arg(START_BOUND)
                .arg(std::process::id().to_string())
                .arg(program)
                .args(arguments)
                .args(["--listen", "127.0.0.1:0", "--listen"])
                .arg(format!("unix:{}", socket.display()))
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()?;
            let mut started = Self {
                child,
                tcp: Remote::Unix(PathBuf::new()),
                unix: Remote::Unix(socket),
                _directory: directory,
            };
            started.tcp = started.wait_ready()?;
            Ok(started)
        };
        start().map_err(|cause| ServerError::NotStarted {
            command: format!(
                "{} {}",
                program.display(),
                arguments.join(" ".as_ref()).display()
            ),
            cause,
        })
    }

    /// Waits until it is ready, and tells its TCP address.
    fn wait_ready(&mut self) -> io::Result<Remote> {
        let output = self.child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut tcp = None;
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some(address) = line.strip_prefix("listening at ")
                && !address.starts_with("unix:")
            {
                tcp = address.parse().ok();
            }
            if line == "ready" {
                return tcp.ok_or_else(|| io::Error::other("it did not tell its address"));
            }
        }
        Err(io::Error::other("it ended before it was ready"))
    }

    /// Its process's id.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
