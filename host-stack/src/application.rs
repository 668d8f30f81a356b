//! The application's side of a stack: open a device, read, write, control, cancel, close.

mod asking;
mod opening;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::{
    ControlCode, Memory, MemoryOffset, Method, Window,
    file::File,
    request::{
        Control, CreateParameters, Parameters, Transfer,
        irp::{Asker, Irp, Level, Origin, Outcome},
    },
    stack::{Buffers, Owner, StackShared},
    status::{NtStatus, Severity, Win32Error},
};

pub use self::opening::Opening;
/// A device that an application has open. Clones are the same open file; when the last one is dropped, what is outstanding is cancelled and the file is
/// closed.
#[doc(alias = "CreateFile")]
#[derive(Clone)]
pub struct Handle(Arc<Opened>);

struct Opened {
    stack: Arc<StackShared>,
    /// Keeps the stack, for an application.
    _owner: Option<Arc<Owner>>,
    file: File,
    /// How the drivers have answered.
    is_open: Option<bool>,
}

/// How a device is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    parameters: CreateParameters,
    process: u32,
}

impl OpenOptions {
    /// For reading and writing, with nothing after the device's name.
    pub fn new() -> Self {
        Self {
            parameters: CreateParameters {
                access: 0xC000_0000,
                ..CreateParameters::default()
            },
            process: std::process::id(),
        }
    }

    /// Opens it for another process, of this id: whoever brings requests from there does so.
    #[must_use]
    pub fn process(self, process: u32) -> Self {
        Self { process, ..self }
    }

    /// Opens what has a name within the device.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.parameters.name = name.into();
        self
    }

    /// What the application wants to do (`ACCESS_MASK`).
    #[must_use]
    pub fn access(mut self, access: u32) -> Self {
        self.parameters.access = access;
        self
    }
}

/// How a request ended.
#[derive(Clone, Debug)]
#[must_use = "a request may have failed"]
pub struct IoOutcome {
    /// How the stack has completed it.
    pub status: NtStatus,
    /// How much was done: bytes moved, for a transfer.
    pub information: usize,
    /// What came: what was read, or a control code's output.
    pub data: Bytes,
}

impl IoOutcome {
    /// What an application is told.
    pub fn error(&self) -> Win32Error {
        Win32Error::from_nt(self.status)
    }

    /// What came, where all went well.
    ///
    /// # Errors
    /// The code otherwise. [`Win32Error::MORE_DATA`] tells that some of the data has come: it is in [`data`](Self::data).
    pub fn ok(self) -> Result<Self, Win32Error> {
        match self.error() {
            Win32Error::SUCCESS => Ok(self),
            error => Err(error),
        }
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Handle {
    pub(crate) fn open(owner: &Arc<Owner>, options: &OpenOptions) -> Opening {
        Self::begin_open(owner.shared(), Some(Arc::clone(owner)), options)
    }

    /// Opens a device for a driver of another stack, which does not keep the stack.
    pub(crate) fn open_for_driver(stack: &Arc<StackShared>, options: &OpenOptions) -> Opening {
        Self::begin_open(stack, None, options)
    }

    fn begin_open(
        stack: &Arc<StackShared>,
        owner: Option<Arc<Owner>>,
        options: &OpenOptions,
    ) -> Opening {
        let file = File::new(Arc::clone(&options.parameters.name), options.process);
        let parameters = Parameters::Create(options.parameters.clone());
        stack.add_file(&file);
        let opened = Opened {
            stack: Arc::clone(stack),
            _owner: owner,
            file: file.clone(),
            is_open: None,
        };
        Opening {
            io: Io::begin(stack, &file, parameters, (None, Buffers::default())),
            opened: Some(opened),
        }
    }

    /// Begins with a request, with what is given and with room for so many bytes.
    fn begin(&self, parameters: Parameters, input: Bytes, output: usize) -> Io {
        let stack = self.0.stack();
        let direct = !input.is_empty() && stack.is_direct(&parameters);
        match stack.spare().buffers(input, direct, output) {
            Ok(room) => Io::begin(stack, &self.0.file, parameters, room),
            Err(status) => Io::refused(stack, status),
        }
    }

    /// Reads up to so many bytes.
    #[doc(alias = "ReadFile")]
    pub fn read(&self, length: usize) -> Io {
        self.read_at(length, 0)
    }

    /// Reads from a place in the device.
    pub fn read_at(&self, length: usize, offset: u64) -> Io {
        let parameters = Parameters::Read(Transfer {
            length,
            offset,
            key: 0,
        });
        self.begin(parameters, Bytes::new(), length)
    }

    /// Writes.
    #[doc(alias = "WriteFile")]
    pub fn write(&self, data: impl Into<Bytes>) -> Io {
        self.write_at(data, 0)
    }

    /// Writes to a place in the device.
    pub fn write_at(&self, data: impl Into<Bytes>, offset: u64) -> Io {
        let data = data.into();
        let parameters = Parameters::Write(Transfer {
            length: data.len(),
            offset,
            key: 0,
        });
        self.begin(parameters, data, 0)
    }

    /// Sends a control code, with its input and room for its output, in bytes.
    #[doc(alias = "DeviceIoControl")]
    pub fn control(&self, code: ControlCode, input: impl Into<Bytes>, output: usize) -> Io {
        let input = input.into();
        let parameters = Parameters::DeviceControl(Control {
            code,
            input: input.len(),
            output,
        });
        if code.method() == Method::Neither && !self.0.stack().copies_neither() {
            return Io::refused(self.0.stack(), NtStatus::INVALID_DEVICE_REQUEST);
        }
        self.begin(parameters, input, output)
    }

    /// Has written what is buffered.
    #[doc(alias = "FlushFileBuffers")]
    pub fn flush(&self) -> Io {
        self.begin(Parameters::Flush, Bytes::new(), 0)
    }

    /// Takes back all that has not ended of this file.
    #[doc(alias = "CancelIo")]
    pub fn cancel_all(&self) {
        self.0.stack().scheduler().enter(|| {
            for irp in self.0.file.outstanding() {
                irp.cancel(Asker::Origin);
            }
        });
    }
}

impl Opened {
    fn stack(&self) -> &Arc<StackShared> {
        &self.stack
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        match self.is_open {
            Some(true) => self.stack().close(&self.file),
            Some(false) => self.stack().drop_file(&self.file),
            None => {}
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0.file).finish()
    }
}

/// A request that has begun. As a future it ends with its outcome; [`wait`](Self::wait) waits in this thread, and runs the stack meanwhile.
///
/// Dropped, it goes on, and nobody is told how it ends.
#[doc(alias = "OVERLAPPED")]
#[must_use = "how a request ends is told here"]
pub struct Io {
    stack: Arc<StackShared>,
    irp: Result<Arc<Irp>, NtStatus>,
    buffers: Buffers,
}

impl Io {
    fn refused(stack: &Arc<StackShared>, status: NtStatus) -> Self {
        Self {
            stack: Arc::clone(stack),
            irp: Err(status),
            buffers: Buffers::default(),
        }
    }

    fn begin(
        stack: &Arc<StackShared>,
        file: &File,
        parameters: Parameters,
        (spare, buffers): (Option<Arc<Irp>>, Buffers),
    ) -> Self {
        let Some(top) = stack.top_for(&parameters) else {
            return Self::refused(stack, stack.gone());
        };
        let whole = |memory: &Memory| Window::new(memory, None).ok();
        let mut level = Level::new(Arc::clone(&top), parameters);
        level.input = buffers.input().and_then(whole);
        level.output = buffers.output().and_then(whole);
        let irp = Irp::again(spare, Origin::Caller(None), Some(file.clone()), level);
        file.begin(&irp);
        stack.scheduler().enter(|| top.arrive(&irp));
        // What was begun while the stack failed or went, nobody has abandoned.
        if stack.is_gone() {
            irp.abandon(stack.gone());
        }
        Self {
            stack: Arc::clone(stack),
            irp: Ok(irp),
            buffers,
        }
    }

    /// Asks for it back. It ends in its time, and tells how.
    #[doc(alias = "CancelIoEx")]
    pub fn cancel(&self) {
        if let Some(cancel) = self.cancel_handle() {
            cancel.cancel();
        }
    }

    /// What it can be asked back with from elsewhere, while somebody waits for it; none, where it was refused.
    pub fn cancel_handle(&self) -> Option<CancelHandle> {
        let irp = Arc::clone(self.irp.as_ref().ok()?);
        let stack = Arc::clone(&self.stack);
        Some(CancelHandle { stack, irp })
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.outcome().is_some()
    }

    fn outcome(&self) -> Option<IoOutcome> {
        let outcome = match &self.irp {
            Ok(irp) => irp.outcome()?,
            Err(status) => Outcome::from(*status),
        };
        Some(self.told(outcome))
    }

    /// An application is told of no data where the request has failed.
    fn told(&self, outcome: Outcome) -> IoOutcome {
        let data = match (self.buffers.output(), outcome.status.severity()) {
            (None, _) | (_, Severity::Error) => Bytes::new(),
            _ if outcome.information == 0 => Bytes::new(),
            (Some(memory), _) => memory
                .to_bytes(Some(MemoryOffset {
                    offset: 0,
                    length: outcome.information.min(memory.size()),
                }))
                .unwrap_or_default(),
        };
        IoOutcome {
            status: outcome.status,
            information: outcome.information,
            data,
        }
    }

    /// Waits until it has ended.
    pub fn wait(self) -> IoOutcome {
        if let Some(outcome) = self.outcome() {
            return outcome;
        }
        self.stack.scheduler().wait_for(|| self.outcome())
    }
}

/// Asks a request back ([`Io::cancel_handle`]). It keeps the request, though not its data.
pub struct CancelHandle {
    stack: Arc<StackShared>,
    irp: Arc<Irp>,
}

impl CancelHandle {
    /// Asks for it back, as [`Io::cancel`] does. Of one that has ended nothing comes.
    pub fn cancel(&self) {
        let irp = &self.irp;
        self.stack.scheduler().enter(|| irp.cancel(Asker::Origin));
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelHandle").finish_non_exhaustive()
    }
}

impl Future for Io {
    type Output = IoOutcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Ok(irp) = &self.irp {
            let mut body = irp.body();
            if let Origin::Caller(waker) = &mut body.origin {
                waker
                    .get_or_insert_with(|| cx.waker().clone())
                    .clone_from(cx.waker());
            }
        }
        self.outcome().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if let Ok(irp) = std::mem::replace(&mut self.irp, Err(NtStatus::SUCCESS)) {
            let buffers = std::mem::take(&mut self.buffers);
            self.stack.spare().take_back(irp, buffers);
        }
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io")
            .field("has_ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}
