//! What a system call says where a driver's request ends with a Win32 code.

use rustix::io::Errno;
use usbwright_reflector::status::Win32Error;

/// The error that a program is told; none where all went well. What has no better one is `EIO`.
pub fn errno(error: Win32Error) -> Option<Errno> {
    Some(match error {
        Win32Error::SUCCESS => return None,
        Win32Error::INVALID_FUNCTION | Win32Error::NOT_SUPPORTED => Errno::OPNOTSUPP,
        Win32Error::FILE_NOT_FOUND | Win32Error::NOT_FOUND => Errno::NOENT,
        Win32Error::ACCESS_DENIED => Errno::ACCESS,
        Win32Error::INVALID_HANDLE => Errno::BADF,
        Win32Error::NOT_ENOUGH_MEMORY
        | Win32Error::OUTOFMEMORY
        | Win32Error::NO_SYSTEM_RESOURCES => Errno::NOMEM,
        Win32Error::NOT_READY => Errno::NXIO,
        Win32Error::BAD_COMMAND
        | Win32Error::BAD_LENGTH
        | Win32Error::INVALID_PARAMETER
        | Win32Error::INVALID_USER_BUFFER
        | Win32Error::INVALID_OPERATION
        | Win32Error::BAD_CONFIGURATION => Errno::INVAL,
        Win32Error::DEV_NOT_EXIST
        | Win32Error::DEVICE_NOT_CONNECTED
        | Win32Error::DEVICE_REMOVED => Errno::NODEV,
        Win32Error::NETNAME_DELETED => Errno::CONNRESET,
        Win32Error::BUSY | Win32Error::REQ_NOT_ACCEP | Win32Error::CONNECTION_COUNT_LIMIT => {
            Errno::BUSY
        }
        Win32Error::BROKEN_PIPE => Errno::PIPE,
        Win32Error::DISK_FULL => Errno::NOSPC,
        Win32Error::SEM_TIMEOUT | Win32Error::TIMEOUT => Errno::TIMEDOUT,
        Win32Error::INSUFFICIENT_BUFFER => Errno::NOBUFS,
        Win32Error::MORE_DATA => Errno::MSGSIZE,
        Win32Error::ALREADY_EXISTS => Errno::EXIST,
        Win32Error::NO_MORE_ITEMS | Win32Error::HANDLE_EOF => Errno::NODATA,
        Win32Error::ARITHMETIC_OVERFLOW => Errno::OVERFLOW,
        Win32Error::OPERATION_ABORTED | Win32Error::CANCELLED => Errno::CANCELED,
        Win32Error::NOACCESS => Errno::FAULT,
        Win32Error::POSSIBLE_DEADLOCK => Errno::DEADLK,
        Win32Error::CONNECTION_REFUSED => Errno::CONNREFUSED,
        Win32Error::CONNECTION_INVALID => Errno::NOTCONN,
        Win32Error::HOST_UNREACHABLE => Errno::HOSTUNREACH,
        Win32Error::CONNECTION_ABORTED => Errno::CONNABORTED,
        _ => Errno::IO,
    })
}

/// The same for an ioctl, where Linux has a word of its own for what a device does not know.
pub fn ioctl_errno(error: Win32Error) -> Option<Errno> {
    match errno(error) {
        Some(Errno::OPNOTSUPP) => Some(Errno::NOTTY),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_host_is_an_error_of_input_and_output_and_a_device_that_has_gone_is_none() {
        let told = |error| errno(error).map(|it| it.raw_os_error());
        assert_eq!(told(Win32Error::DRIVER_PROCESS_TERMINATED), Some(5));
        assert_eq!(told(Win32Error::DEVICE_REMOVED), Some(19));
        assert_eq!(told(Win32Error(4711)), Some(5), "no code is lost");
        assert_eq!(told(Win32Error::SUCCESS), None);
    }

    #[test]
    fn an_ioctl_that_no_driver_knows_is_inappropriate() {
        let unknown = Win32Error::INVALID_FUNCTION;
        assert_eq!(ioctl_errno(unknown), Some(Errno::NOTTY));
        assert_eq!(errno(unknown), Some(Errno::OPNOTSUPP));
        assert_eq!(ioctl_errno(Win32Error::ACCESS_DENIED), Some(Errno::ACCESS));
    }
}
