//! What a manager is started with.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use usbwright_host_stack::usb_target::Clock;

use crate::{
    policy::{DebugMode, DeviceKey},
    record::Journal,
};

/// What a manager is started with. The default restarts, pools and sets deadlines, and serves no applications.
#[derive(Clone, Default)]
pub struct Settings {
    /// What is left out for whoever looks for mistakes.
    pub debug: DebugMode,
    /// Where events are kept.
    pub journal: Journal,
    /// The time that deadlines and restarts go by.
    pub clock: Clock,
    /// What lets applications reach stacks.
    pub channels: Option<Arc<dyn Channels>>,
}

/// The host's ends of the sockets over which applications reach a stack.
#[derive(Debug)]
pub struct HostEnds {
    /// That of the data.
    pub data: OwnedFd,
    /// That of the cancels.
    pub cancel: OwnedFd,
}

impl HostEnds {
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.data.as_fd(), self.cancel.as_fd()]
    }
}

/// What lets applications reach stacks: the manager's side of it. It is called on the manager's thread, and returns soon.
pub trait Channels: Send + Sync + 'static {
    /// A stack is about to be built: makes its sockets, of which the host gets these ends. A device whose host has failed is attached again.
    ///
    /// # Errors
    /// Where they can't be made; the stack is not built then.
    fn attach(&self, device: DeviceKey, name: &str) -> io::Result<HostEnds>;

    /// The stack has started in the process `host`, and may be opened.
    fn started(&self, device: DeviceKey, host: u32);

    /// What applications have asked of the stack last, for people: up to 16 requests, the oldest first. It is asked when the host has failed, before [`detach`](Self::detach).
    fn last_requests(&self, _device: DeviceKey) -> Vec<String> {
        Vec::new()
    }

    /// The host is about to be asked to take the stack down, as its device goes: it ends its sockets when that is done, before [`detach`](Self::detach) is called.
    fn leaving(&self, _device: DeviceKey) {}

    /// The stack is gone, or could not be built. `failed`: its host has failed, and what is outstanding ends with `ERROR_DRIVER_PROCESS_TERMINATED`; where the device goes
    /// for good, then or later, this is called once more, without that.
    fn detach(&self, device: DeviceKey, failed: bool);
}
