//! A session with a server without a socket: a host's transfers in, commands out; a server's bytes in, completions out.

use bytes::BytesMut;
use usbwright_protocol::{
    Completion, Transfer, TransferId, descriptor::ConfigurationDescriptor,
    usbip::operation::ExportedDevice,
};

use super::{PeerError, session::Session};

/// What a [`RemotePort`](super::RemotePort) does, without its socket: for tests, and for transports that are no sockets.
#[derive(Debug)]
pub struct Exchange {
    session: Session,
    input: BytesMut,
}

impl Exchange {
    /// A session in which nothing has happened, with a device of these configurations. Where there are none, the types of
    /// its endpoints are unknown.
    pub fn new(device: &ExportedDevice, configurations: Vec<ConfigurationDescriptor>) -> Self {
        let mut session = Session::new(device);
        session.settings.describe(configurations);
        Self {
            session,
            input: BytesMut::new(),
        }
    }

    /// Starts a transfer.
    pub fn submit(&mut self, transfer: Transfer) {
        self.session.submit(transfer);
    }

    /// Asks for a transfer to be taken back.
    pub fn cancel(&mut self, id: TransferId) {
        self.session.cancel(id);
    }

    /// Ends every transfer, and has the device reset.
    ///
    /// # Errors
    /// Where the server has left too many transfers unanswered; see [`feed`](Self::feed).
    pub fn reset(&mut self) -> Result<(), PeerError> {
        let reset = self.session.reset();
        self.judge(reset)
    }

    /// Takes the commands that wait.
    pub fn take(&mut self) -> Vec<u8> {
        let mut commands = Vec::new();
        self.session
            .out
            .take(|piece| commands.extend_from_slice(piece));
        commands
    }

    /// Takes bytes from the server.
    ///
    /// # Errors
    /// Where the server breaks the protocol. Every transfer has ended as
    /// [`Status::Disconnected`](usbwright_protocol::Status::Disconnected) then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        self.input.extend_from_slice(bytes);
        let received = self.session.receive(&mut self.input);
        self.judge(received.map(drop))
    }

    /// The next completion, if a transfer has ended.
    pub fn completion(&mut self) -> Option<Completion> {
        self.session.completions.pop_front()
    }

    fn judge(&mut self, done: Result<(), PeerError>) -> Result<(), PeerError> {
        if done.is_err() {
            self.session.break_off();
        }
        done
    }
}
