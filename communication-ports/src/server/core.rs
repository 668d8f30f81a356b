//! The server's end of one connection, as a state machine without I/O.

use std::{
    collections::{BTreeMap, VecDeque},
    task::Waker,
    time::Instant,
};

use usbwright_host_stack::status::NtStatus;

use super::outcome::{Answered, SendError};
use crate::{
    Violation,
    layout::HEADER_LENGTH,
    link::{Core, Slots},
    wire::{Packet, Payload, PostedGet, ToClient, ToServer},
};

/// How many gets of one client may wait.
pub(crate) const GETS: usize = 1024;
/// How many messages of one client may wait for the message callback.
pub(crate) const REQUESTS: usize = 64;
/// How many answers may wait for a client that does not take them.
const UNTAKEN: usize = 2 * GETS + 2 * REQUESTS;

/// How a send ended, with its reply as it came.
pub(crate) type Outcome = Result<Answered, SendError>;

/// A message that waits for a get.
#[derive(Debug)]
struct Queued {
    operation: u64,
    data: Payload,
    /// Room for a reply, without header, where one is wanted.
    reply: Option<u32>,
    deadline: Option<Instant>,
}

/// A message that waits for its reply.
#[derive(Debug)]
struct Delivered {
    room: u32,
    deadline: Option<Instant>,
}

/// A get that waits for a message.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    get: PostedGet,
    /// How the reply ended that it came with.
    replied: Option<(u64, NtStatus)>,
}

/// A client's message for the message callback.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) operation: u64,
    /// Room for the answer.
    pub(crate) capacity: u32,
    pub(crate) data: Payload,
}

/// The server's end of one connection.
#[derive(Debug)]
pub(crate) struct ServerCore {
    sends: Slots<Outcome>,
    queue: VecDeque<Queued>,
    /// By message number, which is that of the send.
    delivered: BTreeMap<u64, Delivered>,
    gets: VecDeque<Waiting>,
    /// What is owed to the client besides messages.
    owed: VecDeque<Packet>,
    requests: VecDeque<Request>,
    /// Who takes requests.
    taker: Option<Waker>,
    ended: bool,
    woken: Vec<Waker>,
}

impl ServerCore {
    pub(crate) fn new() -> Self {
        Self {
            sends: Slots::new(),
            queue: VecDeque::new(),
            delivered: BTreeMap::new(),
            gets: VecDeque::new(),
            owed: VecDeque::new(),
            requests: VecDeque::new(),
            taker: None,
            ended: false,
            woken: Vec::new(),
        }
    }

    /// A message for the client, and the number of the send.
    pub(crate) fn send(
        &mut self,
        data: Payload,
        reply: Option<u32>,
        deadline: Option<Instant>,
    ) -> u64 {
        let operation = self.sends.begin();
        if self.ended {
            self.finish(operation, Err(SendError::Disconnected));
        } else {
            self.queue.push_back(Queued {
                operation,
                data,
                reply,
                deadline,
            });
        }
        operation
    }

    /// How a send has ended, once.
    pub(crate) fn take(&mut self, operation: u64) -> Option<Outcome> {
        self.sends.take(operation)
    }

    pub(crate) fn watch(&mut self, operation: u64, waker: &Waker) {
        self.sends.watch(operation, waker);
    }

    /// Takes a send back: it is not delivered any more, and nobody waits for its reply.
    pub(crate) fn abandon(&mut self, operation: u64) {
        self.queue.retain(|it| it.operation != operation);
        self.delivered.remove(&operation);
        self.sends.forget(operation);
    }

    /// The next message of the client; `Err` where none comes any more. Otherwise `waker` is woken when there is one.
    pub(crate) fn request(&mut self, waker: &Waker) -> Result<Option<Request>, Gone> {
        if self.ended {
            return Err(Gone);
        }
        // One answer at a time: a client that does not take them has no more of them made.
        let next = if self.owed.is_empty() {
            self.requests.pop_front()
        } else {
            None
        };
        if next.is_none() {
            self.taker = Some(waker.clone());
        }
        Ok(next)
    }

    /// What the message callback says to a request.
    pub(crate) fn answer(&mut self, operation: u64, status: NtStatus, data: Payload) {
        if !self.ended {
            self.owe(ToClient::Answer {
                operation,
                status,
                data,
            });
        }
    }

    fn owe(&mut self, packet: ToClient) {
        self.owed.push_back(packet.into());
    }

    fn finish(&mut self, operation: u64, outcome: Outcome) {
        self.sends.finish(operation, outcome, &mut self.woken);
    }

    fn post(&mut self, get: PostedGet, replied: Option<(u64, NtStatus)>) {
        let waiting = Waiting { get, replied };
        if self.gets.len() < GETS {
            self.gets.push_back(waiting);
        } else {
            self.end_get(waiting, NtStatus::INSUFFICIENT_RESOURCES, 0);
        }
    }

    fn end_get(&mut self, waiting: Waiting, status: NtStatus, needed: u32) {
        if let Some((operation, status)) = waiting.replied {
            self.owe(ToClient::ReplyEnded { operation, status });
        }
        self.owe(ToClient::GetEnded {
            get: waiting.get.get,
            status,
            needed,
        });
    }

    fn reply(&mut self, message: u64, status: NtStatus, mut data: Payload) -> NtStatus {
        let Some(delivered) = self.delivered.remove(&message) else {
            return NtStatus::FLT_NO_WAITER_FOR_REPLY;
        };
        let fits = data.len() <= delivered.room as usize;
        data.truncate(delivered.room as usize);
        let (outcome, told) = if fits {
            (Ok(Answered::Replied(status, data)), NtStatus::SUCCESS)
        } else {
            let overflow = Ok(Answered::Overflow(data));
            (overflow, NtStatus::BUFFER_OVERFLOW)
        };
        self.finish(message, outcome);
        told
    }

    /// Ends the gets that have no room for the next message, which stays where it is.
    fn refuse_small_gets(&mut self) {
        let Some(head) = self.queue.front() else {
            return;
        };
        let needed = u32::try_from(head.data.len()).unwrap_or(u32::MAX);
        while let Some(waiting) = self.gets.pop_front_if(|it| it.get.capacity < needed) {
            self.end_get(waiting, NtStatus::BUFFER_TOO_SMALL, needed);
        }
    }

    fn wake_taker(&mut self) {
        if self.owed.is_empty() && (!self.requests.is_empty() || self.ended) {
            self.woken.extend(self.taker.take());
        }
    }
}

/// There is no connection any more.
#[derive(Debug)]
pub(crate) struct Gone;

impl Core for ServerCore {
    type Packet = Packet;

    fn receive(&mut self, packet: Packet) -> Result<(), Violation> {
        let kind = packet.header.kind.get();
        match ToServer::try_from(packet)? {
            ToServer::Hello { .. } => return Err(Violation::Time(kind)),
            ToServer::Get(get) => self.post(get, None),
            ToServer::CancelGet(get) => {
                if let Some(at) = self.gets.iter().position(|it| it.get.get == get)
                    && let Some(waiting) = self.gets.remove(at)
                {
                    self.end_get(waiting, NtStatus::CANCELLED, 0);
                }
            }
            ToServer::Reply {
                operation,
                message,
                status,
                then,
                data,
            } => {
                let status = self.reply(message, status, data);
                match then {
                    Some(get) => self.post(get, Some((operation, status))),
                    None => self.owe(ToClient::ReplyEnded { operation, status }),
                }
            }
            ToServer::Send {
                operation,
                capacity,
                data,
            } => {
                if self.requests.len() < REQUESTS {
                    self.requests.push_back(Request {
                        operation,
                        capacity,
                        data,
                    });
                    self.wake_taker();
                } else {
                    let status = NtStatus::INSUFFICIENT_RESOURCES;
                    self.answer(operation, status, Payload::EMPTY);
                }
            }
        }
        match self.owed.len() {
            many if many > UNTAKEN => Err(Violation::NotReading(many)),
            _ => Ok(()),
        }
    }

    fn outgoing(&mut self) -> Option<Packet> {
        self.refuse_small_gets();
        if let Some(packet) = self.owed.front() {
            return Some(packet.clone());
        }
        let message = self.queue.front()?;
        let waiting = self.gets.front()?;
        let reply_length = message.reply.map_or(0, |room| HEADER_LENGTH + room);
        let packet = ToClient::Message {
            get: waiting.get.get,
            message: message.operation,
            reply_length,
            replied: waiting.replied,
            data: message.data.clone(),
        };
        Some(packet.into())
    }

    fn sent(&mut self) {
        if self.owed.pop_front().is_some() {
            self.wake_taker();
            return;
        }
        self.gets.pop_front();
        let Some(message) = self.queue.pop_front() else {
            return;
        };
        let deadline = message.deadline;
        match message.reply {
            Some(room) => {
                let delivered = Delivered { room, deadline };
                self.delivered.insert(message.operation, delivered);
            }
            None => self.finish(message.operation, Ok(Answered::Delivered)),
        }
    }

    fn expire(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|it| it <= now);
        let (sends, woken) = (&mut self.sends, &mut self.woken);
        self.queue.retain(|it| {
            let due = due(it.deadline);
            if due {
                let late = SendError::TimedOutBeforeDelivery;
                sends.finish(it.operation, Err(late), woken);
            }
            !due
        });
        self.delivered.retain(|message, it| {
            let due = due(it.deadline);
            if due {
                let late = SendError::TimedOutBeforeReply;
                sends.finish(*message, Err(late), woken);
            }
            !due
        });
    }

    fn deadline(&self) -> Option<Instant> {
        let queued = self.queue.iter().filter_map(|it| it.deadline);
        let delivered = self.delivered.values().filter_map(|it| it.deadline);
        queued.chain(delivered).min()
    }

    fn end(&mut self) {
        self.ended = true;
        self.queue.clear();
        self.delivered.clear();
        self.gets.clear();
        self.owed.clear();
        self.requests.clear();
        self.sends
            .finish_all(|| Err(SendError::Disconnected), &mut self.woken);
        self.wake_taker();
    }

    fn woken(&mut self) -> &mut Vec<Waker> {
        &mut self.woken
    }
}
