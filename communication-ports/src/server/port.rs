//! A port, which listens for connections.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::event::epoll::EventFlags;
use thiserror::Error;
use usbwright_host_stack::status::NtStatus;

use super::{Callbacks, core::ServerCore, filter::Inner, service};
use crate::{
    LONGEST, NameSpace, Peer, PortName, Rights, SecurityDescriptor,
    link::{Link, Watch, Watched},
    namespace::Listener,
    socket::Socket,
    wire::{Packet, ToClient},
};

/// How many more clients than may be connected are listened to.
const APPLICANTS: usize = 16;
/// How long a port waits for connections that are about to end, before it refuses one.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it does not listen where the system has no descriptor for a connection.
const RETRY: Duration = Duration::from_millis(100);

/// What a port is to be like.
#[derive(Clone, Debug)]
pub struct PortOptions {
    name: PortName,
    space: NameSpace,
    security: SecurityDescriptor,
    connections: u32,
    longest: usize,
}

impl PortOptions {
    /// A port of this name in this [user's name space](NameSpace::user), for one connection of its own user or of root.
    pub fn new(name: PortName) -> Self {
        Self {
            name,
            space: NameSpace::user(),
            security: SecurityDescriptor::default(),
            connections: 1,
            longest: LONGEST,
        }
    }

    /// Where its name is.
    #[must_use]
    pub fn name_space(self, space: NameSpace) -> Self {
        Self { space, ..self }
    }

    /// Who may connect.
    #[must_use]
    #[doc(alias = "ObjectAttributes")]
    pub fn security(self, security: SecurityDescriptor) -> Self {
        Self { security, ..self }
    }

    /// How many clients may be connected at a time: 1 or more.
    #[must_use]
    #[doc(alias = "MaxConnections")]
    pub fn max_connections(self, connections: u32) -> Self {
        Self {
            connections,
            ..self
        }
    }

    /// The longest message and the longest reply, in bytes, of either side; at first [`LONGEST`].
    ///
    /// So much memory one message may take. Windows documents no limit.
    #[must_use]
    pub fn longest_message(self, bytes: u32) -> Self {
        Self {
            // A reply's length is told with its header.
            longest: bytes.min(u32::MAX - 64) as usize,
            ..self
        }
    }
}

/// Why there is no port.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CreateError {
    /// A live server has a port of this name.
    #[error("there is a port {0} already")]
    NameCollision(PortName),
    /// The filter is unloaded.
    #[error("the filter is unloaded")]
    Unloaded,
    /// It would accept no connection.
    #[error("a port for no connections; one is the least")]
    NoConnections,
    /// The name space's directory is too deep.
    #[error("{} is too long for a socket's path, of which 107 bytes are the most", .0.display())]
    Path(PathBuf),
    /// The system refuses it.
    #[error("the port's socket can't be made")]
    Io(#[from] io::Error),
}

impl CreateError {
    /// What `FltCreateCommunicationPort` returns.
    pub fn status(&self) -> NtStatus {
        match self {
            Self::NameCollision(_) => NtStatus::OBJECT_NAME_COLLISION,
            Self::Unloaded => NtStatus::FLT_DELETING_OBJECT,
            Self::NoConnections | Self::Path(_) => NtStatus::INVALID_PARAMETER,
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                NtStatus::ACCESS_DENIED
            }
            Self::Io(_) => NtStatus::INSUFFICIENT_RESOURCES,
        }
    }
}

/// A port that clients can connect to, until this is closed or dropped. Its connections do not end with it.
pub struct ServerPort(Arc<Port>);

impl ServerPort {
    pub(super) fn new(port: Arc<Port>) -> Self {
        Self(port)
    }

    /// Listens no more, and gives the name back. Connections live until they are closed.
    #[doc(alias = "FltCloseCommunicationPort")]
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for ServerPort {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for ServerPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerPort").field(&self.0.options).finish()
    }
}

/// Serves a client that is let in, in its thread.
type Serve = dyn Fn(&Arc<Port>, Applicant) + Send + Sync;

pub(super) struct Port {
    pub(super) filter: Arc<Inner>,
    options: PortOptions,
    listener: Mutex<Option<Listener>>,
    watch: OnceLock<Watch>,
    serve: Box<Serve>,
    threads: AtomicUsize,
    live: Mutex<Vec<Arc<Link<ServerCore>>>>,
    freed: Condvar,
}

/// A client that may connect, as far as the security descriptor goes.
pub(super) struct Applicant {
    pub(super) number: u64,
    pub(super) socket: Arc<Socket>,
    pub(super) peer: Peer,
}

impl Port {
    pub(super) fn create<C: Callbacks>(
        filter: &Arc<Inner>,
        options: PortOptions,
        callbacks: C,
    ) -> Result<Arc<Self>, CreateError> {
        if options.connections == 0 {
            return Err(CreateError::NoConnections);
        }
        let listener = Listener::bind(&options.space, &options.name, options.security.is_open())?;
        let port = Arc::new(Self {
            filter: Arc::clone(filter),
            options,
            listener: Mutex::new(None),
            watch: OnceLock::new(),
            serve: Box::new(move |port, applicant| service::serve(port, &callbacks, applicant)),
            threads: AtomicUsize::new(0),
            live: Mutex::default(),
            freed: Condvar::new(),
        });
        let watched: Weak<dyn Watched> = Arc::downgrade(&(Arc::clone(&port) as Arc<dyn Watched>));
        let watch = filter.watcher.add(watched, &listener)?;
        let _ = port.watch.set(watch);
        *port.listener() = Some(listener);
        // As if somebody had come: it looks, and is armed.
        port.accept();
        Ok(port)
    }

    /// The longest payload of its connections.
    pub(super) fn longest(&self) -> usize {
        self.options.longest
    }

    fn listener(&self) -> MutexGuard<'_, Option<Listener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> MutexGuard<'_, Vec<Arc<Link<ServerCore>>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close(&self) {
        let listener = self.listener().take();
        if let (Some(listener), Some(watch)) = (listener, self.watch.get()) {
            watch.forget(&listener);
        }
    }

    /// Accepts whoever waits.
    fn accept(self: &Arc<Self>) {
        let listener = self.listener();
        let (Some(listener), Some(watch)) = (&*listener, self.watch.get()) else {
            return;
        };
        loop {
            match listener.accept() {
                Ok(Some(socket)) => self.apply(socket),
                Ok(None) => return watch.arm(listener, EventFlags::IN),
                Err(error) => {
                    tracing::warn!(%error, port = %self.options.name, "a port can't accept a connection now");
                    return watch.schedule(Instant::now() + RETRY);
                }
            }
        }
    }

    /// Looks at who has come, and has a thread serve them.
    fn apply(self: &Arc<Self>, socket: Socket) {
        let refused = match Peer::of(&socket) {
            Err(error) => {
                tracing::warn!(%error, port = %self.options.name, "the kernel does not tell who connects");
                NtStatus::ACCESS_DENIED
            }
            Ok(peer) if !self.options.security.allows(&peer, Rights::CONNECT) => {
                tracing::info!(port = %self.options.name, uid = peer.uid(), pid = peer.pid(), "a connection is refused: the security descriptor does not allow it");
                NtStatus::ACCESS_DENIED
            }
            Ok(_) if self.threads.load(Ordering::Relaxed) >= self.most_threads() => {
                NtStatus::CONNECTION_COUNT_LIMIT
            }
            Ok(peer) => return self.begin(&Arc::new(socket), peer),
        };
        refuse(&socket, refused);
    }

    fn most_threads(&self) -> usize {
        self.options.connections as usize + APPLICANTS
    }

    fn begin(self: &Arc<Self>, socket: &Arc<Socket>, peer: Peer) {
        let port = Arc::clone(self);
        let its = Arc::clone(socket);
        let thread = ServiceThread::new(self);
        let serve = move |number| {
            let _thread = thread;
            let applicant = Applicant {
                number,
                socket: its,
                peer,
            };
            (port.serve)(&port, applicant);
        };
        // A name of more than 15 bytes is cut by the kernel.
        let name = format!("port {}", self.options.name);
        if let Err(error) = self.filter.serve(socket, name, serve) {
            tracing::warn!(%error, port = %self.options.name, "there is no thread for a connection");
            refuse(socket, NtStatus::INSUFFICIENT_RESOURCES);
        }
    }

    /// Takes a place for a connection; waits for those that are about to end.
    pub(super) fn place(self: &Arc<Self>, link: &Arc<Link<ServerCore>>) -> Result<Place, NtStatus> {
        let until = Instant::now() + PATIENCE;
        let mut live = self.live();
        while live.len() >= self.options.connections as usize {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !live.iter().any(|it| it.is_hung_up()) {
                return Err(NtStatus::CONNECTION_COUNT_LIMIT);
            }
            let waited = self.freed.wait_timeout(live, left);
            (live, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        live.push(Arc::clone(link));
        Ok(Place {
            port: Arc::clone(self),
            link: Arc::clone(link),
        })
    }
}

impl Watched for Port {
    fn ready(self: Arc<Self>) {
        self.accept();
    }

    fn tick(self: Arc<Self>) {
        self.accept();
    }
}

/// A connection's place among those that a port may have. It is free again once this is dropped.
pub(super) struct Place {
    port: Arc<Port>,
    link: Arc<Link<ServerCore>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.port.live().retain(|it| !Arc::ptr_eq(it, &self.link));
        self.port.freed.notify_all();
    }
}

/// A thread that serves a client, or is about to.
struct ServiceThread(Arc<Port>);

impl ServiceThread {
    fn new(port: &Arc<Port>) -> Self {
        port.threads.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(port))
    }
}

impl Drop for ServiceThread {
    fn drop(&mut self) {
        self.0.threads.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells a client why it may not connect.
pub(super) fn refuse(socket: &Socket, status: NtStatus) {
    // Whether it hears it is its own business.
    let _ = socket.send(&Packet::from(ToClient::Refused(status)));
}
