//! What stands between applications and driver host processes: applications open a device by its name, read, write and control it, whatever becomes of its host.
//!
//! The [`Reflector`] is a part of the driver manager's process. For each stack it has two channels to the host that has built it, where
//! [`host::Serving`] hands requests to the stack and sends replies. Applications use the library in [`application`]. What UMDF's reflector does in the kernel, this does between
//! three processes, of which any may die or lie at any time.
//!
//! ```
//! use usbwright_host_stack::{ControlCode, Device, DeviceInit, Driver, Stack, status::HResult};
//! use usbwright_reflector::{
//!     HostEnd, HostInfo, NameSpace, Reflector, SecurityDescriptor, application::OpenOptions,
//!     host::Serving,
//! };
//!
//! struct Hello;
//!
//! impl Driver for Hello {
//!     fn device_add(&self, init: DeviceInit) -> Result<Device, HResult> {
//!         let device = init.create(());
//!         let queue = device.parallel_queue().default_queue();
//!         queue
//!             .on_read(|_, request, _| {
//!                 let filled = request.output(5).map(|it| it.fill(b"hello"[..].into()));
//!                 request.complete_with_information(filled.err().unwrap_or(HResult::OK), 5);
//!             })
//!             .create()?;
//!         Ok(device)
//!     }
//! }
//!
//! # use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
//! # fn channel() -> (std::os::fd::OwnedFd, std::os::fd::OwnedFd) {
//! #     socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
//! # }
//! # let directory = tempfile::tempdir()?;
//! # let space = NameSpace::at(directory.path());
//! // Two pairs of SOCK_SEQPACKET sockets, whose other ends the manager hands to the host.
//! let ((data, its_data), (cancel, its_cancel)) = (channel(), channel());
//!
//! // The host's process.
//! let stack = Stack::builder().driver("hello", Hello).start()?;
//! let serving = Serving::start(stack, its_data, its_cancel)?;
//!
//! // The manager's.
//! let reflector = Reflector::start(space.clone(), |_, event| println!("{event:?}"))?;
//! let (name, access) = ("hello-1".parse()?, SecurityDescriptor::default());
//! let host = HostEnd { data, cancel };
//! reflector.add_device(&name, access, host, HostInfo { pid: std::process::id() })?;
//!
//! // An application's.
//! let device = OpenOptions::new(name).name_space(space).open()?;
//! assert_eq!(&device.read(64).wait().ok()?.data[..], b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Every request ends once
//!
//! By the host's reply; or with `ERROR_DRIVER_PROCESS_TERMINATED` (1291), when the host dies, is given up by the manager, or answers what makes no sense; or at its deadline. The requests of an application that
//! dies are cancelled, and its files cleaned up and closed, in this order. Handles of a dead stack fail at once, and the device can be opened anew as soon as
//! [another host has it](Reflector::replace_host).
//!
//! # Who waits for whom
//!
//! A connection has a thread of its own in the reflector, and so has a host; each sends on what it reads at once, and by one packet what is there at once. Where the next one has no room, a connection's thread stops to read, and nothing but its
//! application waits; what comes from a host for an application that does not read is kept, within bounds, and the application's requests are not taken meanwhile. Cancels go by channels
//! of their own. In the host, one thread submits requests, in their order, and runs the stack as an application's call would: a driver that blocks in a callback holds up the requests behind it, as it would
//! hold up its own device; cancels pass, and so do replies to the requests before it, within 2 ms.
//!
//! # Direct buffers
//!
//! [`Device::direct_buffer`](application::Device::direct_buffer) makes memory that the host maps as well. What is written is read there by drivers whose stack takes direct access
//! ([`IoType`](usbwright_host_stack::IoType)), without a copy; what is read is copied there once.

pub mod application;
#[doc(hidden)]
pub mod exchange;
pub mod host;
mod order;
mod reflector;
mod region;
mod relay;
#[doc(hidden)]
pub mod wire;

pub use reflector::{
    AddError, DeviceKey, DeviceStatus, Event, HostEnd, HostInfo, NoDevice, Reflector, ReplaceError,
    Who,
};
pub use region::RegionError;
pub use relay::{Critical, RequestRecord};
pub use usbwright_host_stack::{ControlCode, IoOutcome, status};
pub use usbwright_ports::{
    NameError, NameSpace, PortName as DeviceName, Rights, SecurityDescriptor, Subject, Violation,
};
