//! The socket that packets travel by.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    cmsg_space,
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
        sendmsg, socketpair,
    },
};

use crate::{HEADER_SIZE, LONGEST_BODY, Malformed, Message};

/// The most descriptors that come with a packet, and one more, to see that they are too many.
const DESCRIPTORS: usize = 4;

/// An end of the connection of a manager and a host.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// Whether a message was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Delivery {
    /// It was.
    Sent,
    /// The peer has not read so much that there is no room.
    Full,
}

/// What there was to receive.
#[derive(Debug)]
pub enum Received<M> {
    /// A message, and its descriptors.
    Message(M, Vec<OwnedFd>),
    /// Nothing now.
    Nothing,
    /// Nothing ever again.
    End,
}

/// Why nothing can be received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// What has come is no message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The system does not let it be received.
    #[error("the connection is broken: {0}")]
    Broken(#[from] io::Error),
}

impl Channel {
    /// The two ends of a connection. They are not inherited by other programs.
    ///
    /// # Errors
    /// Where the system has no more descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(one), Self(other)))
    }

    /// Sends a message whole, and descriptors with it; if there is room for it, or else as soon as there is (`waits`).
    ///
    /// # Errors
    /// Where it is too long, the peer is gone, or the system refuses.
    pub fn send<M: Message>(
        &self,
        message: &M,
        descriptors: &[BorrowedFd<'_>],
        waits: bool,
    ) -> io::Result<Delivery> {
        let packet = message.encode().map_err(io::Error::other)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::DONTWAIT, !waits);
        loop {
            return match sendmsg(&self.0, &[IoSlice::new(&packet)], &mut control, flags) {
                Ok(_) => Ok(Delivery::Sent),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN | Errno::NOBUFS) => Ok(Delivery::Full),
                Err(error) => Err(error.into()),
            };
        }
    }

    /// Receives a message into `buffer`, which is [`buffer()`](Self::buffer); waits for one if it is told to.
    ///
    /// # Errors
    /// Where what comes is no message, or the connection is broken.
    pub fn receive<M: Message>(
        &self,
        buffer: &mut [u8],
        waits: bool,
    ) -> Result<Received<M>, ReceiveError> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut flags = RecvFlags::CMSG_CLOEXEC;
        flags.set(RecvFlags::DONTWAIT, !waits);
        let came = match recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
            Ok(came) => came,
            // The peer closed with something unread. What it had sent before can still be read.
            Err(Errno::INTR | Errno::CONNRESET) => return self.receive(buffer, waits),
            Err(Errno::AGAIN) => return Ok(Received::Nothing),
            Err(error) => return Err(io::Error::from(error).into()),
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
            return Err(Malformed::TooLong.into());
        }
        let message = M::decode(&buffer[..came.bytes], descriptors.len())?;
        Ok(Received::Message(message, descriptors))
    }

    /// Room for the longest packet.
    pub fn buffer() -> Vec<u8> {
        vec![0; HEADER_SIZE + LONGEST_BODY]
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Channel {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}
