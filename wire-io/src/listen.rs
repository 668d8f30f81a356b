//! Listening at a UNIX socket, whose file may be there already.

use std::{
    fs,
    io::{Error, ErrorKind, Result},
    os::unix::{fs::FileTypeExt as _, net::UnixListener},
    path::Path,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};

/// Listens at a UNIX stream socket. The file of a socket that nobody listens at any more is replaced; any other file is left alone.
/// The listener does not block, and its file is there until somebody removes it.
///
/// # Errors
/// Where somebody listens there already, the path names something else than a socket, or the system refuses.
pub fn listen(path: &Path) -> Result<UnixListener> {
    remove_stale(path)?;
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Removes the file of a UNIX socket that nobody listens at any more.
fn remove_stale(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => {
            let told = format!(
                "{} is there and is no socket: choose another path",
                path.display()
            );
            return Err(Error::new(ErrorKind::AlreadyExists, told));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    // One that is busy does not keep us waiting.
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&socket, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path of this test's own, at which there is nothing.
    fn path(name: &str) -> std::path::PathBuf {
        let name = format!("usbwright-listen-{name}-{}", std::process::id());
        std::env::temp_dir().join(name)
    }

    #[test]
    fn the_socket_of_a_server_that_is_gone_is_replaced_and_that_of_another_is_not() {
        let path = path("socket");
        drop(listen(&path).unwrap());
        let listener = listen(&path).unwrap();
        assert_eq!(listen(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(listener);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let path = path("file");
        fs::write(&path, "notes").unwrap();
        let refused = listen(&path).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert!(
            refused
                .to_string()
                .ends_with("is no socket: choose another path")
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "notes");
        fs::remove_file(path).unwrap();
    }
}
