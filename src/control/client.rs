//! A program's side of the control socket, which blocks.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
};

use serde_json::Value;

use super::{ControlAddress, Event, Line};

/// A connection to a server's control socket.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<UnixStream>,
}

/// Why a request has no answer, or a refusal for one.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error(
        "can't reach a server at {address}: {cause} (`usbwright serve --control {address}` listens there)"
    )]
    Connect {
        /// Where.
        address: ControlAddress,
        /// Why not.
        cause: io::Error,
    },
    /// The connection broke.
    #[error("the server is gone: {0}")]
    Broken(#[from] io::Error),
    /// It answered something else.
    #[error("the server's answer can't be read: {0}")]
    Answer(#[from] serde_json::Error),
    /// It refused.
    #[error("{0}")]
    Refused(String),
}

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    /// Where there is none.
    pub fn connect(address: &ControlAddress) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(address.path()).map_err(|cause| ClientError::Connect {
            address: address.clone(),
            cause,
        })?;
        let reader = BufReader::new(stream);
        Ok(Self { reader })
    }

    /// Sends a request, and waits for what it is answered with. Not for a connection that events come by.
    ///
    /// # Errors
    /// Where it is refused, or the connection breaks.
    pub fn request(&mut self, line: &Line) -> Result<Value, ClientError> {
        let text = serde_json::to_string(line)? + "\n";
        self.reader.get_mut().write_all(text.as_bytes())?;
        let mut answer = self.line()?;
        match answer.get_mut("error") {
            Some(Value::String(error)) => Err(ClientError::Refused(std::mem::take(error))),
            _ => Ok(answer.get_mut("ok").map(Value::take).unwrap_or_default()),
        }
    }

    /// The next event, on a connection that has asked for them.
    ///
    /// # Errors
    /// Where the connection breaks, or the server has dropped this client.
    pub fn event(&mut self) -> Result<Event, ClientError> {
        let mut line = self.line()?;
        match line.get_mut("error") {
            Some(Value::String(error)) => Err(ClientError::Refused(std::mem::take(error))),
            _ => Ok(serde_json::from_value(line)?),
        }
    }

    fn line(&mut self) -> Result<Value, ClientError> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
