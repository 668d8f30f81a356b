//! What a kernel asks for.

use bytes::Bytes;
use thiserror::Error;
use zerocopy::FromBytes;

use super::{
    FileIn, InHeader, InitIn, InterruptIn, IoctlIn, OpenIn, PollIn, TransferIn, UNRESTRICTED_IOCTL,
    event, opcode,
};

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number, which its answer has as well.
    pub unique: u64,
    /// What it asks for.
    pub body: Body,
}

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The device is to be described.
    #[doc(alias = "CUSE_INIT")]
    Init {
        /// The kernel's version of the protocol.
        major: u32,
        /// Its minor version.
        minor: u32,
        /// Whether an ioctl's memory can be asked for.
        unrestricted: bool,
    },
    /// A program opens the device.
    Open {
        /// As `open(2)` has them.
        flags: u32,
    },
    /// To read.
    Read(Read),
    /// To write.
    Write {
        /// The open file.
        file: u64,
        /// Where in what one call of the program writes.
        offset: u64,
        /// What.
        data: Bytes,
    },
    /// A control code.
    Ioctl(Ioctl),
    /// What could be done without waiting?
    Poll(Poll),
    /// What is written is to be where it belongs. No kernel sends this to a character device yet.
    Fsync {
        /// The open file.
        file: u64,
    },
    /// One of several descriptors of a file is closed. No kernel sends this to a character device yet.
    Flush,
    /// The file is closed.
    Release {
        /// The open file.
        file: u64,
    },
    /// Whoever waits for a request has had a signal. It has no answer.
    Interrupt {
        /// The request's number.
        of: u64,
    },
    /// Something that character devices know nothing of.
    Unknown,
}

/// A read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The open file, as the answer to [`Body::Open`] has named it.
    pub file: u64,
    /// Where in what one call of the program reads.
    pub offset: u64,
    /// The most bytes.
    pub length: u32,
    /// The file's flags, as `open(2)` has them.
    pub flags: u32,
}

/// What a program wants to know before it reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The open file.
    pub file: u64,
    /// By what the kernel knows the poll, if it is told of something later.
    pub handle: u64,
    /// Whether it wants to be.
    pub notify: bool,
    /// What is asked for, as `poll(2)` has it.
    pub events: u32,
}

impl Poll {
    /// Whether it asks for something to read.
    pub fn wants_to_read(&self) -> bool {
        self.events & event::READ != 0
    }
}

/// An ioctl, as far as its memory is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ioctl {
    /// The open file.
    pub file: u64,
    /// The number that the program has called it with.
    pub command: u32,
    /// What it has given: mostly an address.
    pub argument: u64,
    /// What is in the memory that was asked for.
    pub input: Bytes,
    /// Room in the memory that was asked for, in bytes.
    pub room: u32,
}

/// A message that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadMessage {
    /// It is too short for any.
    #[error("a message of {0} bytes")]
    NoHeader(usize),
    /// It tells a length that it has not.
    #[error("a message of {actual} bytes that tells of {told}")]
    Length {
        /// What it tells.
        told: u32,
        /// What it has.
        actual: usize,
    },
    /// It is too short for one of its kind.
    #[error("a message of the kind {opcode} with {length} bytes after its header")]
    Short {
        /// Its number, for an answer.
        unique: u64,
        /// Its kind.
        opcode: u32,
        /// What it has.
        length: usize,
    },
}

impl Message {
    /// Reads one that has come.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(message: &[u8]) -> Result<Self, BadMessage> {
        let Ok((header, rest)) = InHeader::read_from_prefix(message) else {
            return Err(BadMessage::NoHeader(message.len()));
        };
        if usize::try_from(header.length) != Ok(message.len()) {
            return Err(BadMessage::Length {
                told: header.length,
                actual: message.len(),
            });
        }
        let unique = header.unique;
        let body = body(header.opcode, rest).ok_or(BadMessage::Short {
            unique,
            opcode: header.opcode,
            length: rest.len(),
        })?;
        Ok(Self { unique, body })
    }
}

fn prefix<T: FromBytes>(bytes: &[u8]) -> Option<(T, &[u8])> {
    T::read_from_prefix(bytes).ok()
}

/// So many bytes, if they are there.
fn data(bytes: &[u8], length: u32) -> Option<Bytes> {
    let data = bytes.get(..usize::try_from(length).ok()?)?;
    Some(Bytes::copy_from_slice(data))
}

fn body(opcode: u32, bytes: &[u8]) -> Option<Body> {
    Some(match opcode {
        opcode::CUSE_INIT => {
            let (init, _) = prefix::<InitIn>(bytes)?;
            Body::Init {
                major: init.major,
                minor: init.minor,
                unrestricted: init.flags & UNRESTRICTED_IOCTL != 0,
            }
        }
        opcode::OPEN => Body::Open {
            flags: prefix::<OpenIn>(bytes)?.0.flags,
        },
        opcode::READ => {
            let (read, _) = prefix::<TransferIn>(bytes)?;
            Body::Read(Read {
                file: read.file,
                offset: read.offset,
                length: read.size,
                flags: read.flags,
            })
        }
        opcode::WRITE => {
            let (write, rest) = prefix::<TransferIn>(bytes)?;
            Body::Write {
                file: write.file,
                offset: write.offset,
                data: data(rest, write.size)?,
            }
        }
        opcode::IOCTL => {
            let (ioctl, rest) = prefix::<IoctlIn>(bytes)?;
            Body::Ioctl(Ioctl {
                file: ioctl.file,
                command: ioctl.command,
                argument: ioctl.argument,
                input: data(rest, ioctl.in_size)?,
                room: ioctl.out_size,
            })
        }
        opcode::POLL => {
            const SCHEDULE_NOTIFY: u32 = 1 << 0;
            let (poll, _) = prefix::<PollIn>(bytes)?;
            Body::Poll(Poll {
                file: poll.file,
                handle: poll.handle,
                notify: poll.flags & SCHEDULE_NOTIFY != 0,
                events: poll.events,
            })
        }
        opcode::FSYNC => Body::Fsync {
            file: prefix::<FileIn>(bytes)?.0.file,
        },
        opcode::FLUSH => Body::Flush,
        opcode::RELEASE => Body::Release {
            file: prefix::<FileIn>(bytes)?.0.file,
        },
        opcode::INTERRUPT => Body::Interrupt {
            of: prefix::<InterruptIn>(bytes)?.0.unique,
        },
        _ => Body::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes as _;

    use super::*;

    fn message(opcode: u32, body: &[u8]) -> Vec<u8> {
        let header = InHeader {
            length: (40 + body.len()) as u32,
            opcode,
            unique: 6,
            ..InHeader::default()
        };
        [header.as_bytes(), body].concat()
    }

    fn decoded(opcode: u32, body: &[u8]) -> Body {
        let message = Message::decode(&message(opcode, body)).unwrap();
        assert_eq!(message.unique, 6);
        message.body
    }

    #[test]
    fn the_layouts_are_as_long_as_the_kernels() {
        assert_eq!(size_of::<InHeader>(), 40);
        assert_eq!(size_of::<super::super::InitOut>(), 72);
        assert_eq!(size_of::<TransferIn>(), 40);
        assert_eq!(size_of::<IoctlIn>(), 32);
        assert_eq!(size_of::<PollIn>(), 24);
    }

    #[test]
    fn each_kind_of_message_tells_what_it_asks_for() {
        let transfer = TransferIn {
            file: 3,
            offset: 4096,
            size: 2,
            flags: 0o4000,
            ..TransferIn::default()
        };
        let read = decoded(opcode::READ, transfer.as_bytes());
        let expected = Body::Read(Read {
            file: 3,
            offset: 4096,
            length: 2,
            flags: 0o4000,
        });
        assert_eq!(read, expected);
        let write = decoded(opcode::WRITE, &[transfer.as_bytes(), b"abc"].concat());
        let expected = Body::Write {
            file: 3,
            offset: 4096,
            data: Bytes::from_static(b"ab"),
        };
        assert_eq!(write, expected);
        let poll = PollIn {
            file: 3,
            handle: 9,
            flags: 1,
            events: 5,
        };
        let expected = Body::Poll(Poll {
            file: 3,
            handle: 9,
            notify: true,
            events: 5,
        });
        assert_eq!(decoded(opcode::POLL, poll.as_bytes()), expected);
        assert_eq!(
            decoded(opcode::INTERRUPT, 2_u64.as_bytes()),
            Body::Interrupt { of: 2 }
        );
        let file = [3_u64, 0].as_bytes().to_vec();
        assert_eq!(decoded(opcode::RELEASE, &file), Body::Release { file: 3 });
        assert_eq!(decoded(opcode::FSYNC, &file), Body::Fsync { file: 3 });
        assert_eq!(decoded(26, &[]), Body::Unknown);
    }

    #[test]
    fn a_message_that_is_cut_says_so() {
        assert_eq!(
            Message::decode(&[0; 39]),
            Err(BadMessage::NoHeader(39)),
            "a header has 40 bytes"
        );
        let mut cut = message(opcode::OPEN, &[0; 8]);
        cut.pop();
        let told = BadMessage::Length {
            told: 48,
            actual: 47,
        };
        assert_eq!(Message::decode(&cut), Err(told));
        let transfer = TransferIn {
            size: 4,
            ..TransferIn::default()
        };
        for (opcode, body) in [
            (opcode::OPEN, vec![0; 7]),
            (opcode::WRITE, [transfer.as_bytes(), b"abc"].concat()),
            (opcode::IOCTL, vec![0; 31]),
            (opcode::POLL, vec![0; 23]),
            (opcode::CUSE_INIT, vec![0; 15]),
        ] {
            let short = Message::decode(&message(opcode, &body));
            assert!(
                matches!(short, Err(BadMessage::Short { unique: 6, .. })),
                "{opcode}: {short:?}"
            );
        }
    }
}
