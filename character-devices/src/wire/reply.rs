//! What a kernel is answered.

use bytes::Bytes;
use rustix::io::Errno;
use zerocopy::{Immutable, IntoBytes};

use super::{
    InitOut, IoctlOut, LONGEST, MAJOR, MINOR, OpenOut, OutHeader, PollOut, Span,
    UNRESTRICTED_IOCTL, WriteOut,
};

/// An answer: a header and more, and data that is not copied there.
#[derive(Clone, Debug)]
pub struct Reply {
    head: Vec<u8>,
    data: Bytes,
}

impl Reply {
    fn new(unique: u64, error: i32, body: &[u8], data: Bytes) -> Self {
        let length = size_of::<OutHeader>() + body.len() + data.len();
        let header = OutHeader {
            length: u32::try_from(length).unwrap_or(u32::MAX),
            error,
            unique,
        };
        Self {
            head: [header.as_bytes(), body].concat(),
            data,
        }
    }

    fn with(unique: u64, body: &(impl IntoBytes + Immutable)) -> Self {
        Self::new(unique, 0, body.as_bytes(), Bytes::new())
    }

    /// It has failed.
    pub fn error(unique: u64, error: Errno) -> Self {
        Self::new(unique, -error.raw_os_error(), &[], Bytes::new())
    }

    /// It is done, and there is nothing to tell.
    pub fn done(unique: u64) -> Self {
        Self::data(unique, Bytes::new())
    }

    /// What was read.
    pub fn data(unique: u64, data: Bytes) -> Self {
        Self::new(unique, 0, &[], data)
    }

    /// The device: its name in `/dev`, in which a `!` stands for a `/`. `minor`: the kernel's minor version.
    pub fn init(unique: u64, minor: u32, name: &str) -> Self {
        let longest = LONGEST as u32;
        let init = InitOut {
            major: MAJOR,
            minor: minor.min(MINOR),
            flags: UNRESTRICTED_IOCTL,
            max_read: longest,
            max_write: longest,
            ..InitOut::default()
        };
        let name = format!("DEVNAME={name}\0");
        Self::new(unique, 0, init.as_bytes(), name.into())
    }

    /// The device is open, and the file has this number.
    pub fn opened(unique: u64, file: u64) -> Self {
        let open = OpenOut {
            file,
            ..OpenOut::default()
        };
        Self::with(unique, &open)
    }

    /// So much was written, in bytes.
    pub fn written(unique: u64, size: u32) -> Self {
        Self::with(unique, &WriteOut { size, padding: 0 })
    }

    /// These events are there, as `poll(2)` has them.
    pub fn polled(unique: u64, events: u32) -> Self {
        Self::with(unique, &PollOut { events, padding: 0 })
    }

    /// What an ioctl returns, and what there was room for.
    pub fn controlled(unique: u64, result: i32, data: Bytes) -> Self {
        let controlled = IoctlOut {
            result,
            ..IoctlOut::default()
        };
        Self::new(unique, 0, controlled.as_bytes(), data)
    }

    /// An ioctl is to come again, with this memory.
    pub fn again(unique: u64, input: &[Span], output: &[Span]) -> Self {
        const RETRY: u32 = 1 << 2;
        let again = IoctlOut {
            result: 0,
            flags: RETRY,
            in_spans: u32::try_from(input.len()).unwrap_or(u32::MAX),
            out_spans: u32::try_from(output.len()).unwrap_or(u32::MAX),
        };
        let body = [again.as_bytes(), input.as_bytes(), output.as_bytes()].concat();
        Self::new(unique, 0, &body, Bytes::new())
    }

    /// No answer: whoever polls by this handle is to look again.
    #[doc(alias = "FUSE_NOTIFY_POLL")]
    pub fn look_again(handle: u64) -> Self {
        const NOTIFY_POLL: i32 = 1;
        Self::new(0, NOTIFY_POLL, handle.as_bytes(), Bytes::new())
    }

    /// Its bytes, in two parts.
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.head, &self.data]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(reply: &Reply) -> Vec<u8> {
        reply.parts().concat()
    }

    #[test]
    fn an_answer_tells_its_length_and_its_error_below_zero() {
        let failed = bytes(&Reply::error(7, Errno::IO));
        let header = OutHeader {
            length: 16,
            error: -5,
            unique: 7,
        };
        assert_eq!(failed, header.as_bytes());
        let data = bytes(&Reply::data(7, Bytes::from_static(b"abc")));
        assert_eq!(data[..4], 19_u32.to_ne_bytes());
        assert_eq!(data[16..], *b"abc");
    }

    #[test]
    fn a_device_is_named_after_88_bytes() {
        let init = bytes(&Reply::init(2, 41, "usbwright!board"));
        assert_eq!(init[20..24], 31_u32.to_ne_bytes(), "no newer than we know");
        assert_eq!(init[88..], *b"DEVNAME=usbwright!board\0");
    }
}
