//! A client's end.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use super::{Answer, Request};
use crate::{
    manager::{Change, ChangeOutcome, View},
    record::Entry,
};

/// Why a manager did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is none.
    #[error("no driver manager listens at {}: {cause}; start one with `usbwright stack run`, or name its socket with --control", path.display())]
    Unreachable {
        /// Where it was sought.
        path: PathBuf,
        /// Why it is not there.
        cause: io::Error,
    },
    /// It went away.
    #[error("the driver manager went away: {0}")]
    Broken(#[from] io::Error),
    /// It speaks something else.
    #[error("the driver manager can't be understood: {0}")]
    Protocol(#[from] serde_json::Error),
    /// It answered something else.
    #[error("the driver manager answered something else than it was asked for")]
    Unexpected,
    /// It refused.
    #[error("the driver manager refused: {0}")]
    Refused(String),
}

/// A connection to a manager.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Where no manager listens.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|cause| ClientError::Unreachable {
            path: path.to_owned(),
            cause,
        })?;
        Ok(Self {
            reader: BufReader::new(stream),
        })
    }

    fn ask(&mut self, request: &Request) -> Result<(), ClientError> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        // One that has refused already tells why.
        let _ = self.reader.get_mut().write_all(&line);
        Ok(())
    }

    fn answer(&mut self) -> Result<Answer, ClientError> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match serde_json::from_str(&line)? {
            Answer::Error(why) => Err(ClientError::Refused(why)),
            answer => Ok(answer),
        }
    }

    /// What there is.
    ///
    /// # Errors
    /// Where the manager is gone, or refuses.
    pub fn view(&mut self) -> Result<View, ClientError> {
        self.ask(&Request::View)?;
        match self.answer()? {
            Answer::View(view) => Ok(view),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Has a host killed.
    ///
    /// # Errors
    /// Where there is no such host, or the manager is gone.
    pub fn kill_host(&mut self, host: u64) -> Result<(), ClientError> {
        self.ask(&Request::KillHost { host })?;
        match self.answer()? {
            Answer::Done => Ok(()),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Has the stack of a device changed, or without a name all that run, and waits until that is done.
    ///
    /// # Errors
    /// Where the manager is gone, or refuses.
    pub fn change(
        &mut self,
        device: Option<&str>,
        change: Change,
    ) -> Result<Vec<ChangeOutcome>, ClientError> {
        let device = device.map(str::to_owned);
        self.ask(&Request::Change { device, change })?;
        match self.answer()? {
            Answer::Changed(outcomes) => Ok(outcomes),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Events, as [`Request::Events`] asks for them; each is handed to `take`, until that is false or there are no more.
    ///
    /// # Errors
    /// Where the manager is gone, or refuses; and what `take` says.
    pub fn events<E: From<ClientError>>(
        &mut self,
        after: u64,
        follow: bool,
        mut take: impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        self.ask(&Request::Events { after, follow })?;
        loop {
            match self.answer()? {
                Answer::Event(entry) => take(entry)?,
                Answer::Done => return Ok(()),
                _ => return Err(ClientError::Unexpected.into()),
            }
        }
    }
}
