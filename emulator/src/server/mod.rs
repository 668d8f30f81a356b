//! The USB/IP server: who may list and import the devices of a [`Bus`], over TCP and UNIX sockets.

mod address;
#[cfg(test)]
mod copies;
mod exchange;
mod hang_up;
mod inherited;
mod link;
mod meter;
mod operations;
mod room;
mod session;

use std::{fmt, io, sync::Arc};

use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tracing::{debug, info, warn};

use self::address::Listener;
pub use self::{
    address::{Address, AddressError},
    exchange::{Exchange, Load},
    inherited::{Inherited, InheritedError},
    link::{Ended, serve},
    session::SessionError,
};
use crate::bus::{Bus, BusId};

pub use usbwright_wire_io::{remove_stale_socket, widen};

/// What a client may cost. The defaults suit the kernel's client at its largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in one transfer.
    pub transfer: u32,
    /// Packets in one isochronous transfer.
    pub iso_packets: u32,
    /// Transfers of one client that wait for the device; further ones end with `-ENOMEM`.
    pub pending_transfers: usize,
    /// Bytes that they hold: OUT payload, IN data of isochronous and interrupt ones, and isochronous packets' descriptions;
    /// further ones end with `-ENOMEM`. A client may cost up to four times as much, where each payload keeps a receive buffer alive.
    pub pending_bytes: usize,
    /// Connections that have not imported a device yet; further ones have to wait.
    pub visitors: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transfer: 64 << 20,
            iso_packets: 1024,
            pending_transfers: 16 << 10,
            pending_bytes: 64 << 20,
            visitors: 256,
        }
    }
}

/// Whom a server tells when a client has a device, and when it has it no more. It is called where the server attends to every client,
/// and must not block.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A client has imported a device.
    fn attached(&self, device: &BusId, peer: &str);

    /// It has let go of the device, or has lost it. The device is free again, or gone.
    fn released(&self, device: &BusId, peer: &str, reason: &str);
}

/// A server of a bus's devices. Dropping it ends it; [`stop`](Self::stop) waits for its end, too.
#[derive(Debug)]
pub struct Server {
    bus: Bus,
    limits: Limits,
    observer: Option<Arc<dyn Observer>>,
    visitors: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
}

impl Server {
    /// A server that listens nowhere yet.
    pub fn new(bus: Bus, limits: Limits) -> Self {
        Self {
            bus,
            limits,
            observer: None,
            visitors: Arc::new(Semaphore::new(limits.visitors)),
            stop: watch::Sender::new(false),
            listeners: JoinSet::new(),
        }
    }

    /// Has somebody told who attaches devices, at the addresses that are listened at from then on.
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Begins to listen at an address, and tells where it is: a TCP port of 0 is replaced by the one that was chosen.
    /// Must be called within a tokio runtime that has I/O and time enabled.
    ///
    /// # Errors
    /// Where the address can't be listened at.
    pub async fn listen(&mut self, address: &Address) -> io::Result<Address> {
        Ok(self.accept_at(Listener::bind(address).await?))
    }

    /// Begins to listen at a socket that somebody else has opened, and tells where it is. Must be called within a tokio runtime that has
    /// I/O and time enabled.
    ///
    /// # Errors
    /// Where the system does not take it.
    pub fn listen_on(&mut self, socket: Inherited) -> io::Result<Address> {
        Ok(self.accept_at(Listener::inherited(socket)?))
    }

    fn accept_at(&mut self, listener: Listener) -> Address {
        let bound = listener.address().clone();
        if bound.is_exposed() {
            warn!(
                "{bound} can be reached from other machines, and USB/IP has no authentication: \
                 whoever reaches it may use these devices"
            );
        }
        let visitor = Visitor {
            bus: self.bus.clone(),
            limits: self.limits,
            observer: self.observer.clone(),
            stop: self.stop.subscribe(),
        };
        let visitors = Arc::clone(&self.visitors);
        self.listeners.spawn(accept(listener, visitor, visitors));
        bound
    }

    /// Stops listening, ends every session, and returns when the devices are back on the bus.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.listeners.join_next().await.is_some() {}
    }
}

/// What serves one connection.
#[derive(Clone, Debug)]
struct Visitor {
    bus: Bus,
    limits: Limits,
    observer: Option<Arc<dyn Observer>>,
    stop: watch::Receiver<bool>,
}

/// Accepts connections until the server stops, and then waits for them to end.
async fn accept(listener: Listener, visitor: Visitor, visitors: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    let mut stop = visitor.stop.clone();
    let accepting = async {
        loop {
            let Ok(permit) = Arc::clone(&visitors).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok(connection) => {
                    let visitor = visitor.clone();
                    connections.spawn(async move {
                        let peer = connection.peer().to_owned();
                        debug!(%peer, "connected");
                        match visitor.serve(connection, permit).await {
                            Ok(()) => debug!(%peer, "disconnected"),
                            Err(error) => info!(%peer, "disconnected: {error}"),
                        }
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: the next that is closed lets it go on.
                    warn!("can't accept a connection: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stopped(&mut stop) => {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Returns when the server stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is as good a reason.
    let _ = stop.wait_for(|stop| *stop).await;
}
