//! `USBD_STATUS`es, which tell how a transfer ended on the bus.

use std::fmt;

use usbwright_protocol::Status;

use super::codes::write_hex;

/// A `USBD_STATUS`: how a transfer ended on the bus, in full (`usb.h`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
#[doc(alias = "USBD_STATUS")]
pub struct UsbdStatus(pub u32);

codes! { UsbdStatus {
    SUCCESS = 0x00000000 "USBD_STATUS_SUCCESS": "All is well.";
    PENDING = 0x40000000 "USBD_STATUS_PENDING": "The transfer has begun and ends later.";
    CRC = 0xC0000001 "USBD_STATUS_CRC": "Packets came damaged.";
    BTSTUFF = 0xC0000002 "USBD_STATUS_BTSTUFF": "Packets came with bits stuffed wrongly.";
    DATA_TOGGLE_MISMATCH = 0xC0000003 "USBD_STATUS_DATA_TOGGLE_MISMATCH": "A packet came out of turn.";
    STALL_PID = 0xC0000004 "USBD_STATUS_STALL_PID": "The endpoint stalled.";
    DEV_NOT_RESPONDING = 0xC0000005 "USBD_STATUS_DEV_NOT_RESPONDING": "The device did not answer.";
    PID_CHECK_FAILURE = 0xC0000006 "USBD_STATUS_PID_CHECK_FAILURE": "A packet's kind came damaged.";
    UNEXPECTED_PID = 0xC0000007 "USBD_STATUS_UNEXPECTED_PID": "A packet came of a kind that was not due.";
    DATA_OVERRUN = 0xC0000008 "USBD_STATUS_DATA_OVERRUN": "The endpoint sent more than the packet or the buffer may have.";
    DATA_UNDERRUN = 0xC0000009 "USBD_STATUS_DATA_UNDERRUN": "The endpoint sent less than it had to.";
    BUFFER_OVERRUN = 0xC000000C "USBD_STATUS_BUFFER_OVERRUN": "The host could not take the data as fast as it came.";
    BUFFER_UNDERRUN = 0xC000000D "USBD_STATUS_BUFFER_UNDERRUN": "The host could not give the data as fast as it was to go.";
    NOT_ACCESSED = 0xC000000F "USBD_STATUS_NOT_ACCESSED": "The host did not come to this packet in its frame.";
    FIFO = 0xC0000010 "USBD_STATUS_FIFO": "The host controller's own buffer failed.";
    XACT_ERROR = 0xC0000011 "USBD_STATUS_XACT_ERROR": "A transaction failed, in a way that nobody told apart.";
    BABBLE_DETECTED = 0xC0000012 "USBD_STATUS_BABBLE_DETECTED": "The device sent more than there was room for.";
    DATA_BUFFER_ERROR = 0xC0000013 "USBD_STATUS_DATA_BUFFER_ERROR": "The host could not keep up with the data.";
    ENDPOINT_HALTED = 0xC0000030 "USBD_STATUS_ENDPOINT_HALTED": "The endpoint is halted since an earlier transfer.";
    NO_MEMORY = 0x80000100 "USBD_STATUS_NO_MEMORY": "The driver lacks memory.";
    INVALID_URB_FUNCTION = 0x80000200 "USBD_STATUS_INVALID_URB_FUNCTION": "There is no such function.";
    INVALID_PARAMETER = 0x80000300 "USBD_STATUS_INVALID_PARAMETER": "A parameter is wrong.";
    ERROR_BUSY = 0x80000400 "USBD_STATUS_ERROR_BUSY": "There are transfers on their way still.";
    REQUEST_FAILED = 0x80000500 "USBD_STATUS_REQUEST_FAILED": "The request failed, for any reason that has no code of its own.";
    INVALID_PIPE_HANDLE = 0x80000600 "USBD_STATUS_INVALID_PIPE_HANDLE": "There is no such pipe.";
    NO_BANDWIDTH = 0x80000700 "USBD_STATUS_NO_BANDWIDTH": "The bus has no time left for this pipe.";
    INTERNAL_HC_ERROR = 0x80000800 "USBD_STATUS_INTERNAL_HC_ERROR": "The host controller failed.";
    ERROR_SHORT_TRANSFER = 0x80000900 "USBD_STATUS_ERROR_SHORT_TRANSFER": "Less came than was asked for, where that is not allowed.";
    BAD_START_FRAME = 0xC0000A00 "USBD_STATUS_BAD_START_FRAME": "The transfer can't begin in that frame.";
    NOT_SUPPORTED = 0xC0000E00 "USBD_STATUS_NOT_SUPPORTED": "This can't be done here.";
    INSUFFICIENT_RESOURCES = 0xC0001000 "USBD_STATUS_INSUFFICIENT_RESOURCES": "The host lacks the resources for this.";
    SET_CONFIG_FAILED = 0xC0002000 "USBD_STATUS_SET_CONFIG_FAILED": "The configuration could not be set.";
    BUFFER_TOO_SMALL = 0xC0003000 "USBD_STATUS_BUFFER_TOO_SMALL": "The buffer is too small.";
    INTERFACE_NOT_FOUND = 0xC0004000 "USBD_STATUS_INTERFACE_NOT_FOUND": "There is no such interface or setting.";
    INVALID_PIPE_FLAGS = 0xC0005000 "USBD_STATUS_INVALID_PIPE_FLAGS": "The pipe's flags are wrong.";
    TIMEOUT = 0xC0006000 "USBD_STATUS_TIMEOUT": "The host took the transfer back, as it had lasted too long.";
    DEVICE_GONE = 0xC0007000 "USBD_STATUS_DEVICE_GONE": "The device is gone.";
    STATUS_NOT_MAPPED = 0xC0008000 "USBD_STATUS_STATUS_NOT_MAPPED": "It failed with a status that has no code here.";
    CANCELED = 0xC0010000 "USBD_STATUS_CANCELED": "The transfer was taken back.";
    BAD_DESCRIPTOR = 0xC0100000 "USBD_STATUS_BAD_DESCRIPTOR": "A descriptor is wrong.";
} }

impl UsbdStatus {
    /// Whether the top bit is clear.
    #[doc(alias = "USBD_SUCCESS")]
    pub const fn is_success(self) -> bool {
        !self.is_error()
    }

    /// Whether the top bit is set.
    #[doc(alias = "USBD_ERROR")]
    pub const fn is_error(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }
}

/// Each status of usbwright has a code of its own:
///
/// | Status | Code |
/// |---|---|
/// | [`Done`](Status::Done) | [`SUCCESS`](UsbdStatus::SUCCESS) |
/// | [`Stalled`](Status::Stalled) | [`STALL_PID`](UsbdStatus::STALL_PID) |
/// | [`Overflow`](Status::Overflow) | [`BABBLE_DETECTED`](UsbdStatus::BABBLE_DETECTED) |
/// | [`Cancelled`](Status::Cancelled) | [`CANCELED`](UsbdStatus::CANCELED) |
/// | [`Disconnected`](Status::Disconnected) | [`DEVICE_GONE`](UsbdStatus::DEVICE_GONE) |
/// | [`NoEndpoint`](Status::NoEndpoint) | [`INVALID_PIPE_HANDLE`](UsbdStatus::INVALID_PIPE_HANDLE) |
/// | [`ProtocolError`](Status::ProtocolError) | [`XACT_ERROR`](UsbdStatus::XACT_ERROR) |
/// | [`Crc`](Status::Crc) | [`CRC`](UsbdStatus::CRC) |
/// | [`NoResponse`](Status::NoResponse) | [`DEV_NOT_RESPONDING`](UsbdStatus::DEV_NOT_RESPONDING) |
/// | [`DataOverrun`](Status::DataOverrun) | [`BUFFER_OVERRUN`](UsbdStatus::BUFFER_OVERRUN) |
/// | [`DataUnderrun`](Status::DataUnderrun) | [`BUFFER_UNDERRUN`](UsbdStatus::BUFFER_UNDERRUN) |
/// | [`TimedOut`](Status::TimedOut) | [`TIMEOUT`](UsbdStatus::TIMEOUT) |
/// | [`Missed`](Status::Missed) | [`NOT_ACCESSED`](UsbdStatus::NOT_ACCESSED) |
/// | [`NoMemory`](Status::NoMemory) | [`INSUFFICIENT_RESOURCES`](UsbdStatus::INSUFFICIENT_RESOURCES) |
/// | [`Unsupported`](Status::Unsupported) | [`NOT_SUPPORTED`](UsbdStatus::NOT_SUPPORTED) |
/// | [`Other`](Status::Other) | [`STATUS_NOT_MAPPED`](UsbdStatus::STATUS_NOT_MAPPED); the number is lost |
///
/// `DataOverrun` and `DataUnderrun` are Linux's `ECOMM` and `ENOSR`: the host's memory could not keep up. Windows took its
/// names from OHCI (1.0a, table 4-7), where that is a *buffer* overrun, and a *data* overrun is a device that sends too
/// much.
impl From<Status> for UsbdStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Done => Self::SUCCESS,
            Status::Stalled => Self::STALL_PID,
            Status::Overflow => Self::BABBLE_DETECTED,
            Status::Cancelled => Self::CANCELED,
            Status::Disconnected => Self::DEVICE_GONE,
            Status::NoEndpoint => Self::INVALID_PIPE_HANDLE,
            Status::ProtocolError => Self::XACT_ERROR,
            Status::Crc => Self::CRC,
            Status::NoResponse => Self::DEV_NOT_RESPONDING,
            Status::DataOverrun => Self::BUFFER_OVERRUN,
            Status::DataUnderrun => Self::BUFFER_UNDERRUN,
            Status::TimedOut => Self::TIMEOUT,
            Status::Missed => Self::NOT_ACCESSED,
            Status::NoMemory => Self::INSUFFICIENT_RESOURCES,
            Status::Unsupported => Self::NOT_SUPPORTED,
            Status::Other(_) => Self::STATUS_NOT_MAPPED,
        }
    }
}

impl From<&Status> for UsbdStatus {
    fn from(status: &Status) -> Self {
        (*status).into()
    }
}

impl fmt::Display for UsbdStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.name(), self.0)
    }
}

impl std::error::Error for UsbdStatus {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::status::{NtStatus, Win32Error};

    /// ReactOS's list of `usb.h`.
    const GOLDEN: &[(u32, &str)] = &[
        (0x0000_0000, "SUCCESS"),
        (0x4000_0000, "PENDING"),
        (0xC000_0001, "CRC"),
        (0xC000_0002, "BTSTUFF"),
        (0xC000_0003, "DATA_TOGGLE_MISMATCH"),
        (0xC000_0004, "STALL_PID"),
        (0xC000_0005, "DEV_NOT_RESPONDING"),
        (0xC000_0006, "PID_CHECK_FAILURE"),
        (0xC000_0007, "UNEXPECTED_PID"),
        (0xC000_0008, "DATA_OVERRUN"),
        (0xC000_0009, "DATA_UNDERRUN"),
        (0xC000_000C, "BUFFER_OVERRUN"),
        (0xC000_000D, "BUFFER_UNDERRUN"),
        (0xC000_000F, "NOT_ACCESSED"),
        (0xC000_0010, "FIFO"),
        (0xC000_0011, "XACT_ERROR"),
        (0xC000_0012, "BABBLE_DETECTED"),
        (0xC000_0013, "DATA_BUFFER_ERROR"),
        (0xC000_0030, "ENDPOINT_HALTED"),
        (0x8000_0100, "NO_MEMORY"),
        (0x8000_0200, "INVALID_URB_FUNCTION"),
        (0x8000_0300, "INVALID_PARAMETER"),
        (0x8000_0400, "ERROR_BUSY"),
        (0x8000_0500, "REQUEST_FAILED"),
        (0x8000_0600, "INVALID_PIPE_HANDLE"),
        (0x8000_0700, "NO_BANDWIDTH"),
        (0x8000_0800, "INTERNAL_HC_ERROR"),
        (0x8000_0900, "ERROR_SHORT_TRANSFER"),
        (0xC000_0A00, "BAD_START_FRAME"),
        (0xC000_0E00, "NOT_SUPPORTED"),
        (0xC000_1000, "INSUFFICIENT_RESOURCES"),
        (0xC000_2000, "SET_CONFIG_FAILED"),
        (0xC000_3000, "BUFFER_TOO_SMALL"),
        (0xC000_4000, "INTERFACE_NOT_FOUND"),
        (0xC000_5000, "INVALID_PIPE_FLAGS"),
        (0xC000_6000, "TIMEOUT"),
        (0xC000_7000, "DEVICE_GONE"),
        (0xC000_8000, "STATUS_NOT_MAPPED"),
        (0xC001_0000, "CANCELED"),
        (0xC010_0000, "BAD_DESCRIPTOR"),
    ];

    #[test]
    fn every_code_has_its_name_and_is_an_error_or_not() {
        for &(code, name) in GOLDEN {
            let status = UsbdStatus(code);
            assert_eq!(
                status.to_string(),
                format!("USBD_STATUS_{name} (0x{code:08X})")
            );
            assert_eq!(format!("{status:?}"), status.to_string());
            assert_eq!(status.is_error(), !matches!(name, "SUCCESS" | "PENDING"));
            assert_ne!(status.is_error(), status.is_success());
        }
        assert_eq!(UsbdStatus(0xC0AB_CDEF).to_string(), "0xC0ABCDEF");
    }

    #[test]
    fn a_driver_can_tell_every_end_of_a_transfer_from_the_others() {
        let ends = [
            Status::Done,
            Status::Stalled,
            Status::Overflow,
            Status::Cancelled,
            Status::Disconnected,
            Status::NoEndpoint,
            Status::ProtocolError,
            Status::Crc,
            Status::NoResponse,
            Status::DataOverrun,
            Status::DataUnderrun,
            Status::TimedOut,
            Status::Missed,
            Status::NoMemory,
            Status::Unsupported,
            Status::Other(5),
        ];
        let codes: BTreeSet<_> = ends.iter().map(UsbdStatus::from).collect();
        assert_eq!(codes.len(), ends.len());
        for end in ends {
            let code = UsbdStatus::from(end);
            assert!(code.name().is_some());
            assert_eq!(code.is_success(), end == Status::Done, "{end}");
        }
    }

    #[test]
    fn a_stall_stays_a_stall_though_the_application_sees_a_general_failure() {
        let stall = UsbdStatus::from(Status::Stalled);
        assert_eq!(stall, UsbdStatus::STALL_PID);
        assert_eq!(
            Win32Error::from_nt(NtStatus::from_usbd(stall)),
            Win32Error::GEN_FAILURE
        );
    }

    #[test]
    fn a_pipe_that_took_too_long_is_seen_as_with_winusb() {
        let late = NtStatus::from_usbd(Status::TimedOut.into());
        assert_eq!(Win32Error::from_nt(late), Win32Error::SEM_TIMEOUT);
    }
}
