//! Moves bytes between a port's terminal and file descriptors, on the line's own thread.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tracing::debug;
use usbwright_wire_io::Bell;

use crate::models::serial::{Changes, StatusLines, Terminal};

/// Bytes that are read or written at once.
const CHUNK: usize = 64 << 10;
/// Of a descriptor that may block: what is written once it says that it takes something (PIPE_BUF).
const SURE: usize = 4096;

/// Why [`Line::run`] has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The peer has closed.
    Closed,
    /// The device is gone, or nobody wants the line any more.
    Over,
}

/// What a line is connected to for the time being.
#[derive(Debug)]
pub(super) struct Peer<'a> {
    /// Where its bytes come from, until there are no more.
    pub(super) input: Option<BorrowedFd<'a>>,
    /// Where the host's bytes go to.
    pub(super) output: BorrowedFd<'a>,
    /// The descriptors may block, as they are others' too.
    pub(super) blocking: bool,
}

/// A port's line, with what has been read on either side and is not written on the other one.
#[derive(Debug)]
pub(super) struct Line {
    terminal: Terminal,
    /// Tells when the device is gone while nobody is connected.
    changes: Changes,
    bell: Arc<Bell>,
    /// The thread is to end; the bell rings then.
    ends: Arc<AtomicBool>,
    waker: Waker,
    buffer: Box<[u8]>,
    from_host: Bytes,
    to_host: Bytes,
}

/// What is known of a peer's descriptors.
struct Ready {
    reads: bool,
    writes: bool,
    /// It has hung up: what it wrote before is to be read, and nothing to be written.
    hung_up: bool,
}

impl Line {
    pub(super) fn new(terminal: Terminal, bell: Arc<Bell>, ends: Arc<AtomicBool>) -> Self {
        Self {
            changes: terminal.changes(),
            terminal,
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            ends,
            buffer: vec![0; CHUNK].into(),
            from_host: Bytes::new(),
            to_host: Bytes::new(),
        }
    }

    /// Tells the host whether somebody is at the other end.
    pub(super) fn set_carrier(&self, there: bool) {
        self.terminal.set_lines(StatusLines {
            data_carrier_detect: there,
            data_set_ready: there,
        });
    }

    /// Waits until a descriptor can be read, or for so long. `false` once the line is over.
    pub(super) fn wait_for(
        &mut self,
        descriptor: Option<BorrowedFd<'_>>,
        limit: Option<Duration>,
    ) -> io::Result<bool> {
        loop {
            if self.is_over() {
                return Ok(false);
            }
            let bell = Arc::clone(&self.bell);
            let mut fds = vec![PollFd::from_borrowed_fd(bell.as_fd(), PollFlags::IN)];
            fds.extend(descriptor.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            let ready = wait(&mut fds, limit)?;
            let readable = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
            self.bell.answer();
            if readable || ready == 0 {
                return Ok(!self.is_over());
            }
        }
    }

    /// Whether nothing is left to do. Where it is not, the bell rings when it is.
    fn is_over(&mut self) -> bool {
        let cx = &mut Context::from_waker(&self.waker);
        while let Poll::Ready(change) = self.changes.poll_next(cx) {
            match change {
                Some(state) => debug!(?state, "serial port was set"),
                None => return true,
            }
        }
        self.ends.load(Ordering::Acquire)
    }

    /// Serves a peer until it closes, or the line is over. What could not be handed over is kept for the next one.
    pub(super) fn run(&mut self, mut peer: Peer<'_>) -> io::Result<End> {
        let mut ready = Ready {
            reads: !peer.blocking,
            writes: !peer.blocking,
            hung_up: false,
        };
        loop {
            if self.ends.load(Ordering::Acquire) {
                return Ok(End::Over);
            }
            self.is_over();
            let written = self.serve_host(&peer, &mut ready)?;
            let Some(written) = written else {
                return Ok(End::Over);
            };
            let read = self.serve_peer(&mut peer, &mut ready)?;
            let Some(read) = read else {
                return Ok(End::Closed);
            };
            if !written && !read {
                self.sleep(&peer, &mut ready)?;
            }
        }
    }

    /// Takes bytes from the host to the peer, and tells whether it did; `None` once there can't be more.
    fn serve_host(&mut self, peer: &Peer<'_>, ready: &mut Ready) -> io::Result<Option<bool>> {
        if self.from_host.is_empty() {
            let cx = &mut Context::from_waker(&self.waker);
            match self.terminal.poll_read(cx, CHUNK) {
                Poll::Ready(Some(data)) => self.from_host = data,
                Poll::Ready(None) => return Ok(None),
                Poll::Pending => return Ok(Some(false)),
            }
        }
        if !ready.writes || ready.hung_up {
            return Ok(Some(false));
        }
        let most = if peer.blocking { SURE } else { CHUNK };
        let length = self.from_host.len().min(most);
        match rustix::io::write(peer.output, &self.from_host[..length]) {
            Ok(count) => {
                self.from_host.advance(count);
                ready.writes = !peer.blocking;
                Ok(Some(true))
            }
            Err(Errno::AGAIN) => {
                ready.writes = false;
                Ok(Some(false))
            }
            Err(Errno::INTR) => Ok(Some(true)),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes bytes from the peer to the host, and tells whether it did; `None` once the peer has closed.
    fn serve_peer(&mut self, peer: &mut Peer<'_>, ready: &mut Ready) -> io::Result<Option<bool>> {
        let given = self.give_to_host();
        let (true, true, Some(input)) = (self.to_host.is_empty(), ready.reads, peer.input) else {
            return Ok(Some(given));
        };
        match rustix::io::read(input, &mut *self.buffer) {
            // Others' input may end while their output goes on.
            Ok(0) if peer.blocking => peer.input = None,
            // A terminal that nobody has open any more says EIO.
            Ok(0) | Err(Errno::IO) => return Ok(None),
            Ok(count) => {
                self.to_host = Bytes::copy_from_slice(&self.buffer[..count]);
                ready.reads = !peer.blocking;
                self.give_to_host();
                return Ok(Some(true));
            }
            Err(Errno::AGAIN) => {
                ready.reads = false;
                ready.hung_up = false;
            }
            Err(Errno::INTR) => return Ok(Some(true)),
            Err(error) => return Err(error.into()),
        }
        Ok(Some(given))
    }

    /// Gives the host what it has room for, and tells whether that is anything.
    fn give_to_host(&mut self) -> bool {
        let before = self.to_host.len();
        if before > 0 {
            let cx = &mut Context::from_waker(&self.waker);
            // Where the device is gone, there is nobody to want them.
            let _ = self.terminal.poll_write(cx, &mut self.to_host);
        }
        self.to_host.len() < before
    }

    /// Waits until there is something to do.
    fn sleep(&mut self, peer: &Peer<'_>, ready: &mut Ready) -> io::Result<()> {
        let bell = Arc::clone(&self.bell);
        let mut fds = vec![PollFd::from_borrowed_fd(bell.as_fd(), PollFlags::IN)];
        if !ready.hung_up {
            let input = peer.input.filter(|_| self.to_host.is_empty());
            fds.extend(input.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            if !self.from_host.is_empty() {
                fds.push(PollFd::from_borrowed_fd(peer.output, PollFlags::OUT));
            }
        }
        wait(&mut fds, None)?;
        self.bell.answer();
        for fd in &fds[1..] {
            let events = fd.revents();
            let ended = events.intersects(PollFlags::HUP | PollFlags::ERR);
            ready.reads |= ended || events.contains(PollFlags::IN);
            ready.writes |= events.intersects(PollFlags::OUT | PollFlags::ERR);
            ready.hung_up |= events.contains(PollFlags::HUP);
        }
        Ok(())
    }
}

/// As `poll`, and tells how many descriptors have something; 0 where the limit has passed.
fn wait(fds: &mut [PollFd<'_>], limit: Option<Duration>) -> io::Result<usize> {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    loop {
        match poll(fds, limit.as_ref()) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}
