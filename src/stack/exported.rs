//! A device of this process, at the other end of a socket pair from its host.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

use rustix::net::{Shutdown, shutdown};
use tracing::info;
use usbwright_driver_manager::manager::Connection;

use crate::emulator::{
    Bus, BusId, LeaseError,
    server::{self, Limits},
};

/// The stack of a device's thread; its firmware runs on it.
const STACK: usize = 1 << 20;

/// Why a device can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It is not there, or somebody else has it.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The system refuses.
    #[error("the device can't be served: {0}")]
    System(#[from] io::Error),
}

/// A device of a bus, which is served to one host at a time. Dropping it ends that.
#[derive(Debug)]
pub struct Exported {
    bus: Bus,
    bus_id: BusId,
    link: Mutex<Option<Link>>,
}

/// A thread that serves a device.
#[derive(Debug)]
struct Link {
    socket: Arc<OwnedFd>,
    thread: JoinHandle<()>,
}

impl Exported {
    /// A device of this bus, which nobody has.
    pub fn new(bus: &Bus, bus_id: BusId) -> Self {
        Self {
            bus: bus.clone(),
            bus_id,
            link: Mutex::default(),
        }
    }

    fn link(&self) -> MutexGuard<'_, Option<Link>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves it to whoever gets the other end; whoever had it before loses it.
    ///
    /// # Errors
    /// Where it is not there any more, or the system refuses.
    pub fn open(&self) -> Result<Connection, ExportError> {
        let mut link = self.link();
        link.take().into_iter().for_each(Link::end);
        let (ours, theirs) = UnixStream::pair()?;
        server::widen(&ours);
        server::widen(&theirs);
        let lease = self.bus.lease(&self.bus_id, Instant::now())?;
        let device = lease.description().clone();
        let socket: Arc<OwnedFd> = Arc::new(ours.into());
        let serving = Arc::clone(&socket);
        let name = format!("usb {}", self.bus_id);
        let thread = thread::Builder::new()
            .name(name.clone())
            .stack_size(STACK)
            .spawn(move || {
                let ended = server::serve(&serving, lease, Limits::default());
                // The host sees the end of its device, also where another handle of the socket is kept.
                let _ = shutdown(&serving, Shutdown::Both);
                info!("{name}: {ended}");
            })?;
        *link = Some(Link { socket, thread });
        Ok(Connection {
            socket: theirs.into(),
            device,
        })
    }
}

impl Link {
    fn end(self) {
        let _ = shutdown(&self.socket, Shutdown::Both);
        // A panic of its firmware was told, and the device is unplugged.
        let _ = self.thread.join();
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        self.link().take().into_iter().for_each(Link::end);
    }
}
