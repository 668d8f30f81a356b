//! The data path of one attached device: a thread that moves bytes between a socket and a session.

use std::{
    io::{self, IoSlice, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{SendAncillaryBuffer, SendFlags, sendmsg},
};
use tracing::debug;

use super::{
    Limits, SessionError,
    intake::Intake,
    session::{Need, Session},
};
use crate::bus::Lease;

/// Slices in one gathered write.
const SLICES: usize = 128;

/// Why a client's session with a device has ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The client closed the connection.
    #[error("the client closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// The device was unplugged.
    #[error("the device was unplugged")]
    Unplugged,
    /// The client broke the protocol.
    #[error("the client broke the protocol: {0}")]
    Protocol(#[from] SessionError),
}

impl From<Errno> for Ended {
    fn from(errno: Errno) -> Self {
        Self::Broken(errno.into())
    }
}

/// Serves a leased device to the client at the other end of `socket`, after the import has been answered, until either
/// is gone. The device is given back then.
///
/// It blocks, and belongs on a thread of its own, whose timers it makes exact. To end it from outside, shut the socket down or unplug the device.
pub fn serve(socket: &OwnedFd, lease: Lease, limits: Limits) -> Ended {
    wake_in_time();
    match Link::new(socket, lease, limits).and_then(Link::run) {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

/// Has this thread woken when a (micro)frame begins: by default Linux may be 50 µs late, which is much of a microframe.
fn wake_in_time() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)) {
        debug!("transfers may be late by the system's timer slack: {error}");
    }
}

struct Link<'a> {
    socket: &'a OwnedFd,
    lease: Lease,
    session: Session,
    intake: Intake,
    bell: Arc<Bell>,
    bell_end: UnixStream,
}

impl<'a> Link<'a> {
    fn new(socket: &'a OwnedFd, mut lease: Lease, limits: Limits) -> Result<Self, Ended> {
        let (bell, bell_end) = Bell::new()?;
        lease.port().set_waker(Waker::from(Arc::clone(&bell)));
        lease.set_waker(Waker::from(Arc::clone(&bell)));
        Ok(Self {
            socket,
            lease,
            session: Session::new(limits),
            intake: Intake::new(),
            bell,
            bell_end,
        })
    }

    fn run(mut self) -> Result<std::convert::Infallible, Ended> {
        // Whether the socket had nothing left when it was last read.
        let mut drained = false;
        loop {
            let now = Instant::now();
            self.attend(now)?;
            let need = self
                .session
                .run(self.intake.bytes(), self.lease.port(), now)?;
            let blocked = !self.write()?;
            if !self.lease.port().is_connected() {
                // It went while it ran a command, after which there may be nothing to wake up for.
                return Err(Ended::Unplugged);
            }
            match need {
                _ if blocked => self.wait(PollFlags::OUT)?,
                Need::Room => {}
                Need::Input(_) if drained => {
                    self.wait(PollFlags::IN)?;
                    drained = false;
                }
                Need::Input(size) => drained = self.read(size)?,
            }
        }
    }

    /// Looks after everything but the socket: the bell and the deadline.
    fn attend(&mut self, now: Instant) -> Result<(), Ended> {
        let rung = self.bell.take();
        let due = |time| time <= now;
        if rung || self.session.deadline(self.lease.port()).is_some_and(due) {
            self.session.poll(self.lease.port(), now);
        }
        if rung && self.lease.is_revoked() || !self.lease.port().is_connected() {
            return Err(Ended::Unplugged);
        }
        Ok(())
    }

    /// Reads once, towards `size` bytes of input; tells whether the socket has nothing left.
    fn read(&mut self, size: usize) -> Result<bool, Ended> {
        match self.intake.read(self.socket.as_fd(), size) {
            Ok((0, _)) => Err(Ended::Closed),
            Ok((_, drained)) => Ok(drained),
            Err(Errno::AGAIN) => Ok(true),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Writes what waits, and tells whether all of it is written.
    fn write(&mut self) -> Result<bool, Ended> {
        while !self.session.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.session.out.gather(&mut slices);
            let mut ancillary = SendAncillaryBuffer::default();
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match sendmsg(self.socket, &slices[..count], &mut ancillary, flags) {
                Ok(written) => self.session.out.advance(written),
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }

    /// Waits for the socket, the bell or, while it is input that is awaited, the deadline.
    fn wait(&mut self, events: PollFlags) -> Result<(), Ended> {
        let deadline = match events {
            PollFlags::IN => self.session.deadline(self.lease.port()),
            _ => None,
        };
        let timeout = deadline.map(|time| time.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut events = [
            PollFd::new(self.socket, events),
            PollFd::new(&self.bell_end, PollFlags::IN),
        ];
        match poll(&mut events, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if !events[1].revents().is_empty() {
            silence(&self.bell_end);
        }
        Ok(())
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        debug!(busid = %self.lease.bus_id(), "session has ended");
    }
}

/// Wakes a link's thread while it waits for its socket.
struct Bell {
    rung: AtomicBool,
    other_end: UnixStream,
}

impl Bell {
    fn new() -> io::Result<(Arc<Self>, UnixStream)> {
        let (bell_end, other_end) = UnixStream::pair()?;
        bell_end.set_nonblocking(true)?;
        other_end.set_nonblocking(true)?;
        let bell = Self {
            rung: AtomicBool::new(false),
            other_end,
        };
        Ok((Arc::new(bell), bell_end))
    }

    /// Whether it has rung since this was last asked. Its byte, which may come later than this, is left for the next wait.
    fn take(&self) -> bool {
        self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::AcqRel)
    }
}

/// Takes the bytes away that have ended a wait.
fn silence(mut bell_end: &UnixStream) {
    while matches!(bell_end.read(&mut [0; 64]), Ok(1..)) {}
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // A full socket has bytes enough to wake the thread.
            let _ = (&self.other_end).write(&[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Bus, testing::waiting_device};

    /// Whether a wait ends before its time.
    fn is_awake(link: &Link<'_>) -> bool {
        let mut events = [PollFd::new(&link.bell_end, PollFlags::IN)];
        let timeout = Timespec::try_from(Duration::ZERO).unwrap();
        poll(&mut events, Some(&timeout)).unwrap() > 0
    }

    #[test]
    fn a_ring_that_is_seen_before_its_byte_comes_does_not_keep_the_thread_spinning() {
        let now = Instant::now();
        let bus = Bus::new();
        let (device, _) = waiting_device(now);
        let bus_id = bus.plug(Box::new(device), None).unwrap();
        let (server, _client) = UnixStream::pair().unwrap();
        let socket = OwnedFd::from(server);
        let lease = bus.lease(&bus_id, now).unwrap();
        let mut link = Link::new(&socket, lease, Limits::default()).unwrap();
        // The flag is set and seen, and the byte comes after that.
        assert!(!link.bell.rung.swap(true, Ordering::AcqRel));
        link.attend(now).unwrap();
        (&link.bell.other_end).write_all(&[0]).unwrap();
        link.wait(PollFlags::IN).unwrap();
        link.attend(now).unwrap();
        assert!(!is_awake(&link));
        // A ring that nobody has seen still ends the next wait.
        link.bell.wake_by_ref();
        assert!(is_awake(&link));
    }
}
