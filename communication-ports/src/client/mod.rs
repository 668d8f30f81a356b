//! The client's side: a service's end of a connection.

mod connect;
pub(crate) mod core;
mod errors;
pub mod filter_api;
mod message;

use std::{fmt, sync::Arc, task::Waker};

use bytes::Bytes;
use usbwright_host_stack::status::NtStatus;
use usbwright_target::Clock;

pub use connect::ConnectOptions;
pub use errors::{AnswerError, ConnectError, GetError, ReplyError};
pub use message::{Message, ReplyMessage, ReplyToken, ReplyWithGet};

use self::core::{Arrived, ClientCore, Failed};
use crate::{
    Ended, NameSpace, PortName,
    link::{Call, Link, Operation, public_future},
    wire::Payload,
};

/// A service's end of a connection to a port. Clones are handles of the same one; it is closed with the last of them.
///
/// Any number of threads and tasks may get messages, reply and send at once.
#[derive(Clone)]
pub struct Client(Arc<Handle>);

struct Handle {
    link: Arc<Link<ClientCore>>,
    /// The longest payload that the server takes.
    server_takes: usize,
    /// The longest that this end takes.
    longest: u32,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.link.end(Ended::Closed);
    }
}

impl Client {
    /// Connects to a port. See [`ConnectOptions`], of which these are the usual ones.
    ///
    /// # Errors
    /// See [`ConnectError`].
    #[doc(alias = "FilterConnectCommunicationPort")]
    pub fn connect(
        space: &NameSpace,
        name: &PortName,
        context: &[u8],
    ) -> Result<Self, ConnectError> {
        ConnectOptions::new(name.clone())
            .name_space(space.clone())
            .context(context)
            .connect()
    }

    fn new(link: Arc<Link<ClientCore>>, server_takes: usize, longest: u32) -> Self {
        Self(Arc::new(Handle {
            link,
            server_takes,
            longest,
        }))
    }

    /// The next message, of whatever length up to the client's [limit](ConnectOptions::longest_message). Many gets may wait at once; which of
    /// them gets which message is not told, and so neither is the order in which they end.
    ///
    /// A get that is dropped is taken back. A message that had come for it all the same is for the next get.
    #[doc(alias = "FilterGetMessage")]
    pub fn get_message(&self) -> GetMessage {
        self.get_message_of(self.0.longest as usize)
    }

    /// The next message, if it has no more than `capacity` bytes without header. A longer one stays the next, and the get ends with
    /// [`GetError::TooSmall`].
    #[doc(alias = "FilterGetMessage")]
    pub fn get_message_of(&self, capacity: usize) -> GetMessage {
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        let call = GetCall {
            link: Arc::clone(&self.0.link),
            server_takes: self.0.server_takes,
            capacity: capacity.min(self.0.longest),
            operation: 0,
        };
        GetMessage(Operation::new(&self.0.link, call))
    }

    /// Sends the driver's message callback a message; `capacity` is the room for its answer.
    ///
    /// A message that was dropped before it was answered is answered nevertheless, and nobody knows.
    ///
    /// # Errors
    /// See [`AnswerError`].
    #[doc(alias = "FilterSendMessage")]
    pub fn send_message(&self, message: impl Into<Bytes>, capacity: usize) -> SendToPort {
        let message = message.into();
        let limit = self.0.server_takes;
        let message = if message.len() > limit {
            Err(AnswerError::TooLong {
                length: message.len(),
                limit,
            })
        } else {
            Payload::new(message).map_err(|error| AnswerError::Resources(error.kind()))
        };
        let call = SendCall {
            message: Some(message),
            capacity: u32::try_from(capacity)
                .unwrap_or(u32::MAX)
                .min(self.0.longest),
            operation: Err(None),
        };
        SendToPort(Operation::new(&self.0.link, call))
    }

    /// Ends the connection, for all its handles: whoever waits is told, and the driver is as well.
    #[doc(alias = "CloseHandle")]
    pub fn close(&self) {
        self.0.link.end(Ended::Closed);
    }

    /// Why the connection has ended, once it has and somebody here has noticed: somebody who waited for it, that is.
    pub fn ended(&self) -> Option<Ended> {
        self.0.link.ended()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("ended", &self.ended())
            .finish_non_exhaustive()
    }
}

public_future! {
    /// A get that waits for a message, from when it is first polled, waited for or [started](Self::start).
    GetMessage(GetCall) -> Result<Message, GetError>;
}

/// See [`GetMessage`].
pub(crate) struct GetCall {
    link: Arc<Link<ClientCore>>,
    server_takes: usize,
    capacity: u32,
    operation: u64,
}

impl Call for GetCall {
    type Core = ClientCore;
    type Raw = Result<Arrived, Failed>;
    type Output = Result<Message, GetError>;

    fn begin(&mut self, core: &mut ClientCore, _clock: &Clock) {
        self.operation = core.get(self.capacity);
    }

    fn take(&mut self, core: &mut ClientCore) -> Option<Self::Raw> {
        core.take_get(self.operation)
    }

    fn settle(&mut self, raw: Self::Raw) -> Self::Output {
        Message::new(raw, &self.link, self.server_takes)
    }

    fn watch(&self, core: &mut ClientCore, waker: &Waker) {
        core.watch_get(self.operation, waker);
    }

    fn abandon(&mut self, core: &mut ClientCore) {
        core.abandon_get(self.operation);
    }
}

public_future! {
    /// A message on its way to a driver, and the answer. It begins when it is first polled, waited for or [started](Self::start).
    SendToPort(SendCall) -> Result<Bytes, AnswerError>;
}

/// See [`SendToPort`].
pub(crate) struct SendCall {
    message: Option<Result<Payload, AnswerError>>,
    capacity: u32,
    /// The operation's number, or what it failed with before it had one.
    operation: Result<u64, Option<AnswerError>>,
}

impl Call for SendCall {
    type Core = ClientCore;
    type Raw = Result<(NtStatus, Payload), AnswerError>;
    type Output = Result<Bytes, AnswerError>;

    fn begin(&mut self, core: &mut ClientCore, _clock: &Clock) {
        self.operation = match self.message.take() {
            Some(Ok(message)) => Ok(core.send(message, self.capacity)),
            Some(Err(error)) => Err(Some(error)),
            None => Err(None),
        };
    }

    fn take(&mut self, core: &mut ClientCore) -> Option<Self::Raw> {
        match &mut self.operation {
            Ok(operation) => core
                .take_send(*operation)
                .map(|it| it.map_err(|_| AnswerError::Disconnected)),
            Err(error) => error.take().map(Err),
        }
    }

    fn settle(&mut self, raw: Self::Raw) -> Self::Output {
        let (status, data) = raw?;
        let data = data
            .read()
            .map_err(|error| AnswerError::Resources(error.kind()))?;
        match status {
            NtStatus::SUCCESS => Ok(data),
            NtStatus::BUFFER_OVERFLOW => Err(AnswerError::AnswerTooLong(data)),
            status => Err(AnswerError::Failed(status)),
        }
    }

    fn watch(&self, core: &mut ClientCore, waker: &Waker) {
        if let Ok(operation) = self.operation {
            core.watch_send(operation, waker);
        }
    }

    fn abandon(&mut self, core: &mut ClientCore) {
        if let Ok(operation) = self.operation {
            core.abandon_send(operation);
        }
    }
}
