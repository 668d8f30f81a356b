//! The files that sockets leave behind.

use std::{
    fs, io,
    os::{fd::AsFd, unix::fs::FileTypeExt as _},
    path::Path,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};

/// Makes way for a UNIX socket at `path`: removes the file of a stream socket that nobody listens at any more. A socket that somebody
/// listens at is left alone, and binding there fails. It does not block.
///
/// # Errors
/// Where there is something else, such as a file with data in it, which is left alone; and where the system does not let one look or remove.
pub fn remove_stale_socket(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => {
            let told = format!(
                "{} is there and is no socket: choose another path",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, told));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    match reach(path) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path),
        _ => Ok(()),
    }
}

/// Connects, unless that takes time.
fn reach(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(socket.as_fd(), &SocketAddrUnix::new(path)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    #[test]
    fn the_socket_of_a_dead_server_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        remove_stale_socket(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        remove_stale_socket(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn the_socket_of_a_server_that_listens_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        remove_stale_socket(&path).unwrap();
        assert!(path.exists());
        listener.accept().unwrap();
    }

    #[test]
    fn what_is_no_socket_stays_as_it_is_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "precious").unwrap();
        let link = folder.path().join("link");
        symlink(&file, &link).unwrap();
        for path in [&file, &link, &folder.path().to_owned()] {
            let told = remove_stale_socket(path).unwrap_err().to_string();
            assert!(
                told.ends_with("is no socket: choose another path"),
                "{told}"
            );
        }
        assert_eq!(fs::read_to_string(&link).unwrap(), "precious");
    }
}
