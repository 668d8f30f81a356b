//! libusb's results as those of transfers.

use std::ffi::c_int;

use rusb::{Error, constants as code};
use usbwright_protocol::Status;

/// How a transfer or an isochronous packet ended.
#[doc(alias = "libusb_transfer_status")]
pub(super) fn of_transfer(status: c_int) -> Status {
    match status {
        code::LIBUSB_TRANSFER_COMPLETED => Status::Done,
        code::LIBUSB_TRANSFER_TIMED_OUT => Status::TimedOut,
        code::LIBUSB_TRANSFER_CANCELLED => Status::Cancelled,
        code::LIBUSB_TRANSFER_STALL => Status::Stalled,
        code::LIBUSB_TRANSFER_NO_DEVICE => Status::Disconnected,
        code::LIBUSB_TRANSFER_OVERFLOW => Status::Overflow,
        _ => Status::ProtocolError,
    }
}

/// Why a transfer was not taken.
#[doc(alias = "libusb_error")]
pub(super) fn of_submit(error: c_int) -> Status {
    match error {
        code::LIBUSB_ERROR_NO_DEVICE => Status::Disconnected,
        code::LIBUSB_ERROR_NOT_FOUND => Status::NoEndpoint,
        code::LIBUSB_ERROR_NO_MEM => Status::NoMemory,
        // Too long for the system, or with flags that it lacks.
        code::LIBUSB_ERROR_NOT_SUPPORTED | code::LIBUSB_ERROR_INVALID_PARAM => Status::Unsupported,
        _ => Status::ProtocolError,
    }
}

/// How a control request ended that libusb made.
pub(super) fn of_request(result: Result<(), Error>) -> Status {
    match result {
        Ok(()) => Status::Done,
        Err(Error::NoDevice) => Status::Disconnected,
        Err(Error::NoMem) => Status::NoMemory,
        Err(Error::Timeout) => Status::NoResponse,
        // The device has no such thing, or refused; Linux does not tell which.
        Err(_) => Status::Stalled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_libusb_has_its_status() {
        let ends = [0, 1, 2, 3, 4, 5, 6, 7].map(of_transfer);
        assert_eq!(
            ends,
            [
                Status::Done,
                Status::ProtocolError,
                Status::TimedOut,
                Status::Cancelled,
                Status::Stalled,
                Status::Disconnected,
                Status::Overflow,
                Status::ProtocolError,
            ]
        );
        let refusals = [-1, -2, -4, -5, -11, -12, -99].map(of_submit);
        assert_eq!(
            refusals,
            [
                Status::ProtocolError,
                Status::Unsupported,
                Status::Disconnected,
                Status::NoEndpoint,
                Status::NoMemory,
                Status::Unsupported,
                Status::ProtocolError,
            ]
        );
        assert_eq!(of_request(Err(Error::NotFound)), Status::Stalled);
        assert_eq!(of_request(Err(Error::NoDevice)), Status::Disconnected);
    }
}
