//! The socket of a remote device, shared by the port that writes and whoever waits for what comes.
//!
//! Who waits takes the receive buffer, and nobody else reads as long. A wait is first a bare `recv`, whose own timeout is a
//! slice of time that is set once: a transfer that is answered within it costs that one system call. A longer wait goes on with
//! `ppoll`, which an event ends at once; so an interruption takes a slice at the most. Before it waits it looks for input a few
//! times, as long as something is found by that: a thread that is awake need not be woken.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::Waker,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
    net::{SendFlags, Shutdown, shutdown, sockopt},
};
use tracing::warn;
use usbwright_protocol::Outside;
use usbwright_wire_io::{Awake, Outbox, Wait, longest};

use super::{PeerError, hang_up::Watched, inlet::Inlet, session::Session, window::PATIENCE};

/// The time that a bare read waits, and by which an interruption may be late.
const SLICE: Duration = Duration::from_millis(10);
/// The processor's pauses between two looks for input: about a µs in all.
const PAUSES: u32 = 64;
/// Reads in one poll; what comes faster is left to the next one.
const READS: u32 = 64;
/// Waits after a write that the socket did not take whole, in which the next such write ends them at once.
const CAREFUL: u32 = 64;

/// Why a remote device is gone.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] PeerError),
}

impl From<Errno> for Ended {
    fn from(errno: Errno) -> Self {
        Self::Broken(errno.into())
    }
}

#[derive(Debug)]
pub(super) struct Wire {
    socket: OwnedFd,
    /// Ends waits.
    event: OwnedFd,
    /// Whether a wait is to end, or the next one not to begin.
    interrupted: AtomicBool,
    /// Whether there is output that the socket does not take at present.
    stuck: AtomicBool,
    /// Whether there is output that waits for the server to work off what it has got.
    holds: AtomicBool,
    /// Whether the server has made a pause while there was.
    paused: AtomicBool,
    /// Waits that begin with `ppoll`, as there may be such output again soon.
    careful: AtomicU32,
    /// Whether the port is gone.
    closed: AtomicBool,
    input: Mutex<Input>,
    changed: Condvar,
    watched: OnceLock<Watched>,
}

#[derive(Debug)]
struct Input {
    /// `None` while somebody reads into it.
    inlet: Option<Inlet>,
    /// Whether something has come that no poll has looked at.
    fresh: bool,
    /// How the stream ended, until a poll has told.
    end: Option<Ended>,
    /// Threads that wait for this to change.
    sleepers: u32,
    /// Polls so far.
    polls: u64,
}

impl Wire {
    /// Takes a socket over, whatever modes it was in.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Arc<Self>> {
        rustix::io::ioctl_fionbio(&socket, false)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(SLICE))?;
        Ok(Arc::new(Self {
            socket,
            event: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            interrupted: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            holds: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            careful: AtomicU32::new(0),
            closed: AtomicBool::new(false),
            input: Mutex::new(Input {
                inlet: Some(Inlet::new()),
                fresh: false,
                end: None,
                sleepers: 0,
                polls: 0,
            }),
            changed: Condvar::new(),
            watched: OnceLock::new(),
        }))
    }

    fn input(&self) -> MutexGuard<'_, Input> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is output that waits for the socket to take it.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// Whether the port is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Writes `room` bytes of what waits, or some more, as far as the socket takes it; tells whether anything was written. A payload that
    /// is begun is ended, if it has to wait for the socket: a server that has a part of it answers nothing, and so nothing else ends a wait.
    pub(super) fn write(&self, out: &mut Outbox, room: usize) -> Result<bool, Ended> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let mut wrote = false;
        let rest = out.len().saturating_sub(room);
        while out.len() > rest || out.is_cut() {
            let room = out.len().saturating_sub(rest).max(1);
            match out.send_some(self.socket.as_fd(), flags, room) {
                Ok(_) => wrote = true,
                Err(Errno::AGAIN) => {
                    self.stick();
                    return Ok(wrote);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.stuck.store(false, Ordering::Relaxed);
        self.holds.store(false, Ordering::Relaxed);
        Ok(wrote)
    }

    /// Output waits until the server has worked off some of what it has got, or makes a pause.
    pub(super) fn hold(&self) {
        self.stuck.store(false, Ordering::Relaxed);
        // Who waits already does not look for a pause.
        if !self.holds.swap(true, Ordering::SeqCst) && self.input().inlet.is_none() {
            self.interrupt();
        }
    }

    /// Whether output waits so.
    pub(super) fn holds(&self) -> bool {
        self.holds.load(Ordering::SeqCst)
    }

    /// Whether the server has made a pause since this was asked last.
    pub(super) fn take_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed) && self.paused.swap(false, Ordering::Relaxed)
    }

    /// The socket takes no more: whoever waits is to wait for that, too.
    fn stick(&self) {
        self.careful.store(CAREFUL, Ordering::Relaxed);
        if !self.stuck.swap(true, Ordering::SeqCst) && self.input().inlet.is_none() {
            self.interrupt();
        }
    }

    /// Hands what has come to the session. Where nobody has waited for it, it looks for more if `look` says so.
    pub(super) fn take(&self, session: &mut Session, look: bool) -> Result<(), Ended> {
        let mut input = self.input();
        input.polls += 1;
        if input.sleepers > 0 {
            self.changed.notify_all();
        }
        let input = &mut *input;
        let fresh = std::mem::take(&mut input.fresh);
        let Some(inlet) = &mut input.inlet else {
            return Ok(());
        };
        if fresh {
            Self::parse(inlet, session)?;
        }
        if let Some(end) = input.end.take() {
            return Err(end);
        }
        if fresh && Self::is_enough(inlet, session) || !fresh && !look {
            return Ok(());
        }
        for _ in 0..READS {
            match inlet.read(self.socket.as_fd(), Wait::Never) {
                Ok(0) => return Err(Ended::Closed),
                Ok(_) => Self::parse(inlet, session)?,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            if Self::is_enough(inlet, session) {
                break;
            }
        }
        Ok(())
    }

    /// Whether there is no point in reading on: nothing is left, or nothing is to come, or what came has to be handed out
    /// first so that its buffer can be used again.
    fn is_enough(inlet: &Inlet, session: &Session) -> bool {
        inlet.is_drained()
            || session.outstanding.is_empty()
            || inlet.is_spent() && !session.completions.is_empty()
    }

    fn parse(inlet: &mut Inlet, session: &mut Session) -> Result<(), PeerError> {
        let need = session.receive(inlet.bytes())?;
        inlet.expect(need, session.usual);
        Ok(())
    }

    /// How many polls there have been.
    pub(super) fn polls(&self) -> u64 {
        self.input().polls
    }

    /// Waits until there has been another poll since there were so many, or the port is gone.
    pub(super) fn wait_polled(&self, polls: u64) {
        let mut input = self.input();
        input.sleepers += 1;
        while input.polls == polls && !self.is_closed() {
            input = self
                .changed
                .wait(input)
                .unwrap_or_else(PoisonError::into_inner);
        }
        input.sleepers -= 1;
    }

    /// Ends the connection and every wait.
    pub(super) fn hang_up(&self) {
        // It fails only where the other end has hung up already.
        let _ = shutdown(&self.socket, Shutdown::Both);
        self.stuck.store(false, Ordering::Relaxed);
        self.interrupt();
    }

    /// The port is gone.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.hang_up();
    }

    /// The buffer, for this thread to read into; or `None` where there is something to poll for, at once or after a while.
    fn take_turn(&self, timeout: Option<Duration>) -> Option<Inlet> {
        let mut input = self.input();
        if input.fresh || input.end.is_some() {
            return None;
        }
        if let Some(inlet) = input.inlet.take() {
            return Some(inlet);
        }
        // What the other thread finds may be for this one, which has to look anyway.
        input.sleepers += 1;
        let mut input = match timeout {
            Some(timeout) => {
                let waited = self.changed.wait_timeout(input, timeout);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.changed.wait(input);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        input.sleepers -= 1;
        None
    }

    /// Looks for input for a while, where that is likely to pay.
    fn look(&self, inlet: &mut Inlet) -> Result<Option<usize>, Errno> {
        let _awake = Awake::new();
        let mut linger = inlet.linger;
        let mut read = None;
        let looked = linger.look(PAUSES, || {
            match inlet.read(self.socket.as_fd(), Wait::Never) {
                Ok(count) => read = Some(count),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            Ok(read.is_some() || self.interrupted.load(Ordering::Relaxed))
        });
        inlet.linger = linger;
        looked.map(|_| read)
    }

    /// Reads, waiting for something to come for `timeout` at the most.
    fn read(&self, inlet: &mut Inlet, timeout: Option<Duration>) -> Result<usize, Errno> {
        if timeout.is_none_or(|timeout| timeout > longest()) {
            match self.look(inlet)? {
                Some(count) => return Ok(count),
                None if self.is_interrupted() => return Err(Errno::AGAIN),
                None => {}
            }
        }
        let careful = self.careful.load(Ordering::Relaxed);
        let mut timeout = timeout;
        if careful > 0 {
            self.careful.store(careful - 1, Ordering::Relaxed);
        } else if timeout.is_none_or(|timeout| timeout >= SLICE) {
            match inlet.read(self.socket.as_fd(), Wait::ForSome) {
                Err(Errno::AGAIN) => timeout = timeout.map(|timeout| timeout - SLICE),
                read => return read,
            }
        }
        if self.is_interrupted() || !self.wait_ready(timeout)? {
            return Err(Errno::AGAIN);
        }
        inlet.read(self.socket.as_fd(), Wait::Never)
    }

    /// Waits until something has come or, where output waits for it, the socket takes more; tells whether something has come.
    fn wait_ready(&self, timeout: Option<Duration>) -> Result<bool, Errno> {
        let mut wanted = PollFlags::IN;
        wanted.set(PollFlags::OUT, self.stuck.load(Ordering::SeqCst));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut events = [
            PollFd::new(&self.socket, wanted),
            PollFd::new(&self.event, PollFlags::IN),
        ];
        poll(&mut events, timeout.as_ref())?;
        let [socket, event] = events.map(|it| it.revents());
        if !event.is_empty() {
            // There is none where two waits have ended by one event.
            let _ = rustix::io::read(&self.event, &mut [0; 8]);
            self.interrupted.store(false, Ordering::Release);
        }
        Ok(!(socket - PollFlags::OUT).is_empty())
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed) && self.interrupted.swap(false, Ordering::AcqRel)
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Outside for Wire {
    fn wait(&self, timeout: Option<Duration>) {
        if self.is_interrupted() {
            return;
        }
        if self.stuck.load(Ordering::SeqCst) {
            // What fails here fails again when it is written.
            let _ = self.wait_ready(timeout);
            return;
        }
        let Some(mut inlet) = self.take_turn(timeout) else {
            return;
        };
        // Not before the turn is taken: whoever holds output back from now on ends this wait.
        let holds = self.holds();
        let timeout = match timeout {
            Some(timeout) if holds => Some(timeout.min(PATIENCE)),
            None if holds => Some(PATIENCE),
            timeout => timeout,
        };
        let read = self.read(&mut inlet, timeout);
        if holds && read == Err(Errno::AGAIN) {
            self.paused.store(true, Ordering::Relaxed);
        }
        let mut input = self.input();
        input.inlet = Some(inlet);
        match read {
            Ok(0) => input.end = Some(Ended::Closed),
            Ok(_) => input.fresh = true,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => input.end = Some(errno.into()),
        }
        if input.sleepers > 0 {
            self.changed.notify_all();
        }
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        // It fails only where the counter is full, and then the wait ends all the same.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        let input = self.input();
        if input.sleepers > 0 {
            self.changed.notify_all();
        }
    }

    fn watch(&self, waker: Waker) {
        match Watched::begin(&self.socket, waker) {
            Ok(watched) => {
                let _ = self.watched.set(watched);
            }
            Err(error) => warn!(
                "that a USB/IP server hangs up is noticed only when something is asked of it: {error}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_payload_that_the_socket_takes_a_part_of_waits_for_the_socket() {
        let (ours, _servers) = UnixStream::pair().unwrap();
        let wire = Wire::new(ours.into()).unwrap();
        let mut out = Outbox::default();
        out.push_message(&[0; 48]);
        out.push_payload(Bytes::from(vec![0; 16 << 20]));
        assert_eq!(wire.write(&mut out, 1000).ok(), Some(true));
        assert!(!out.is_empty());
        assert!(wire.is_stuck());
    }
}
