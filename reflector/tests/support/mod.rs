//! A driver that does what a test asks for, a reflector, and what stands for a host.
#![allow(dead_code, unreachable_pub)]

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use usbwright_host_stack::{
    Access, AccessRights, Control, ControlCode, Device as StackDevice, DeviceCallbacks, DeviceInit,
    Driver, File, IoType, LockingConstraint, Method, Parameters, Queue, Request, Retrieval, Stack,
    status::{HResult, NtStatus},
};
use usbwright_reflector::{
    DeviceKey, DeviceName, Event, HostEnd, HostInfo, NameSpace, Reflector, SecurityDescriptor,
    application::{Device, OpenError, OpenOptions},
    host::Serving,
};

/// How long a test waits before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

const fn code(function: u16) -> ControlCode {
    ControlCode::new(0x22, function, Method::Buffered, AccessRights::Any)
}

/// Answers with its input.
pub const ECHO: ControlCode = code(0x801);
/// Waits until it is cancelled or released.
pub const PEND: ControlCode = code(0x802);
/// Releases all that waits: how many they were.
pub const RELEASE: ControlCode = code(0x803);
/// Panics.
pub const PANIC: ControlCode = code(0x804);
/// Ends the host's process.
pub const EXIT: ControlCode = code(0x805);
/// Tells the process that has opened the file, and what followed the device's name.
pub const WHO: ControlCode = code(0x806);
/// Fails with `ERROR_MORE_DATA`'s status, after a part of the data.
pub const PART: ControlCode = code(0x807);

/// A class of information: what was written, or set so.
pub const KEPT: u32 = 200;
/// A class of information that is asked for, or set, in vain until the request is cancelled or released.
pub const NEVER: u32 = 201;
/// `FileEndOfFileInformation`: cuts what was written to a length of 8 bytes.
pub const END_OF_FILE: u32 = 20;

/// The driver. What is written is kept, and read again.
#[derive(Clone, Default)]
pub struct Probe(Arc<Mutex<Seen>>);

/// What the driver has seen.
#[derive(Default)]
struct Seen {
    data: bytes::Bytes,
    diary: Vec<String>,
    /// Where what was written last lay.
    address: usize,
}

impl Probe {
    fn note(&self, what: String) {
        self.0.lock().unwrap().diary.push(what);
    }

    pub fn diary(&self) -> Vec<String> {
        self.0.lock().unwrap().diary.clone()
    }

    pub fn address(&self) -> usize {
        self.0.lock().unwrap().address
    }

    fn control(&self, waits: &Queue, request: Request, control: Control) {
        match control.code {
            ECHO => {
                let input = request.input(0).map(|it| it.payload());
                let output = request.output(0);
                let length = control.input.min(control.output);
                if let (Ok(mut input), Ok(output)) = (input, output) {
                    drop(input.split_off(length));
                    output.fill(input).unwrap();
                }
                request.complete_with_information(HResult::OK, length);
            }
            PEND => request.forward(waits).map_err(drop).unwrap(),
            RELEASE => {
                let mut count = 0_u32;
                while let Ok(waiting) = waits.retrieve_next() {
                    waiting.complete(HResult::OK);
                    count += 1;
                }
                answer(request, count.to_le_bytes().to_vec());
            }
            PANIC => panic!("as the application wishes"),
            EXIT => std::process::exit(7),
            WHO => {
                let file = request.file().unwrap();
                let who = format!("{} {}", file.initiator_process_id(), file.name());
                answer(request, who.into_bytes());
            }
            PART => {
                let output = request.output(2).unwrap();
                output
                    .fill(bytes::Bytes::from_static(b"ab").into())
                    .unwrap();
                request.complete_with_information(NtStatus::BUFFER_OVERFLOW, 2);
            }
            _ => request.complete(NtStatus::INVALID_DEVICE_REQUEST),
        }
    }

    fn information(&self, waits: &Queue, request: Request) {
        match request.parameters() {
            Parameters::QueryInformation { class: NEVER, .. }
            | Parameters::SetInformation { class: NEVER, .. } => {
                request.forward(waits).map_err(drop).unwrap();
            }
            Parameters::QueryInformation {
                class: KEPT,
                length,
            } => self.read(request, length),
            Parameters::SetInformation {
                class: KEPT,
                length,
            } => self.write(request, length),
            Parameters::SetInformation {
                class: END_OF_FILE, ..
            } => self.cut(request),
            _ => request.complete(NtStatus::INVALID_DEVICE_REQUEST),
        }
    }

    fn cut(&self, request: Request) {
        let end = request.input(8).map(|it| it.payload().into_bytes());
        match end {
            Ok(end) => {
                let end = u64::from_le_bytes(end[..8].try_into().unwrap());
                let end = usize::try_from(end).unwrap();
                self.0.lock().unwrap().data.truncate(end);
                request.complete(HResult::OK);
            }
            Err(status) => request.complete(status),
        }
    }

    fn write(&self, request: Request, length: usize) {
        let data = request.input(length).unwrap().payload().into_bytes();
        let mut seen = self.0.lock().unwrap();
        seen.address = data.as_ptr() as usize;
        seen.data = data;
        drop(seen);
        request.complete_with_information(HResult::OK, length);
    }

    fn read(&self, request: Request, length: usize) {
        let mut data = self.0.lock().unwrap().data.clone();
        data.truncate(length);
        answer(request, data);
    }
}

fn answer(request: Request, data: impl Into<bytes::Bytes>) {
    let data = data.into();
    let length = data.len();
    if length > 0 {
        request.output(length).unwrap().fill(data.into()).unwrap();
    }
    request.complete_with_information(HResult::OK, length);
}

impl Driver for Probe {
    fn device_add(&self, mut init: DeviceInit) -> Result<StackDevice, HResult> {
        init.set_locking_constraint(LockingConstraint::None);
        init.set_io_type_preference(IoType {
            retrieval: Retrieval::Deferred,
            read_write: Access::BufferedOrDirect,
            ..IoType::default()
        });
        let device = init.create(self.clone());
        let waits = device.manual_queue().create()?;
        let [controls, reads, writes, others] = [(); 4].map(|()| self.clone());
        let keeps = waits.clone();
        device
            .parallel_queue()
            .default_queue()
            .on_create(|_, request, file| match file.name() {
                "\\locked" => request.complete(NtStatus::ACCESS_DENIED),
                _ => request.complete(HResult::OK),
            })
            .on_device_control(move |_, request, control| {
                controls.control(&waits, request, control);
            })
            .on_default(move |_, request| others.information(&keeps, request))
            .on_read(move |_, request, length| reads.read(request, length))
            .on_write(move |_, request, length| writes.write(request, length))
            .create()?;
        Ok(device)
    }
}

impl DeviceCallbacks for Probe {
    fn cleanup_file(&self, _device: &StackDevice, file: &File) {
        self.note(format!("cleanup {}", file.name()));
    }

    fn close_file(&self, _device: &StackDevice, file: &File) {
        self.note(format!("close {}", file.name()));
    }
}

/// A stack of the driver.
pub fn stack(probe: &Probe) -> Stack {
    let driver = probe.clone();
    Stack::builder().driver("probe", driver).start().unwrap()
}

/// Both ends of a channel.
pub fn channel_pair() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
}

/// The channels to a host: the reflector's ends, and the host's.
pub fn channels() -> (HostEnd, (OwnedFd, OwnedFd)) {
    let (data, its_data) = channel_pair();
    let (cancel, its_cancel) = channel_pair();
    (HostEnd { data, cancel }, (its_data, its_cancel))
}

pub fn name() -> DeviceName {
    "probe".parse().unwrap()
}

/// A reflector with a device, whose host is in this process.
pub struct Setup {
    pub serving: Option<Serving>,
    pub reflector: Reflector,
    pub key: DeviceKey,
    pub probe: Probe,
    pub space: NameSpace,
    events: Receiver<Event>,
    _directory: tempfile::TempDir,
}

impl Setup {
    pub fn new() -> Self {
        Self::secured(SecurityDescriptor::default())
    }

    pub fn secured(access: SecurityDescriptor) -> Self {
        let probe = Probe::default();
        let (end, (data, cancel)) = channels();
        let serving = Serving::start(stack(&probe), data, cancel).unwrap();
        let setup = Self::with(access, end, probe);
        Self {
            serving: Some(serving),
            ..setup
        }
    }

    /// With whatever is at the host's end.
    pub fn with(access: SecurityDescriptor, end: HostEnd, probe: Probe) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let space = NameSpace::at(directory.path());
        let (tell, events) = channel();
        let reflector = Reflector::start(space.clone(), listener(tell)).unwrap();
        let info = HostInfo {
            pid: std::process::id(),
        };
        let key = reflector.add_device(&name(), access, end, info).unwrap();
        Self {
            serving: None,
            reflector,
            key,
            probe,
            space,
            events,
            _directory: directory,
        }
    }

    pub fn options(&self) -> OpenOptions {
        OpenOptions::new(name()).name_space(self.space.clone())
    }

    pub fn open(&self) -> Device {
        self.options().open().unwrap()
    }

    pub fn try_open(&self) -> Result<Device, OpenError> {
        self.options().open()
    }

    /// Another host in this process, with a stack of its own.
    pub fn another_host(&mut self) {
        let (end, (data, cancel)) = channels();
        let serving = Serving::start(stack(&self.probe), data, cancel).unwrap();
        let info = HostInfo {
            pid: std::process::id(),
        };
        self.reflector.replace_host(self.key, end, info).unwrap();
        self.serving = Some(serving);
    }

    /// The next event of which `pick` makes something.
    pub fn event<T>(&self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self
                .events
                .recv_timeout(left)
                .expect("there is no such event");
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    }
}

fn listener(tell: Sender<Event>) -> impl Fn(DeviceKey, &Event) + Send + Sync {
    let tell = Mutex::new(tell);
    move |_, event| {
        let _ = tell.lock().unwrap().send(event.clone());
    }
}

/// Waits until something is so.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}: that never comes");
        std::thread::yield_now();
    }
}
