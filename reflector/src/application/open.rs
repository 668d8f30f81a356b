//! Opening a device.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustix::{
    io::Errno,
    net::sockopt::{Timeout, set_socket_timeout},
};
use usbwright_host_stack::{
    IoOutcome,
    status::{NtStatus, Win32Error},
};
use usbwright_ports::{
    NameSpace, PortName,
    parts::{Call, Link, Operation, Socket, Watcher},
};
use usbwright_target::Clock;

use super::{Device, OpenError, Opened, core::Request, wired::Wired};
use crate::wire::{Header, INLINE, kind};

/// How long a reflector that is too busy to accept anybody is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where this user's devices have their names: `$XDG_RUNTIME_DIR/usbwright/devices`, or `/run/user/UID/usbwright/devices` where that is not set.
pub fn name_space() -> NameSpace {
    NameSpace::at(NameSpace::user().directory().with_file_name("devices"))
}

/// How to open a device.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    name: PortName,
    space: NameSpace,
    file_name: String,
    access: u32,
    timeout: Option<Duration>,
}

impl OpenOptions {
    /// The device of this name in this user's [name space](name_space), for reading and writing, with nothing after its name.
    pub fn new(name: PortName) -> Self {
        Self {
            name,
            space: name_space(),
            file_name: String::new(),
            access: 0xC000_0000,
            timeout: None,
        }
    }

    /// Where the device's name is.
    #[must_use]
    pub fn name_space(self, space: NameSpace) -> Self {
        Self { space, ..self }
    }

    /// Opens what has a name within the device.
    #[must_use]
    pub fn file_name(self, name: &str) -> Self {
        let file_name = name.to_owned();
        Self { file_name, ..self }
    }

    /// What is wanted (`ACCESS_MASK`).
    #[must_use]
    #[doc(alias = "dwDesiredAccess")]
    pub fn access(self, access: u32) -> Self {
        Self { access, ..self }
    }

    /// How long the drivers may take to answer; without it, for ever.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        let timeout = Some(timeout);
        Self { timeout, ..self }
    }

    /// Opens the device, and waits for the drivers' answer.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(self) -> Result<Device, OpenError> {
        self.begin()?.wait()
    }

    /// Begins to open the device. It waits for nobody, but up to 5 s for a reflector to which more come than it accepts.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn begin(self) -> Result<Opening, OpenError> {
        if self.file_name.len() > INLINE {
            return Err(OpenError::FileName(self.file_name.len()));
        }
        let socket = Socket::new()?;
        set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))
            .map_err(|error| OpenError::Io(error.into()))?;
        let connected = self.space.connect(&self.name, &socket);
        connected.map_err(|error| self.unreachable(error))?;
        let link = Link::new(Wired::new(), Arc::new(socket), INLINE, Clock::System);
        let opened = Arc::new(Opened {
            link: Arc::clone(&link),
        });
        let call = OpenCall {
            options: self,
            opened,
            deadline: None,
            number: 0,
        };
        let mut operation = Operation::new(&link, call);
        operation.start();
        Ok(Opening(operation))
    }

    fn unreachable(&self, error: Errno) -> OpenError {
        match error {
            Errno::NOENT | Errno::CONNREFUSED | Errno::NOTDIR => {
                OpenError::NotFound(self.name.clone())
            }
            Errno::ACCESS | Errno::PERM => OpenError::Denied(self.name.clone()),
            Errno::AGAIN => OpenError::Io(std::io::ErrorKind::TimedOut.into()),
            error => OpenError::Io(error.into()),
        }
    }

    fn request(&self, deadline: Option<Instant>) -> Request {
        let mut header = Header::new(kind::OPEN);
        header.code = self.access.into();
        Request {
            header,
            input: Bytes::copy_from_slice(self.file_name.as_bytes()),
            output: 0,
            deadline,
            refused: None,
        }
    }
}

/// A device that is being opened. As a future it ends with the device, on any runtime; dropped, the device is closed again.
#[must_use = "the device is closed again where this is dropped"]
pub struct Opening(Operation<OpenCall>);

pub(super) struct OpenCall {
    options: OpenOptions,
    opened: Arc<Opened>,
    deadline: Option<Instant>,
    number: u64,
}

impl Opening {
    /// Waits until it is open. Not for use within a task.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn wait(self) -> Result<Device, OpenError> {
        self.0.wait()
    }
}

impl Call for OpenCall {
    type Core = Wired;
    type Raw = (IoOutcome, Option<String>);
    type Output = Result<Device, OpenError>;

    fn begin(&mut self, core: &mut Wired, clock: &Clock) {
        let timeout = self.options.timeout;
        self.deadline = timeout.and_then(|it| clock.now().checked_add(it));
        self.number = core.core.begin(self.options.request(self.deadline));
    }

    fn take(&mut self, core: &mut Wired) -> Option<Self::Raw> {
        let outcome = core.core.take(self.number)?;
        Some((outcome, core.core.refusal().map(str::to_owned)))
    }

    fn settle(&mut self, (outcome, refusal): Self::Raw) -> Self::Output {
        let name = self.options.name.clone();
        let status = outcome.status;
        match (Win32Error::from_nt(status), refusal) {
            (Win32Error::SUCCESS, _) => Ok(Device(Arc::clone(&self.opened))),
            (_, Some(why)) => Err(OpenError::Refused { name, status, why }),
            (_, None) if status == NtStatus::IO_TIMEOUT => {
                Err(OpenError::Io(std::io::ErrorKind::TimedOut.into()))
            }
            (error, None) => Err(OpenError::Failed { name, error }),
        }
    }

    fn watch(&self, core: &mut Wired, waker: &Waker) {
        core.core.watch(self.number, waker);
    }

    fn abandon(&mut self, core: &mut Wired) {
        core.core.abandon(self.number);
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Future for Opening {
    type Output = Result<Device, OpenError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        watch(self.0.link());
        if let Some(deadline) = self.0.call().deadline {
            self.0.link().schedule(deadline);
        }
        self.0.poll(context.waker())
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}

/// Has the one thread that does so for all devices of this process look after a connection for which a task waits. Where that can't be, the link has one of its own.
pub(super) fn watch(link: &Arc<Link<Wired>>) {
    static SHARED: Mutex<Weak<Watcher>> = Mutex::new(Weak::new());
    if link.is_watched() {
        return;
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let watcher = match shared.upgrade() {
        Some(watcher) => watcher,
        None => {
            let Ok(watcher) = Watcher::start().map(Arc::new) else {
                return;
            };
            *shared = Arc::downgrade(&watcher);
            watcher
        }
    };
    if link.watch_by(&watcher).is_ok() {
        link.with(|state| state.core.watcher = Some(watcher));
    }
}
