//! The continuous reader: reads that are always pending on a pipe, so that nothing the device sends has to wait for a program.

mod continuous;
mod handle;

use std::sync::atomic::Ordering;

use bytes::BytesMut;
use usbwright_protocol::{Direction, EndpointAddress, Payload};

pub use self::{continuous::ContinuousReader, handle::ReaderHandle};
use crate::{
    completion::TransferError,
    pipe::{MovesBytes, Pipe, Reads},
};

/// Reads that are pending at once, where it is left open.
const PENDING: usize = 2;
/// The most reads that are pending at once.
const PENDING_MOST: usize = 10;
/// How often the reader begins anew after failures in a row, where it is left open.
const RETRIES: u32 = 5;

/// How a continuous reader reads (UMDF's `ConfigureContinuousReader`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderConfig {
    /// The most bytes of a message; a multiple of the packet size.
    #[doc(alias = "TransferLength")]
    pub length: usize,
    /// Bytes to leave free before a message, in [`Message::into_buffer`].
    #[doc(alias = "HeaderLength")]
    pub header: usize,
    /// Bytes to leave free behind a message.
    #[doc(alias = "TrailerLength")]
    pub trailer: usize,
    /// Reads that are pending at once: 0 for 2, and at most 10.
    #[doc(alias = "NumPendingReads")]
    pub pending: usize,
    /// How often in a row the reader begins anew after a failure, before it gives up.
    pub retries: u32,
}

impl ReaderConfig {
    /// Messages of up to `length` bytes, two reads pending, five retries.
    pub fn new(length: usize) -> Self {
        Self {
            length,
            header: 0,
            trailer: 0,
            pending: PENDING,
            retries: RETRIES,
        }
    }

    /// What a read has brought, and whether that is all that the device sent.
    fn message(&self, data: Payload, whole: bool) -> Message {
        Message {
            data,
            whole,
            header: self.header,
            trailer: self.trailer,
        }
    }

    /// Whether memory can have so much.
    fn fits(&self) -> bool {
        let total = self.header.checked_add(self.length);
        let total = total.and_then(|it| it.checked_add(self.trailer));
        total.is_some_and(|it| isize::try_from(it).is_ok())
    }
}

/// Why there is no such reader.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReaderError {
    /// The pipe can't be read so, or not so many bytes at a time.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// Messages have a length.
    #[error("a continuous reader's messages have at least one byte")]
    Empty,
    /// It is more than memory can have.
    #[error("header, message and trailer are longer together than memory can be")]
    Overflow,
    /// The pipe has one.
    #[error("endpoint {0} has a continuous reader already: drop it first")]
    Configured(EndpointAddress),
}

/// What the device sent in one transfer.
#[derive(Clone, Debug)]
pub struct Message {
    data: Payload,
    whole: bool,
    header: usize,
    trailer: usize,
}

impl Message {
    /// The data, as it came. A zero-length packet is an empty message.
    pub fn data(&self) -> &Payload {
        &self.data
    }

    /// The data, as it came.
    pub fn into_data(self) -> Payload {
        self.data
    }

    /// Whether this is all of what the device sent in that transfer. `false` where it was taken back, or failed, in the middle: what
    /// else there is comes with the next message.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// A buffer with the data behind a header and before a trailer of zeroes, as the reader was told. It is a copy.
    pub fn into_buffer(self) -> BytesMut {
        let mut buffer = BytesMut::zeroed(self.header);
        buffer.reserve(self.data.len() + self.trailer);
        for piece in self.data.pieces() {
            buffer.extend_from_slice(piece);
        }
        buffer.resize(buffer.len() + self.trailer, 0);
        buffer
    }
}

/// A failure of a continuous reader. Nothing is pending when it is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reading endpoint {address} failed: {error} (after {retries} retries)")]
pub struct ReaderFailure {
    /// The endpoint.
    pub address: EndpointAddress,
    /// What went wrong.
    pub error: TransferError,
    /// How often in a row the reader has begun anew before.
    pub retries: u32,
}

impl<K: MovesBytes, W: Reads> Pipe<K, W> {
    /// A continuous reader of the pipe, which is not started yet.
    ///
    /// # Errors
    /// Where the pipe is not one that can be read so, has a reader, or the configuration can't be.
    #[doc(alias = "ConfigureContinuousReader")]
    pub fn reader(&self, config: ReaderConfig) -> Result<ContinuousReader, ReaderError> {
        let core = self.core();
        core.refuse_bytes(Direction::In)?;
        if config.length == 0 {
            return Err(ReaderError::Empty);
        }
        core.refuse_raw(config.length)?;
        if !config.fits() {
            return Err(ReaderError::Overflow);
        }
        if core.has_reader.swap(true, Ordering::AcqRel) {
            return Err(ReaderError::Configured(core.address()));
        }
        let pending = match config.pending {
            0 => PENDING,
            number => number.min(PENDING_MOST),
        };
        Ok(ContinuousReader::new(
            self.untyped(),
            ReaderConfig { pending, ..config },
        ))
    }
}
