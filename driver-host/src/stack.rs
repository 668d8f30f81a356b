//! One stack of a host: a thread that builds it, watches its device, and takes it down.

use std::{
    error::Error,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use tracing::{info, warn};
use usbwright_host_control::{Build, FromHost, Report, clip};
use usbwright_host_stack::{
    Stack, StackBuilder,
    usb_target::{Options, Wait as _, usbip::RemotePort},
};

use crate::{Operations, Serving, host::Host};

/// How a stack is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Orderly,
    Surprise,
}

/// What a stack's thread is told.
#[derive(Clone)]
pub(crate) struct Commands(Arc<(Mutex<Option<Removal>>, OwnedFd)>);

impl Commands {
    pub(crate) fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new((Mutex::default(), bell))))
    }

    /// The stack is to go.
    pub(crate) fn remove(&self, removal: Removal) {
        let mut told = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.get_or_insert(removal);
        drop(told);
        // An event that is not read yet is one already.
        let _ = rustix::io::write(&self.0.1, &1_u64.to_ne_bytes());
    }

    fn told(&self) -> Option<Removal> {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bell(&self) -> &OwnedFd {
        &self.0.1
    }
}

/// The sockets that a stack is built with.
pub(crate) struct Sockets {
    device: OwnedFd,
    /// Those of the data and of the cancels.
    channels: Option<(OwnedFd, OwnedFd)>,
}

impl Sockets {
    pub(crate) fn new(descriptors: Vec<OwnedFd>) -> Option<Self> {
        let mut descriptors = descriptors.into_iter();
        Some(Self {
            device: descriptors.next()?,
            channels: descriptors.next().zip(descriptors.next()),
        })
    }
}

pub(crate) struct StackThread {
    pub(crate) host: Arc<Host>,
    pub(crate) commands: Commands,
    pub(crate) build: Build,
}

/// A stack that runs.
struct Running {
    stack: Stack,
    serving: Option<Serving>,
    /// The device's socket, to see its end.
    device: OwnedFd,
}

impl StackThread {
    pub(crate) fn run(self, sockets: Sockets) {
        let stack = self.build.stack;
        let running = match self.start(sockets) {
            Ok(running) => running,
            Err(error) => {
                let text = clip(&error.to_string());
                let refused = FromHost::Refused(Report { stack, text });
                return self.host.reports.tell(&refused);
            }
        };
        info!("{}: the stack has started", self.build.name);
        self.host.reports.tell(&FromHost::Built { stack });
        let removal = self.wait(&running);
        self.take_down(running, removal);
        self.host.reports.tell(&FromHost::TornDown { stack });
    }

    fn start(&self, sockets: Sockets) -> Result<Running, Box<dyn Error>> {
        let builder = self.builder()?;
        let watched = sockets.device.try_clone()?;
        let port = RemotePort::new(sockets.device, &self.build.device)?;
        let device = Options::new().open(port).wait()?;
        let stack = builder.usb_device(device).start()?;
        let serving = sockets.channels.map(|(data, cancel)| {
            let channels = &self.host.drivers.channels;
            channels.serve(&stack, data, cancel, self.operations())
        });
        Ok(Running {
            stack,
            serving: serving.transpose()?,
            device: watched,
        })
    }

    fn operations(&self) -> Operations {
        Operations::new(&self.host.reports, self.build.stack)
    }

    /// The stack without its device.
    fn builder(&self) -> Result<StackBuilder, String> {
        let (operations, reports) = (self.operations(), self.host.reports.clone());
        let stack = self.build.stack;
        let mut builder = Stack::builder()
            .names(&self.host.names)
            .observer(move |event| {
                reports.observe(stack, event);
                operations.observe(event);
            });
        if self.build.copies_neither {
            builder = builder.copy_neither();
        }
        for entry in &self.build.drivers {
            let name = &entry.name;
            let drivers = &self.host.drivers;
            let add = drivers.find(name).ok_or_else(|| {
                let known: Vec<&str> = drivers.names().collect();
                format!(
                    "the host has no driver {name:?}: it has {}",
                    known.join(", ")
                )
            })?;
            builder = add(builder).io_type_preference(name, entry.io_type);
        }
        Ok(builder)
    }

    /// Waits until the stack is to go. When its device goes, its drivers are told at once.
    fn wait(&self, running: &Running) -> Removal {
        let mut is_gone = false;
        loop {
            if let Some(removal) = self.commands.told() {
                return removal;
            }
            let mut watched = vec![PollFd::new(self.commands.bell(), PollFlags::IN)];
            if !is_gone {
                watched.push(PollFd::new(&running.device, PollFlags::RDHUP));
            }
            let polled = poll(&mut watched, None);
            let ended = watched.get(1).is_some_and(|it| !it.revents().is_empty());
            if polled.is_ok() && ended {
                is_gone = true;
                let stack = self.build.stack;
                self.host.reports.tell(&FromHost::Unplugged { stack });
                running.stack.surprise_remove();
            }
        }
    }

    fn take_down(&self, running: Running, removal: Removal) {
        let name = &self.build.name;
        match removal {
            Removal::Surprise => running.stack.surprise_remove(),
            Removal::Orderly => {
                if let Err(error) = running.stack.remove() {
                    warn!("{name}: the stack goes nevertheless: {error}");
                }
            }
        }
        drop(running.serving);
        drop(running.stack);
        info!("{name}: the stack is gone");
    }
}
