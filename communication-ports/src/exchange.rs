//! The two ends of a connection without sockets and threads: for tests and the fuzzer, which are the other end.

use std::time::Instant;

use bytes::Bytes;
use usbwright_host_stack::status::NtStatus;
use zerocopy::IntoBytes as _;

use crate::{
    GetError, SendError, Sent, Violation,
    client::core::{Arrived, ClientCore, Failed},
    link::Core,
    server::core::ServerCore,
    wire::{Packet, Payload, open},
};

/// The longest payload that is taken.
const LIMIT: usize = 64;

/// A driver's end; messages go as they would through a socket that always has room.
#[derive(Debug)]
pub struct ServerExchange(ServerCore);

impl Default for ServerExchange {
    fn default() -> Self {
        Self(ServerCore::new())
    }
}

impl ServerExchange {
    /// A packet of the client.
    ///
    /// # Errors
    /// What it breaks; the connection has ended then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        feed(&mut self.0, bytes)
    }

    /// The next packet for the client.
    pub fn outgoing(&mut self) -> Option<Vec<u8>> {
        outgoing(&mut self.0)
    }

    /// Sends a message: the number of the send.
    pub fn send(&mut self, message: Bytes, reply: Option<u32>, until: Option<Instant>) -> u64 {
        self.0.send(Payload::Inline(message), reply, until)
    }

    /// How a send has ended, once.
    pub fn take(&mut self, send: u64) -> Option<Result<Sent, SendError>> {
        let outcome = self.0.take(send)?;
        Some(outcome.and_then(|it| it.read()))
    }

    /// Takes a send back.
    pub fn abandon(&mut self, send: u64) {
        self.0.abandon(send);
    }

    /// Answers the client's next message with itself, if there is one.
    pub fn answer(&mut self) -> bool {
        let Ok(Some(request)) = self.0.request(std::task::Waker::noop()) else {
            return false;
        };
        self.0
            .answer(request.operation, NtStatus::SUCCESS, request.data);
        true
    }

    /// Lets what is due at `now` end.
    pub fn expire(&mut self, now: Instant) {
        self.0.expire(now);
    }

    /// Ends the connection.
    pub fn end(&mut self) {
        self.0.end();
    }
}

/// A service's end.
#[derive(Debug)]
pub struct ClientExchange(ClientCore);

impl Default for ClientExchange {
    fn default() -> Self {
        Self(ClientCore::new())
    }
}

impl ClientExchange {
    /// A packet of the server.
    ///
    /// # Errors
    /// What it breaks; the connection has ended then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        feed(&mut self.0, bytes)
    }

    /// The next packet for the server.
    pub fn outgoing(&mut self) -> Option<Vec<u8>> {
        outgoing(&mut self.0)
    }

    /// Posts a get: its number.
    pub fn get(&mut self, capacity: u32) -> u64 {
        self.0.get(capacity)
    }

    /// How a get has ended, once: the message's number and its data, or why there is none.
    pub fn take_get(&mut self, get: u64) -> Option<Result<(u64, Bytes), GetError>> {
        let got = self.0.take_get(get)?;
        Some(match got {
            Ok(Arrived { message, data, .. }) => data
                .read()
                .map(|data| (message, data))
                .map_err(|error| GetError::Resources(error.kind())),
            Err(Failed { status, needed }) if status == NtStatus::BUFFER_TOO_SMALL => {
                let needed = needed as usize;
                Err(GetError::TooSmall { needed })
            }
            Err(_) => Err(GetError::Disconnected),
        })
    }

    /// Takes a get back.
    pub fn abandon_get(&mut self, get: u64) {
        self.0.abandon_get(get);
    }

    /// Replies to a message, and posts a get of that room with it: the numbers of both.
    pub fn reply(&mut self, message: u64, data: Bytes, then: Option<u32>) -> (u64, Option<u64>) {
        self.0
            .reply(message, NtStatus::SUCCESS, Payload::Inline(data), then)
    }

    /// How a reply has ended, once.
    pub fn take_reply(&mut self, reply: u64) -> Option<NtStatus> {
        self.0.take_reply(reply)
    }

    /// Sends a message: its number.
    pub fn send(&mut self, message: Bytes, capacity: u32) -> u64 {
        self.0.send(Payload::Inline(message), capacity)
    }

    /// Whether a message that was sent has been answered, or never will be; once.
    pub fn take_send(&mut self, send: u64) -> bool {
        self.0.take_send(send).is_some()
    }

    /// Ends the connection.
    pub fn end(&mut self) {
        self.0.end();
    }
}

fn feed(core: &mut impl Core<Packet = Packet>, bytes: &[u8]) -> Result<(), Violation> {
    let fed = open(bytes, Vec::new(), LIMIT).and_then(|packet| core.receive(packet));
    if fed.is_err() {
        core.end();
    }
    core.woken().clear();
    fed
}

fn outgoing(core: &mut impl Core<Packet = Packet>) -> Option<Vec<u8>> {
    let Packet { header, payload } = core.outgoing()?;
    core.sent();
    let mut bytes = header.as_bytes().to_vec();
    if let Payload::Inline(payload) = payload {
        bytes.extend_from_slice(&payload);
    }
    Some(bytes)
}
