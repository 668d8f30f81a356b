//! The sockets that packets travel by.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use crate::Violation;
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

/// The longest header that a payload is copied behind.
const HEADER: usize = 64;

/// The longest payload that is copied behind its header.
const SMALL: usize = 512;

/// The most descriptors that are taken with a packet: one more than may come, to see that they are too many.
const DESCRIPTORS: usize = 2;

/// A packet of a protocol.
pub trait Parcel: Sized {
    /// The room that any packet fits into, in bytes.
    const ROOM: usize;

    /// What it begins with.
    fn header(&self) -> &[u8];

    /// What follows the header.
    fn payload(&self) -> &[u8];

    /// The descriptor that goes with it.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Reads a packet; `limit` is the longest payload that is taken.
    ///
    /// # Errors
    /// What it breaks.
    fn open(bytes: &[u8], descriptors: Vec<OwnedFd>, limit: usize) -> Result<Self, Violation>;
}

/// A connected socket that keeps packets apart (`SOCK_SEQPACKET`).
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// Whether a packet was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was.
    Sent,
    /// The socket is full; it tells when there is room.
    Full,
    /// The system has no memory now, or too many descriptors are on their way. Nobody tells when that is over.
    Later,
}

/// What there was to receive.
#[derive(Debug)]
pub enum Received<P> {
    /// A packet.
    Packet(P),
    /// Nothing now.
    Nothing,
    /// Nothing ever again.
    End,
    /// What is no packet.
    Violation(Violation),
}

impl Socket {
    /// A new one, not connected.
    /// # Errors
    /// Where the system makes none.
    pub fn new() -> io::Result<Self> {
        Ok(Self(socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?))
    }

    /// Sends a packet, whole, if there is room for it.
    ///
    /// # Errors
    /// Where the other end is gone, or the system fails.
    pub fn send(&self, packet: &impl Parcel) -> io::Result<Delivery> {
        let descriptor = packet.descriptor();
        self.send_parts(packet.header(), packet.payload(), descriptor)
    }

    /// As [`send`](Self::send), of a packet's parts.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_parts(
        &self,
        header: &[u8],
        payload: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
    ) -> io::Result<Delivery> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = match descriptor {
            None if payload.is_empty() => send(&self.0, header, flags),
            // A copy costs less than to have the kernel gather so little.
            None if payload.len() <= SMALL && header.len() <= HEADER => {
                let mut whole = [0; HEADER + SMALL];
                let length = header.len() + payload.len();
                whole[..header.len()].copy_from_slice(header);
                whole[header.len()..length].copy_from_slice(payload);
                send(&self.0, &whole[..length], flags)
            }
            _ => {
                let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
                let mut control = SendAncillaryBuffer::new(&mut space);
                if !descriptors.is_empty() {
                    control.push(SendAncillaryMessage::ScmRights(&descriptors));
                }
                let parts = [IoSlice::new(header), IoSlice::new(payload)];
                sendmsg(&self.0, &parts, &mut control, flags)
            }
        };
        match sent {
            Ok(_) => Ok(Delivery::Sent),
            Err(Errno::AGAIN) => Ok(Delivery::Full),
            Err(Errno::NOBUFS | Errno::NOMEM | Errno::TOOMANYREFS) => Ok(Delivery::Later),
            Err(Errno::INTR) => self.send_parts(header, payload, descriptor),
            Err(error) => Err(error.into()),
        }
    }

    /// Receives a packet into `buffer`, of which a longer payload than `limit` is refused; waits for one if it is told to.
    ///
    /// # Errors
    /// Where the system fails.
    pub fn receive<P: Parcel>(
        &self,
        buffer: &mut [u8],
        limit: usize,
        wait: bool,
    ) -> io::Result<Received<P>> {
        let mut descriptors = Vec::new();
        Ok(match self.receive_into(buffer, &mut descriptors, wait)? {
            Received::Packet(length) => match P::open(&buffer[..length], descriptors, limit) {
                Ok(packet) => Received::Packet(packet),
                Err(violation) => Received::Violation(violation),
            },
            Received::Nothing => Received::Nothing,
            Received::End => Received::End,
            Received::Violation(violation) => Received::Violation(violation),
        })
    }

    /// As [`receive`](Self::receive), of a packet as it came: its length, in `buffer`, and the descriptors that came with it.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_into(
        &self,
        buffer: &mut [u8],
        descriptors: &mut Vec<OwnedFd>,
        wait: bool,
    ) -> io::Result<Received<usize>> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut flags = RecvFlags::CMSG_CLOEXEC;
        flags.set(RecvFlags::DONTWAIT, !wait);
        let came = match recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
            Ok(came) => came,
            // The peer closed with something unread. What it had sent before can still be read.
            Err(Errno::INTR | Errno::CONNRESET) => {
                return self.receive_into(buffer, descriptors, wait);
            }
            Err(Errno::AGAIN) => return Ok(Received::Nothing),
            Err(error) => return Err(error.into()),
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                descriptors.extend(some);
            }
        }
        if came.bytes == 0 && descriptors.is_empty() {
            return Ok(Received::End);
        }
        let cut = ReturnFlags::TRUNC | ReturnFlags::CTRUNC;
        if came.flags.intersects(cut) {
            return Ok(Received::Violation(Violation::Truncated));
        }
        Ok(Received::Packet(came.bytes))
    }

    /// Waits until there is something to receive, or the time is up.
    ///
    /// # Errors
    /// Where the system fails.
    pub fn wait(&self, time: Option<Duration>) -> io::Result<()> {
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
    pub fn is_hung_up(&self) -> bool {
        let mut polled = [PollFd::new(&self.0, PollFlags::RDHUP)];
        let now = Timespec::default();
        let _ = poll(&mut polled, Some(&now));
        polled[0]
            .revents()
            .intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
    }

    /// Ends both directions; whoever waits for something to receive sees the end.
    pub fn shut_down(&self) {
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
