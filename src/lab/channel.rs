//! The frames that the two sides of a lab exchange, over whatever byte stream joins them.
//!
//! A frame is one byte that tells its kind, the payload's length as a 32-bit little-endian number, and the payload. Input for the
//! guest goes out only when asked for ([`Frame::StdinWanted`]) and at most [`STDIN_CHUNK`] bytes at a time, because the kernel's
//! serial line drops what does not fit its buffer of 4096 bytes.

use std::io::{self, Read, Write};

/// The most input that is under way to the guest.
pub(super) const STDIN_CHUNK: usize = 2048;
/// The most that a frame may carry; longer output is cut into several.
pub(super) const OUTPUT_CHUNK: usize = 64 * 1024;

/// One message between the host and the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// Guest: its first process runs.
    Started,
    /// Guest: the devices are attached, the command starts.
    Running,
    /// Guest: output of the command, or of the terminal that it runs on.
    Stdout(Vec<u8>),
    /// Guest: error output of the command.
    Stderr(Vec<u8>),
    /// Guest: room for one more [`Frame::Stdin`].
    StdinWanted,
    /// Guest: a message about the guest, for a log.
    Log(Vec<u8>),
    /// Guest: it could not be set up.
    Failed(String),
    /// Guest: the command ended, and everything that it wrote has been sent and stored.
    Exit(u8),
    /// Host: input for the command; empty at its end.
    Stdin(Vec<u8>),
    /// Host: the terminal's size.
    Window {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        columns: u16,
    },
}

impl Frame {
    /// Writes the frame, in one call so that frames of several threads do not mix.
    pub(super) fn write_to(&self, stream: &mut impl Write) -> io::Result<()> {
        let (kind, payload): (u8, &[u8]) = match self {
            Self::Started => (b'b', &[]),
            Self::Running => (b'r', &[]),
            Self::Stdout(bytes) => (b'o', bytes),
            Self::Stderr(bytes) => (b'e', bytes),
            Self::StdinWanted => (b'w', &[]),
            Self::Log(bytes) => (b'l', bytes),
            Self::Failed(text) => (b'f', text.as_bytes()),
            Self::Exit(code) => (b'x', &[*code]),
            Self::Stdin(bytes) => (b'i', bytes),
            Self::Window { rows, columns } => {
                (b's', &[rows.to_le_bytes(), columns.to_le_bytes()].concat())
            }
        };
        let length =
            u32::try_from(payload.len()).map_err(|_| io::Error::other("a frame is too long"))?;
        let mut bytes = Vec::with_capacity(5 + payload.len());
        bytes.push(kind);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(payload);
        stream.write_all(&bytes)
    }

    /// Reads the next frame; `None` at the end of the stream.
    pub(super) fn read_from(stream: &mut impl Read) -> io::Result<Option<Self>> {
        let mut header = [0; 5];
        match stream.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let [kind, length @ ..] = header;
        let length = u32::from_le_bytes(length) as usize;
        if length > OUTPUT_CHUNK {
            return Err(malformed());
        }
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        Self::parse(kind, payload).map(Some)
    }

    fn parse(kind: u8, payload: Vec<u8>) -> io::Result<Self> {
        Ok(match (kind, payload.as_slice()) {
            (b'b', []) => Self::Started,
            (b'r', []) => Self::Running,
            (b'o', _) => Self::Stdout(payload),
            (b'e', _) => Self::Stderr(payload),
            (b'w', []) => Self::StdinWanted,
            (b'l', _) => Self::Log(payload),
            (b'f', _) => Self::Failed(String::from_utf8_lossy(&payload).into_owned()),
            (b'x', &[code]) => Self::Exit(code),
            (b'i', _) => Self::Stdin(payload),
            (b's', &[r0, r1, c0, c1]) => Self::Window {
                rows: u16::from_le_bytes([r0, r1]),
                columns: u16::from_le_bytes([c0, c1]),
            },
            _ => return Err(malformed()),
        })
    }
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "malformed frame between the host and the guest",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_comes_back_as_it_was() {
        let frames = [
            Frame::Started,
            Frame::Running,
            Frame::Stdout(b"a\n\0\xff".to_vec()),
            Frame::Stderr(vec![7; OUTPUT_CHUNK]),
            Frame::StdinWanted,
            Frame::Log(b"attached".to_vec()),
            Frame::Failed("no".to_owned()),
            Frame::Exit(42),
            Frame::Stdin(Vec::new()),
            Frame::Window {
                rows: 300,
                columns: 80,
            },
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write_to(&mut bytes).unwrap();
        }
        let mut stream = bytes.as_slice();
        for frame in frames {
            assert_eq!(Frame::read_from(&mut stream).unwrap(), Some(frame));
        }
        assert_eq!(Frame::read_from(&mut stream).unwrap(), None);
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        for bytes in [
            &b"?\0\0\0\0"[..],
            b"x\0\0\0\0",
            b"o\xff\xff\xff\xff",
            b"o\x02\0\0\0a",
        ] {
            assert!(Frame::read_from(&mut &*bytes).is_err(), "{bytes:?}");
        }
    }
}
