//! The manager's end: who may connect, and how many at a time.

use std::{
    fs, io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fs::{Mode, fchmod},
    net::{
        AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, bind, listen, shutdown,
        socket_with,
    },
};
use tracing::{debug, warn};

use super::{connection, peer};
use crate::manager::ManagerHandle;

/// How many clients are served at a time.
const MOST_CLIENTS: usize = 32;

/// Why a manager can't be reached at a path.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another manager is there.
    #[error("another manager listens at {}: end it, or choose another socket", .0.display())]
    InUse(PathBuf),
    /// Something that is no socket is there.
    #[error("{} is there already, and is no socket: choose another path", .0.display())]
    NoSocket(PathBuf),
    /// The system does not let it be.
    #[error("can't listen at {}: {cause}", path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
}

/// Lets clients look at a manager. Dropping it ends that, and removes the socket's file.
pub struct Service {
    path: PathBuf,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Listens at a path. What another manager has left there is replaced; only this process's user may connect.
    ///
    /// # Errors
    /// Where a manager listens there, or the system refuses.
    pub fn listen(path: &Path, manager: ManagerHandle) -> Result<Self, ListenError> {
        let failed = |cause: io::Error| ListenError::System {
            path: path.to_owned(),
            cause,
        };
        clear(path)?;
        let listener = listener(path).map_err(failed)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let stop = Arc::new(stop.map_err(|it| failed(it.into()))?);
        let (stopping, clients) = (Arc::clone(&stop), Clients::default());
        let thread = thread::Builder::new()
            .name("manager service".to_owned())
            .spawn(move || clients.accept(&listener, &stopping, &manager))
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let Err(error) = fs::remove_file(&self.path) {
            debug!("{} stays: {error}", self.path.display());
        }
    }
}

/// Removes the socket of a manager that is gone.
fn clear(path: &Path) -> Result<(), ListenError> {
    use std::os::unix::fs::FileTypeExt as _;
    let Ok(found) = path.symlink_metadata() else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(ListenError::NoSocket(path.to_owned()));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(ListenError::InUse(path.to_owned()));
    }
    fs::remove_file(path).map_err(|cause| ListenError::System {
        path: path.to_owned(),
        cause,
    })
}

/// A socket that has its rights before anybody can see it.
fn listener(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, 16)?;
    Ok(socket.into())
}

/// The clients that are connected.
#[derive(Default)]
struct Clients(Arc<Mutex<Vec<Arc<UnixStream>>>>);

impl Clients {
    /// Accepts clients until it is told to stop, and then takes no more requests of those that are there.
    fn accept(self, listener: &UnixListener, stop: &OwnedFd, manager: &ManagerHandle) {
        let mut threads: Vec<JoinHandle<()>> = Vec::new();
        loop {
            let mut watched = [
                PollFd::new(stop, PollFlags::IN),
                PollFd::new(listener, PollFlags::IN),
            ];
            let polled = poll(&mut watched, None);
            if !watched[0].revents().is_empty() {
                break;
            }
            if polled.is_err() {
                continue;
            }
            threads.retain(|it| !it.is_finished());
            match listener.accept() {
                Ok((stream, _)) => threads.extend(self.admit(stream, manager)),
                Err(error) => warn!("a client can't be accepted: {error}"),
            }
        }
        for client in &*self.lock() {
            let _ = shutdown(client, Shutdown::Read);
        }
        for thread in threads {
            let _ = thread.join();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<UnixStream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a client on a thread of its own, if it may be served.
    fn admit(&self, stream: UnixStream, manager: &ManagerHandle) -> Option<JoinHandle<()>> {
        if let Err(why) = may_use(&stream) {
            connection::refuse(&stream, &why);
            return None;
        }
        if self.lock().len() >= MOST_CLIENTS {
            connection::refuse(
                &stream,
                &format!("{MOST_CLIENTS} clients are connected already"),
            );
            return None;
        }
        let stream = Arc::new(stream);
        self.lock().push(Arc::clone(&stream));
        let (all, manager) = (Arc::clone(&self.0), manager.clone());
        let serving = move || {
            if let Err(error) = connection::serve(&stream, &manager) {
                debug!("a client is gone: {error}");
            }
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|it| !Arc::ptr_eq(it, &stream));
        };
        let started = thread::Builder::new()
            .name("manager client".to_owned())
            .spawn(serving);
        started
            .inspect_err(|error| warn!("a client can't be served: {error}"))
            .ok()
    }
}

/// Whether the process at the other end may look at the manager: that of the same user may, and of root.
fn may_use(stream: &UnixStream) -> Result<(), String> {
    let own = rustix::process::geteuid().as_raw();
    match peer::user(stream.as_fd()) {
        Ok(user) if user == own || user == 0 => Ok(()),
        Ok(user) => Err(format!("user {user} may not use the manager of user {own}")),
        Err(error) => Err(format!("it can't be told who you are: {error}")),
    }
}
