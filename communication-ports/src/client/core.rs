//! The client's end of one connection, as a state machine without I/O.

use std::{
    collections::{BTreeMap, VecDeque},
    task::Waker,
    time::Instant,
};

use usbwright_host_stack::status::NtStatus;

use crate::{
    Violation,
    layout::HEADER_LENGTH,
    link::{Core, Slots},
    wire::{Packet, Payload, PostedGet, ToClient, ToServer},
};

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) message: u64,
    /// Room for a reply, without header, where one is wanted.
    pub(crate) reply: Option<u32>,
    pub(crate) data: Payload,
}

/// A get, a reply or a send that ends without what it wanted: the status, and the room that a get would have needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) status: NtStatus,
    pub(crate) needed: u32,
}

impl From<NtStatus> for Failed {
    fn from(status: NtStatus) -> Self {
        Self { status, needed: 0 }
    }
}

const DISCONNECTED: Failed = Failed {
    status: NtStatus::PORT_DISCONNECTED,
    needed: 0,
};

/// A get at the server.
#[derive(Debug)]
struct Posted {
    capacity: u32,
    /// The operation that a message for it ends; none if that was taken back.
    operation: Option<u64>,
}

/// The client's end of one connection.
#[derive(Debug)]
pub(crate) struct ClientCore {
    gets: Slots<Result<Arrived, Failed>>,
    replies: Slots<NtStatus>,
    sends: Slots<Result<(NtStatus, Payload), Failed>>,
    /// By the number that the server has of them; the first is the oldest.
    posted: BTreeMap<u64, Posted>,
    /// What came for gets that had been taken back, for the next ones.
    kept: VecDeque<Arrived>,
    outbox: VecDeque<Packet>,
    ended: bool,
    woken: Vec<Waker>,
}

impl ClientCore {
    pub(crate) fn new() -> Self {
        Self {
            gets: Slots::new(),
            replies: Slots::new(),
            sends: Slots::new(),
            posted: BTreeMap::new(),
            kept: VecDeque::new(),
            outbox: VecDeque::new(),
            ended: false,
            woken: Vec::new(),
        }
    }

    /// A get that has room for so many bytes.
    pub(crate) fn get(&mut self, capacity: u32) -> u64 {
        let operation = self.gets.begin();
        if let Some(posted) = self.post(operation, capacity) {
            self.outbox.push_back(ToServer::Get(posted).into());
        }
        operation
    }

    /// What to tell the server of a new get; nothing where it has ended already.
    fn post(&mut self, operation: u64, capacity: u32) -> Option<PostedGet> {
        if let Some(kept) = self.kept.front() {
            let needed = u32::try_from(kept.data.len()).unwrap_or(u32::MAX);
            let output = if needed <= capacity {
                self.kept.pop_front().ok_or(DISCONNECTED)
            } else {
                let status = NtStatus::BUFFER_TOO_SMALL;
                Err(Failed { status, needed })
            };
            self.gets.finish(operation, output, &mut self.woken);
            return None;
        }
        if self.ended {
            self.gets
                .finish(operation, Err(DISCONNECTED), &mut self.woken);
            return None;
        }
        let posted = Posted {
            capacity,
            operation: Some(operation),
        };
        self.posted.insert(operation, posted);
        Some(PostedGet {
            get: operation,
            capacity,
        })
    }

    pub(crate) fn take_get(&mut self, get: u64) -> Option<Result<Arrived, Failed>> {
        self.gets.take(get)
    }

    pub(crate) fn watch_get(&mut self, get: u64, waker: &Waker) {
        self.gets.watch(get, waker);
    }

    /// Takes a get back. What has come for it is kept for the next one.
    pub(crate) fn abandon_get(&mut self, get: u64) {
        if let Some(Ok(arrived)) = self.gets.forget(get) {
            self.kept.push_front(arrived);
            self.hand_on();
        }
        let posted = self
            .posted
            .iter_mut()
            .find(|(_, it)| it.operation == Some(get));
        if let Some((number, posted)) = posted {
            posted.operation = None;
            self.outbox.push_back(ToServer::CancelGet(*number).into());
        }
    }

    /// A reply, and a get of this room that is posted with it.
    pub(crate) fn reply(
        &mut self,
        message: u64,
        status: NtStatus,
        data: Payload,
        then: Option<u32>,
    ) -> (u64, Option<u64>) {
        let operation = self.replies.begin();
        let get = then.map(|capacity| (self.gets.begin(), capacity));
        if self.ended {
            let gone = NtStatus::PORT_DISCONNECTED;
            self.replies.finish(operation, gone, &mut self.woken);
        }
        let then = get.and_then(|(get, capacity)| self.post(get, capacity));
        if !self.ended {
            let reply = ToServer::Reply {
                operation,
                message,
                status,
                then,
                data,
            };
            self.outbox.push_back(reply.into());
        }
        (operation, get.map(|(get, _)| get))
    }

    pub(crate) fn take_reply(&mut self, reply: u64) -> Option<NtStatus> {
        self.replies.take(reply)
    }

    pub(crate) fn watch_reply(&mut self, reply: u64, waker: &Waker) {
        self.replies.watch(reply, waker);
    }

    pub(crate) fn abandon_reply(&mut self, reply: u64) {
        self.replies.abandon(reply);
    }

    /// A message for the server's message callback.
    pub(crate) fn send(&mut self, data: Payload, capacity: u32) -> u64 {
        let operation = self.sends.begin();
        if self.ended {
            self.sends
                .finish(operation, Err(DISCONNECTED), &mut self.woken);
        } else {
            let send = ToServer::Send {
                operation,
                capacity,
                data,
            };
            self.outbox.push_back(send.into());
        }
        operation
    }

    pub(crate) fn take_send(&mut self, send: u64) -> Option<Result<(NtStatus, Payload), Failed>> {
        self.sends.take(send)
    }

    pub(crate) fn watch_send(&mut self, send: u64, waker: &Waker) {
        self.sends.watch(send, waker);
    }

    pub(crate) fn abandon_send(&mut self, send: u64) {
        self.sends.abandon(send);
    }

    /// Gives what is kept to gets that wait.
    fn hand_on(&mut self) {
        while let Some(kept) = self.kept.front() {
            let needed = u32::try_from(kept.data.len()).unwrap_or(u32::MAX);
            let waiting = self
                .posted
                .iter_mut()
                .find(|(_, it)| it.operation.is_some() && it.capacity >= needed);
            let Some((number, posted)) = waiting else {
                return;
            };
            let operation = posted.operation.take();
            self.outbox.push_back(ToServer::CancelGet(*number).into());
            let kept = self.kept.pop_front().ok_or(DISCONNECTED);
            if let Some(operation) = operation {
                self.gets.finish(operation, kept, &mut self.woken);
            }
        }
    }

    fn message(&mut self, get: u64, arrived: Arrived) -> Result<(), Violation> {
        let posted = self.posted.remove(&get).ok_or(Violation::Unasked(get))?;
        let length = arrived.data.len();
        if length > posted.capacity as usize {
            return Err(Violation::Overfull {
                length,
                capacity: posted.capacity,
            });
        }
        match posted.operation {
            Some(operation) => {
                self.gets.finish(operation, Ok(arrived), &mut self.woken);
            }
            None => {
                self.kept.push_back(arrived);
                self.hand_on();
            }
        }
        Ok(())
    }

    fn reply_ended(&mut self, operation: u64, status: NtStatus) -> Result<(), Violation> {
        match self.replies.finish(operation, status, &mut self.woken) {
            true => Ok(()),
            false => Err(Violation::Unasked(operation)),
        }
    }
}

/// The room that a message's reply has, of the length that the message tells.
fn room(reply_length: u32) -> Result<Option<u32>, Violation> {
    match reply_length {
        0 => Ok(None),
        length => length
            .checked_sub(HEADER_LENGTH)
            .map(Some)
            .ok_or(Violation::ReplyLength(length)),
    }
}

impl Core for ClientCore {
    type Packet = Packet;

    fn receive(&mut self, packet: Packet) -> Result<(), Violation> {
        let kind = packet.header.kind.get();
        match ToClient::try_from(packet)? {
            ToClient::Welcome { .. } | ToClient::Refused(_) => Err(Violation::Time(kind)),
            ToClient::Message {
                get,
                message,
                reply_length,
                replied,
                data,
            } => {
                if let Some((operation, status)) = replied {
                    self.reply_ended(operation, status)?;
                }
                let reply = room(reply_length)?;
                let arrived = Arrived {
                    message,
                    reply,
                    data,
                };
                self.message(get, arrived)
            }
            ToClient::GetEnded {
                get,
                status,
                needed,
            } => {
                let posted = self.posted.remove(&get).ok_or(Violation::Unasked(get))?;
                if let Some(operation) = posted.operation {
                    let failed = Err(Failed { status, needed });
                    self.gets.finish(operation, failed, &mut self.woken);
                }
                Ok(())
            }
            ToClient::ReplyEnded { operation, status } => self.reply_ended(operation, status),
            ToClient::Answer {
                operation,
                status,
                data,
            } => {
                let answer = Ok((status, data));
                match self.sends.finish(operation, answer, &mut self.woken) {
                    true => Ok(()),
                    false => Err(Violation::Unasked(operation)),
                }
            }
        }
    }

    fn outgoing(&mut self) -> Option<Packet> {
        self.outbox.front().cloned()
    }

    fn sent(&mut self) {
        self.outbox.pop_front();
    }

    fn expire(&mut self, _now: Instant) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn end(&mut self) {
        self.ended = true;
        self.posted.clear();
        self.outbox.clear();
        let woken = &mut self.woken;
        self.gets.finish_all(|| Err(DISCONNECTED), woken);
        self.replies
            .finish_all(|| NtStatus::PORT_DISCONNECTED, woken);
        self.sends.finish_all(|| Err(DISCONNECTED), woken);
    }

    fn woken(&mut self) -> &mut Vec<Waker> {
        &mut self.woken
    }
}
