//! What ports and connections belong to, and what ends them all.

use std::{
    collections::HashMap,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread::{self, JoinHandle},
};

use usbwright_target::Clock;

use super::{Callbacks, CreateError, PortOptions, ServerPort, core::ServerCore, port::Port};
use crate::{
    Ended,
    link::{Link, Watcher},
    socket::Socket,
};

/// A driver, as far as its ports go: what its ports and connections belong to.
///
/// One thread of the filter's looks after all its sockets; each connection has a thread for its callbacks. All of them have ended once
/// [`unload`](Self::unload) has returned, or the filter is dropped.
#[doc(alias = "FLT_FILTER")]
#[doc(alias = "PFLT_FILTER")]
pub struct Filter(Arc<Inner>);

pub(super) struct Inner {
    pub(super) clock: Clock,
    pub(super) watcher: Watcher,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    unloaded: bool,
    ports: Vec<Weak<Port>>,
    last: u64,
    services: HashMap<u64, Service>,
}

/// A connection, or what may become one.
struct Service {
    socket: Arc<Socket>,
    link: Option<Arc<Link<ServerCore>>>,
    thread: JoinHandle<()>,
}

impl Filter {
    /// A filter without ports, whose deadlines go by the system's clock.
    ///
    /// # Errors
    /// Where the system gives no thread or descriptors.
    pub fn new() -> io::Result<Self> {
        Self::with_clock(Clock::System)
    }

    /// A filter without ports, whose deadlines go by `clock`.
    ///
    /// # Errors
    /// Where the system gives no thread or descriptors.
    pub fn with_clock(clock: impl Into<Clock>) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            clock: clock.into(),
            watcher: Watcher::start()?,
            state: Mutex::default(),
        })))
    }

    /// Makes a port, to which clients can connect at once.
    ///
    /// # Errors
    /// See [`CreateError`].
    #[doc(alias = "FltCreateCommunicationPort")]
    pub fn create_port(
        &self,
        options: PortOptions,
        callbacks: impl Callbacks,
    ) -> Result<ServerPort, CreateError> {
        if self.0.state().unloaded {
            return Err(CreateError::Unloaded);
        }
        let port = Port::create(&self.0, options, callbacks)?;
        let mut state = self.0.state();
        state.ports.retain(|it| it.strong_count() > 0);
        state.ports.push(Arc::downgrade(&port));
        let unloaded = state.unloaded;
        drop(state);
        let port = ServerPort::new(port);
        // Meanwhile it may have been unloaded, which did not see this port.
        if unloaded {
            return Err(CreateError::Unloaded);
        }
        Ok(port)
    }

    /// Closes all ports and ends all connections: whoever sends or gets is told that there is no connection any more. Returns when every
    /// [`disconnect`](Callbacks::disconnect) callback has, and all threads have ended; but for the one that this is called in, if it is a
    /// callback.
    #[doc(alias = "FltUnregisterFilter")]
    pub fn unload(&self) {
        self.0.unload();
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        self.unload();
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unload(&self) {
        let mut state = self.state();
        state.unloaded = true;
        let ports = std::mem::take(&mut state.ports);
        let services = std::mem::take(&mut state.services);
        drop(state);
        for port in ports.iter().filter_map(Weak::upgrade) {
            port.close();
        }
        for service in services.values() {
            match &service.link {
                Some(link) => link.end(Ended::Unloaded),
                None => service.socket.shut_down(),
            }
        }
        for service in services.into_values() {
            if service.thread.thread().id() != thread::current().id() {
                let _ = service.thread.join();
            }
        }
    }

    /// Has a thread of its own serve `socket`; its number is told to [`linked`](Self::linked). Nothing where the filter is unloaded.
    pub(super) fn serve(
        self: &Arc<Self>,
        socket: &Arc<Socket>,
        name: String,
        serve: impl FnOnce(u64) + Send + 'static,
    ) -> io::Result<()> {
        let mut state = self.state();
        if state.unloaded {
            return Ok(());
        }
        state.last += 1;
        let number = state.last;
        let filter = Arc::downgrade(self);
        // The thread begins with the lock, so that it finds itself in the table.
        let thread = thread::Builder::new().name(name).spawn(move || {
            if let Some(filter) = filter.upgrade() {
                drop(filter.state());
            }
            // Callbacks are contained already; this is for what a driver drops.
            if catch_unwind(AssertUnwindSafe(|| serve(number))).is_err() {
                tracing::error!("a driver panics as it drops what it kept for a connection");
            }
            if let Some(filter) = filter.upgrade() {
                filter.state().services.remove(&number);
            }
        })?;
        let service = Service {
            socket: Arc::clone(socket),
            link: None,
            thread,
        };
        state.services.insert(number, service);
        Ok(())
    }

    /// The service has a link from now on; `false` where the filter is unloaded.
    pub(super) fn linked(&self, number: u64, link: &Arc<Link<ServerCore>>) -> bool {
        match self.state().services.get_mut(&number) {
            Some(service) => {
                service.link = Some(Arc::clone(link));
                true
            }
            None => false,
        }
    }
}
