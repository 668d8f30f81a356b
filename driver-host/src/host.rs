//! A host process: what it is told by its manager, and who does it.

use std::{
    collections::BTreeMap,
    io,
    os::fd::OwnedFd,
    process,
    sync::Arc,
    thread::{self, JoinHandle},
};

use usbwright_host_control::{
    Build, Change, Changed, Channel, FromHost, Hello, ReceiveError, Received, Report, ToHost,
    VERSION, clip,
};
use usbwright_host_stack::DeviceNames;

use crate::{
    Drivers,
    commands::{Commands, Removal},
    confinement::{self, Orphaned},
    reports::Reports,
    stack::{Sockets, StackThread},
};

/// Why a host process ends before it is told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    #[error("the manager can't be understood: {0}")]
    Manager(#[from] ReceiveError),
    #[error("the manager has said something else before it has said how to be confined")]
    NotConfined,
    #[error(transparent)]
    Orphaned(#[from] Orphaned),
    #[error("a thread can't be started: {0}")]
    Thread(io::Error),
}

/// What a host has.
pub(crate) struct Host {
    pub(crate) drivers: Drivers,
    pub(crate) reports: Reports,
    /// The names of devices: the stacks of a pool find each other by them.
    pub(crate) names: DeviceNames,
}

/// Does what the manager says, until that is to end or the manager is gone.
pub(crate) fn run(drivers: Drivers, channel: Channel) -> Result<(), HostError> {
    let channel = Arc::new(channel);
    let reports = Reports::new(&channel);
    reports.watch_panics();
    let mut buffer = Channel::buffer();
    reports.tell(&FromHost::Hello(Hello {
        version: VERSION,
        pid: process::id(),
        drivers: drivers.names().map(str::to_owned).collect(),
    }));
    match channel.receive(&mut buffer, true)? {
        Received::Message(ToHost::Confine(confine), _) => {
            let holds = confinement::confine(&confine)?;
            reports.tell(&FromHost::Confined(holds));
        }
        Received::Message(ToHost::Shutdown, _) | Received::End => return Ok(()),
        _ => return Err(HostError::NotConfined),
    }
    let host = Host {
        drivers,
        reports,
        names: DeviceNames::default(),
    };
    let mut stacks = Stacks {
        host: Arc::new(host),
        threads: BTreeMap::new(),
    };
    loop {
        match channel.receive(&mut buffer, true)? {
            Received::Message(ToHost::Shutdown, _) | Received::End => break,
            Received::Message(message, descriptors) => stacks.follow(message, descriptors)?,
            Received::Nothing => {}
        }
    }
    stacks.end();
    Ok(())
}

/// The threads of the stacks.
struct Stacks {
    host: Arc<Host>,
    threads: BTreeMap<u64, (Commands, JoinHandle<()>)>,
}

impl Stacks {
    fn follow(&mut self, message: ToHost, descriptors: Vec<OwnedFd>) -> Result<(), HostError> {
        match message {
            ToHost::Build(build) => self.build(build, descriptors),
            ToHost::TearDown { stack } => {
                self.remove(stack, Removal::Orderly);
                Ok(())
            }
            ToHost::SurpriseRemove { stack } => {
                self.remove(stack, Removal::Surprise);
                Ok(())
            }
            ToHost::Change { stack, change } => {
                self.change(stack, change);
                Ok(())
            }
            ToHost::Confine(_) | ToHost::Shutdown => Err(HostError::NotConfined),
        }
    }

    fn build(&mut self, build: Build, descriptors: Vec<OwnedFd>) -> Result<(), HostError> {
        self.threads.retain(|_, (_, thread)| !thread.is_finished());
        let stack = build.stack;
        let (commands, sockets) = match (Commands::new(), Sockets::new(descriptors)) {
            (Ok(commands), Some(sockets)) if !self.threads.contains_key(&stack) => {
                (commands, sockets)
            }
            (Err(error), _) => return self.refuse(stack, &error.to_string()),
            _ => return self.refuse(stack, "it is there already, or came without its device"),
        };
        let thread = StackThread {
            host: Arc::clone(&self.host),
            commands: commands.clone(),
            build,
        };
        let started = thread::Builder::new()
            .name(format!("stack {stack}"))
            .spawn(move || thread.run(sockets));
        let handle = started.map_err(HostError::Thread)?;
        self.threads.insert(stack, (commands, handle));
        Ok(())
    }

    fn refuse(&self, stack: u64, why: &str) -> Result<(), HostError> {
        let text = clip(why);
        let refused = FromHost::Refused(Report { stack, text });
        self.host.reports.tell(&refused);
        Ok(())
    }

    /// Has a stack's thread take it down, and tell so; where there is none, it is down.
    fn remove(&mut self, stack: u64, removal: Removal) {
        match self.threads.get(&stack) {
            Some((commands, thread)) if !thread.is_finished() => commands.remove(removal),
            _ => self.host.reports.tell(&FromHost::TornDown { stack }),
        }
    }

    /// Has a stack's thread change its state, and tell so.
    fn change(&self, stack: u64, change: Change) {
        match self.threads.get(&stack) {
            Some((commands, thread)) if !thread.is_finished() => commands.change(change),
            _ => self.host.reports.tell(&FromHost::Changed(Changed {
                stack,
                error: Some("its stack is gone".to_owned()),
            })),
        }
    }

    /// Takes all stacks down.
    fn end(self) {
        for (commands, _) in self.threads.values() {
            commands.remove(Removal::Orderly);
        }
        for (_, thread) in self.threads.into_values() {
            // Its panic was told.
            let _ = thread.join();
        }
    }
}
