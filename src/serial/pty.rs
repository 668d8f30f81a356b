//! A pseudoterminal at the other end of a line.

use std::{
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::symlink,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, inotify},
    io::Errno,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use tracing::debug;

use super::{
    ConnectError,
    line::{End, Line, Peer},
};

/// A pseudoterminal, of which programs open the one side; its link is removed with it.
#[derive(Debug)]
pub(super) struct Pty {
    master: OwnedFd,
    path: PathBuf,
    link: Option<PathBuf>,
    /// Tells when a program opens it.
    opened: OwnedFd,
}

impl Pty {
    /// Makes one, in raw mode, of which no byte is special. A link that is there already is replaced where it leads to a terminal.
    pub(super) fn new(link: Option<&Path>) -> Result<Self, ConnectError> {
        let (master, path, opened) = make().map_err(ConnectError::Pty)?;
        let link = link.map(Path::to_owned);
        if let Some(link) = &link {
            make_link(&path, link).map_err(|cause| ConnectError::Link {
                link: link.clone(),
                cause,
            })?;
        }
        Ok(Self {
            master,
            path,
            link,
            opened,
        })
    }

    /// Where programs find it.
    pub(super) fn told(&self) -> String {
        let path = self.path.display();
        match &self.link {
            Some(link) => format!("terminal at {} ({path})", link.display()),
            None => format!("terminal at {path}"),
        }
    }

    /// Serves one program after the other, until the line is over.
    pub(super) fn serve(&self, line: &mut Line) -> io::Result<()> {
        while line.wait_for(Some(self.opened.as_fd()), None)? {
            self.forget_openings();
            debug!(path = %self.path.display(), "a program has opened the terminal");
            line.set_carrier(true);
            let peer = Peer {
                input: Some(self.master.as_fd()),
                output: self.master.as_fd(),
                blocking: false,
            };
            let end = line.run(peer)?;
            line.set_carrier(false);
            if end == End::Over {
                break;
            }
        }
        Ok(())
    }

    /// Takes the openings away that were told; one that comes later is told again.
    fn forget_openings(&self) {
        let mut buffer = [0; 4096];
        while rustix::io::read(&self.opened, &mut buffer).is_ok_and(|count| count > 0) {}
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let ours = |link: &&PathBuf| fs::read_link(link).is_ok_and(|it| it == self.path);
        if let Some(link) = self.link.as_ref().filter(ours) {
            let _ = fs::remove_file(link);
        }
    }
}

fn make() -> io::Result<(OwnedFd, PathBuf, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    rustix::io::ioctl_fionbio(&master, true)?;
    let path = ptsname(&master, Vec::new())?;
    let path = PathBuf::from(path.to_string_lossy().into_owned());
    // Once this is closed, the other side tells that nobody has it open.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(&path, flags, Mode::empty())?;
    let mut settings = tcgetattr(&slave)?;
    settings.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &settings)?;
    drop(slave);
    let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
    let opened = inotify::init(flags)?;
    inotify::add_watch(&opened, &path, inotify::WatchFlags::OPEN)?;
    Ok((master, path, opened))
}

fn make_link(path: &Path, link: &Path) -> io::Result<()> {
    match symlink(path, link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let leads_to = fs::read_link(link).map_err(|_| error)?;
            if leads_to.parent() != path.parent() {
                return Err(Errno::EXIST.into());
            }
            // A server that was killed has left it.
            fs::remove_file(link)?;
            symlink(path, link)
        }
        result => result,
    }
}
