//! What has been read of a server's stream and has not been looked at yet.

use std::os::fd::BorrowedFd;

use bytes::BytesMut;
use rustix::io::Errno;
use usbwright_protocol::usbip::urb::HEADER_SIZE;

use super::receive::{Wait, receive};

/// The buffer while little comes, in bytes.
const SMALL: usize = 4 << 10;
/// The most that is read at a time, and the buffer while much comes, in bytes. A larger reply makes the buffer larger.
const LARGE: usize = 1 << 20;
/// The largest buffer that is used again.
const KEPT: usize = (4 << 20) + 4096;

/// A buffer that is read into, cut into replies, and begun anew once nothing refers to what was cut.
///
/// A payload is not moved after it was read: reads end where a reply of the last one's size would end, so that the end of
/// the buffer cuts none in two as long as they are of one size.
#[derive(Debug)]
pub(super) struct Intake {
    /// What has come, from where the next reply begins.
    pub(super) bytes: BytesMut,
    /// Bytes that the next reply has at the least.
    pub(super) need: usize,
    /// Bytes that the next reply is likely to have.
    pub(super) usual: usize,
    /// Whether the socket had nothing left when it was last read.
    pub(super) drained: bool,
    /// What the buffer is to hold.
    capacity: usize,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self {
            bytes: BytesMut::new(),
            need: HEADER_SIZE,
            usual: HEADER_SIZE,
            drained: false,
            capacity: SMALL,
        }
    }

    /// Whether the buffer has no room for another reply of the usual size, and is to be begun anew.
    pub(super) fn is_spent(&self) -> bool {
        self.bytes.is_empty() && self.bytes.capacity() < self.usual
    }

    /// Reads once, and returns how many bytes have come: 0 at the end of the stream.
    pub(super) fn read(&mut self, socket: BorrowedFd<'_>, wait: Wait) -> Result<usize, Errno> {
        let room = self.make_room();
        let count = receive(socket, &mut self.bytes, room, wait)?;
        self.drained = count < room;
        if !self.drained {
            self.capacity = self.capacity.max(LARGE);
        }
        Ok(count)
    }

    /// Has the buffer take the next reply, and tells how much to read.
    fn make_room(&mut self) -> usize {
        let have = self.bytes.len();
        self.capacity = self.capacity.max(self.need.max(self.usual).min(KEPT));
        if have == 0 && self.bytes.capacity() > 2 * KEPT {
            self.bytes = BytesMut::new();
        }
        let begun = self.bytes.capacity() < self.capacity;
        if have == 0 && begun && !self.bytes.try_reclaim(self.capacity) {
            // Something refers to what came before; the rest of the buffer will do, unless it is short.
            if self.bytes.capacity() < self.capacity / 4 {
                self.bytes.reserve(self.capacity);
            }
        }
        if self.bytes.capacity() < self.need {
            self.bytes.reserve(self.need.max(self.capacity) - have);
        }
        let usual = self.usual.max(1);
        let end = self.bytes.capacity().min(self.need.max(usual).max(LARGE));
        let whole = end - end % usual;
        whole.max(self.need) - have
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        os::{fd::AsFd, unix::net::UnixStream},
    };

    use super::*;

    #[test]
    fn replies_of_any_size_come_out_as_they_were_sent() {
        let (server, client) = UnixStream::pair().unwrap();
        let sizes = [48, LARGE, LARGE + 1, 48, KEPT + 1, 48, 2 << 20];
        let sent: Vec<Vec<u8>> = (1..)
            .zip(sizes)
            .map(|(fill, size)| vec![fill; size])
            .collect();
        let stream = sent.concat();
        let writer = std::thread::spawn(move || (&server).write_all(&stream).unwrap());
        let mut intake = Intake::new();
        for reply in sent {
            for need in [HEADER_SIZE, reply.len()] {
                intake.need = need;
                while intake.bytes.len() < need {
                    intake.read(client.as_fd(), Wait::ForSome).unwrap();
                }
            }
            assert!(intake.bytes.split_to(reply.len()) == reply[..]);
        }
        writer.join().unwrap();
        assert!(intake.bytes.is_empty());
    }
}
