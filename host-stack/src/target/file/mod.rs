//! File targets: descriptors of the operating system that a driver sends requests to.

mod errors;
mod information;
mod kind;
mod operation;
mod positioned;
mod stream;
mod watcher;

use std::{fmt, io, os::fd::OwnedFd, sync::Arc};

pub use self::kind::FileKind;
use self::{positioned::Positioned, stream::Stream};
use super::{Backend, IoTarget, TargetShared};
use crate::{
    device::Device,
    request::{Parameters, format::Format},
    status::{HResult, NtStatus},
};

/// A file, pipe, socket or terminal that a driver sends requests to, by a descriptor of the operating system.
///
/// Reads, writes, flushes and information about the file are formatted by its [target](Self::target), as for any other one. What becomes of them
/// depends on [what it is](FileKind):
///
/// | | [`File`](FileKind::File) | [`Pipe`](FileKind::Pipe), [`Character`](FileKind::Character), [`Terminal`](FileKind::Terminal) | [`Stream`](FileKind::Stream) | [`Message`](FileKind::Message) |
/// |---|---|---|---|---|
/// | a read | brings what is at the request's offset, up to its length | brings what has come, and waits until something has; at most 1 MiB | as a pipe's | brings one message; [`BUFFER_OVERFLOW`](NtStatus::BUFFER_OVERFLOW) with its beginning where it is longer |
/// | at the end | [`END_OF_FILE`](NtStatus::END_OF_FILE) | [`PIPE_BROKEN`](NtStatus::PIPE_BROKEN) for a pipe or a terminal that was hung up, [`END_OF_FILE`](NtStatus::END_OF_FILE) for another | success, with no bytes, as from Windows' sockets | success, with no bytes |
/// | a write | goes to the request's offset | ends when all of it was taken | as a pipe's | is one message; [`INVALID_BUFFER_SIZE`](NtStatus::INVALID_BUFFER_SIZE) where that is too long |
/// | the other end is closed | | [`PIPE_BROKEN`](NtStatus::PIPE_BROKEN) | [`CONNECTION_DISCONNECTED`](NtStatus::CONNECTION_DISCONNECTED), or [`CONNECTION_RESET`](NtStatus::CONNECTION_RESET) | as a stream's |
/// | a flush | has it written to the disk | ends when the writes before it have | as a pipe's | as a pipe's |
/// | setting its length | cuts it off, or adds zeros | is refused | is refused | is refused |
///
/// A transfer of no bytes ends at once, and well; but one to a [`Message`](FileKind::Message) socket sends an empty message, in its turn. Offsets count for a
/// [`File`](FileKind::File) only. Requests in one direction are served in the order in which they were sent; those of a file in the order of all.
///
/// Information: `FileBasicInformation` (4) and `FileStandardInformation` (5) are told of everything, with a creation time of 0, which means that it is unknown;
/// `FileEndOfFileInformation` (20) can be set of a file. Other classes end with [`INVALID_INFO_CLASS`](NtStatus::INVALID_INFO_CLASS), and too little room with
/// [`INFO_LENGTH_MISMATCH`](NtStatus::INFO_LENGTH_MISMATCH).
///
/// Control codes mean nothing to the operating system underneath: formatting one is refused with [`INVALID_DEVICE_REQUEST`](NtStatus::INVALID_DEVICE_REQUEST), as is the
/// opening and closing of files; and nothing is [sent and forgotten](crate::Request::send_and_forget) here.
///
/// # Taking back
/// What waits for the other side is taken back at once, and tells what had moved. Of a [`File`](FileKind::File) what has not begun is; what has begun ends with the next
/// MiB. A target that is [removed](IoTarget::remove) waits for nothing: what the system is busy with ends as taken back, though it may be done nevertheless.
///
/// # Threads
/// Disks make whoever reads them wait, so a [`File`](FileKind::File) has a thread, which does one request after the other. Anything else is read and written by whoever runs the
/// stack, and never makes that wait: a thread looks when there is something to be done. Each begins when it is first needed. Both, and the descriptor, go with
/// the target: when it is removed, when its device goes, or when the last handle of it is dropped; a thread that the disk keeps waiting ends after that.
#[doc(alias = "IWDFFileHandleTargetFactory")]
#[derive(Clone)]
pub struct FileTarget {
    target: IoTarget,
    kind: FileKind,
}

/// Why a descriptor does not become a target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileTargetError {
    /// Directories, symbolic links and other things can't be read and written.
    #[error(
        "this can't be read and written: only files, disks, pipes, sockets, terminals and character devices can"
    )]
    NotReadable,
    /// The driver's device has gone.
    #[error("the driver's device has gone, and has no targets any more")]
    Gone,
    /// The system told this.
    #[error("the system does not tell what the descriptor is, or can't make it non-blocking: {0}")]
    System(#[from] io::Error),
}

impl From<FileTargetError> for HResult {
    fn from(error: FileTargetError) -> Self {
        let status = match error {
            FileTargetError::NotReadable => NtStatus::INVALID_PARAMETER,
            FileTargetError::Gone => NtStatus::INVALID_DEVICE_STATE,
            FileTargetError::System(_) => NtStatus::INVALID_HANDLE,
        };
        status.into()
    }
}

impl FileTarget {
    /// Makes a target of a descriptor, which is the target's from now on. It is started.
    ///
    /// UMDF wants a handle that was opened for overlapped I/O. Here whatever it was opened as is made so: pipes, sockets and terminals become non-blocking, for everybody who has the
    /// same open file; nobody else is to make them blocking again.
    ///
    /// # Errors
    /// See [`FileTargetError`].
    #[doc(alias = "CreateFileHandleTarget")]
    pub fn new(device: &Device, descriptor: impl Into<OwnedFd>) -> Result<Self, FileTargetError> {
        let descriptor = Arc::new(descriptor.into());
        let device = device.shared();
        if device.life().is_deleted {
            return Err(FileTargetError::Gone);
        }
        let kind = FileKind::of(&descriptor)?;
        let backend: Box<dyn Backend> = match kind {
            FileKind::File => Box::new(Positioned::new(device.scheduler(), descriptor)),
            _ => {
                rustix::io::ioctl_fionbio(&descriptor, true).map_err(io::Error::from)?;
                Box::new(Stream::new(device.scheduler(), descriptor, kind))
            }
        };
        let shared = TargetShared::new(device, backend);
        device.add_target(&shared);
        Ok(Self {
            target: IoTarget::of(shared),
            kind,
        })
    }

    /// The target that requests are sent to.
    pub fn target(&self) -> &IoTarget {
        &self.target
    }

    /// What it is.
    pub fn kind(&self) -> FileKind {
        self.kind
    }
}

/// What is wrong with a request for any file target.
fn refuses(format: &Format) -> Option<NtStatus> {
    match format {
        Format::Io { parameters, .. } => refuses_type(parameters),
        Format::None | Format::Current => None,
        Format::Control { .. } | Format::PipeRead(_) | Format::PipeWrite(_) => {
            Some(NtStatus::INVALID_DEVICE_REQUEST)
        }
    }
}

fn refuses_type(parameters: &Parameters) -> Option<NtStatus> {
    match parameters {
        Parameters::Read(_)
        | Parameters::Write(_)
        | Parameters::Flush
        | Parameters::QueryInformation { .. }
        | Parameters::SetInformation { .. } => None,
        _ => Some(NtStatus::INVALID_DEVICE_REQUEST),
    }
}

impl fmt::Debug for FileTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileTarget")
            .field("kind", &self.kind)
            .field("state", &self.target.state())
            .finish_non_exhaustive()
    }
}
