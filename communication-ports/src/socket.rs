//! The sockets that packets travel by.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    cmsg_space,
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
        recvmsg, send, sendmsg, shutdown, socket_with,
    },
};
use zerocopy::IntoBytes as _;

use crate::{
    Violation,
    wire::{HEADER_SIZE, Packet, Payload, open},
};

/// The longest payload that is copied behind its header.
const SMALL: usize = 512;

/// The most descriptors that are taken with a packet: one more than may come, to see that they are too many.
const DESCRIPTORS: usize = 2;

/// A connected socket that keeps packets apart (`SOCK_SEQPACKET`).
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

/// Whether a packet was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It was.
    Sent,
    /// The socket is full; it tells when there is room.
    Full,
    /// The system has no memory now, or too many descriptors are on their way. Nobody tells when that is over.
    Later,
}

/// What there was to receive.
#[derive(Debug)]
pub(crate) enum Received {
    /// A packet.
    Packet(Packet),
    /// Nothing now.
    Nothing,
    /// Nothing ever again.
    End,
    /// What is no packet.
    Violation(Violation),
}

impl Socket {
    /// A new one, not connected.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?))
    }

    /// Sends a packet, whole, if there is room for it.
    pub(crate) fn send(&self, packet: &Packet) -> io::Result<Delivery> {
        let header = packet.header.as_bytes();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = match &packet.payload {
            // A copy costs less than to have the kernel gather so little.
            Payload::Inline(bytes) if bytes.len() <= SMALL => {
                let mut whole = [0; HEADER_SIZE + SMALL];
                let length = header.len() + bytes.len();
                whole[..header.len()].copy_from_slice(header);
                whole[header.len()..length].copy_from_slice(bytes);
                send(&self.0, &whole[..length], flags)
            }
            Payload::Inline(bytes) => sendmsg(
                &self.0,
                &[IoSlice::new(header), IoSlice::new(bytes)],
                &mut SendAncillaryBuffer::default(),
                flags,
            ),
            Payload::Sealed { file, .. } => {
                let descriptors = [file.as_fd()];
                let mut control = SendAncillaryBuffer::new(&mut space);
                control.push(SendAncillaryMessage::ScmRights(&descriptors));
                sendmsg(&self.0, &[IoSlice::new(header)], &mut control, flags)
            }
        };
        match sent {
            Ok(_) => Ok(Delivery::Sent),
            Err(Errno::AGAIN) => Ok(Delivery::Full),
            Err(Errno::NOBUFS | Errno::NOMEM | Errno::TOOMANYREFS) => Ok(Delivery::Later),
            Err(Errno::INTR) => self.send(packet),
            Err(error) => Err(error.into()),
        }
    }

    /// Receives a packet into `buffer`, of which a longer payload than `limit` is refused; waits for one if it is told to.
    pub(crate) fn receive(
        &self,
        buffer: &mut [u8],
        limit: usize,
        wait: bool,
    ) -> io::Result<Received> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut flags = RecvFlags::CMSG_CLOEXEC;
        flags.set(RecvFlags::DONTWAIT, !wait);
        let came = match recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
            Ok(came) => came,
            // The peer closed with something unread. What it had sent before can still be read.
            Err(Errno::INTR | Errno::CONNRESET) => return self.receive(buffer, limit, wait),
            Err(Errno::AGAIN) => return Ok(Received::Nothing),
            Err(error) => return Err(error.into()),
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                descriptors.extend(some);
            }
        }
        if came.bytes == 0 && descriptors.is_empty() {
            return Ok(Received::End);
        }
        if came
            .flags
            .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
        {
            return Ok(Received::Violation(Violation::Truncated));
        }
        Ok(match open(&buffer[..came.bytes], descriptors, limit) {
            Ok(packet) => Received::Packet(packet),
            Err(violation) => Received::Violation(violation),
        })
    }

    /// Waits until there is something to receive, or the time is up.
    pub(crate) fn wait(&self, time: Option<Duration>) -> io::Result<()> {
        let time = time.map(|it| {
            Timespec::try_from(it).unwrap_or(Timespec {
                tv_sec: i64::MAX,
                tv_nsec: 0,
            })
        });
        match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], time.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the peer has closed its end, or died.
    pub(crate) fn is_hung_up(&self) -> bool {
        let mut polled = [PollFd::new(&self.0, PollFlags::RDHUP)];
        let now = Timespec::default();
        let _ = poll(&mut polled, Some(&now));
        polled[0]
            .revents()
            .intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
    }

    /// Ends both directions; whoever waits for something to receive sees the end.
    pub(crate) fn shut_down(&self) {
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Socket {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}
