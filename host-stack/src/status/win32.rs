//! Win32 error codes, which an application sees.

use std::{fmt, io};

use super::NtStatus;

/// A Win32 error code, as an application gets it of its system calls (`winerror.h`).
///
/// It is a [`std::error::Error`] and becomes an [`io::Error`], of which [`from_io`](Self::from_io) finds it again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
#[doc(alias = "DWORD")]
#[doc(alias = "GetLastError")]
pub struct Win32Error(pub u32);

/// Makes of a table, whose rows have an [`io::ErrorKind`] too, the constants, the names and the kinds.
macro_rules! win32_codes {
    ($($name:ident = $value:literal $spelling:literal $kind:ident: $meaning:literal;)*) => {
        codes! { Win32Error { $($name = $value $spelling: $meaning;)* } }

        impl Win32Error {
            /// The kind of [`io::Error`] that the code becomes.
            ///
            /// Where Rust's standard library has one for it on Windows, it is that: a cancelled request counts as
            /// [`TimedOut`](io::ErrorKind::TimedOut). Codes that stand for nothing in particular are
            /// [`Other`](io::ErrorKind::Other).
            pub const fn kind(self) -> io::ErrorKind {
                match self.0 {
                    $($value => io::ErrorKind::$kind,)*
                    _ => io::ErrorKind::Other,
                }
            }
        }
    };
}

win32_codes! {
    SUCCESS = 0 "ERROR_SUCCESS" Other: "All is well.";
    INVALID_FUNCTION = 1 "ERROR_INVALID_FUNCTION" Unsupported: "The device knows no such request, such as an unknown control code.";
    FILE_NOT_FOUND = 2 "ERROR_FILE_NOT_FOUND" NotFound: "There is nothing of that name.";
    ACCESS_DENIED = 5 "ERROR_ACCESS_DENIED" PermissionDenied: "This is not allowed to the caller.";
    INVALID_HANDLE = 6 "ERROR_INVALID_HANDLE" Other: "The handle is of nothing that is open; a port's says so once it is disconnected.";
    NOT_ENOUGH_MEMORY = 8 "ERROR_NOT_ENOUGH_MEMORY" OutOfMemory: "There is not enough memory for this command.";
    OUTOFMEMORY = 14 "ERROR_OUTOFMEMORY" OutOfMemory: "There is not enough memory.";
    NOT_READY = 21 "ERROR_NOT_READY" Other: "The device is not ready.";
    BAD_COMMAND = 22 "ERROR_BAD_COMMAND" Other: "The device is in no state to do this.";
    CRC = 23 "ERROR_CRC" InvalidData: "The data came damaged.";
    BAD_LENGTH = 24 "ERROR_BAD_LENGTH" InvalidInput: "The buffer's length is not that of what is asked for.";
    GEN_FAILURE = 31 "ERROR_GEN_FAILURE" Other: "The device does not work, for any reason that has no code of its own; a stall among them.";
    HANDLE_EOF = 38 "ERROR_HANDLE_EOF" UnexpectedEof: "The file has nothing from there on.";
    NOT_SUPPORTED = 50 "ERROR_NOT_SUPPORTED" Unsupported: "This can't be done here.";
    DEV_NOT_EXIST = 55 "ERROR_DEV_NOT_EXIST" NotConnected: "The device is there no more.";
    NETNAME_DELETED = 64 "ERROR_NETNAME_DELETED" ConnectionReset: "The other end has ended the connection.";
    REQ_NOT_ACCEP = 71 "ERROR_REQ_NOT_ACCEP" ResourceBusy: "No more requests are accepted now.";
    INVALID_PARAMETER = 87 "ERROR_INVALID_PARAMETER" InvalidInput: "A parameter is wrong.";
    BROKEN_PIPE = 109 "ERROR_BROKEN_PIPE" BrokenPipe: "The pipe's other end is closed.";
    DISK_FULL = 112 "ERROR_DISK_FULL" StorageFull: "There is no room for it on the disk.";
    SEM_TIMEOUT = 121 "ERROR_SEM_TIMEOUT" TimedOut: "The request took longer than it may.";
    INSUFFICIENT_BUFFER = 122 "ERROR_INSUFFICIENT_BUFFER" InvalidInput: "The buffer is too small, and nothing was put into it.";
    BUSY = 170 "ERROR_BUSY" ResourceBusy: "What was asked for is in use.";
    ALREADY_EXISTS = 183 "ERROR_ALREADY_EXISTS" AlreadyExists: "There is something of that name already.";
    MORE_DATA = 234 "ERROR_MORE_DATA" Other: "There is more than the buffer had room for.";
    NO_MORE_ITEMS = 259 "ERROR_NO_MORE_ITEMS" Other: "There is nothing more to get.";
    MR_MID_NOT_FOUND = 317 "ERROR_MR_MID_NOT_FOUND" Other: "No Win32 code stands for the NTSTATUS.";
    ARITHMETIC_OVERFLOW = 534 "ERROR_ARITHMETIC_OVERFLOW" InvalidInput: "Lengths added up to more than a number holds.";
    OPERATION_ABORTED = 995 "ERROR_OPERATION_ABORTED" TimedOut: "The request was taken back.";
    IO_PENDING = 997 "ERROR_IO_PENDING" WouldBlock: "The request has begun and ends later.";
    NOACCESS = 998 "ERROR_NOACCESS" InvalidInput: "The memory can't be used so: it is read-only, unaligned or not there.";
    IO_DEVICE = 1117 "ERROR_IO_DEVICE" Other: "The device failed.";
    POSSIBLE_DEADLOCK = 1131 "ERROR_POSSIBLE_DEADLOCK" Deadlock: "The call would never return.";
    DEVICE_NOT_CONNECTED = 1167 "ERROR_DEVICE_NOT_CONNECTED" NotConnected: "The device is not attached.";
    NOT_FOUND = 1168 "ERROR_NOT_FOUND" NotFound: "What was asked for is not there.";
    CANCELLED = 1223 "ERROR_CANCELLED" Other: "The user took the operation back.";
    CONNECTION_REFUSED = 1225 "ERROR_CONNECTION_REFUSED" ConnectionRefused: "The other end wants no connection.";
    CONNECTION_INVALID = 1229 "ERROR_CONNECTION_INVALID" NotConnected: "There is no connection.";
    HOST_UNREACHABLE = 1232 "ERROR_HOST_UNREACHABLE" HostUnreachable: "There is no way to the other end.";
    CONNECTION_ABORTED = 1236 "ERROR_CONNECTION_ABORTED" ConnectionAborted: "The connection has failed on this side.";
    CONNECTION_COUNT_LIMIT = 1238 "ERROR_CONNECTION_COUNT_LIMIT" ResourceBusy: "The port has as many connections as it may have.";
    DRIVER_PROCESS_TERMINATED = 1291 "ERROR_DRIVER_PROCESS_TERMINATED" ConnectionAborted: "The process that hosts the driver died.";
    INTERNAL_ERROR = 1359 "ERROR_INTERNAL_ERROR" Other: "The framework failed.";
    NO_SYSTEM_RESOURCES = 1450 "ERROR_NO_SYSTEM_RESOURCES" OutOfMemory: "The system has not the resources for this.";
    TIMEOUT = 1460 "ERROR_TIMEOUT" TimedOut: "The wait ended before what was waited for came.";
    BAD_CONFIGURATION = 1610 "ERROR_BAD_CONFIGURATION" InvalidInput: "What is configured does not fit together, such as a queue and its callbacks.";
    DEVICE_REMOVED = 1617 "ERROR_DEVICE_REMOVED" NotConnected: "The device was removed.";
    INVALID_USER_BUFFER = 1784 "ERROR_INVALID_USER_BUFFER" InvalidInput: "The buffer's length does not fit the request.";
    INVALID_OPERATION = 4317 "ERROR_INVALID_OPERATION" InvalidInput: "The object is in no state to do this.";
}

impl Win32Error {
    /// What an application is told where the operating system ends a request with `status`.
    ///
    /// In this order: zero and codes with the customer bit (`0x20000000`) stay as they are; `0xDxxxxxxx` counts as
    /// `0xCxxxxxxx`, so that a status inside an `HRESULT` is understood; a Win32 code inside a status (`0xC001xxxx`,
    /// `0x8007xxxx`, `0xC007xxxx`) comes out; the table of [`NtStatus`]'s constants; and for what is in no table
    /// [`MR_MID_NOT_FOUND`](Self::MR_MID_NOT_FOUND). Those are the rules of Wine's `RtlNtStatusToDosErrorNoTeb`
    /// (`dlls/ntdll/error.c`). Its table is longer than ours, which has the codes that a driver's request may meet.
    #[doc(alias = "RtlNtStatusToDosError")]
    pub const fn from_nt(status: NtStatus) -> Self {
        let code = status.0;
        if code == 0 || code & 0x2000_0000 != 0 {
            return Self(code);
        }
        let code = if code >> 28 == 0xD {
            code & !0x1000_0000
        } else {
            code
        };
        if matches!(code >> 16, 0xC001 | 0x8007 | 0xC007) {
            return Self(code & 0xFFFF);
        }
        match NtStatus(code).listed_win32() {
            Some(win32) => win32,
            None => Self::MR_MID_NOT_FOUND,
        }
    }

    /// The code that an [`io::Error`] was made of; none if it was made of anything else.
    pub fn from_io(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// In decimal, as Win32 codes are known by: `ERROR_OPERATION_ABORTED (995)`. What is beyond them is in hex.
impl fmt::Display for Win32Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.0;
        match self.name() {
            Some(name) => write!(f, "{name} ({code})"),
            None if code <= 0xFFFF => write!(f, "Win32 error {code}"),
            None => write!(f, "0x{code:08X}"),
        }
    }
}

impl std::error::Error for Win32Error {}

impl From<Win32Error> for io::Error {
    fn from(error: Win32Error) -> Self {
        Self::new(error.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_name_that_winerror_h_gives_it() {
        for (code, name) in [
            (0, "SUCCESS"),
            (1, "INVALID_FUNCTION"),
            (2, "FILE_NOT_FOUND"),
            (5, "ACCESS_DENIED"),
            (6, "INVALID_HANDLE"),
            (8, "NOT_ENOUGH_MEMORY"),
            (14, "OUTOFMEMORY"),
            (21, "NOT_READY"),
            (22, "BAD_COMMAND"),
            (23, "CRC"),
            (24, "BAD_LENGTH"),
            (31, "GEN_FAILURE"),
            (38, "HANDLE_EOF"),
            (50, "NOT_SUPPORTED"),
            (55, "DEV_NOT_EXIST"),
            (64, "NETNAME_DELETED"),
            (71, "REQ_NOT_ACCEP"),
            (87, "INVALID_PARAMETER"),
            (109, "BROKEN_PIPE"),
            (112, "DISK_FULL"),
            (121, "SEM_TIMEOUT"),
            (122, "INSUFFICIENT_BUFFER"),
            (170, "BUSY"),
            (183, "ALREADY_EXISTS"),
            (234, "MORE_DATA"),
            (259, "NO_MORE_ITEMS"),
            (317, "MR_MID_NOT_FOUND"),
            (534, "ARITHMETIC_OVERFLOW"),
            (995, "OPERATION_ABORTED"),
            (997, "IO_PENDING"),
            (998, "NOACCESS"),
            (1117, "IO_DEVICE"),
            (1167, "DEVICE_NOT_CONNECTED"),
            (1168, "NOT_FOUND"),
            (1223, "CANCELLED"),
            (1225, "CONNECTION_REFUSED"),
            (1229, "CONNECTION_INVALID"),
            (1232, "HOST_UNREACHABLE"),
            (1236, "CONNECTION_ABORTED"),
            (1238, "CONNECTION_COUNT_LIMIT"),
            (1291, "DRIVER_PROCESS_TERMINATED"),
            (1359, "INTERNAL_ERROR"),
            (1450, "NO_SYSTEM_RESOURCES"),
            (1460, "TIMEOUT"),
            (1610, "BAD_CONFIGURATION"),
            (1617, "DEVICE_REMOVED"),
            (1784, "INVALID_USER_BUFFER"),
            (4317, "INVALID_OPERATION"),
        ] {
            let written = Win32Error(code).to_string();
            assert_eq!(written, format!("ERROR_{name} ({code})"));
        }
    }

    #[test]
    fn a_code_is_written_with_its_name() {
        assert_eq!(
            Win32Error::OPERATION_ABORTED.to_string(),
            "ERROR_OPERATION_ABORTED (995)"
        );
        assert_eq!(format!("{:?}", Win32Error::CRC), "ERROR_CRC (23)");
        assert_eq!(Win32Error(4242).to_string(), "Win32 error 4242");
        assert_eq!(Win32Error(0xE000_0001).to_string(), "0xE0000001");
    }

    #[test]
    fn an_io_error_has_a_fitting_kind_and_keeps_the_code() {
        for (code, kind) in [
            (2, io::ErrorKind::NotFound),
            (5, io::ErrorKind::PermissionDenied),
            (50, io::ErrorKind::Unsupported),
            (87, io::ErrorKind::InvalidInput),
            (121, io::ErrorKind::TimedOut),
            (995, io::ErrorKind::TimedOut),
            (997, io::ErrorKind::WouldBlock),
            (1167, io::ErrorKind::NotConnected),
            (1291, io::ErrorKind::ConnectionAborted),
            (4242, io::ErrorKind::Other),
        ] {
            let error = io::Error::from(Win32Error(code));
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(Win32Error::from_io(&error), Some(Win32Error(code)));
        }
    }

    #[test]
    fn no_code_makes_a_caller_try_again_by_itself() {
        assert!((0..=0xFFFF).all(|code| Win32Error(code).kind() != io::ErrorKind::Interrupted));
    }

    #[test]
    fn an_io_error_of_another_origin_has_no_code() {
        assert_eq!(Win32Error::from_io(&io::Error::from_raw_os_error(5)), None);
        assert_eq!(Win32Error::from_io(&io::Error::other("else")), None);
    }

    #[test]
    fn codes_that_are_in_no_table_follow_the_rules() {
        for (status, win32) in [
            (0xE123_4567, 0xE123_4567),
            (0xD000_0120, 995),
            (0x8007_03E3, 995),
            (0xC007_03E3, 995),
            (0xD007_03E3, 995),
            (0xC001_0005, 5),
            (0xC0FF_FFFF, 317),
        ] {
            assert_eq!(Win32Error::from_nt(NtStatus(status)), Win32Error(win32));
        }
    }
}
