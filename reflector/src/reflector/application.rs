//! An application's connection, as others reach it: what is to be sent there, and the descriptors that its thread waits for.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{
    event::{EventfdFlags, eventfd},
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
};
use usbwright_host_stack::status::NtStatus;
use usbwright_ports::parts::{Delivery, Socket};
use zerocopy::IntoBytes as _;

use super::events::Who;
use crate::wire::Header;

/// An application that has a device open, or is about to.
pub(crate) struct Application {
    pub(super) file: u64,
    pub(super) who: Who,
    pub(super) socket: Socket,
    /// Where its cancels come.
    pub(super) cancel: Socket,
    bell: OwnedFd,
    outbox: Mutex<Outbox>,
}

/// What the application has not read yet.
#[derive(Default)]
struct Outbox {
    waiting: VecDeque<Vec<u8>>,
    /// Nothing follows.
    last: bool,
    /// There is nobody to send to.
    broken: bool,
}

/// What has become of what was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// All was sent.
    All,
    /// All was sent, and there will be nothing more.
    Over,
    /// The rest has no room.
    Full,
    /// The system has no memory for the rest.
    Later,
    /// Nobody is there.
    Broken,
}

impl Application {
    /// With the application's end of the cancel channel.
    pub(super) fn new(file: u64, socket: Socket, who: Who) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let application = Self {
            file,
            who,
            socket,
            cancel: ours.into(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            outbox: Mutex::default(),
        };
        Ok((application, theirs))
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a packet, or keeps it until there is room. How much that may be is for the relay to say.
    pub(super) fn deliver(&self, packet: &[u8]) {
        let mut outbox = self.outbox();
        if outbox.broken || outbox.last {
            return;
        }
        if outbox.waiting.is_empty() {
            match self.socket.send_parts(packet, &[], None) {
                Ok(Delivery::Sent) => return,
                Ok(_) => {}
                Err(_) => {
                    outbox.broken = true;
                    return self.ring();
                }
            }
        }
        outbox.waiting.push_back(packet.to_vec());
        self.ring();
    }

    /// What it has open is gone; it hears nothing more.
    pub(super) fn gone(&self, status: NtStatus) {
        self.deliver(Header::gone(status).as_bytes());
        self.outbox().last = true;
        self.ring();
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn flush(&self) -> Flushed {
        let mut outbox = self.outbox();
        while let Some(packet) = outbox.waiting.front() {
            match self.socket.send_parts(packet, &[], None) {
                Ok(Delivery::Sent) => drop(outbox.waiting.pop_front()),
                Ok(Delivery::Full) => return Flushed::Full,
                Ok(Delivery::Later) => return Flushed::Later,
                Err(_) => outbox.broken = true,
            }
            if outbox.broken {
                break;
            }
        }
        match (outbox.broken, outbox.last) {
            (true, _) => Flushed::Broken,
            (false, true) => Flushed::Over,
            (false, false) => Flushed::All,
        }
    }

    /// Nothing is sent any more, and nothing kept.
    pub(super) fn end(&self) {
        let mut outbox = self.outbox();
        outbox.broken = true;
        outbox.waiting.clear();
        drop(outbox);
        self.socket.shut_down();
        self.cancel.shut_down();
        self.ring();
    }

    /// Has its thread look.
    fn ring(&self) {
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// Its thread looks.
    pub(super) fn unring(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
    }

    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application")
            .field("file", &self.file)
            .field("who", &self.who)
            .finish_non_exhaustive()
    }
}
