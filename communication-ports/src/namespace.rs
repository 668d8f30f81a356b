//! Where the names of ports are: directories of sockets.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{
            DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
        socket_with,
    },
};

use crate::{CreateError, PortName, socket::Socket};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;

/// A directory in which ports have their names: each port is a socket there.
///
/// Whoever may write to the directory may make ports in it, and nobody else; so a client that trusts the directory's owner can trust the
/// ports. Who may connect to a port is for the port's [`SecurityDescriptor`](crate::SecurityDescriptor) to say.
///
/// Beside each socket is a file `.NAME.lock`, which its server holds locked (`flock`). The kernel lets go of the lock when the server dies, so
/// that the name is free at once, and whoever has the lock may remove a dead server's socket. A live server's socket is not touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameSpace(PathBuf);

impl NameSpace {
    /// This user's: `$XDG_RUNTIME_DIR/usbwright/ports`, or `/run/user/UID/usbwright/ports` where that is not set.
    pub fn user() -> Self {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|it| !it.is_empty());
        let base = runtime.map_or_else(
            || format!("/run/user/{}", rustix::process::geteuid().as_raw()).into(),
            PathBuf::from,
        );
        Self(base.join("usbwright/ports"))
    }

    /// The system's: `/run/usbwright/ports`, in which root makes ports.
    pub fn system() -> Self {
        Self("/run/usbwright/ports".into())
    }

    /// Any directory. A port makes it where it is missing: for all to read, and for its user to write.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// Where the socket of a port is.
    pub(crate) fn path(&self, name: &PortName) -> PathBuf {
        self.0.join(name.as_str())
    }

    /// Connects to the socket of a name.
    #[doc(hidden)]
    pub fn connect(&self, name: &PortName, socket: &Socket) -> Result<(), Errno> {
        connect(socket, &SocketAddrUnix::new(self.path(name))?)
    }
}

/// The socket at which a port is listened for, and its name. Both go when this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    lock_path: PathBuf,
    /// The lock is held for as long as this is open.
    _lock: File,
}

impl Listener {
    /// Takes the name, and listens; for everybody if `open`, otherwise for this user and root.
    ///
    /// # Errors
    /// Where the name is in use, or the system refuses it.
    pub fn bind(space: &NameSpace, name: &PortName, open: bool) -> Result<Self, CreateError> {
        let path = space.path(name);
        let lock_path = space.0.join(format!(".{name}.lock"));
        let address = SocketAddrUnix::new(&path).map_err(|_| CreateError::Path(path.clone()))?;
        make_directory(&space.0)?;
        let lock = lock(&lock_path)?.ok_or_else(|| CreateError::NameCollision(name.clone()))?;
        // Whoever has the lock is the only one to make or remove the socket: if there is one, its server is dead.
        remove_socket(&path)?;
        let socket = bound(&address)?;
        let listener = Self {
            socket,
            path,
            lock_path,
            _lock: lock,
        };
        // Nobody can connect before it listens, and so nobody gets past the mode.
        let mode = if open { 0o666 } else { 0o600 };
        fs::set_permissions(&listener.path, Permissions::from_mode(mode))?;
        listen(&listener.socket, BACKLOG).map_err(io::Error::from)?;
        Ok(listener)
    }

    /// A client that waits to be accepted, if there is one.
    ///
    /// # Errors
    /// Where the system has no room for a connection.
    pub fn accept(&self) -> io::Result<Option<Socket>> {
        match accept_with(&self.socket, SocketFlags::CLOEXEC) {
            Ok(socket) => Ok(Some(socket.into())),
            Err(Errno::AGAIN) => Ok(None),
            Err(Errno::INTR | Errno::CONNABORTED) => self.accept(),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.lock_path);
    }
}

fn bound(address: &SocketAddrUnix) -> io::Result<OwnedFd> {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    bind(&socket, address)?;
    Ok(socket)
}

fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)
}

/// Locks a file, which is made if need be; none where another process has the lock.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // A server that ended meanwhile has removed the file: another may have made a new one.
        let mine = file.metadata()?;
        match fs::symlink_metadata(path) {
            Ok(now) if (now.dev(), now.ino()) == (mine.dev(), mine.ino()) => return Ok(Some(file)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes the socket that a dead server has left. What is no socket is left alone, and binding fails.
fn remove_socket(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match fs::symlink_metadata(path) {
        Ok(it) if it.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{} is no socket", path.display()),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> (tempfile::TempDir, NameSpace, PortName) {
        let directory = tempfile::tempdir().unwrap();
        let space = NameSpace::at(directory.path().join("ports"));
        (directory, space, "Scanner".parse().unwrap())
    }

    #[test]
    fn a_name_in_use_is_refused_and_free_once_its_port_has_gone() {
        let (_directory, space, name) = space();
        let first = Listener::bind(&space, &name, false).unwrap();
        let second = Listener::bind(&space, &name, false);
        assert!(matches!(second, Err(CreateError::NameCollision(it)) if it == name));
        drop(first);
        assert_eq!(fs::read_dir(space.directory()).unwrap().count(), 0);
        Listener::bind(&space, &name, false).unwrap();
    }

    #[test]
    fn the_socket_that_a_dead_server_left_is_replaced() {
        let (_directory, space, name) = space();
        fs::create_dir_all(space.directory()).unwrap();
        std::os::unix::net::UnixListener::bind(space.path(&name)).unwrap();
        Listener::bind(&space, &name, false).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_not_removed() {
        let (_directory, space, name) = space();
        fs::create_dir_all(space.directory()).unwrap();
        fs::write(space.path(&name), "precious").unwrap();
        let refused = Listener::bind(&space, &name, false);
        assert!(matches!(refused, Err(CreateError::Io(_))), "{refused:?}");
        assert_eq!(fs::read(space.path(&name)).unwrap(), b"precious");
    }

    #[test]
    fn a_socket_is_for_others_only_if_the_port_is() {
        let (_directory, space, name) = space();
        for (open, mode) in [(false, 0o600), (true, 0o666)] {
            let _listener = Listener::bind(&space, &name, open).unwrap();
            let metadata = fs::metadata(space.path(&name)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, mode);
        }
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_told() {
        let space = NameSpace::at("/tmp/".to_owned() + &"x".repeat(100));
        let refused = Listener::bind(&space, &"Scanner".parse().unwrap(), false);
        assert!(matches!(refused, Err(CreateError::Path(_))), "{refused:?}");
    }

    #[test]
    fn of_many_who_want_a_name_at_once_one_gets_it() {
        let (_directory, space, name) = space();
        for _ in 0..100 {
            let barrier = std::sync::Barrier::new(4);
            let taken = std::thread::scope(|scope| {
                let tries = [(); 4].map(|()| {
                    scope.spawn(|| {
                        barrier.wait();
                        let listener = Listener::bind(&space, &name, false).ok();
                        barrier.wait();
                        listener.is_some()
                    })
                });
                tries.map(|it| it.join().unwrap())
            });
            assert_eq!(taken.iter().filter(|it| **it).count(), 1);
        }
    }
}
