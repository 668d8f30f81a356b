//! The header that every packet begins with.

use std::ops::Range;

use usbwright_host_stack::status::NtStatus;
use usbwright_ports::Violation;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

use super::{
    INLINE, MAGIC, VERSION,
    kind::{self, Way},
};

/// The bytes of a [`Header`].
pub const HEADER_SIZE: usize = size_of::<Header>();

/// Where the bytes are that a request takes or brings.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub struct Part {
    /// How many they are.
    pub length: U32,
    /// The region of shared memory that they are in; 0 where they travel in packets.
    pub region: U32,
    /// Where in the region they begin.
    pub offset: U64,
}

/// What every packet begins with: numbers in little-endian order. A field that a kind of packet does not use is zero.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub struct Header {
    /// What kind of packet it is: see [`kind`].
    pub kind: U16,
    /// Nothing yet.
    pub flags: U16,
    /// An `NTSTATUS`, a control code, an `ACCESS_MASK`, a `FILE_INFORMATION_CLASS` or a version.
    pub code: U32,
    /// The number of the request, which its sender gave it.
    pub request: U64,
    /// The number of the open file, between reflector and host.
    pub file: U64,
    /// Where in the device; or a process id, a region's length, or how much was done.
    pub position: U64,
    /// What the request takes. Where it is in no region, it follows the header.
    pub input: Part,
    /// Room for what it brings.
    pub output: Part,
}

const _: () = assert!(HEADER_SIZE == 64);

impl Part {
    /// So many bytes in packets.
    pub fn inline(length: usize) -> Self {
        Self {
            length: u32::try_from(length).unwrap_or(u32::MAX).into(),
            ..Self::default()
        }
    }

    /// Bytes in a region.
    pub fn within(region: u32, range: Range<u64>) -> Self {
        let length = range.end.saturating_sub(range.start);
        Self {
            length: u32::try_from(length).unwrap_or(u32::MAX).into(),
            region: region.into(),
            offset: range.start.into(),
        }
    }

    /// Whether they travel in packets.
    pub fn is_inline(&self) -> bool {
        self.region.get() == 0
    }

    /// The bytes of the region.
    pub fn range(&self) -> Range<u64> {
        let offset = self.offset.get();
        offset..offset.saturating_add(self.length.get().into())
    }

    /// As a packet has it within itself, or not at all.
    fn check(&self, kind: u16) -> Result<(), Violation> {
        let length = self.length.get() as usize;
        if !self.is_inline() {
            return Ok(());
        }
        if self.offset.get() != 0 {
            return Err(Violation::Fields(kind));
        }
        match length > INLINE {
            true => Err(Violation::Long {
                length,
                limit: INLINE,
            }),
            false => Ok(()),
        }
    }
}

impl Header {
    /// A packet of this kind, whose other fields are zero.
    pub fn new(kind: u16) -> Self {
        Self {
            kind: kind.into(),
            ..Self::default()
        }
    }

    /// Whoever begins a connection.
    pub fn hello() -> Self {
        Self {
            code: VERSION.into(),
            request: MAGIC.into(),
            ..Self::new(kind::HELLO)
        }
    }

    /// The answer to a [`hello`](Self::hello).
    pub fn welcome() -> Self {
        Self {
            kind: kind::WELCOME.into(),
            ..Self::hello()
        }
    }

    /// Why there is no connection.
    pub fn refused(status: NtStatus, why: &str) -> Self {
        Self {
            code: status.0.into(),
            input: Part::inline(why.len()),
            ..Self::new(kind::REFUSED)
        }
    }

    /// The last packet to an application.
    pub fn gone(status: NtStatus) -> Self {
        Self {
            code: status.0.into(),
            ..Self::new(kind::GONE)
        }
    }

    /// A request is to be taken back.
    pub fn cancel(request: u64) -> Self {
        Self {
            request: request.into(),
            ..Self::new(kind::CANCEL)
        }
    }

    /// How a request has ended, with so many bytes behind the header.
    pub fn reply(request: u64, status: NtStatus, information: u64, inline: usize) -> Self {
        Self {
            code: status.0.into(),
            request: request.into(),
            position: information.into(),
            input: Part::inline(inline),
            ..Self::new(kind::REPLY)
        }
    }

    /// The status that it tells.
    pub fn status(&self) -> NtStatus {
        NtStatus(self.code.get())
    }

    /// Reads a packet of one message that came this way: its header, and what follows that.
    ///
    /// # Errors
    /// What it breaks.
    pub fn open(bytes: &[u8], way: Way) -> Result<(Self, &[u8]), Violation> {
        let (header, payload, others) = Self::first(bytes, way)?;
        match others.len() {
            0 => Ok((header, payload)),
            more => Err(Violation::Length {
                told: payload.len(),
                came: payload.len() + more,
            }),
        }
    }

    /// Reads the first message of a packet that came this way: its header, what follows that, and the messages behind it.
    ///
    /// # Errors
    /// What it breaks.
    pub fn first(bytes: &[u8], way: Way) -> Result<(Self, &[u8], &[u8]), Violation> {
        let (header, follows) =
            Self::read_from_prefix(bytes).map_err(|_| Violation::Short(bytes.len()))?;
        header.check(way)?;
        let told = match header.input.is_inline() {
            true => header.input.length.get() as usize,
            false => 0,
        };
        match follows.split_at_checked(told) {
            Some((payload, others)) => Ok((header, payload, others)),
            None => Err(Violation::Length {
                told,
                came: follows.len(),
            }),
        }
    }

    fn check(&self, way: Way) -> Result<(), Violation> {
        let number = self.kind.get();
        let allowed = kind::fields(number, way).ok_or(Violation::Kind(number))?;
        let used = kind::Fields::used(self);
        if !allowed.contain(used) {
            return Err(Violation::Fields(number));
        }
        let greets = matches!(number, kind::HELLO | kind::WELCOME);
        if greets && self.request.get() != MAGIC {
            return Err(Violation::Fields(number));
        }
        if greets && self.code.get() != VERSION {
            return Err(Violation::Version(self.code.get()));
        }
        self.input.check(number)?;
        self.output.check(number)
    }
}
