//! One stack of a host: a thread that builds it, watches its device, and takes it down.

use std::{error::Error, os::fd::OwnedFd, sync::Arc};

use rustix::event::{PollFd, PollFlags, poll};
use tracing::{info, warn};
use usbwright_host_control::{Build, Change, Changed, FromHost, Report, clip};
use usbwright_host_stack::{
    PnpState, Stack, StackBuilder,
    usb_target::{Device, Options, Wait as _, usbip::RemotePort},
};

use crate::{
    Operations, Serving, changes,
    commands::{Command, Commands, Removal},
    host::Host,
};

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
    device: Device,
    /// The device's socket, to see its end.
    socket: OwnedFd,
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
        let stack = builder.usb_device(device.clone()).start()?;
        let serving = sockets.channels.map(|(data, cancel)| {
            let channels = &self.host.drivers.channels;
            channels.serve(&stack, data, cancel, self.operations())
        });
        Ok(Running {
            stack,
            serving: serving.transpose()?,
            device,
            socket: watched,
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

    /// Changes the stack's state as it is told, until it is to go. When its device goes, its drivers are told at once.
    fn wait(&self, running: &Running) -> Removal {
        let mut is_gone = false;
        loop {
            match self.commands.next() {
                Some(Command::Remove(removal)) => return removal,
                Some(Command::Change(change)) => {
                    self.change(running, change);
                    continue;
                }
                None => {}
            }
            let mut watched = vec![PollFd::new(self.commands.bell(), PollFlags::IN)];
            if !is_gone {
                watched.push(PollFd::new(&running.socket, PollFlags::RDHUP));
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

    /// Changes the stack's state. A driver that fails then takes the stack along, and with it its host: there it would start again.
    fn change(&self, running: &Running, change: Change) {
        let (stack, reports) = (self.build.stack, &self.host.reports);
        let made = changes::make(change, &running.stack, &running.device);
        let error = made.err().map(|it| clip(&it.to_string()));
        reports.tell(&FromHost::Changed(Changed {
            stack,
            error: error.clone(),
        }));
        let is_gone = running.stack.state() == PnpState::Removed && running.device.is_connected();
        if let Some(text) = error.filter(|_| is_gone) {
            reports.tell(&FromHost::Failed(Report { stack, text }));
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
