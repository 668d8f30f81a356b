//! What has been read of a client's stream and has not been run yet.

use std::os::fd::BorrowedFd;

use bytes::BytesMut;
use rustix::io::Errno;

use super::receive::receive;

/// Bytes asked of the socket at a time while little comes.
const READ_SMALL: usize = 16 << 10;
/// Bytes asked of the socket at a time while much comes. A command larger than this has a buffer to itself.
pub(super) const READ_LARGE: usize = 256 << 10;
/// The largest command whose buffer is kept for the next large one: the kernel's own transfers go to 4 MiB in one piece.
const KEPT: usize = (4 << 20) + 4096;

/// Two buffers: one for commands as they come, and one that a large command has to itself, so that no small payload which
/// is kept for long keeps a large buffer alive. Both are used again as soon as nothing refers to them.
#[derive(Debug)]
pub(super) struct Intake {
    /// The buffer in use.
    bytes: BytesMut,
    /// The other one, empty.
    other: BytesMut,
    /// The size of the large command that `bytes` is for.
    large: Option<usize>,
    read_size: usize,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self {
            bytes: BytesMut::new(),
            other: BytesMut::new(),
            large: None,
            read_size: READ_SMALL,
        }
    }

    /// What has come, from where the next command begins.
    pub(super) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Reads once, towards a command of `size` bytes. Returns how many bytes have come, and whether the socket has nothing
    /// left.
    pub(super) fn read(
        &mut self,
        socket: BorrowedFd<'_>,
        size: usize,
    ) -> Result<(usize, bool), Errno> {
        self.choose(size);
        let missing = size.saturating_sub(self.bytes.len());
        let room = if self.large.is_some() {
            self.bytes.reserve(missing);
            missing
        } else {
            self.bytes.reserve(missing.max(self.read_size));
            self.bytes.capacity() - self.bytes.len()
        };
        let count = receive(socket, &mut self.bytes, room)?;
        if count == room && self.large.is_none() {
            self.read_size = READ_LARGE;
        }
        Ok((count, count < room))
    }

    /// Goes over to the buffer that a command of `size` bytes belongs into, with what has come of it.
    fn choose(&mut self, size: usize) {
        let large = (size > READ_LARGE).then_some(size);
        if large.is_some() == self.large.is_some() {
            return;
        }
        std::mem::swap(&mut self.bytes, &mut self.other);
        self.bytes.reserve(size);
        self.bytes.extend_from_slice(&self.other);
        self.other.clear();
        if self.large.is_some_and(|before| before > KEPT) {
            self.other = BytesMut::new();
        }
        self.large = large;
        // The less of a large command is read before its size is known, the less has to be moved.
        self.read_size = READ_SMALL;
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
    fn commands_of_any_size_come_out_as_they_were_sent() {
        let (client, server) = UnixStream::pair().unwrap();
        let sizes = [
            48,
            READ_LARGE,
            READ_LARGE + 1,
            1 << 20,
            48,
            KEPT + 1,
            48,
            2 << 20,
        ];
        let sent: Vec<Vec<u8>> = (1..)
            .zip(sizes)
            .map(|(fill, size)| vec![fill; size])
            .collect();
        let stream = sent.concat();
        let writer = std::thread::spawn(move || (&client).write_all(&stream).unwrap());
        let mut intake = Intake::new();
        for command in sent {
            // As a session does, it asks for the header before it knows the size.
            while intake.bytes().len() < 48 {
                intake.read(server.as_fd(), 48).ok();
            }
            while intake.bytes().len() < command.len() {
                intake.read(server.as_fd(), command.len()).ok();
            }
            assert!(intake.bytes().split_to(command.len()) == command[..]);
        }
        writer.join().unwrap();
        assert!(intake.bytes().is_empty());
    }
}
