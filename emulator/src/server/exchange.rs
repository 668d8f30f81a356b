//! A session without a socket: a client's bytes in, replies out.

use std::{sync::Arc, time::Instant};

use bytes::BytesMut;
use usbwright_protocol::Port;

use super::{
    Limits, SessionError,
    session::{Need, Session},
};
use crate::counters::DeviceCounters;

/// One client's session with one device, for tests and for transports that are no sockets.
///
/// It does no I/O and reads no clock. As with a socket, a client that does not take its replies is not listened to: its
/// commands stay unread until [`take`](Self::take) has made room.
#[derive(Debug)]
pub struct Exchange {
    session: Session,
    input: BytesMut,
}

/// What a session holds for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Transfers that wait for the device.
    pub transfers: usize,
    /// Bytes that these transfers hold, as [`Limits::pending_bytes`] counts them.
    pub bytes: usize,
    /// Bytes of replies that have not been taken.
    pub replies: usize,
    /// Bytes that came from the client and belong to no command that has been run.
    pub unread: usize,
}

impl Exchange {
    /// A session that nothing has happened in.
    pub fn new(limits: Limits) -> Self {
        Self {
            session: Session::new(limits),
            input: BytesMut::new(),
        }
    }

    /// Has the transfers counted.
    pub fn counted_by(mut self, counters: Arc<DeviceCounters>) -> Self {
        self.session = self.session.counted_by(Some(counters));
        self
    }

    /// Takes bytes from the client, and runs the commands that are whole.
    ///
    /// # Errors
    /// Where the client breaks the protocol; a server closes the connection then.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        port: &mut dyn Port,
        now: Instant,
    ) -> Result<(), SessionError> {
        self.input.extend_from_slice(bytes);
        let _: Need = self.session.run(&mut self.input, port, now.into())?;
        Ok(())
    }

    /// Takes the replies that wait. Call [`feed`](Self::feed) after it, if only with no bytes: commands may have waited
    /// for the room.
    pub fn take(&mut self) -> Vec<u8> {
        let mut replies = Vec::new();
        self.take_pieces(|piece| replies.extend_from_slice(piece));
        replies
    }

    /// Takes the replies that wait as [`take`](Self::take) does, and hands them to `write` in order, each piece from where
    /// it lies.
    pub fn take_pieces(&mut self, write: impl FnMut(&[u8])) {
        self.session.out.take(write);
    }

    /// Lets the device act on the time and on what has come from outside.
    pub fn poll(&mut self, port: &mut dyn Port, now: Instant) {
        self.session.poll(port, now);
    }

    /// When [`poll`](Self::poll) is due.
    pub fn deadline(&self, port: &dyn Port) -> Option<Instant> {
        self.session.deadline(port)
    }

    /// What the session holds at present.
    pub fn load(&self) -> Load {
        let (transfers, bytes) = self.session.pending();
        Load {
            transfers,
            bytes,
            replies: self.session.out.len(),
            unread: self.input.len(),
        }
    }
}
