//! A connection, as the driver has it.

use std::{fmt, sync::Arc, task::Waker, time::Instant};

use bytes::Bytes;
use usbwright_target::Clock;

use super::{
    SendError, Sent,
    core::{Outcome, ServerCore},
    outcome::Answered,
};
use crate::{
    Deadline, Ended, Peer,
    link::{Call, Link, Operation, public_future},
    wire::Payload,
};

/// A client's connection, as the driver has it. Clones are handles of the same one.
///
/// The connection does not depend on there being a handle: it ends when either end closes it, or the filter is unloaded.
#[derive(Clone)]
#[doc(alias = "ClientPort")]
#[doc(alias = "PFLT_PORT")]
pub struct Connection {
    link: Arc<Link<ServerCore>>,
    peer: Arc<Peer>,
    longest: usize,
}

impl Connection {
    pub(super) fn new(link: Arc<Link<ServerCore>>, peer: Arc<Peer>, longest: usize) -> Self {
        Self {
            link,
            peer,
            longest,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Sends the client a message, once one of its gets waits for one; `reply` is the room for a reply, if one is wanted. In one
    /// connection, messages are delivered in the order in which their sends began.
    ///
    /// `deadline` is for the delivery and the reply together. What is dropped before it ends is taken back: a message that was not
    /// delivered never is, and a reply that still comes finds nobody.
    ///
    /// Many sends may be under way at once, from any number of threads and tasks. Should a send end at its deadline just as the reply
    /// comes, it has ended in one of the two ways for both sides.
    ///
    /// # Errors
    /// See [`SendError`]; [`SendError::TooLong`] at once.
    #[doc(alias = "FltSendMessage")]
    pub fn send_message(
        &self,
        message: impl Into<Bytes>,
        reply: Option<usize>,
        deadline: impl Into<Deadline>,
    ) -> SendMessage {
        let message = message.into();
        let length = message.len().max(reply.unwrap_or(0));
        let payload = if length > self.longest {
            let limit = self.longest;
            Err(SendError::TooLong { length, limit })
        } else {
            Payload::new(message).map_err(|error| SendError::Resources(error.kind()))
        };
        let call = SendCall {
            message: Some(payload),
            reply: reply.map(|it| u32::try_from(it).unwrap_or(u32::MAX)),
            deadline: deadline.into(),
            until: None,
            operation: Err(None),
        };
        SendMessage(Operation::new(&self.link, call))
    }

    /// Ends the connection: whoever sends is told, and the client too. The disconnect callback is not called for it.
    #[doc(alias = "FltCloseClientPort")]
    pub fn close(&self) {
        self.link.end(Ended::Closed);
    }

    /// Why the connection has ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        self.link.ended()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer)
            .field("ended", &self.ended())
            .finish_non_exhaustive()
    }
}

public_future! {
    /// A message on its way to a client. It waits in its turn from when it is first polled, waited for or [started](Self::start).
    SendMessage(SendCall) -> Result<Sent, SendError>;
}

/// See [`SendMessage`].
pub(crate) struct SendCall {
    message: Option<Result<Payload, SendError>>,
    reply: Option<u32>,
    deadline: Deadline,
    until: Option<Instant>,
    /// The operation's number, or what it failed with before it had one.
    operation: Result<u64, Option<SendError>>,
}

impl Call for SendCall {
    type Core = ServerCore;
    type Raw = Outcome;
    type Output = Result<Sent, SendError>;

    fn begin(&mut self, core: &mut ServerCore, clock: &Clock) {
        self.operation = match self.message.take() {
            Some(Ok(message)) => {
                self.until = self.deadline.resolve(|| clock.now());
                Ok(core.send(message, self.reply, self.until))
            }
            Some(Err(error)) => Err(Some(error)),
            None => Err(None),
        };
    }

    fn take(&mut self, core: &mut ServerCore) -> Option<Outcome> {
        match &mut self.operation {
            Ok(operation) => core.take(*operation),
            Err(error) => error.take().map(Err),
        }
    }

    fn settle(&mut self, outcome: Outcome) -> Self::Output {
        outcome.and_then(Answered::read)
    }

    fn watch(&self, core: &mut ServerCore, waker: &Waker) {
        if let Ok(operation) = self.operation {
            core.watch(operation, waker);
        }
    }

    fn abandon(&mut self, core: &mut ServerCore) {
        if let Ok(operation) = self.operation {
            core.abandon(operation);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.until
    }
}
