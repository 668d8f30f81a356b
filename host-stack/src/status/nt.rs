//! `NTSTATUS`es, which the operating system and the framework's inside speak.

use std::fmt;

use super::codes::write_hex;
use super::hresult::{NT, WIN32};
use super::{HResult, Severity, UsbdStatus, Win32Error};

/// The high word of a Win32 code inside an `NTSTATUS`: severity error, `FACILITY_NTWIN32`.
#[doc(alias = "FACILITY_NTWIN32")]
const NTWIN32: u32 = 0xC007;
/// The bits of the facility.
const FACILITY: u32 = 0x0FFF_0000;
/// The framework's facility.
#[doc(alias = "FACILITY_DRIVER_FRAMEWORK")]
const WDF: u32 = 0x0020_0000;

/// An `NTSTATUS`: what the operating system ends a request with (`ntstatus.h`).
///
/// What the application is then told is in [`Win32Error::from_nt`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
#[doc(alias = "NTSTATUS")]
pub struct NtStatus(pub u32);

/// Makes of a table, whose rows may name a [`Win32Error`] too, the constants, the names and that mapping.
macro_rules! nt_codes {
    ($($name:ident = $value:literal $spelling:literal $(=> $win32:ident)?: $meaning:literal;)*) => {
        codes! { NtStatus { $($name = $value $spelling: $meaning;)* } }

        impl NtStatus {
            /// The Win32 code that the table has for it.
            pub(super) const fn listed_win32(self) -> Option<Win32Error> {
                match self.0 {
                    $($($value => Some(Win32Error::$win32),)?)*
                    _ => None,
                }
            }
        }
    };
}

nt_codes! {
    SUCCESS = 0x00000000 "STATUS_SUCCESS" => SUCCESS: "All is well.";
    TIMEOUT = 0x00000102 "STATUS_TIMEOUT" => TIMEOUT: "The wait ended before what was waited for came. Its severity is success: whoever asks for that only takes it for one.";
    PENDING = 0x00000103 "STATUS_PENDING" => IO_PENDING: "The request has begun and ends later.";
    DATATYPE_MISALIGNMENT = 0x80000002 "STATUS_DATATYPE_MISALIGNMENT" => NOACCESS: "A buffer is not aligned as it must be.";
    BUFFER_OVERFLOW = 0x80000005 "STATUS_BUFFER_OVERFLOW" => MORE_DATA: "There is more than the buffer had room for. It is a warning: what fits is handed on.";
    DEVICE_BUSY = 0x80000011 "STATUS_DEVICE_BUSY" => BUSY: "The device is busy.";
    NO_MORE_ENTRIES = 0x8000001A "STATUS_NO_MORE_ENTRIES" => NO_MORE_ITEMS: "There is nothing more to get, as from an empty queue.";
    UNSUCCESSFUL = 0xC0000001 "STATUS_UNSUCCESSFUL" => GEN_FAILURE: "It failed, for any reason that has no code of its own.";
    INVALID_INFO_CLASS = 0xC0000003 "STATUS_INVALID_INFO_CLASS" => INVALID_PARAMETER: "There is no such information about a file, or it can't be set.";
    INFO_LENGTH_MISMATCH = 0xC0000004 "STATUS_INFO_LENGTH_MISMATCH" => BAD_LENGTH: "The buffer's length is not that of the information.";
    ACCESS_VIOLATION = 0xC0000005 "STATUS_ACCESS_VIOLATION" => NOACCESS: "The memory can't be used so, such as read-only memory written to.";
    INVALID_HANDLE = 0xC0000008 "STATUS_INVALID_HANDLE" => INVALID_HANDLE: "The handle is of nothing that is open.";
    INVALID_PARAMETER = 0xC000000D "STATUS_INVALID_PARAMETER" => INVALID_PARAMETER: "A parameter is wrong.";
    NO_SUCH_DEVICE = 0xC000000E "STATUS_NO_SUCH_DEVICE" => FILE_NOT_FOUND: "There is no such device.";
    INVALID_DEVICE_REQUEST = 0xC0000010 "STATUS_INVALID_DEVICE_REQUEST" => INVALID_FUNCTION: "The device or object knows no such request.";
    END_OF_FILE = 0xC0000011 "STATUS_END_OF_FILE" => HANDLE_EOF: "The file has nothing from there on.";
    ACCESS_DENIED = 0xC0000022 "STATUS_ACCESS_DENIED" => ACCESS_DENIED: "This is not allowed to the caller.";
    BUFFER_TOO_SMALL = 0xC0000023 "STATUS_BUFFER_TOO_SMALL" => INSUFFICIENT_BUFFER: "The buffer is too small, and nothing was put into it.";
    OBJECT_NAME_NOT_FOUND = 0xC0000034 "STATUS_OBJECT_NAME_NOT_FOUND" => FILE_NOT_FOUND: "There is nothing of that name.";
    OBJECT_NAME_COLLISION = 0xC0000035 "STATUS_OBJECT_NAME_COLLISION" => ALREADY_EXISTS: "There is something of that name already.";
    PORT_DISCONNECTED = 0xC0000037 "STATUS_PORT_DISCONNECTED" => INVALID_HANDLE: "The other end of the port's connection is gone.";
    DATA_OVERRUN = 0xC000003C "STATUS_DATA_OVERRUN" => IO_DEVICE: "More came than was expected.";
    PORT_CONNECTION_REFUSED = 0xC0000041 "STATUS_PORT_CONNECTION_REFUSED" => ACCESS_DENIED: "The port wants no connection.";
    THREAD_IS_TERMINATING = 0xC000004B "STATUS_THREAD_IS_TERMINATING" => ACCESS_DENIED: "The thread that waited is on its way out.";
    DELETE_PENDING = 0xC0000056 "STATUS_DELETE_PENDING" => ACCESS_DENIED: "The object is on its way out.";
    DISK_FULL = 0xC000007F "STATUS_DISK_FULL" => DISK_FULL: "There is no room for it on the disk.";
    INTEGER_OVERFLOW = 0xC0000095 "STATUS_INTEGER_OVERFLOW" => ARITHMETIC_OVERFLOW: "Lengths added up to more than a number holds.";
    INSUFFICIENT_RESOURCES = 0xC000009A "STATUS_INSUFFICIENT_RESOURCES" => NO_SYSTEM_RESOURCES: "The system has not the resources for this.";
    DEVICE_DATA_ERROR = 0xC000009C "STATUS_DEVICE_DATA_ERROR" => CRC: "What came from the device makes no sense.";
    DEVICE_NOT_CONNECTED = 0xC000009D "STATUS_DEVICE_NOT_CONNECTED" => DEVICE_NOT_CONNECTED: "The device is not attached.";
    DEVICE_NOT_READY = 0xC00000A3 "STATUS_DEVICE_NOT_READY" => NOT_READY: "The device is not ready.";
    IO_TIMEOUT = 0xC00000B5 "STATUS_IO_TIMEOUT" => SEM_TIMEOUT: "The request took longer than it may.";
    NOT_SUPPORTED = 0xC00000BB "STATUS_NOT_SUPPORTED" => NOT_SUPPORTED: "This can't be done here.";
    DEVICE_DOES_NOT_EXIST = 0xC00000C0 "STATUS_DEVICE_DOES_NOT_EXIST" => DEV_NOT_EXIST: "The device is there no more.";
    REQUEST_NOT_ACCEPTED = 0xC00000D0 "STATUS_REQUEST_NOT_ACCEPTED" => REQ_NOT_ACCEP: "No more requests are accepted now.";
    INTERNAL_ERROR = 0xC00000E5 "STATUS_INTERNAL_ERROR" => INTERNAL_ERROR: "The framework failed.";
    CANCELLED = 0xC0000120 "STATUS_CANCELLED" => OPERATION_ABORTED: "The request was taken back.";
    FILE_CLOSED = 0xC0000128 "STATUS_FILE_CLOSED" => INVALID_HANDLE: "The file is closed.";
    PIPE_BROKEN = 0xC000014B "STATUS_PIPE_BROKEN" => BROKEN_PIPE: "The pipe's other end is closed.";
    DRIVER_INTERNAL_ERROR = 0xC0000183 "STATUS_DRIVER_INTERNAL_ERROR" => IO_DEVICE: "The driver failed.";
    INVALID_DEVICE_STATE = 0xC0000184 "STATUS_INVALID_DEVICE_STATE" => BAD_COMMAND: "The device or object is in no state to do this.";
    IO_DEVICE_ERROR = 0xC0000185 "STATUS_IO_DEVICE_ERROR" => IO_DEVICE: "The device failed.";
    INVALID_BUFFER_SIZE = 0xC0000206 "STATUS_INVALID_BUFFER_SIZE" => INVALID_USER_BUFFER: "The buffer's length does not fit the request.";
    CONNECTION_DISCONNECTED = 0xC000020C "STATUS_CONNECTION_DISCONNECTED" => NETNAME_DELETED: "The connection's other end takes nothing any more.";
    CONNECTION_RESET = 0xC000020D "STATUS_CONNECTION_RESET" => NETNAME_DELETED: "The connection's other end has broken it off.";
    CONNECTION_REFUSED = 0xC0000236 "STATUS_CONNECTION_REFUSED" => CONNECTION_REFUSED: "The other end wants no connection.";
    CONNECTION_INVALID = 0xC000023A "STATUS_CONNECTION_INVALID" => CONNECTION_INVALID: "There is no connection.";
    HOST_UNREACHABLE = 0xC000023D "STATUS_HOST_UNREACHABLE" => HOST_UNREACHABLE: "There is no way to the other end.";
    CONNECTION_ABORTED = 0xC0000241 "STATUS_CONNECTION_ABORTED" => CONNECTION_ABORTED: "The connection has failed on this side.";
    CONNECTION_COUNT_LIMIT = 0xC0000246 "STATUS_CONNECTION_COUNT_LIMIT" => CONNECTION_COUNT_LIMIT: "The port has as many connections as it may have.";
    DEVICE_REMOVED = 0xC00002B6 "STATUS_DEVICE_REMOVED" => DEVICE_REMOVED: "The device was removed.";
    DRIVER_PROCESS_TERMINATED = 0xC0000450 "STATUS_DRIVER_PROCESS_TERMINATED" => DRIVER_PROCESS_TERMINATED: "The process that hosts the driver died.";
    FLT_DELETING_OBJECT = 0xC01C000B "STATUS_FLT_DELETING_OBJECT": "The port or its filter is on its way out.";
    FLT_NO_WAITER_FOR_REPLY = 0xC01C0020 "STATUS_FLT_NO_WAITER_FOR_REPLY": "Nobody waits for this reply: it came too late, or to a message that wants none.";
    WDF_QUEUED = 0x40200000 "STATUS_WDF_QUEUED": "The request waits in a stopped target.";
    WDF_POSTED = 0x40200002 "STATUS_WDF_POSTED": "The work was handed to another thread.";
    WDF_NO_PACKAGE_REGISTERED = 0xC0200200 "STATUS_WDF_NO_PACKAGE_REGISTERED": "Nothing in the framework handles this.";
    WDF_INTERNAL_ERROR = 0xC0200201 "STATUS_WDF_INTERNAL_ERROR": "The framework failed.";
    WDF_PAUSED = 0xC0200203 "STATUS_WDF_PAUSED": "The queue is stopped, or the device is not in D0.";
    WDF_BUSY = 0xC0200204 "STATUS_WDF_BUSY": "The queue accepts no requests.";
    WDF_IO_TIMEOUT_NOT_SENT = 0xC0200205 "STATUS_WDF_IO_TIMEOUT_NOT_SENT": "The request's time was up before the target had sent it.";
    WDF_DEVICE_REMOVED_NOT_SENT = 0xC0200206 "STATUS_WDF_DEVICE_REMOVED_NOT_SENT": "The device was removed before the target had sent the request.";
    WDF_REQUEST_ALREADY_PENDING = 0xC0200207 "STATUS_WDF_REQUEST_ALREADY_PENDING": "The request is on its way already.";
    WDF_REQUEST_INVALID_STATE = 0xC0200208 "STATUS_WDF_REQUEST_INVALID_STATE": "The request is in no state to do this.";
    WDF_OBJECT_ATTRIBUTES_INVALID = 0xC0200209 "STATUS_WDF_OBJECT_ATTRIBUTES_INVALID": "An object's attributes are wrong.";
    WDF_TOO_FRAGMENTED = 0xC020020A "STATUS_WDF_TOO_FRAGMENTED": "The buffer is in too many pieces.";
    WDF_NO_CALLBACK = 0xC020020B "STATUS_WDF_NO_CALLBACK": "A callback that is needed is not given.";
    WDF_PARENT_NOT_SPECIFIED = 0xC0200212 "STATUS_WDF_PARENT_NOT_SPECIFIED": "The object needs a parent.";
    WDF_TOO_MANY_TRANSFERS = 0xC0200213 "STATUS_WDF_TOO_MANY_TRANSFERS": "It would take more transfers than are allowed.";
    WDF_NOT_ENOUGH_MAP_REGISTERS = 0xC0200214 "STATUS_WDF_NOT_ENOUGH_MAP_REGISTERS": "It would take more map registers than there are.";
}

impl NtStatus {
    /// What the host tells the operating system where a driver completes a request with `result`.
    ///
    /// In this order: a wrapped `NTSTATUS` ([`HResult::from_nt`]) comes out unchanged, of whatever severity; any other
    /// success is [`SUCCESS`](Self::SUCCESS); a wrapped Win32 code ([`HResult::from_win32`]) stays wrapped, as
    /// `0xC007xxxx`; all else, [`HResult::FAIL`] for one, is [`UNSUCCESSFUL`](Self::UNSUCCESSFUL).
    ///
    /// The body of Microsoft's function is not public (`CHostFxUtil::NtStatusFromHr`); ours keeps the two promises that
    /// Microsoft documents, and this is our decision: a Win32 code has severity error, so that no data of a buffered
    /// request goes with it, even with [`Win32Error::MORE_DATA`]. To hand on a part, complete with a wrapped
    /// [`BUFFER_OVERFLOW`](Self::BUFFER_OVERFLOW). And `0x80070000`, a failure with no code, stays a failure.
    #[doc(alias = "NtStatusFromHr")]
    pub const fn from_hresult(result: HResult) -> Self {
        let code = result.0;
        if code & NT != 0 {
            Self(code & !NT)
        } else if result.is_success() {
            Self::SUCCESS
        } else if code >> 16 == WIN32 && code & 0xFFFF != 0 {
            Self(NTWIN32 << 16 | code & 0xFFFF)
        } else {
            Self::UNSUCCESSFUL
        }
    }

    /// What the framework completes a request with where it is asked to complete it with this.
    ///
    /// Codes of the framework's own facility do not leave it: [`WDF_PAUSED`](Self::WDF_PAUSED) and
    /// [`WDF_BUSY`](Self::WDF_BUSY) become [`DEVICE_BUSY`](Self::DEVICE_BUSY),
    /// [`WDF_INTERNAL_ERROR`](Self::WDF_INTERNAL_ERROR) becomes [`INTERNAL_ERROR`](Self::INTERNAL_ERROR), and the others
    /// [`INVALID_DEVICE_REQUEST`](Self::INVALID_DEVICE_REQUEST) (microsoft/Windows-Driver-Frameworks,
    /// `src/framework/shared/core/fxrequest.cpp`).
    pub const fn at_completion(self) -> Self {
        if self.0 & FACILITY != WDF {
            return self;
        }
        match self {
            Self::WDF_PAUSED | Self::WDF_BUSY => Self::DEVICE_BUSY,
            Self::WDF_INTERNAL_ERROR => Self::INTERNAL_ERROR,
            _ => Self::INVALID_DEVICE_REQUEST,
        }
    }

    /// What a request ends with whose transfer ended so on the bus. Keep the [`UsbdStatus`] beside it: most errors,
    /// a stall among them, become [`UNSUCCESSFUL`](Self::UNSUCCESSFUL), as on Windows.
    ///
    /// Microsoft's own mapping is not public. This is that of ReactOS (`drivers/usb/usbport/usbport.c`), but for two codes:
    /// [`UsbdStatus::TIMEOUT`] becomes [`IO_TIMEOUT`](Self::IO_TIMEOUT), as usbwright tells with it what WinUSB reports
    /// as [`Win32Error::SEM_TIMEOUT`]; and [`UsbdStatus::PENDING`] becomes [`PENDING`](Self::PENDING).
    #[doc(alias = "USBPORT_USBDStatusToNtStatus")]
    pub const fn from_usbd(status: UsbdStatus) -> Self {
        match status {
            UsbdStatus::PENDING => Self::PENDING,
            UsbdStatus::INSUFFICIENT_RESOURCES => Self::INSUFFICIENT_RESOURCES,
            UsbdStatus::DEVICE_GONE => Self::DEVICE_NOT_CONNECTED,
            UsbdStatus::CANCELED => Self::CANCELLED,
            UsbdStatus::NOT_SUPPORTED => Self::NOT_SUPPORTED,
            UsbdStatus::TIMEOUT => Self::IO_TIMEOUT,
            UsbdStatus::INVALID_URB_FUNCTION
            | UsbdStatus::INVALID_PARAMETER
            | UsbdStatus::INVALID_PIPE_HANDLE
            | UsbdStatus::BAD_START_FRAME => Self::INVALID_PARAMETER,
            error if error.is_error() => Self::UNSUCCESSFUL,
            _ => Self::SUCCESS,
        }
    }

    /// Whether its severity is success or information. That is so of [`TIMEOUT`](Self::TIMEOUT) too.
    #[doc(alias = "NT_SUCCESS")]
    pub const fn is_success(self) -> bool {
        matches!(self.severity(), Severity::Success | Severity::Information)
    }

    /// How grave it is.
    #[doc(alias = "NT_ERROR")]
    #[doc(alias = "NT_WARNING")]
    #[doc(alias = "NT_INFORMATION")]
    pub const fn severity(self) -> Severity {
        match self.0 >> 30 {
            0 => Severity::Success,
            1 => Severity::Information,
            2 => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

/// `STATUS_CANCELLED (0xC0000120)`; a Win32 code inside is written `NTSTATUS_FROM_WIN32(ERROR_BUSY) (0xC00700AA)`.
impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.0;
        if code >> 16 == NTWIN32
            && let Some(name) = Win32Error(code & 0xFFFF).name()
        {
            return write!(f, "NTSTATUS_FROM_WIN32({name}) (0x{code:08X})");
        }
        write_hex(f, self.name(), code)
    }
}

impl std::error::Error for NtStatus {}

#[cfg(test)]
mod tests;
