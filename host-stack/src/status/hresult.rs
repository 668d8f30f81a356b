//! `HRESULT`s, which drivers and the framework's functions speak.

use std::fmt;

use super::codes::write_hex;
use super::{NtStatus, Severity, Win32Error};

/// The top bit: it failed.
const FAILED: u32 = 0x8000_0000;
/// The bit that says that the rest is an `NTSTATUS`.
#[doc(alias = "FACILITY_NT_BIT")]
pub(super) const NT: u32 = 0x1000_0000;
/// The high word of a Win32 code inside an `HRESULT`.
#[doc(alias = "FACILITY_WIN32")]
pub(super) const WIN32: u32 = 0x8007;
/// The high word of the filter manager's codes as an `NTSTATUS`.
const FLT_NT: u32 = 0xC01C;
/// The high word of the filter manager's codes as an `HRESULT`.
const FLT: u32 = 0x801F;

/// An `HRESULT`: what a driver completes a request with, and what the framework's functions return (`winerror.h`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
#[doc(alias = "HRESULT")]
pub struct HResult(pub u32);

codes! { HResult {
    OK = 0x00000000 "S_OK": "All is well.";
    FAIL = 0x80004005 "E_FAIL": "It failed, for no reason that is told.";
    OUTOFMEMORY = 0x8007000E "E_OUTOFMEMORY": "There is not enough memory.";
    INVALIDARG = 0x80070057 "E_INVALIDARG": "An argument is wrong.";
    FLT_DELETING_OBJECT = 0x801F000B "ERROR_FLT_DELETING_OBJECT": "The port or its filter is on its way out.";
    FLT_NO_WAITER_FOR_REPLY = 0x801F0020 "ERROR_FLT_NO_WAITER_FOR_REPLY": "Nobody waits for this reply: it came too late, or to a message that wants none. It is not fatal.";
} }

impl From<NtStatus> for HResult {
    fn from(status: NtStatus) -> Self {
        match status {
            NtStatus::SUCCESS => Self::OK,
            status => Self::from_nt(status),
        }
    }
}

impl From<Win32Error> for HResult {
    fn from(error: Win32Error) -> Self {
        Self::from_win32(error)
    }
}

impl HResult {
    /// Wraps a Win32 code, so that the application sees it; zero stays zero, and what is an `HRESULT` already stays so.
    ///
    /// Of a code above `0xFFFF` only the low word is kept, as in `winerror.h`.
    #[doc(alias = "HRESULT_FROM_WIN32")]
    pub const fn from_win32(error: Win32Error) -> Self {
        if error.0 == 0 || error.0 & FAILED != 0 {
            Self(error.0)
        } else {
            Self(WIN32 << 16 | error.0 & 0xFFFF)
        }
    }

    /// Wraps an `NTSTATUS`, so that the operating system sees it: sets the bit `0x10000000`.
    ///
    /// That bit is reserved in an `NTSTATUS`; where it is set all the same, the operating system sees it cleared.
    #[doc(alias = "HRESULT_FROM_NT")]
    pub const fn from_nt(status: NtStatus) -> Self {
        Self(status.0 | NT)
    }

    /// What a client of a communication port is told (`FilterGetMessage` and its like) where a call ends with `status`.
    ///
    /// The filter manager's own codes have `HRESULT`s of their own, with the same low word
    /// ([`FLT_NO_WAITER_FOR_REPLY`](Self::FLT_NO_WAITER_FOR_REPLY)). Others are wrapped Win32 codes; so
    /// [`NtStatus::TIMEOUT`] is a failure here, although as an `NTSTATUS` it is of severity success.
    pub const fn from_port_status(status: NtStatus) -> Self {
        if status.0 >> 16 == FLT_NT {
            Self(FLT << 16 | status.0 & 0xFFFF)
        } else {
            Self::from_win32(Win32Error::from_nt(status))
        }
    }

    /// Whether the top bit is clear. That says little of a wrapped [`NtStatus::TIMEOUT`].
    #[doc(alias = "SUCCEEDED")]
    pub const fn is_success(self) -> bool {
        self.0 & FAILED == 0
    }

    /// How grave it is: an `HRESULT` knows success and error only. A wrapped warning is an error here.
    #[doc(alias = "HRESULT_SEVERITY")]
    pub const fn severity(self) -> Severity {
        if self.is_success() {
            Severity::Success
        } else {
            Severity::Error
        }
    }
}

/// A wrapped code is written as it was made: `HRESULT_FROM_WIN32(ERROR_OPERATION_ABORTED) (0x800703E3)`.
impl fmt::Display for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.0;
        let wrapped = if self.name().is_some() {
            None
        } else if code & NT != 0 {
            NtStatus(code & !NT).name().map(|name| ("NT", name))
        } else if code >> 16 == WIN32 {
            Win32Error(code & 0xFFFF).name().map(|name| ("WIN32", name))
        } else {
            None
        };
        match wrapped {
            Some((of, name)) => write!(f, "HRESULT_FROM_{of}({name}) (0x{code:08X})"),
            None => write_hex(f, self.name(), code),
        }
    }
}

impl std::error::Error for HResult {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_gives_the_values_of_the_headers() {
        for (wrapped, value) in [
            (
                HResult::from_win32(Win32Error::OPERATION_ABORTED),
                0x8007_03E3,
            ),
            (HResult::from_win32(Win32Error::ACCESS_DENIED), 0x8007_0005),
            (
                HResult::from_win32(Win32Error::INVALID_PARAMETER),
                HResult::INVALIDARG.0,
            ),
            (
                HResult::from_win32(Win32Error::OUTOFMEMORY),
                HResult::OUTOFMEMORY.0,
            ),
            (
                HResult::from_win32(Win32Error(0x8000_4005)),
                HResult::FAIL.0,
            ),
            (HResult::from_win32(Win32Error::SUCCESS), HResult::OK.0),
            (HResult::from_nt(NtStatus::CANCELLED), 0xD000_0120),
            (HResult::from_nt(NtStatus::BUFFER_OVERFLOW), 0x9000_0005),
            (HResult::from_nt(NtStatus::TIMEOUT), 0x1000_0102),
        ] {
            assert_eq!(wrapped, HResult(value));
        }
    }

    #[test]
    fn a_port_tells_its_client_what_filter_manager_tells() {
        for (status, value) in [
            (NtStatus::SUCCESS, 0),
            (NtStatus::OBJECT_NAME_NOT_FOUND, 0x8007_0002),
            (NtStatus::ACCESS_DENIED, 0x8007_0005),
            (NtStatus::PORT_DISCONNECTED, 0x8007_0006),
            (NtStatus::BUFFER_TOO_SMALL, 0x8007_007A),
            (NtStatus::PENDING, 0x8007_03E5),
            (NtStatus::TIMEOUT, 0x8007_05B4),
            (
                NtStatus::FLT_NO_WAITER_FOR_REPLY,
                HResult::FLT_NO_WAITER_FOR_REPLY.0,
            ),
            (
                NtStatus::FLT_DELETING_OBJECT,
                HResult::FLT_DELETING_OBJECT.0,
            ),
        ] {
            assert_eq!(
                HResult::from_port_status(status),
                HResult(value),
                "{status}"
            );
        }
    }

    #[test]
    fn a_result_is_a_success_or_an_error() {
        assert_eq!(HResult::OK.severity(), Severity::Success);
        assert_eq!(HResult::FAIL.severity(), Severity::Error);
        assert_eq!(
            HResult::from_nt(NtStatus::BUFFER_OVERFLOW).severity(),
            Severity::Error
        );
        assert!(HResult::from_nt(NtStatus::TIMEOUT).is_success());
    }

    #[test]
    fn a_result_is_written_as_it_was_made() {
        for (code, text) in [
            (0x8007_0057, "E_INVALIDARG (0x80070057)"),
            (0x801F_0020, "ERROR_FLT_NO_WAITER_FOR_REPLY (0x801F0020)"),
            (0x801F_000B, "ERROR_FLT_DELETING_OBJECT (0x801F000B)"),
            (
                0x8007_03E3,
                "HRESULT_FROM_WIN32(ERROR_OPERATION_ABORTED) (0x800703E3)",
            ),
            (
                0xD000_0120,
                "HRESULT_FROM_NT(STATUS_CANCELLED) (0xD0000120)",
            ),
            (0x8007_1092, "0x80071092"),
            (0x8899_0001, "0x88990001"),
        ] {
            assert_eq!(HResult(code).to_string(), text);
            assert_eq!(format!("{:?}", HResult(code)), text);
        }
    }
}
