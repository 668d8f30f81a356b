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

use super::{application::Application, batch::Batch, replies::Replies};
use crate::{
    relay::{Ahead, Brought, Leaving, Prepared, Relay},
    wire::Header,
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
    /// Nothing is left of it; the file may have several requests outstanding.
    Gone { is_busy: bool },
    /// There is no room now; or, `later`, the system has no memory, and nobody tells when that is over.
    Waits { later: bool },
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

    /// Sends requests of an application to the host, whose requests are numbered in the order in which they are sent. Tells as well which have ended so.
    pub(super) fn forward(
        &self,
        from: &Application,
        batch: &mut Batch,
    ) -> (Forwarded, Vec<(u64, NtStatus)>) {
        let mut relay = self.relay();
        let mut ahead = Ahead::default();
        let process = from.who.pid.unwrap_or(0);
        let mut ended = batch.prepare(|header| {
            match relay.prepare(from.file, header, process, ahead) {
                Prepared::ToHost => ahead.add(header),
                Prepared::Ends(status) => return Err(status),
            }
            Ok(())
        });
        let (packet, descriptor) = batch.packet();
        let sent = match packet.is_empty() {
            true => Ok(Delivery::Sent),
            false => self.data.send_parts(packet, &[], descriptor),
        };
        match sent {
            Ok(Delivery::Sent) => {
                let now = Instant::now();
                for (header, request) in batch.clear() {
                    relay.sent(&header, request, now);
                }
            }
            Ok(delivery) => {
                let later = delivery == Delivery::Later;
                return (Forwarded::Waits { later }, ended);
            }
            Err(_) => {
                drop(relay);
                self.end_lost();
                ended.extend(batch.clear().map(|(_, request)| (request, self.lost())));
                return (Forwarded::Gone { is_busy: false }, ended);
            }
        }
        let is_busy = relay.is_busy(from.file);
        (Forwarded::Gone { is_busy }, ended)
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
        let mut replies = Replies::new();
        loop {
            let taken = self.take_replies(&mut replies);
            replies.hand_on(&mut told);
            if let Err(over) = taken {
                return over;
            }
        }
    }

    /// Waits for a packet, and takes those that are behind it.
    fn take_replies(&self, replies: &mut Replies) -> Result<(), Over> {
        let mut waits = true;
        while let Some(room) = replies.room() {
            // A host has no descriptors to pass: whatever comes is closed.
            let mut descriptors = Vec::new();
            let length = match self.data.receive_into(room, &mut descriptors, waits) {
                Ok(Received::Packet(_)) if !descriptors.is_empty() => {
                    let violation = Violation::Descriptors(descriptors.len());
                    return Err(Over::Violation(violation));
                }
                Ok(Received::Packet(length)) => length,
                Ok(Received::Nothing) => break,
                Ok(Received::Violation(violation)) => return Err(Over::Violation(violation)),
                Ok(Received::End) | Err(_) => return Err(Over::Disconnected),
            };
            let mut relay = self.relay();
            let taken = replies.take(length, |header| relay.receive(header));
            taken.map_err(Over::Violation)?;
            // To look for more costs as much as a packet; with few requests outstanding there is hardly any.
            if relay.outstanding() <= 1 {
                break;
            }
            waits = false;
        }
        Ok(())
    }

    /// There is no host any more: all that it has ends so, and its handles are of nothing. Tells whether that is new.
    pub(super) fn end(&self, status: NtStatus) -> bool {
        let Some(remains) = self.relay().end(status) else {
            return false;
        };
        for (to, request) in remains.requests {
            to.deliver(Header::reply(request, status, 0, 0).as_bytes());
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
