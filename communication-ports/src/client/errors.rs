//! Why a client does not get what it wants.

use std::io;

use bytes::Bytes;
use thiserror::Error;
use usbwright_host_stack::status::{HResult, NtStatus};

use crate::{PortName, Violation};

/// Why there is no connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is no such port, or its server is dead.
    #[error("there is no port {0}")]
    NotFound(PortName),
    /// The port is for others only.
    #[error("the port {0} is not for this user")]
    Denied(PortName),
    /// The server does not want it: its security descriptor does not allow it, the port has its connections already, or the connect callback
    /// has said so.
    #[error("the port refuses the connection: {0}")]
    Refused(NtStatus),
    /// The context is longer than 65535 bytes.
    #[error("a context of {0} bytes, where 65535 are the most")]
    ContextTooLong(usize),
    /// The server has not answered in time.
    #[error("the port did not answer in time")]
    TimedOut,
    /// The server has died, or closed the port, meanwhile.
    #[error("the port was closed meanwhile")]
    Gone,
    /// The server speaks another version of the protocol.
    #[error("the port's server speaks another version of the protocol")]
    Version,
    /// The server says something else than that it accepts or refuses.
    #[error("the port's server does not greet")]
    NoGreeting,
    /// What the server says makes no sense.
    #[error("the port's server sent {0}")]
    Violation(#[from] Violation),
    /// The system fails.
    #[error("no connection to the port can be made")]
    Io(#[from] io::Error),
}

impl ConnectError {
    /// The status that Windows would have for it.
    pub fn status(&self) -> NtStatus {
        match self {
            Self::NotFound(_) => NtStatus::OBJECT_NAME_NOT_FOUND,
            Self::Denied(_) => NtStatus::ACCESS_DENIED,
            Self::Refused(status) => *status,
            Self::ContextTooLong(_) => NtStatus::INVALID_PARAMETER,
            Self::TimedOut => NtStatus::IO_TIMEOUT,
            Self::Gone => NtStatus::PORT_DISCONNECTED,
            Self::Version => NtStatus::NOT_SUPPORTED,
            Self::NoGreeting | Self::Violation(_) => NtStatus::INTERNAL_ERROR,
            Self::Io(_) => NtStatus::INSUFFICIENT_RESOURCES,
        }
    }

    /// What `FilterConnectCommunicationPort` returns.
    pub fn hresult(&self) -> HResult {
        HResult::from_port_status(self.status())
    }
}

/// Why a get has no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GetError {
    /// The next message is longer than the get has room. It stays the next one.
    #[error("the next message has {needed} bytes, for which there is no room")]
    TooSmall {
        /// The room that it needs, without header.
        needed: usize,
    },
    /// The connection has ended.
    #[error("the connection has ended")]
    Disconnected,
    /// More gets wait than a port keeps for one client.
    #[error("too many gets wait already")]
    TooMany,
    /// The system has no memory for the message, which is lost.
    #[error("a message can't be read: {0}")]
    Resources(io::ErrorKind),
}

impl GetError {
    /// The status that it is for Windows.
    pub fn status(&self) -> NtStatus {
        match self {
            Self::TooSmall { .. } => NtStatus::BUFFER_TOO_SMALL,
            Self::Disconnected => NtStatus::PORT_DISCONNECTED,
            Self::TooMany | Self::Resources(_) => NtStatus::INSUFFICIENT_RESOURCES,
        }
    }

    /// What `FilterGetMessage` returns.
    pub fn hresult(&self) -> HResult {
        HResult::from_port_status(self.status())
    }
}

/// Why a reply has reached nobody, or not whole.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Nobody waits for it: its time is up, the sender has given up, or the message wants none. It is not fatal; get the next message.
    #[error("nobody waits for the reply")]
    NoWaiter,
    /// It is longer than the sender has room for. The sender has what there is room for, and is told so.
    #[error("the reply is longer than its sender has room for")]
    TooLong,
    /// The connection has ended.
    #[error("the connection has ended")]
    Disconnected,
    /// The system has no memory file for a long reply.
    #[error("a long reply can't be handed over: {0}")]
    Resources(io::ErrorKind),
}

impl ReplyError {
    /// The status that it is for Windows.
    pub fn status(&self) -> NtStatus {
        match self {
            Self::NoWaiter => NtStatus::FLT_NO_WAITER_FOR_REPLY,
            Self::TooLong => NtStatus::BUFFER_OVERFLOW,
            Self::Disconnected => NtStatus::PORT_DISCONNECTED,
            Self::Resources(_) => NtStatus::INSUFFICIENT_RESOURCES,
        }
    }

    /// What `FilterReplyMessage` returns.
    pub fn hresult(&self) -> HResult {
        HResult::from_port_status(self.status())
    }

    pub(super) fn check(status: NtStatus) -> Result<(), Self> {
        match status {
            NtStatus::SUCCESS => Ok(()),
            NtStatus::BUFFER_OVERFLOW => Err(Self::TooLong),
            NtStatus::PORT_DISCONNECTED => Err(Self::Disconnected),
            _ => Err(Self::NoWaiter),
        }
    }
}

/// Why a message to a driver has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The driver's message callback says so. A port without one says `STATUS_NOT_SUPPORTED`.
    #[error("the driver answers with {0}")]
    Failed(NtStatus),
    /// The answer is longer than the room for it.
    #[error("the answer is longer than the {} bytes of room for it", .0.len())]
    AnswerTooLong(
        /// What there was room for.
        Bytes,
    ),
    /// The message is longer than the port takes.
    #[error("a message of {length} bytes, where the port takes {limit}")]
    TooLong {
        /// The message's length.
        length: usize,
        /// The most that the port takes.
        limit: usize,
    },
    /// The connection has ended.
    #[error("the connection has ended")]
    Disconnected,
    /// The system has no memory file for a long message or answer.
    #[error("a long message can't be handed over: {0}")]
    Resources(io::ErrorKind),
}

impl AnswerError {
    /// The status that it is for Windows.
    pub fn status(&self) -> NtStatus {
        match self {
            Self::Failed(status) => *status,
            Self::AnswerTooLong(_) => NtStatus::BUFFER_OVERFLOW,
            Self::TooLong { .. } => NtStatus::INVALID_PARAMETER,
            Self::Disconnected => NtStatus::PORT_DISCONNECTED,
            Self::Resources(_) => NtStatus::INSUFFICIENT_RESOURCES,
        }
    }

    /// What `FilterSendMessage` returns.
    pub fn hresult(&self) -> HResult {
        HResult::from_port_status(self.status())
    }
}
