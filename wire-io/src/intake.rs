//! What has been read of a stream and has not been looked at yet.

use std::os::fd::BorrowedFd;

use bytes::BytesMut;
use rustix::io::Errno;

use super::{Wait, receive};

/// The buffer while little comes, in bytes.
const SMALL: usize = 4 << 10;
/// The most that is read at a time, and the buffer while much comes, in bytes. A larger message makes the buffer larger.
pub const LARGE: usize = 1 << 20;
/// The largest buffer that is used again: the kernel's own transfers go to 4 MiB in one piece.
const KEPT: usize = (4 << 20) + 4096;

/// A buffer that is read into, cut into messages, and begun anew once nothing refers to what was cut.
///
/// A payload is not moved after it was read: reads end where a message of the last one's size would end, so that the end of
/// the buffer cuts none in two as long as they are of one size.
#[derive(Debug)]
pub struct Intake {
    bytes: BytesMut,
    /// What the buffer is to hold.
    capacity: usize,
}

impl Intake {
    /// A buffer with nothing in it.
    pub fn new() -> Self {
        Self {
            bytes: BytesMut::new(),
            capacity: SMALL,
        }
    }

    /// What has come, from where the next message begins.
    pub fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Whether the buffer has grown.
    pub fn is_large(&self) -> bool {
        self.capacity > SMALL
    }

    /// Gives the buffer back, if nothing is in it; the next read begins with a small one.
    pub fn release(&mut self) {
        if self.bytes.is_empty() {
            *self = Self::new();
        }
    }

    /// Whether the buffer has no room for another message of `usual` bytes, and is to be begun anew.
    pub fn is_spent(&self, usual: usize) -> bool {
        self.bytes.is_empty() && self.bytes.capacity() < usual
    }

    /// Reads once, towards a message of `size` bytes, more than there are [already](Self::bytes), where messages of `usual` bytes are to be
    /// expected. Returns how many bytes have come, 0 at the end of the stream, and whether the socket has nothing left.
    ///
    /// # Errors
    /// As [`receive`](fn@receive) has them.
    pub fn read(
        &mut self,
        socket: BorrowedFd<'_>,
        size: usize,
        usual: usize,
        wait: Wait,
    ) -> Result<(usize, bool), Errno> {
        let room = self.make_room(size, usual);
        let count = receive(socket, &mut self.bytes, room, wait)?;
        if count == room {
            self.capacity = self.capacity.max(LARGE);
        }
        Ok((count, count < room))
    }

    /// Has the buffer take a message of `size` bytes, and tells how much to read.
    fn make_room(&mut self, size: usize, usual: usize) -> usize {
        let have = self.bytes.len();
        self.capacity = self.capacity.max(size.max(usual).min(KEPT));
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
        if self.bytes.capacity() < size {
            self.bytes.reserve(size.max(self.capacity) - have);
        }
        let end = self.bytes.capacity().min(size.max(usual).max(LARGE));
        let whole = end - end % usual.max(1);
        whole.max(size) - have
    }
}

impl Default for Intake {
    fn default() -> Self {
        Self::new()
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
    fn messages_of_any_size_come_out_as_they_were_sent() {
        let (writing, reading) = UnixStream::pair().unwrap();
        let sizes = [48, LARGE, LARGE + 1, 1 << 20, 48, KEPT + 1, 48, 2 << 20];
        let sent: Vec<Vec<u8>> = (1..)
            .zip(sizes)
            .map(|(fill, size)| vec![fill; size])
            .collect();
        let stream = sent.concat();
        let writer = std::thread::spawn(move || (&writing).write_all(&stream).unwrap());
        let mut intake = Intake::new();
        for message in sent {
            // As a session does, it asks for the header before it knows the size.
            while intake.bytes().len() < 48 {
                intake.read(reading.as_fd(), 48, 48, Wait::Never).ok();
            }
            while intake.bytes().len() < message.len() {
                intake
                    .read(reading.as_fd(), message.len(), 48, Wait::Never)
                    .ok();
            }
            assert!(intake.bytes().split_to(message.len()) == message[..]);
        }
        writer.join().unwrap();
        assert!(intake.bytes().is_empty());
    }
}
