//! How a client connects.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustix::{
    io::Errno,
    net::sockopt::{Timeout, set_socket_timeout},
};
use usbwright_target::Clock;

use super::{Client, ConnectError, core::ClientCore};
use crate::{
    LONGEST, LONGEST_CONTEXT, NameSpace, PortName,
    link::Link,
    socket::{Received, Socket},
    wire::{PACKET_SIZE, Packet, Payload, ToClient, ToServer, VERSION},
};

/// How long a port may take to accept a connection, unless the client says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is longer than a timeout is cut to this: a hundred days.
const FOR_EVER: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// How to connect to a port.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    name: PortName,
    space: NameSpace,
    context: Bytes,
    longest: u32,
    timeout: Duration,
}

impl ConnectOptions {
    /// To the port of this name in this [user's name space](NameSpace::user), without context.
    pub fn new(name: PortName) -> Self {
        Self {
            name,
            space: NameSpace::user(),
            context: Bytes::new(),
            longest: LONGEST as u32,
            timeout: PATIENCE,
        }
    }

    /// Where the port's name is.
    #[must_use]
    pub fn name_space(self, space: NameSpace) -> Self {
        Self { space, ..self }
    }

    /// What the driver's connect callback is told, of up to 65535 bytes.
    #[must_use]
    #[doc(alias = "lpContext")]
    pub fn context(self, context: &[u8]) -> Self {
        Self {
            context: Bytes::copy_from_slice(context),
            ..self
        }
    }

    /// The longest message, and the longest answer, that this end takes, in bytes; at first [`LONGEST`]. So much memory one may take. A
    /// message that is longer stays at the port, as for a get whose buffer is too small.
    #[must_use]
    pub fn longest_message(self, bytes: u32) -> Self {
        Self {
            longest: bytes,
            ..self
        }
    }

    /// How long the port may take to accept the connection, its connect callback included; at first 30 s.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Connects. It blocks, for no longer than the timeout; within a task, use a thread for it
    /// (`tokio::task::spawn_blocking`).
    ///
    /// # Errors
    /// See [`ConnectError`].
    #[doc(alias = "FilterConnectCommunicationPort")]
    pub fn connect(self) -> Result<Client, ConnectError> {
        let timeout = self.timeout.clamp(Duration::from_micros(1), FOR_EVER);
        let until = Instant::now() + timeout;
        if self.context.len() > LONGEST_CONTEXT {
            return Err(ConnectError::ContextTooLong(self.context.len()));
        }
        let socket = Socket::new()?;
        // Only to connect: whatever is sent later does not wait.
        set_socket_timeout(&socket, Timeout::Send, Some(timeout))
            .map_err(|error| ConnectError::Io(error.into()))?;
        self.space
            .connect(&self.name, &socket)
            .map_err(|error| self.unreachable(error))?;
        let hello = ToServer::Hello {
            version: VERSION,
            context: Payload::new(self.context)?,
        };
        // A server that refuses may not want to hear this; its refusal can be read nevertheless.
        let _ = socket.send(&Packet::from(hello));
        let takes = match ToClient::try_from(answer(&socket, until)?)? {
            ToClient::Welcome {
                version: VERSION,
                longest,
            } => longest as usize,
            ToClient::Welcome { .. } => return Err(ConnectError::Version),
            ToClient::Refused(status) => return Err(ConnectError::Refused(status)),
            _ => return Err(ConnectError::NoGreeting),
        };
        let limit = self.longest as usize;
        let link = Link::new(ClientCore::new(), Arc::new(socket), limit, Clock::System);
        Ok(Client::new(link, takes, self.longest))
    }

    fn unreachable(&self, error: Errno) -> ConnectError {
        match error {
            Errno::NOENT | Errno::CONNREFUSED | Errno::NOTDIR => {
                ConnectError::NotFound(self.name.clone())
            }
            Errno::ACCESS | Errno::PERM => ConnectError::Denied(self.name.clone()),
            Errno::AGAIN => ConnectError::TimedOut,
            error => ConnectError::Io(error.into()),
        }
    }
}

/// What the server says first.
fn answer(socket: &Socket, until: Instant) -> Result<Packet, ConnectError> {
    let mut buffer = vec![0; PACKET_SIZE];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        socket.wait(Some(left))?;
        match socket.receive(&mut buffer, 0, false)? {
            Received::Packet(packet) => return Ok(packet),
            Received::Nothing if left.is_zero() => return Err(ConnectError::TimedOut),
            Received::Nothing => {}
            Received::End => return Err(ConnectError::Gone),
            Received::Violation(violation) => return Err(violation.into()),
        }
    }
}
