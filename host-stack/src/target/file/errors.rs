//! What the operating system's errors are as statuses.

use rustix::io::Errno;

use super::FileKind;
use crate::status::NtStatus;

/// The status of an error. For sockets it is that of Windows' sockets.
pub(super) fn status_of(errno: Errno, kind: FileKind) -> NtStatus {
    match errno {
        Errno::PIPE if kind.is_socket() => NtStatus::CONNECTION_DISCONNECTED,
        Errno::PIPE => NtStatus::PIPE_BROKEN,
        // A terminal of which nobody has the other end.
        Errno::IO if kind == FileKind::Terminal => NtStatus::PIPE_BROKEN,
        Errno::IO => NtStatus::IO_DEVICE_ERROR,
        Errno::BADF | Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY => {
            NtStatus::ACCESS_DENIED
        }
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => NtStatus::DISK_FULL,
        Errno::MSGSIZE => NtStatus::INVALID_BUFFER_SIZE,
        Errno::NOMEM | Errno::NOBUFS | Errno::MFILE | Errno::NFILE => {
            NtStatus::INSUFFICIENT_RESOURCES
        }
        Errno::CONNRESET => NtStatus::CONNECTION_RESET,
        Errno::CONNREFUSED => NtStatus::CONNECTION_REFUSED,
        Errno::CONNABORTED | Errno::NETDOWN | Errno::NETRESET => NtStatus::CONNECTION_ABORTED,
        Errno::NOTCONN | Errno::DESTADDRREQ => NtStatus::CONNECTION_INVALID,
        Errno::HOSTUNREACH | Errno::NETUNREACH => NtStatus::HOST_UNREACHABLE,
        Errno::TIMEDOUT => NtStatus::IO_TIMEOUT,
        Errno::NXIO | Errno::NODEV => NtStatus::DEVICE_DOES_NOT_EXIST,
        Errno::INVAL | Errno::OVERFLOW => NtStatus::INVALID_PARAMETER,
        Errno::OPNOTSUPP => NtStatus::NOT_SUPPORTED,
        _ => NtStatus::UNSUCCESSFUL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Win32Error;

    #[test]
    fn every_status_of_an_error_is_an_error_that_an_application_understands() {
        let kinds = [FileKind::File, FileKind::Stream, FileKind::Terminal];
        for number in 1..=133 {
            for kind in kinds {
                let status = status_of(Errno::from_raw_os_error(number), kind);
                assert!(!status.is_success());
                assert_ne!(Win32Error::from_nt(status), Win32Error::MR_MID_NOT_FOUND);
            }
        }
    }

    #[test]
    fn a_broken_pipe_a_broken_connection_and_a_full_disk_are_told_apart() {
        for (errno, kind, status) in [
            (Errno::PIPE, FileKind::Pipe, NtStatus::PIPE_BROKEN),
            (
                Errno::PIPE,
                FileKind::Stream,
                NtStatus::CONNECTION_DISCONNECTED,
            ),
            (Errno::IO, FileKind::Terminal, NtStatus::PIPE_BROKEN),
            (Errno::IO, FileKind::File, NtStatus::IO_DEVICE_ERROR),
            (Errno::NOSPC, FileKind::File, NtStatus::DISK_FULL),
        ] {
            assert_eq!(status_of(errno, kind), status);
        }
    }
}
