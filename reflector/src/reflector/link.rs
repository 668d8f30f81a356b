//! The channels to one host, and who reads them.

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use usbwright_host_stack::status::NtStatus;
use usbwright_ports::{
    Violation,
    parts::{Delivery, Received, Socket},
};
use zerocopy::IntoBytes as _;

use super::application::Application;
use crate::{
    relay::{Brought, Leaving, Prepared, Relay},
    wire::{HEADER_SIZE, Header, PACKET_SIZE, Way},
};

/// The reflector's ends of a host's channels, each one end of a pair of `SOCK_SEQPACKET` sockets.
#[derive(Debug)]
pub struct HostEnd {
    /// For requests and replies.
    pub data: OwnedFd,
    /// For cancels.
    pub cancel: OwnedFd,
}

/// What is known of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostInfo {
    /// Its process id.
    pub pid: u32,
}

/// The channels to one host.
pub(super) struct HostLink {
    data: Socket,
    cancel: Socket,
    pub(super) info: HostInfo,
    /// It was asked to take the stack down, as the device goes.
    is_leaving: AtomicBool,
    relay: Mutex<Relay<Arc<Application>>>,
}

/// How a packet for the host fared.
pub(super) enum Forwarded {
    /// It was sent; and others of the file may be outstanding besides.
    Sent { is_busy: bool },
    /// There is no room now; or, `later`, the system has no memory, and nobody tells when that is over.
    Waits { later: bool },
    /// The request ends so.
    Ends(NtStatus),
}

/// Why a host's channel is read no more.
pub(super) enum Over {
    /// Its end was closed.
    Disconnected,
    /// What it sent breaks the protocol.
    Violation(Violation),
}

impl HostLink {
    pub(super) fn new(end: HostEnd, info: HostInfo) -> Self {
        let link = Self {
            data: end.data.into(),
            cancel: end.cancel.into(),
            info,
            is_leaving: AtomicBool::new(false),
            relay: Mutex::new(Relay::new()),
        };
        // A socket that nobody has sent anything by has room; one whose other end is closed is found out by its reader.
        let _ = link.data.send_parts(Header::hello().as_bytes(), &[], None);
        link
    }

    pub(super) fn relay(&self) -> MutexGuard<'_, Relay<Arc<Application>>> {
        self.relay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host takes the stack down, and ends its channels when that is done.
    pub(super) fn leave_later(&self) {
        self.is_leaving.store(true, Ordering::Release);
    }

    /// What all ends with where the host ends its channels.
    fn lost(&self) -> NtStatus {
        match self.is_leaving.load(Ordering::Acquire) {
            true => NtStatus::DEVICE_REMOVED,
            false => NtStatus::DRIVER_PROCESS_TERMINATED,
        }
    }

    /// The host has ended its channels. Tells whether that is new.
    pub(super) fn end_lost(&self) -> bool {
        self.end(self.lost())
    }

    pub(super) fn data(&self) -> BorrowedFd<'_> {
        self.data.as_fd()
    }

    pub(super) fn cancels(&self) -> BorrowedFd<'_> {
        self.cancel.as_fd()
    }

    /// Sends an application's request to the host, whose requests are numbered in the order in which they are sent.
    pub(super) fn forward(
        &self,
        from: &Application,
        header: &Header,
        payload: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Forwarded {
        let mut header = *header;
        let request = header.request.get();
        let mut relay = self.relay();
        if let Prepared::Ends(status) =
            relay.prepare(from.file, &mut header, from.who.pid.unwrap_or(0))
        {
            return Forwarded::Ends(status);
        }
        match self.data.send_parts(header.as_bytes(), payload, descriptor) {
            Ok(Delivery::Sent) => {
                relay.sent(&header, request, Instant::now());
                let is_busy = relay.is_busy(from.file);
                Forwarded::Sent { is_busy }
            }
            Ok(delivery) => Forwarded::Waits {
                later: delivery == Delivery::Later,
            },
            Err(_) => {
                drop(relay);
                self.end_lost();
                Forwarded::Ends(self.lost())
            }
        }
    }

    /// An application has gone.
    pub(super) fn leave(&self, file: u64) -> Leaving {
        self.relay().leave(file, Instant::now())
    }

    /// Has the host close the file of an application that has gone. Tells whether that is done.
    pub(super) fn close(&self, file: u64) -> bool {
        let mut relay = self.relay();
        if relay.ended().is_some() {
            return true;
        }
        let header = relay.close(file);
        match self.data.send_parts(header.as_bytes(), &[], None) {
            Ok(Delivery::Sent) => relay.sent_close(&header, Instant::now()),
            Ok(_) => return false,
            // Its reader sees that it is gone.
            Err(_) => {}
        }
        true
    }

    /// Sends a cancel. Tells whether that is done.
    pub(super) fn cancel(&self, number: u64) -> bool {
        let packet = Header::cancel(number);
        let sent = self.cancel.send_parts(packet.as_bytes(), &[], None);
        !matches!(sent, Ok(Delivery::Full | Delivery::Later))
    }

    /// Reads replies, and hands them on, until there is no host any more.
    pub(super) fn read(&self, mut told: impl FnMut(Brought<Arc<Application>>)) -> Over {
        let mut buffer = vec![0; PACKET_SIZE];
        loop {
            // A host has no descriptors to pass: whatever comes is closed.
            let mut descriptors = Vec::new();
            let received = self.data.receive_into(&mut buffer, &mut descriptors, true);
            let length = match received {
                Ok(Received::Packet(_)) if !descriptors.is_empty() => {
                    return Over::Violation(Violation::Descriptors(descriptors.len()));
                }
                Ok(Received::Packet(length)) => length,
                Ok(Received::Nothing) => continue,
                Ok(Received::Violation(violation)) => return Over::Violation(violation),
                Ok(Received::End) | Err(_) => return Over::Disconnected,
            };
            let taken = Header::open(&buffer[..length], Way::FromHost)
                .and_then(|(header, _)| Ok((header, self.relay().receive(&header)?)));
            match taken {
                Ok((header, brought)) => {
                    deliver(&brought, header, &buffer[HEADER_SIZE..length]);
                    told(brought);
                }
                Err(violation) => return Over::Violation(violation),
            }
        }
    }

    /// There is no host any more: all that it has ends so, and its handles are of nothing. Tells whether that is new.
    pub(super) fn end(&self, status: NtStatus) -> bool {
        let Some(remains) = self.relay().end(status) else {
            return false;
        };
        for (to, request) in remains.requests {
            to.deliver(&Header::reply(request, status, 0, 0), &[]);
        }
        for to in remains.files {
            to.gone(status);
        }
        // Wakes who reads, and who waits for room.
        self.data.shut_down();
        self.cancel.shut_down();
        true
    }
}

/// Hands an application what has come for it.
fn deliver(brought: &Brought<Arc<Application>>, header: Header, payload: &[u8]) {
    let (to, request) = match brought {
        Brought::Reply { to, request, .. }
        | Brought::Closed {
            to: Some((to, request)),
            ..
        } => (to, *request),
        _ => return,
    };
    let header = Header {
        request: request.into(),
        ..header
    };
    to.deliver(&header, payload);
}
