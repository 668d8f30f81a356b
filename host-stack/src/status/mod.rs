//! The three families of status codes that a request passes through on its way up, and how one becomes another.
//!
//! A driver completes a request with an [`HResult`]. The host process makes an [`NtStatus`] of it, with which the
//! operating system ends the request. The application is told a [`Win32Error`]:
//!
//! | Step | Who | Function |
//! |---|---|---|
//! | `HRESULT` to `NTSTATUS` | the host process | [`NtStatus::from_hresult`] |
//! | framework codes to common ones | the framework, as it completes the request | [`NtStatus::at_completion`] |
//! | `NTSTATUS` to Win32 | the operating system | [`Win32Error::from_nt`] |
//!
//! Two promises hold for a driver (Microsoft, "Completing I/O Requests in UMDF"): what it gives by
//! [`HResult::from_win32`] the application sees as that Win32 code, and what it gives by [`HResult::from_nt`] the
//! operating system sees as that `NTSTATUS`.
//!
//! A fourth family comes from below: [`UsbdStatus`] tells how a transfer ended on the bus. [`NtStatus::from_usbd`]
//! brings it into the others, where most of it is lost: keep it beside the `NtStatus` where a driver may want to know.
//!
//! # What no public source tells
//!
//! UMDF 1 is closed. Where nothing is known of Windows, this is decided here, and said again where it is done:
//!
//! - How the host makes an `NTSTATUS` of an `HRESULT`: the body of its function is not public. See
//!   [`NtStatus::from_hresult`].
//! - How the USB drivers make an `NTSTATUS` of a `USBD_STATUS`: see [`NtStatus::from_usbd`].
//! - How the operating system makes a Win32 code of an `NTSTATUS`: Microsoft publishes no list; ours is that of Wine
//!   and ReactOS, which Wine's tests compare with Windows. See [`Win32Error::from_nt`].

#[macro_use]
mod codes;
mod hresult;
mod nt;
mod usbd;
mod win32;

pub use hresult::HResult;
pub use nt::NtStatus;
pub use usbd::UsbdStatus;
pub use win32::Win32Error;

/// How grave an [`NtStatus`] or an [`HResult`] is: the two top bits of the one, the top bit of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[doc(alias = "STATUS_SEVERITY_ERROR")]
pub enum Severity {
    /// It went well. [`NtStatus::TIMEOUT`] is of this severity too, although nothing went well.
    #[doc(alias = "STATUS_SEVERITY_SUCCESS")]
    Success,
    /// It went well, and there is something to say.
    #[doc(alias = "STATUS_SEVERITY_INFORMATIONAL")]
    Information,
    /// It went wrong in part: what came is handed on all the same, as with [`NtStatus::BUFFER_OVERFLOW`].
    #[doc(alias = "STATUS_SEVERITY_WARNING")]
    Warning,
    /// It went wrong: of a buffered request no data is handed on.
    #[doc(alias = "STATUS_SEVERITY_ERROR")]
    Error,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the application is told where a driver completes a request so.
    fn at_the_application(completed_with: HResult) -> Win32Error {
        Win32Error::from_nt(NtStatus::from_hresult(completed_with).at_completion())
    }

    #[test]
    fn a_driver_that_cancels_as_umdf_says_is_seen_to_have_cancelled() {
        let cancelled = HResult::from_win32(Win32Error::OPERATION_ABORTED);
        assert_eq!(cancelled, HResult(0x800703E3));
        assert_eq!(at_the_application(cancelled), Win32Error::OPERATION_ABORTED);
        assert_eq!(
            at_the_application(HResult::from_nt(NtStatus::CANCELLED)),
            Win32Error::OPERATION_ABORTED
        );
    }

    #[test]
    fn what_is_no_system_error_is_seen_as_a_general_failure() {
        assert_eq!(at_the_application(HResult::FAIL), Win32Error::GEN_FAILURE);
        assert_eq!(at_the_application(HResult::OK), Win32Error::SUCCESS);
        assert_eq!(
            at_the_application(HResult::INVALIDARG),
            Win32Error::INVALID_PARAMETER
        );
    }

    #[test]
    fn a_paused_queue_is_seen_as_a_busy_device() {
        let paused = HResult::from_nt(NtStatus::WDF_PAUSED);
        assert_eq!(at_the_application(paused), Win32Error::BUSY);
    }

    proptest! {
        #[test]
        fn a_win32_code_that_a_driver_gives_is_what_the_application_sees(code in 1..=0xFFFF_u32) {
            let given = Win32Error(code);
            prop_assert_eq!(at_the_application(HResult::from_win32(given)), given);
        }

        #[test]
        fn an_ntstatus_that_a_driver_gives_is_what_the_system_sees(code: u32) {
            let given = NtStatus(code & !0x1000_0000);
            prop_assert_eq!(NtStatus::from_hresult(HResult::from_nt(given)), given);
        }

        #[test]
        fn no_completion_tells_the_system_a_code_of_the_framework(code: u32) {
            let told = NtStatus::from_hresult(HResult(code)).at_completion();
            prop_assert_ne!(told.0 & 0x0FFF_0000, 0x0020_0000);
        }

        #[test]
        fn success_stays_success_all_the_way(code in 0..0x1000_0000_u32) {
            prop_assert_eq!(at_the_application(HResult(code)), Win32Error::SUCCESS);
        }
    }
}
