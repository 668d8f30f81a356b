//! A device: its name, where applications come to, and its present host.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::event::epoll::EventFlags;
use usbwright_host_stack::status::NtStatus;
use usbwright_ports::{
    Peer, PortName, Rights, SecurityDescriptor,
    parts::{Listener, Socket, Watch, Watched},
};
use zerocopy::IntoBytes as _;

use super::{
    Shared,
    application::Application,
    events::{DeviceKey, DeviceStatus, Event, Who},
    link::{HostLink, Over},
    serve::{self, Ending, Serving},
};
use crate::{relay::Brought, wire::Header};

/// How many applications may be connected to a device.
const MOST_APPLICATIONS: usize = 256;
/// How long it does not listen where the system has no descriptor for a connection.
const RETRY: Duration = Duration::from_millis(100);

pub(super) struct Device {
    pub(super) key: DeviceKey,
    pub(super) name: PortName,
    security: SecurityDescriptor,
    shared: Weak<Shared>,
    listener: Mutex<Option<Listener>>,
    watch: OnceLock<Watch>,
    link: Mutex<Arc<HostLink>>,
    connected: AtomicUsize,
}

impl Device {
    pub(super) fn new(
        shared: &Arc<Shared>,
        key: DeviceKey,
        name: PortName,
        security: SecurityDescriptor,
        link: HostLink,
    ) -> Arc<Self> {
        Arc::new(Self {
            key,
            name,
            security,
            shared: Arc::downgrade(shared),
            listener: Mutex::new(None),
            watch: OnceLock::new(),
            link: Mutex::new(Arc::new(link)),
            connected: AtomicUsize::new(0),
        })
    }

    fn listener(&self) -> MutexGuard<'_, Option<Listener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its present host's channels.
    pub(super) fn link(&self) -> Arc<HostLink> {
        Arc::clone(&self.link.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, event: &Event) {
        if let Some(shared) = self.shared.upgrade() {
            (shared.events)(self.key, event);
        }
    }

    /// Has applications come to it.
    pub(super) fn listen(self: &Arc<Self>, shared: &Shared, listener: Listener) -> io::Result<()> {
        let watched: Weak<dyn Watched> = Arc::downgrade(&(Arc::clone(self) as Arc<dyn Watched>));
        let watch = shared.watcher.add(watched, &listener)?;
        let _ = self.watch.set(watch);
        *self.listener() = Some(listener);
        // As if somebody had come: it looks, and is armed.
        self.accept();
        Ok(())
    }

    /// Nobody comes any more, and all that there is ends so.
    pub(super) fn remove(&self, status: NtStatus) {
        let listener = self.listener().take();
        if let (Some(listener), Some(watch)) = (listener, self.watch.get()) {
            watch.forget(&listener);
        }
        self.link().end(status);
    }

    /// Another host has the device from now on.
    pub(super) fn replace(self: &Arc<Self>, link: HostLink) -> io::Result<()> {
        let link = Arc::new(link);
        let mut present = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *present, Arc::clone(&link));
        drop(present);
        old.end(NtStatus::DRIVER_PROCESS_TERMINATED);
        self.read_replies(link)
    }

    /// Has a thread read what a host sends.
    pub(super) fn read_replies(self: &Arc<Self>, link: Arc<HostLink>) -> io::Result<()> {
        let Some(shared) = self.shared.upgrade() else {
            return Ok(());
        };
        let device = Arc::clone(self);
        let name = format!("host {}", self.name);
        shared.threads.spawn(&name, move || {
            let over = link.read(|brought| device.brought(&brought));
            if link.end_lost() {
                device.tell(&match over {
                    Over::Disconnected => Event::HostDisconnected,
                    Over::Violation(violation) => Event::BadReply { violation },
                });
            }
        })
    }

    /// Tells what a reply has brought about.
    fn brought(&self, brought: &Brought<Arc<Application>>) {
        match brought {
            Brought::Reply { to, opened, .. } if *opened => self.tell(&Event::Opened {
                file: to.file,
                by: to.who,
            }),
            Brought::Closed { file, last, .. } => self.tell(&Event::Closed {
                file: *file,
                last: *last,
            }),
            _ => {}
        }
    }

    /// Accepts whoever waits. Nothing is locked while they are looked at, of which others may be told.
    fn accept(self: &Arc<Self>) {
        while let Some(socket) = self.next() {
            self.apply(socket);
        }
    }

    /// Who waits; with nobody, it is told when somebody comes.
    fn next(&self) -> Option<Socket> {
        let listener = self.listener();
        let (listener, watch) = (listener.as_ref()?, self.watch.get()?);
        match listener.accept() {
            Ok(Some(socket)) => return Some(socket),
            Ok(None) => watch.arm(listener, EventFlags::IN),
            Err(error) => {
                tracing::warn!(%error, device = %self.name, "a device can't accept a connection now");
                watch.schedule(Instant::now() + RETRY);
            }
        }
        None
    }

    /// Looks at who has come, and has a thread serve them.
    fn apply(self: &Arc<Self>, socket: Socket) {
        let peer = match Peer::of(&socket) {
            Ok(peer) => peer,
            Err(error) => {
                tracing::warn!(%error, device = %self.name, "the kernel does not tell who connects");
                return refuse(
                    &socket,
                    NtStatus::ACCESS_DENIED,
                    "the kernel does not tell who this is",
                );
            }
        };
        let who = Who {
            pid: peer.pid(),
            uid: peer.uid(),
        };
        let denied = self.security.check(&peer, Rights::CONNECT);
        if let Err(rule) = denied {
            let why = rule.to_string();
            refuse(&socket, NtStatus::ACCESS_DENIED, &why);
            return self.tell(&Event::Refused { by: who, why });
        }
        let Some(place) = Place::take(self) else {
            let why = format!("{MOST_APPLICATIONS} applications have the device open already");
            refuse(&socket, NtStatus::CONNECTION_COUNT_LIMIT, &why);
            return self.tell(&Event::Refused { by: who, why });
        };
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let name = format!("for {}", self.name);
        let begun = shared
            .threads
            .spawn(&name, move || place.serve(socket, who));
        if let Err(error) = begun {
            tracing::warn!(%error, device = %self.name, "there is no thread for a connection");
        }
    }

    pub(super) fn status(&self) -> DeviceStatus {
        let link = self.link();
        let relay = link.relay();
        DeviceStatus {
            key: self.key,
            name: self.name.to_string(),
            gone: relay.ended(),
            host: link.info.pid,
            applications: self.connected.load(Ordering::Relaxed),
            open_files: relay.open_files(),
            outstanding: relay.outstanding(),
            sent: relay.sent_so_far(),
            critical: relay.critical(),
        }
    }
}

impl Watched for Device {
    fn ready(self: Arc<Self>) {
        self.accept();
    }

    fn tick(self: Arc<Self>) {
        self.accept();
    }
}

/// An application's place among those that may be connected.
struct Place(Arc<Device>);

impl Place {
    fn take(device: &Arc<Device>) -> Option<Self> {
        let place = Self(Arc::clone(device));
        let before = device.connected.fetch_add(1, Ordering::Relaxed);
        (before < MOST_APPLICATIONS).then_some(place)
    }

    /// Serves an application in this thread.
    fn serve(self, socket: Socket, who: Who) {
        let device = &self.0;
        let Some(shared) = device.shared.upgrade() else {
            return;
        };
        let application = Application::new(shared.next_file(), socket, who);
        let Ok((application, theirs)) = application.map(|(it, theirs)| (Arc::new(it), theirs))
        else {
            return;
        };
        let _listed = shared.list(&application);
        drop(shared);
        if let Err((status, why)) = serve::greet(&application.socket) {
            return refuse(&application.socket, status, &why);
        }
        let ending = attend(&application, &device.link(), &theirs);
        drop(theirs);
        if let Ending::Violation(violation) = ending {
            tracing::warn!(%violation, device = %device.name, pid = who.pid, "an application breaks the protocol");
            device.tell(&Event::BadRequest { by: who, violation });
        }
        let file = application.file;
        device.tell(&Event::Left { file, by: who });
    }
}

/// Lets an application in, and serves it until it ends.
fn attend(application: &Arc<Application>, link: &Arc<HostLink>, theirs: &OwnedFd) -> Ending {
    let attached = link
        .relay()
        .attach(application.file, Arc::clone(application));
    if let Err(status) = attached {
        let why = "the device has no driver host process now";
        refuse(&application.socket, status, why);
        return Ending::Gone;
    }
    if !serve::welcome(application, theirs) {
        link.leave(application.file);
        return Ending::Left;
    }
    Serving::new(Arc::clone(application), Arc::clone(link)).run()
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells an application why it may not connect. Whether it hears it is its own business.
fn refuse(socket: &Socket, status: NtStatus, why: &str) {
    let header = Header::refused(status, why);
    let _ = socket.send_parts(header.as_bytes(), why.as_bytes(), None);
}
