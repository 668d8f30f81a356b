//! Reading a socket into the spare capacity of a buffer, which is not zeroed first.
#![allow(
    unsafe_code,
    reason = "`BytesMut` has no safe way to say that its spare capacity has been written to"
)]

use std::os::fd::BorrowedFd;

use bytes::{BufMut, BytesMut};
use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};

/// Whether a read waits until something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It does, as long as the socket's own timeout lets it.
    ForSome,
    /// It does not.
    Never,
}

/// Reads what has come, up to `room` bytes and the buffer's spare capacity, and returns how many bytes that is: 0 at the
/// end of the stream.
///
/// # Errors
/// Those of `recv`: `EAGAIN` where nothing has come, and `EINTR` where a signal has.
pub fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut BytesMut,
    room: usize,
    wait: Wait,
) -> Result<usize, Errno> {
    let flags = match wait {
        Wait::ForSome => RecvFlags::empty(),
        Wait::Never => RecvFlags::DONTWAIT,
    };
    let spare = buffer.spare_capacity_mut();
    let room = room.min(spare.len());
    let ((read, _), count) = recv(socket, &mut spare[..room], flags)?;
    let read = read.len().min(count);
    // SAFETY: `recv` has written the first `read` bytes of the spare capacity: it hands them out as initialised.
    unsafe { buffer.advance_mut(read) };
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::fd::AsFd, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn what_was_sent_is_appended() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let mut buffer = BytesMut::with_capacity(64);
        buffer.extend_from_slice(b"ab");
        assert_eq!(
            receive(server.as_fd(), &mut buffer, 62, Wait::Never),
            Err(Errno::AGAIN)
        );
        client.write_all(b"cde").unwrap();
        assert_eq!(receive(server.as_fd(), &mut buffer, 62, Wait::Never), Ok(3));
        assert_eq!(&buffer[..], b"abcde");
        drop(client);
        assert_eq!(receive(server.as_fd(), &mut buffer, 62, Wait::Never), Ok(0));
    }

    #[test]
    fn no_more_is_read_than_there_is_room_for() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let mut buffer = BytesMut::with_capacity(16);
        let room = buffer.capacity();
        client.write_all(&vec![7; room + 5]).unwrap();
        assert_eq!(receive(server.as_fd(), &mut buffer, 3, Wait::Never), Ok(3));
        let rest = room - 3;
        assert_eq!(
            receive(server.as_fd(), &mut buffer, usize::MAX, Wait::Never),
            Ok(rest)
        );
        assert_eq!(buffer.len(), room);
    }
}
