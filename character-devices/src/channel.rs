//! The channel to the kernel: what is answered there is a character device, as long as the channel is open.

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    io::{Errno, read, writev},
};
use thiserror::Error;

use crate::wire::{BadMessage, Body, MAJOR, MESSAGE_SIZE, Message, OLDEST_MINOR, Reply};

/// Where channels are opened.
pub const CUSE: &str = "/dev/cuse";

/// How long a kernel may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no character device.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The kernel has no CUSE, or its module is not loaded.
    #[error(
        "there is no {CUSE}: have the kernel's module loaded, as root, with `modprobe cuse` (CONFIG_CUSE)"
    )]
    NoCuse,
    /// This user may not use it.
    #[error("{CUSE} is not for this user: run this as root, or let the user read and write it")]
    Denied,
    /// It can't be used.
    #[error("{CUSE} can't be used: {0}")]
    Io(#[from] io::Error),
    /// The kernel says what makes no sense.
    #[error("the kernel sent {0}")]
    Bad(#[from] BadMessage),
    /// It begins in another way than with what it has to.
    #[error("the kernel did not begin with CUSE_INIT")]
    NotInit,
    /// It speaks another protocol.
    #[error("the kernel speaks FUSE {major}.{minor}, and not {MAJOR}.{OLDEST_MINOR} or a newer 7")]
    Version {
        /// The kernel's version.
        major: u32,
        /// Its minor version.
        minor: u32,
    },
    /// It does not let an ioctl's memory be asked for.
    #[error("the kernel restricts ioctls")]
    Restricted,
    /// It has not made the device.
    #[error("the kernel refuses a device {name}: mostly there is one of that name already")]
    Refused {
        /// The name.
        name: String,
    },
}

/// Whether character devices can be made here.
///
/// # Errors
/// Why not.
pub fn probe() -> Result<(), StartError> {
    open().map(drop)
}

/// A channel to the kernel, over which nothing was said yet.
pub(crate) fn open() -> Result<OwnedFd, StartError> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(CUSE, flags, Mode::empty()).map_err(|error| match error {
        // The file may be there, and nobody behind it.
        Errno::NOENT | Errno::NXIO | Errno::NODEV => StartError::NoCuse,
        Errno::ACCESS | Errno::PERM => StartError::Denied,
        error => StartError::Io(error.into()),
    })
}

/// Makes the device that has this name below `/dev`, in which a `!` stands for a `/`.
pub(crate) fn begin(channel: &impl AsFd, name: &str) -> Result<(), StartError> {
    let io = |error: Errno| StartError::Io(error.into());
    if !wait_for(channel, PollFlags::IN, PATIENCE).map_err(io)? {
        return Err(StartError::Io(io::ErrorKind::TimedOut.into()));
    }
    let mut buffer = vec![0; MESSAGE_SIZE];
    let length = read(channel, &mut buffer[..]).map_err(io)?;
    let message = Message::decode(&buffer[..length])?;
    let Body::Init {
        major,
        minor,
        unrestricted,
    } = message.body
    else {
        return Err(StartError::NotInit);
    };
    if major != MAJOR || minor < OLDEST_MINOR {
        return Err(StartError::Version { major, minor });
    }
    if !unrestricted {
        return Err(StartError::Restricted);
    }
    send(channel, &Reply::init(message.unique, minor, name)).map_err(io)?;
    // The device is there by now, or the kernel has given the channel up.
    match wait_for(channel, PollFlags::empty(), Duration::ZERO).map_err(io)? {
        false => Ok(()),
        true => Err(StartError::Refused {
            name: name.replace('!', "/"),
        }),
    }
}

/// Whether this, or an error, is to be told of the channel within that time.
fn wait_for(channel: &impl AsFd, what: PollFlags, limit: Duration) -> Result<bool, Errno> {
    let limit = Timespec::try_from(limit).map_err(|_| Errno::INVAL)?;
    let mut watched = [PollFd::new(channel, what)];
    loop {
        match poll(&mut watched, Some(&limit)) {
            Ok(told) => return Ok(told > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends an answer, all of it at once.
pub(crate) fn send(channel: &impl AsFd, reply: &Reply) -> Result<(), Errno> {
    let parts = reply.parts().map(IoSlice::new);
    writev(channel, &parts).map(drop)
}
