//! The packets, as values that mean something.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use usbwright_host_stack::status::NtStatus;
use zerocopy::IntoBytes as _;

use super::{Header, MAGIC, PACKET_SIZE, Payload, open};
use crate::{Violation, socket::Parcel};

/// A packet as it is sent.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Its header.
    pub header: Header,
    /// Its payload, whose length the header tells.
    pub payload: Payload,
}

impl Parcel for Packet {
    const ROOM: usize = PACKET_SIZE;

    fn header(&self) -> &[u8] {
        self.header.as_bytes()
    }

    fn payload(&self) -> &[u8] {
        match &self.payload {
            Payload::Inline(bytes) => bytes,
            Payload::Sealed { .. } => &[],
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.payload {
            Payload::Inline(_) => None,
            Payload::Sealed { file, .. } => Some(file.as_fd()),
        }
    }

    fn open(bytes: &[u8], descriptors: Vec<OwnedFd>, limit: usize) -> Result<Self, Violation> {
        open(bytes, descriptors, limit)
    }
}

/// A get that waits for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostedGet {
    /// Its number.
    pub get: u64,
    /// The longest message that it has room for, without header.
    pub capacity: u32,
}

/// What a client sends.
#[derive(Clone, Debug)]
pub enum ToServer {
    /// The first packet: who calls, with the context for the connect callback.
    Hello {
        /// The protocol's version.
        version: u32,
        /// The context.
        context: Payload,
    },
    /// A get waits.
    Get(PostedGet),
    /// A get waits no more.
    CancelGet(u64),
    /// A reply to a message.
    Reply {
        /// The reply's own number.
        operation: u64,
        /// The message's.
        message: u64,
        /// `FILTER_REPLY_HEADER.Status`.
        status: NtStatus,
        /// A get that waits from now on. How the reply ended is told with its message.
        then: Option<PostedGet>,
        /// The reply.
        data: Payload,
    },
    /// A message for the message callback.
    Send {
        /// Its number.
        operation: u64,
        /// Room for the answer.
        capacity: u32,
        /// The message.
        data: Payload,
    },
}

/// What a server sends.
#[derive(Clone, Debug)]
pub enum ToClient {
    /// The first packet, where the connection was accepted.
    Welcome {
        /// The protocol's version.
        version: u32,
        /// The longest message or reply that the server takes.
        longest: u32,
    },
    /// The first packet and the last, where the connection was refused.
    Refused(NtStatus),
    /// A message, for a get.
    Message {
        /// The get.
        get: u64,
        /// The message's number.
        message: u64,
        /// `FILTER_MESSAGE_HEADER.ReplyLength`: the room for a reply and its header; 0 where none is wanted.
        reply_length: u32,
        /// How the reply ended that the get came with.
        replied: Option<(u64, NtStatus)>,
        /// The message.
        data: Payload,
    },
    /// A get that ends without a message.
    GetEnded {
        /// The get.
        get: u64,
        /// Why.
        status: NtStatus,
        /// The room, without header, that the next message needs.
        needed: u32,
    },
    /// How a reply ended.
    ReplyEnded {
        /// The reply's number.
        operation: u64,
        /// Whether somebody has taken it.
        status: NtStatus,
    },
    /// What the message callback says to a message.
    Answer {
        /// The message's number.
        operation: u64,
        /// What it returned.
        status: NtStatus,
        /// What it put out.
        data: Payload,
    },
}

const HELLO: u16 = 0x01;
const GET: u16 = 0x02;
const CANCEL_GET: u16 = 0x03;
const REPLY: u16 = 0x04;
const SEND: u16 = 0x05;
const WELCOME: u16 = 0x81;
const REFUSED: u16 = 0x82;
const MESSAGE: u16 = 0x83;
const GET_ENDED: u16 = 0x84;
const REPLY_ENDED: u16 = 0x85;
const ANSWER: u16 = 0x86;

impl Packet {
    /// A packet of this kind, whose other fields are zero.
    fn new(kind: u16, payload: Payload) -> Self {
        let sealed = match payload {
            Payload::Inline(_) => 0,
            Payload::Sealed { .. } => Header::SEALED,
        };
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let header = Header {
            kind: kind.into(),
            flags: sealed.into(),
            length: length.into(),
            ..Header::default()
        };
        Self { header, payload }
    }

    fn with(mut self, fill: impl FnOnce(&mut Header)) -> Self {
        fill(&mut self.header);
        self
    }

    /// Refuses a header that says more than its kind means.
    fn exactly(&self, header: &Header) -> Result<(), Violation> {
        if self.header == *header {
            Ok(())
        } else {
            Err(Violation::Fields(header.kind.get()))
        }
    }
}

impl From<ToServer> for Packet {
    fn from(packet: ToServer) -> Self {
        match packet {
            ToServer::Hello { version, context } => Self::new(HELLO, context).with(|it| {
                it.operation = MAGIC.into();
                it.status = version.into();
            }),
            ToServer::Get(posted) => Self::new(GET, Payload::EMPTY).with(|it| {
                it.get = posted.get.into();
                it.capacity = posted.capacity.into();
            }),
            ToServer::CancelGet(get) => {
                Self::new(CANCEL_GET, Payload::EMPTY).with(|it| it.get = get.into())
            }
            ToServer::Reply {
                operation,
                message,
                status,
                then,
                data,
            } => Self::new(REPLY, data).with(|it| {
                it.operation = operation.into();
                it.message = message.into();
                it.status = status.0.into();
                if let Some(posted) = then {
                    it.flags = (it.flags.get() | Header::AND_GET).into();
                    it.get = posted.get.into();
                    it.capacity = posted.capacity.into();
                }
            }),
            ToServer::Send {
                operation,
                capacity,
                data,
            } => Self::new(SEND, data).with(|it| {
                it.operation = operation.into();
                it.capacity = capacity.into();
            }),
        }
    }
}

impl TryFrom<Packet> for ToServer {
    type Error = Violation;

    fn try_from(Packet { header, payload }: Packet) -> Result<Self, Violation> {
        let posted = PostedGet {
            get: header.get.get(),
            capacity: header.capacity.get(),
        };
        let operation = header.operation.get();
        let packet = match header.kind.get() {
            HELLO => Self::Hello {
                version: header.status.get(),
                context: payload,
            },
            GET => Self::Get(posted),
            CANCEL_GET => Self::CancelGet(posted.get),
            REPLY => Self::Reply {
                operation,
                message: header.message.get(),
                status: NtStatus(header.status.get()),
                then: header.has(Header::AND_GET).then_some(posted),
                data: payload,
            },
            SEND => Self::Send {
                operation,
                capacity: header.capacity.get(),
                data: payload,
            },
            kind => return Err(Violation::Kind(kind)),
        };
        Packet::from(packet.clone()).exactly(&header)?;
        Ok(packet)
    }
}

impl ToClient {
    /// The header of a message whose payload is elsewhere.
    pub(crate) fn message_header(
        get: u64,
        message: u64,
        reply_length: u32,
        replied: Option<(u64, NtStatus)>,
        data: Payload,
    ) -> Packet {
        Packet::new(MESSAGE, data).with(|it| {
            it.get = get.into();
            it.message = message.into();
            it.capacity = reply_length.into();
            if let Some((operation, status)) = replied {
                it.flags = (it.flags.get() | Header::REPLIED).into();
                it.operation = operation.into();
                it.status = status.0.into();
            }
        })
    }
}

impl From<ToClient> for Packet {
    fn from(packet: ToClient) -> Self {
        match packet {
            ToClient::Welcome { version, longest } => {
                Self::new(WELCOME, Payload::EMPTY).with(|it| {
                    it.operation = MAGIC.into();
                    it.status = version.into();
                    it.capacity = longest.into();
                })
            }
            ToClient::Refused(status) => {
                Self::new(REFUSED, Payload::EMPTY).with(|it| it.status = status.0.into())
            }
            ToClient::Message {
                get,
                message,
                reply_length,
                replied,
                data,
            } => ToClient::message_header(get, message, reply_length, replied, data),
            ToClient::GetEnded {
                get,
                status,
                needed,
            } => Self::new(GET_ENDED, Payload::EMPTY).with(|it| {
                it.get = get.into();
                it.status = status.0.into();
                it.capacity = needed.into();
            }),
            ToClient::ReplyEnded { operation, status } => Self::new(REPLY_ENDED, Payload::EMPTY)
                .with(|it| {
                    it.operation = operation.into();
                    it.status = status.0.into();
                }),
            ToClient::Answer {
                operation,
                status,
                data,
            } => Self::new(ANSWER, data).with(|it| {
                it.operation = operation.into();
                it.status = status.0.into();
            }),
        }
    }
}

impl TryFrom<Packet> for ToClient {
    type Error = Violation;

    fn try_from(Packet { header, payload }: Packet) -> Result<Self, Violation> {
        let operation = header.operation.get();
        let get = header.get.get();
        let capacity = header.capacity.get();
        let status = NtStatus(header.status.get());
        let packet = match header.kind.get() {
            WELCOME => Self::Welcome {
                version: header.status.get(),
                longest: capacity,
            },
            REFUSED => Self::Refused(status),
            MESSAGE => Self::Message {
                get,
                message: header.message.get(),
                reply_length: capacity,
                replied: header.has(Header::REPLIED).then_some((operation, status)),
                data: payload,
            },
            GET_ENDED => Self::GetEnded {
                get,
                status,
                needed: capacity,
            },
            REPLY_ENDED => Self::ReplyEnded { operation, status },
            ANSWER => Self::Answer {
                operation,
                status,
                data: payload,
            },
            kind => return Err(Violation::Kind(kind)),
        };
        Packet::from(packet.clone()).exactly(&header)?;
        Ok(packet)
    }
}
