//! A message that has come, and the reply to it.

use std::{fmt, sync::Arc, task::Waker};

use bytes::Bytes;
use usbwright_host_stack::status::NtStatus;
use usbwright_target::Clock;

use super::{
    GetError, ReplyError,
    core::{Arrived, ClientCore, Failed},
};
use crate::{
    link::{Call, Link, Operation, public_future},
    wire::Payload,
};

/// A message of a driver.
#[derive(Debug)]
pub struct Message {
    /// Its number, of those of its connection.
    #[doc(alias = "MessageId")]
    pub id: u64,
    /// What it says.
    pub data: Bytes,
    /// What to reply with, if a reply is wanted.
    pub reply: Option<ReplyToken>,
}

impl Message {
    pub(super) fn new(
        raw: Result<Arrived, Failed>,
        link: &Arc<Link<ClientCore>>,
        server_takes: usize,
    ) -> Result<Self, GetError> {
        let arrived = raw.map_err(|failed| match failed.status {
            NtStatus::BUFFER_TOO_SMALL => GetError::TooSmall {
                needed: failed.needed as usize,
            },
            NtStatus::INSUFFICIENT_RESOURCES => GetError::TooMany,
            _ => GetError::Disconnected,
        })?;
        let data = arrived.data.read();
        Ok(Self {
            id: arrived.message,
            data: data.map_err(|error| GetError::Resources(error.kind()))?,
            reply: arrived.reply.map(|room| ReplyToken {
                link: Arc::clone(link),
                message: arrived.message,
                room: room as usize,
                server_takes,
            }),
        })
    }
}

/// The right to reply to a message, once. Of one that is dropped the sender hears nothing, until its deadline.
pub struct ReplyToken {
    link: Arc<Link<ClientCore>>,
    message: u64,
    room: usize,
    server_takes: usize,
}

impl ReplyToken {
    /// The longest reply that the sender has room for, without header.
    #[doc(alias = "ReplyLength")]
    pub fn room(&self) -> usize {
        self.room
    }

    /// Replies; and ends once it is known whether somebody has waited for it. That takes a packet there and back: a worker that does not
    /// want to know [starts](ReplyMessage::start) the reply, drops it and gets the next message.
    ///
    /// # Errors
    /// See [`ReplyError`].
    #[doc(alias = "FilterReplyMessage")]
    pub fn reply(self, data: impl Into<Bytes>) -> ReplyMessage {
        self.reply_with(NtStatus::SUCCESS, data)
    }

    /// Replies with a status as well.
    ///
    /// # Errors
    /// See [`ReplyError`].
    #[doc(alias = "FilterReplyMessage")]
    pub fn reply_with(self, status: NtStatus, data: impl Into<Bytes>) -> ReplyMessage {
        let reply = Outgoing::new(self.message, status, data.into(), self.server_takes);
        ReplyMessage(Operation::new(&self.link, ReplyCall::new(reply)))
    }

    /// Replies, and gets the next message of any length up to `capacity`: in one packet, and one more that comes back, where a reply and a
    /// get of their own take two each way. That is the quickest loop for a worker.
    ///
    /// It ends with the next message, and tells then how the reply did.
    ///
    /// # Errors
    /// See [`ReplyError`] and [`GetError`]: each of the two may fail, and the other not.
    pub fn reply_and_get(
        self,
        status: NtStatus,
        data: impl Into<Bytes>,
        capacity: usize,
    ) -> ReplyWithGet {
        let reply = Outgoing::new(self.message, status, data.into(), self.server_takes);
        let call = ReplyWithGetCall {
            link: Arc::clone(&self.link),
            server_takes: self.server_takes,
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            reply: ReplyCall::new(reply),
            replied: None,
            get: None,
        };
        ReplyWithGet(Operation::new(&self.link, call))
    }
}

impl fmt::Debug for ReplyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyToken")
            .field("message", &self.message)
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

/// A reply that is not sent yet.
pub(crate) struct Outgoing {
    message: u64,
    status: NtStatus,
    data: Result<Payload, ReplyError>,
}

impl Outgoing {
    pub(super) fn new(message: u64, status: NtStatus, data: Bytes, server_takes: usize) -> Self {
        // One byte more than any sender has room for tells as much as all of them.
        let mut data = data;
        data.truncate(server_takes + 1);
        Self {
            message,
            status,
            data: Payload::new(data).map_err(|error| ReplyError::Resources(error.kind())),
        }
    }
}

public_future! {
    /// A reply on its way. It begins when it is first polled, waited for or [started](Self::start).
    ReplyMessage(ReplyCall) -> Result<(), ReplyError>;
}

/// See [`ReplyMessage`].
pub(crate) struct ReplyCall {
    reply: Option<Outgoing>,
    /// The operation's number, or what it failed with before it had one.
    operation: Result<u64, Option<ReplyError>>,
}

impl ReplyCall {
    pub(super) fn new(reply: Outgoing) -> Self {
        Self {
            reply: Some(reply),
            operation: Err(None),
        }
    }

    /// Begins the reply, with a get of that room; the get's number.
    fn begin_with(&mut self, core: &mut ClientCore, then: Option<u32>) -> Option<u64> {
        let reply = self.reply.take()?;
        match reply.data {
            Ok(data) => {
                let (operation, get) = core.reply(reply.message, reply.status, data, then);
                self.operation = Ok(operation);
                get
            }
            Err(error) => {
                self.operation = Err(Some(error));
                then.map(|capacity| core.get(capacity))
            }
        }
    }
}

impl Call for ReplyCall {
    type Core = ClientCore;
    type Raw = Result<(), ReplyError>;
    type Output = Self::Raw;

    fn begin(&mut self, core: &mut ClientCore, _clock: &Clock) {
        self.begin_with(core, None);
    }

    fn take(&mut self, core: &mut ClientCore) -> Option<Self::Raw> {
        match &mut self.operation {
            Ok(operation) => core.take_reply(*operation).map(ReplyError::check),
            Err(error) => error.take().map(Err),
        }
    }

    fn settle(&mut self, raw: Self::Raw) -> Self::Output {
        raw
    }

    fn watch(&self, core: &mut ClientCore, waker: &Waker) {
        if let Ok(operation) = self.operation {
            core.watch_reply(operation, waker);
        }
    }

    fn abandon(&mut self, core: &mut ClientCore) {
        if let Ok(operation) = self.operation {
            core.abandon_reply(operation);
        }
    }
}

public_future! {
    /// A reply and a get on their way together. They begin when this is first polled, waited for or [started](Self::start).
    ReplyWithGet(ReplyWithGetCall) -> (Result<(), ReplyError>, Result<Message, GetError>);
}

/// See [`ReplyWithGet`].
pub(crate) struct ReplyWithGetCall {
    link: Arc<Link<ClientCore>>,
    server_takes: usize,
    capacity: u32,
    reply: ReplyCall,
    replied: Option<Result<(), ReplyError>>,
    get: Option<u64>,
}

impl Call for ReplyWithGetCall {
    type Core = ClientCore;
    type Raw = (Result<(), ReplyError>, Result<Arrived, Failed>);
    type Output = (Result<(), ReplyError>, Result<Message, GetError>);

    fn begin(&mut self, core: &mut ClientCore, _clock: &Clock) {
        self.get = self.reply.begin_with(core, Some(self.capacity));
    }

    fn take(&mut self, core: &mut ClientCore) -> Option<Self::Raw> {
        if self.replied.is_none() {
            self.replied = self.reply.take(core);
        }
        // The get ends after the reply, or with it; unless a message was there for it at once.
        self.replied.as_ref()?;
        let arrived = core.take_get(self.get?)?;
        Some((self.replied.take()?, arrived))
    }

    fn settle(&mut self, (replied, arrived): Self::Raw) -> Self::Output {
        let message = Message::new(arrived, &self.link, self.server_takes);
        (replied, message)
    }

    fn watch(&self, core: &mut ClientCore, waker: &Waker) {
        if self.replied.is_none() {
            self.reply.watch(core, waker);
        }
        if let Some(get) = self.get {
            core.watch_get(get, waker);
        }
    }

    fn abandon(&mut self, core: &mut ClientCore) {
        if self.replied.is_none() {
            self.reply.abandon(core);
        }
        if let Some(get) = self.get {
            core.abandon_get(get);
        }
    }
}
