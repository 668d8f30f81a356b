//! What a kernel and the answerer of a character device say to each other: FUSE's protocol, as far as CUSE speaks it.
//!
//! The layouts are those of `include/uapi/linux/fuse.h`, in the byte order of the machine.

mod message;
mod reply;

pub use message::{BadMessage, Body, Ioctl, Message, Poll, Read};
pub use reply::Reply;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The protocol's major version. Those of another one have nothing in common.
#[doc(alias = "FUSE_KERNEL_VERSION")]
pub const MAJOR: u32 = 7;
/// The newest minor version of which anything is used here.
pub const MINOR: u32 = 31;
/// The oldest one that tells what a poll is for (Linux 3.11).
pub const OLDEST_MINOR: u32 = 21;

/// The most bytes that a read, a write or either side of an ioctl moves at once: 32 pages, as no CUSE device can ask for more.
#[doc(alias = "FUSE_DEFAULT_MAX_PAGES_PER_REQ")]
pub const LONGEST: usize = 32 * 4096;
/// Room for every message: the longest data, and what is before it.
pub const MESSAGE_SIZE: usize = LONGEST + 4096;

/// The kinds of messages.
pub(crate) mod opcode {
    pub(crate) const OPEN: u32 = 14;
    pub(crate) const READ: u32 = 15;
    pub(crate) const WRITE: u32 = 16;
    pub(crate) const RELEASE: u32 = 18;
    pub(crate) const FSYNC: u32 = 20;
    pub(crate) const FLUSH: u32 = 25;
    pub(crate) const INTERRUPT: u32 = 36;
    pub(crate) const IOCTL: u32 = 39;
    pub(crate) const POLL: u32 = 40;
    pub(crate) const CUSE_INIT: u32 = 4096;
}

/// Events, as `poll(2)` has them.
pub(crate) mod event {
    /// There is something to read: `POLLIN`, `POLLRDNORM`.
    pub(crate) const READ: u32 = 0x0041;
    /// There is room to write: `POLLOUT`, `POLLWRNORM`.
    pub(crate) const WRITE: u32 = 0x0104;
    /// The next call fails: `POLLERR`.
    pub(crate) const ERR: u32 = 0x0008;
}

/// The flag by which a kernel lets an ioctl's memory be asked for, and by which that is wanted.
#[doc(alias = "CUSE_UNRESTRICTED_IOCTL")]
pub const UNRESTRICTED_IOCTL: u32 = 1 << 0;

/// Declares the protocol's structures.
macro_rules! layouts {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
            #[repr(C)]
            pub(crate) struct $name {
                $(pub(crate) $field: $type,)*
            }
        )*
    };
}

layouts! {
    /// What each message begins with (`fuse_in_header`).
    InHeader { length: u32, opcode: u32, unique: u64, node: u64, uid: u32, gid: u32, pid: u32, extensions: u16, padding: u16, }
    /// What each answer begins with (`fuse_out_header`).
    OutHeader { length: u32, error: i32, unique: u64, }
    /// `cuse_init_in`.
    InitIn { major: u32, minor: u32, unused: u32, flags: u32, }
    /// `cuse_init_out`.
    InitOut { major: u32, minor: u32, unused: u32, flags: u32, max_read: u32, max_write: u32, device_major: u32, device_minor: u32, spare: [u32; 10], }
    /// `fuse_open_in`.
    OpenIn { flags: u32, open_flags: u32, }
    /// `fuse_open_out`.
    OpenOut { file: u64, open_flags: u32, backing: i32, }
    /// `fuse_read_in` and `fuse_write_in`.
    TransferIn { file: u64, offset: u64, size: u32, transfer_flags: u32, owner: u64, flags: u32, padding: u32, }
    /// `fuse_write_out`.
    WriteOut { size: u32, padding: u32, }
    /// What `fuse_release_in`, `fuse_flush_in` and `fuse_fsync_in` begin with.
    FileIn { file: u64, flags: u32, padding: u32, }
    /// `fuse_interrupt_in`.
    InterruptIn { unique: u64, }
    /// `fuse_ioctl_in`.
    IoctlIn { file: u64, flags: u32, command: u32, argument: u64, in_size: u32, out_size: u32, }
    /// `fuse_ioctl_out`.
    IoctlOut { result: i32, flags: u32, in_spans: u32, out_spans: u32, }
    /// `fuse_poll_in`.
    PollIn { file: u64, handle: u64, flags: u32, events: u32, }
    /// `fuse_poll_out`.
    PollOut { events: u32, padding: u32, }
}

/// Memory of the program that has called (`fuse_ioctl_iovec`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Span {
    /// Where it begins there.
    pub address: u64,
    /// Its bytes.
    pub length: u64,
}
