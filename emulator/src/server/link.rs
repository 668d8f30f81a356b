//! The data path of one attached device: a thread that moves bytes between a socket and a session.

use std::{
    convert::Infallible,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{SendFlags, sockopt},
};
use tracing::debug;
use usbwright_protocol::Now;
use usbwright_wire_io::{Awake, Bell, Intake, Linger, Wait, longest};

use super::{
    Limits, SessionError,
    hang_up::HangUp,
    session::{Need, Session},
};
use crate::bus::Lease;

/// The processor's pauses between two looks at the socket, each of which takes its locks: about a µs in all.
const PAUSES: u32 = 64;
/// The same while a command is on its way: the more of it comes at a time, the less its sender is held up.
const PAUSES_WITHIN: u32 = 200;
/// After so long with nothing to do, a link gives its large buffers back.
const IDLE: Duration = Duration::from_secs(1);

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
/// It blocks, and belongs on a thread of its own, whose timers it makes exact. To end it from outside, shut the socket down
/// or unplug the device.
pub fn serve(socket: &Arc<OwnedFd>, lease: Lease, limits: Limits) -> Ended {
    wake_in_time();
    match Link::new(socket, lease, limits) {
        Ok(mut link) => match link.run() {
            // However it ended: the socket is shut down where the device is unplugged.
            Err(_) if link.lease.is_revoked() => Ended::Unplugged,
            Err(ended) => ended,
            Ok(never) => match never {},
        },
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
    socket: &'a Arc<OwnedFd>,
    /// It goes before the lease: what it counts is settled before another session can have the device.
    session: Session,
    lease: Lease,
    intake: Intake,
    /// Whether the socket had nothing left when it was last read.
    drained: bool,
    linger: Linger,
    awake: Awake,
    bell: Arc<Bell>,
    /// Whether the socket's reads end after [`IDLE`].
    timed: bool,
}

impl<'a> Link<'a> {
    fn new(socket: &'a Arc<OwnedFd>, mut lease: Lease, limits: Limits) -> Result<Self, Ended> {
        rustix::io::ioctl_fionbio(socket, false)?;
        let bell = Bell::new()?;
        lease.port().set_waker(Waker::from(Arc::clone(&bell)));
        lease.set_waker(Waker::from(HangUp::new(socket)));
        Ok(Self {
            socket,
            session: Session::new(limits).counted_by(lease.counters()),
            lease,
            intake: Intake::new(),
            drained: false,
            linger: Linger::default(),
            awake: Awake::new(),
            bell,
            timed: false,
        })
    }

    fn run(&mut self) -> Result<Infallible, Ended> {
        loop {
            let due = |deadline| deadline <= Instant::now();
            if self.bell.take() || self.deadline().is_some_and(due) {
                self.session.poll(self.lease.port(), Instant::now());
            }
            self.session.early = self.linger.pays();
            let need = self
                .session
                .run(self.intake.bytes(), self.lease.port(), Now::SYSTEM)?;
            let written = self.write()?;
            if !self.lease.port().is_connected() {
                // It went while it ran a command, after which there may be nothing to wake up for.
                return Err(Ended::Unplugged);
            }
            match need {
                _ if !written => self.wait(PollFlags::OUT)?,
                Need::Room => {}
                Need::Input(size) => self.read(size)?,
            }
        }
    }

    fn deadline(&mut self) -> Option<Instant> {
        self.session.deadline(self.lease.port())
    }

    /// Reads towards `size` bytes of input; returns when something has come, or there is something else to do.
    fn read(&mut self, size: usize) -> Result<(), Ended> {
        if !self.drained && self.receive(size, Wait::Never)? {
            return Ok(());
        }
        if self.look(size)? {
            return Ok(());
        }
        if self.is_alone() {
            return self.sleep(size);
        }
        self.wait(PollFlags::IN)?;
        self.drained = false;
        Ok(())
    }

    /// Looks for something to do for a while, where that is likely to pay and the device wants nothing meanwhile.
    fn look(&mut self, size: usize) -> Result<bool, Ended> {
        let soon = |deadline| deadline < Instant::now() + longest();
        if self.deadline().is_some_and(soon) {
            return Ok(false);
        }
        let mut linger = self.linger;
        let pauses = match self.intake.bytes().is_empty() {
            true => PAUSES,
            false => PAUSES_WITHIN,
        };
        let found = linger.look(pauses, || {
            Ok(self.receive(size, Wait::Never)? || self.bell.is_rung())
        });
        self.linger = linger;
        found
    }

    /// Whether nothing but the socket gives this link something to do.
    fn is_alone(&mut self) -> bool {
        self.deadline().is_none() && !self.lease.port().may_wake() && !self.bell.is_rung()
    }

    /// Waits for the socket alone, which saves a system call.
    fn sleep(&mut self, size: usize) -> Result<(), Ended> {
        if self.intake.is_large() != self.timed {
            self.timed = !self.timed;
            let timeout = self.timed.then_some(IDLE);
            sockopt::set_socket_timeout(self.socket, sockopt::Timeout::Recv, timeout)?;
        }
        if !self.receive(size, Wait::ForSome)? {
            self.release();
        }
        Ok(())
    }

    /// Gives large buffers back, as nothing has come for long.
    fn release(&mut self) {
        self.intake.release();
        self.session.release();
    }

    /// Reads once, towards `size` bytes of input; tells whether anything has come.
    fn receive(&mut self, size: usize, wait: Wait) -> Result<bool, Ended> {
        let socket = self.socket.as_fd();
        let usual = self.session.usual();
        let mut read = || self.intake.read(socket, size, usual, wait);
        let read = match wait {
            Wait::ForSome => self.awake.sleep(read),
            Wait::Never => read(),
        };
        match read {
            Ok((0, _)) => Err(Ended::Closed),
            Ok((_, drained)) => {
                self.drained = drained;
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Writes what waits, and tells whether all of it is written. Where only the socket matters, it waits for that.
    fn write(&mut self) -> Result<bool, Ended> {
        let alone = self.is_alone();
        while !self.session.out.is_empty() {
            let mut flags = SendFlags::NOSIGNAL;
            flags.set(SendFlags::DONTWAIT, !alone);
            match self.session.out.send(self.socket.as_fd(), flags) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }

    /// Waits for the socket, the bell or, while it is input that is awaited, the deadline.
    fn wait(&mut self, events: PollFlags) -> Result<(), Ended> {
        let input = events == PollFlags::IN;
        let deadline = if input { self.deadline() } else { None };
        let due = deadline.map(|time| time.saturating_duration_since(Instant::now()));
        let idle = (input && self.intake.is_large()).then_some(IDLE);
        let timeout = due.into_iter().chain(idle).min();
        let timespec = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut events = [
            PollFd::new(self.socket, events),
            PollFd::new(&self.bell, PollFlags::IN),
        ];
        let ready = self.awake.sleep(|| poll(&mut events, timespec.as_ref()));
        if !events[1].revents().is_empty() {
            self.bell.silence();
        }
        match ready {
            Ok(0) if timeout == idle => self.release(),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        debug!(busid = %self.lease.bus_id(), "session has ended");
    }
}
