//! What comes from a server, and what of it is expected next.

use std::os::fd::BorrowedFd;

use bytes::BytesMut;
use rustix::io::Errno;
use usbwright_protocol::usbip::urb::HEADER_SIZE;
use usbwright_wire_io::{Intake, Linger, Wait};

/// The receive buffer, for whoever reads: a thread that waits has no session to ask.
#[derive(Debug)]
pub(super) struct Inlet {
    intake: Intake,
    /// Bytes that the next reply has at the least.
    need: usize,
    /// Bytes that it is likely to have.
    usual: usize,
    /// Whether the socket had nothing left when it was last read.
    drained: bool,
    pub(super) linger: Linger,
}

impl Inlet {
    pub(super) fn new() -> Self {
        Self {
            intake: Intake::new(),
            need: HEADER_SIZE,
            usual: HEADER_SIZE,
            drained: false,
            linger: Linger::default(),
        }
    }

    /// What has come, from where the next reply begins.
    pub(super) fn bytes(&mut self) -> &mut BytesMut {
        self.intake.bytes()
    }

    /// Says how many bytes the next reply has at the least, and how many it is likely to have.
    pub(super) fn expect(&mut self, need: usize, usual: usize) {
        self.need = need;
        self.usual = usual;
    }

    pub(super) fn is_drained(&self) -> bool {
        self.drained
    }

    /// Whether the buffer has no room for another reply of the usual size, and is to be begun anew.
    pub(super) fn is_spent(&self) -> bool {
        self.intake.is_spent(self.usual)
    }

    /// Reads once, and returns how many bytes have come: 0 at the end of the stream.
    pub(super) fn read(&mut self, socket: BorrowedFd<'_>, wait: Wait) -> Result<usize, Errno> {
        let (count, drained) = self.intake.read(socket, self.need, self.usual, wait)?;
        self.drained = drained;
        Ok(count)
    }
}
