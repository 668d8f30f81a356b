//! How a message to a client ends.

use std::io;

use bytes::Bytes;
use thiserror::Error;
use usbwright_host_stack::status::NtStatus;

use crate::wire::Payload;

/// A message that reached the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A get has it. No reply was wanted.
    Delivered,
    /// The client has replied.
    Replied(Reply),
}

/// A client's reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// `FILTER_REPLY_HEADER.Status`: what the client says of the message. What it means is between the two of them.
    pub status: NtStatus,
    /// The reply, without header.
    pub data: Bytes,
}

/// A message that did not reach the client, or has no whole reply.
///
/// A time that is up is an error here, though `STATUS_TIMEOUT` is of severity success: nobody can take it for a reply.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The time was up while the message waited for a get. No client will ever see it.
    #[error("the time was up before a get took the message")]
    TimedOutBeforeDelivery,
    /// The time was up while the client had the message. Should it still reply, it is told that nobody waits.
    #[error("the time was up before the reply came")]
    TimedOutBeforeReply,
    /// The connection ended, or had ended already.
    #[error("the connection has ended")]
    Disconnected,
    /// The reply is longer than the room for it; the client was told so as well.
    #[error("the reply is longer than the {} bytes of room for it", .0.len())]
    ReplyTooLong(
        /// What there was room for.
        Bytes,
    ),
    /// The message, or the room for a reply, is larger than the port allows.
    #[error("{length} bytes, where the port allows {limit}")]
    TooLong {
        /// How long the message is, or the room.
        length: usize,
        /// The most that the port allows.
        limit: usize,
    },
    /// The system has no memory file for a long message, or can't read one.
    #[error("a long message can't be handed over: {0}")]
    Resources(io::ErrorKind),
}

impl Sent {
    /// What `FltSendMessage` returns.
    pub fn status(&self) -> NtStatus {
        match self {
            Self::Delivered => NtStatus::SUCCESS,
            Self::Replied(reply) => reply.status,
        }
    }
}

impl SendError {
    /// What `FltSendMessage` returns.
    pub fn status(&self) -> NtStatus {
        match self {
            Self::TimedOutBeforeDelivery | Self::TimedOutBeforeReply => NtStatus::TIMEOUT,
            Self::Disconnected => NtStatus::PORT_DISCONNECTED,
            Self::ReplyTooLong(_) => NtStatus::BUFFER_OVERFLOW,
            Self::TooLong { .. } => NtStatus::INVALID_PARAMETER,
            Self::Resources(_) => NtStatus::INSUFFICIENT_RESOURCES,
        }
    }
}

/// How far a message has come, with its reply as it is on the wire.
#[derive(Debug)]
pub(crate) enum Answered {
    Delivered,
    Replied(NtStatus, Payload),
    /// What there was room for.
    Overflow(Payload),
}

impl Answered {
    /// Reads the reply.
    pub(crate) fn read(self) -> Result<Sent, SendError> {
        let read = |data: Payload| {
            data.read()
                .map_err(|error| SendError::Resources(error.kind()))
        };
        match self {
            Self::Delivered => Ok(Sent::Delivered),
            Self::Replied(status, data) => Ok(Sent::Replied(Reply {
                status,
                data: read(data)?,
            })),
            Self::Overflow(data) => Err(SendError::ReplyTooLong(read(data)?)),
        }
    }
}
