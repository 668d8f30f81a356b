//! What the headers, Wine and ReactOS say, as golden rows.

use super::*;

/// `ntstatus.h`, `winerror.h` and Wine's table: the code, its name, its Win32 code.
const WITH_WIN32: &[(u32, &str, u32)] = &[
    (0x0000_0000, "STATUS_SUCCESS", 0),
    (0x0000_0102, "STATUS_TIMEOUT", 1460),
    (0x0000_0103, "STATUS_PENDING", 997),
    (0x8000_0002, "STATUS_DATATYPE_MISALIGNMENT", 998),
    (0x8000_0005, "STATUS_BUFFER_OVERFLOW", 234),
    (0x8000_0011, "STATUS_DEVICE_BUSY", 170),
    (0x8000_001A, "STATUS_NO_MORE_ENTRIES", 259),
    (0xC000_0001, "STATUS_UNSUCCESSFUL", 31),
    (0xC000_0003, "STATUS_INVALID_INFO_CLASS", 87),
    (0xC000_0004, "STATUS_INFO_LENGTH_MISMATCH", 24),
    (0xC000_0005, "STATUS_ACCESS_VIOLATION", 998),
    (0xC000_0008, "STATUS_INVALID_HANDLE", 6),
    (0xC000_000D, "STATUS_INVALID_PARAMETER", 87),
    (0xC000_000E, "STATUS_NO_SUCH_DEVICE", 2),
    (0xC000_0010, "STATUS_INVALID_DEVICE_REQUEST", 1),
    (0xC000_0011, "STATUS_END_OF_FILE", 38),
    (0xC000_0022, "STATUS_ACCESS_DENIED", 5),
    (0xC000_0023, "STATUS_BUFFER_TOO_SMALL", 122),
    (0xC000_0034, "STATUS_OBJECT_NAME_NOT_FOUND", 2),
    (0xC000_0035, "STATUS_OBJECT_NAME_COLLISION", 183),
    (0xC000_0037, "STATUS_PORT_DISCONNECTED", 6),
    (0xC000_003C, "STATUS_DATA_OVERRUN", 1117),
    (0xC000_0041, "STATUS_PORT_CONNECTION_REFUSED", 5),
    (0xC000_004B, "STATUS_THREAD_IS_TERMINATING", 5),
    (0xC000_0056, "STATUS_DELETE_PENDING", 5),
    (0xC000_007F, "STATUS_DISK_FULL", 112),
    (0xC000_0095, "STATUS_INTEGER_OVERFLOW", 534),
    (0xC000_009A, "STATUS_INSUFFICIENT_RESOURCES", 1450),
    (0xC000_009C, "STATUS_DEVICE_DATA_ERROR", 23),
    (0xC000_009D, "STATUS_DEVICE_NOT_CONNECTED", 1167),
    (0xC000_00A3, "STATUS_DEVICE_NOT_READY", 21),
    (0xC000_00B5, "STATUS_IO_TIMEOUT", 121),
    (0xC000_00BB, "STATUS_NOT_SUPPORTED", 50),
    (0xC000_00C0, "STATUS_DEVICE_DOES_NOT_EXIST", 55),
    (0xC000_00D0, "STATUS_REQUEST_NOT_ACCEPTED", 71),
    (0xC000_00E5, "STATUS_INTERNAL_ERROR", 1359),
    (0xC000_0120, "STATUS_CANCELLED", 995),
    (0xC000_0128, "STATUS_FILE_CLOSED", 6),
    (0xC000_014B, "STATUS_PIPE_BROKEN", 109),
    (0xC000_0183, "STATUS_DRIVER_INTERNAL_ERROR", 1117),
    (0xC000_0184, "STATUS_INVALID_DEVICE_STATE", 22),
    (0xC000_0185, "STATUS_IO_DEVICE_ERROR", 1117),
    (0xC000_0206, "STATUS_INVALID_BUFFER_SIZE", 1784),
    (0xC000_020C, "STATUS_CONNECTION_DISCONNECTED", 64),
    (0xC000_020D, "STATUS_CONNECTION_RESET", 64),
    (0xC000_0236, "STATUS_CONNECTION_REFUSED", 1225),
    (0xC000_023A, "STATUS_CONNECTION_INVALID", 1229),
    (0xC000_023D, "STATUS_HOST_UNREACHABLE", 1232),
    (0xC000_0241, "STATUS_CONNECTION_ABORTED", 1236),
    (0xC000_0246, "STATUS_CONNECTION_COUNT_LIMIT", 1238),
    (0xC000_02B6, "STATUS_DEVICE_REMOVED", 1617),
    (0xC000_0450, "STATUS_DRIVER_PROCESS_TERMINATED", 1291),
];

/// Codes that no application sees, as they have no Win32 code.
const WITHOUT_WIN32: &[(u32, &str)] = &[
    (0xC01C_000B, "STATUS_FLT_DELETING_OBJECT"),
    (0xC01C_0020, "STATUS_FLT_NO_WAITER_FOR_REPLY"),
    (0x4020_0000, "STATUS_WDF_QUEUED"),
    (0x4020_0002, "STATUS_WDF_POSTED"),
    (0xC020_0200, "STATUS_WDF_NO_PACKAGE_REGISTERED"),
    (0xC020_0201, "STATUS_WDF_INTERNAL_ERROR"),
    (0xC020_0203, "STATUS_WDF_PAUSED"),
    (0xC020_0204, "STATUS_WDF_BUSY"),
    (0xC020_0205, "STATUS_WDF_IO_TIMEOUT_NOT_SENT"),
    (0xC020_0206, "STATUS_WDF_DEVICE_REMOVED_NOT_SENT"),
    (0xC020_0207, "STATUS_WDF_REQUEST_ALREADY_PENDING"),
    (0xC020_0208, "STATUS_WDF_REQUEST_INVALID_STATE"),
    (0xC020_0209, "STATUS_WDF_OBJECT_ATTRIBUTES_INVALID"),
    (0xC020_020A, "STATUS_WDF_TOO_FRAGMENTED"),
    (0xC020_020B, "STATUS_WDF_NO_CALLBACK"),
    (0xC020_0212, "STATUS_WDF_PARENT_NOT_SPECIFIED"),
    (0xC020_0213, "STATUS_WDF_TOO_MANY_TRANSFERS"),
    (0xC020_0214, "STATUS_WDF_NOT_ENOUGH_MAP_REGISTERS"),
];

#[test]
fn every_status_has_its_name_and_its_win32_code() {
    for &(code, name, win32) in WITH_WIN32 {
        let status = NtStatus(code);
        assert_eq!(status.name(), Some(name));
        assert_eq!(Win32Error::from_nt(status), Win32Error(win32), "{status}");
        assert!(Win32Error(win32).name().is_some(), "{win32} has a name");
        assert_eq!(status.at_completion(), status);
    }
    for &(code, name) in WITHOUT_WIN32 {
        let status = NtStatus(code);
        assert_eq!(status.name(), Some(name));
        assert_eq!(
            Win32Error::from_nt(status),
            Win32Error::MR_MID_NOT_FOUND,
            "{status}"
        );
    }
}

#[test]
fn a_status_wrapped_in_an_hresult_has_the_same_win32_code() {
    for &(code, _, win32) in WITH_WIN32.iter().filter(|(code, ..)| code >> 30 == 3) {
        let wrapped = NtStatus(HResult::from_nt(NtStatus(code)).0);
        assert_eq!(Win32Error::from_nt(wrapped), Win32Error(win32));
    }
}

#[test]
fn a_code_of_the_framework_does_not_leave_it() {
    for &(code, name) in WITHOUT_WIN32
        .iter()
        .filter(|(code, _)| code & FACILITY == WDF)
    {
        let left = match name {
            "STATUS_WDF_PAUSED" | "STATUS_WDF_BUSY" => NtStatus::DEVICE_BUSY,
            "STATUS_WDF_INTERNAL_ERROR" => NtStatus::INTERNAL_ERROR,
            _ => NtStatus::INVALID_DEVICE_REQUEST,
        };
        assert_eq!(NtStatus(code).at_completion(), left, "{name}");
    }
}

#[test]
fn what_a_driver_completes_with_reaches_the_system() {
    for (result, status) in [
        (HResult::OK, NtStatus::SUCCESS),
        (HResult(1), NtStatus::SUCCESS),
        (HResult(0x0007_0005), NtStatus::SUCCESS),
        (HResult(0x1000_0102), NtStatus::TIMEOUT),
        (HResult(0x9000_0005), NtStatus::BUFFER_OVERFLOW),
        (HResult(0xD000_0120), NtStatus::CANCELLED),
        (HResult(0x8007_03E3), NtStatus(0xC007_03E3)),
        (HResult(0x8007_0000), NtStatus::UNSUCCESSFUL),
        (HResult(0x801F_0020), NtStatus::UNSUCCESSFUL),
        (HResult::FAIL, NtStatus::UNSUCCESSFUL),
    ] {
        assert_eq!(NtStatus::from_hresult(result), status, "{result}");
    }
}

#[test]
fn the_two_top_bits_tell_how_grave_it_is() {
    for (status, severity, success) in [
        (NtStatus::SUCCESS, Severity::Success, true),
        (NtStatus::TIMEOUT, Severity::Success, true),
        (NtStatus::WDF_QUEUED, Severity::Information, true),
        (NtStatus::BUFFER_OVERFLOW, Severity::Warning, false),
        (NtStatus::DEVICE_BUSY, Severity::Warning, false),
        (NtStatus::CANCELLED, Severity::Error, false),
    ] {
        assert_eq!(status.severity(), severity, "{status}");
        assert_eq!(status.is_success(), success, "{status}");
    }
}

#[test]
fn a_status_is_written_with_its_name() {
    for (code, text) in [
        (0xC000_0120, "STATUS_CANCELLED (0xC0000120)"),
        (0x0000_0102, "STATUS_TIMEOUT (0x00000102)"),
        (0xC007_00AA, "NTSTATUS_FROM_WIN32(ERROR_BUSY) (0xC00700AA)"),
        (0xC007_1092, "0xC0071092"),
        (0xC0FF_EE00, "0xC0FFEE00"),
    ] {
        assert_eq!(NtStatus(code).to_string(), text);
        assert_eq!(format!("{:?}", NtStatus(code)), text);
    }
}

#[test]
fn how_a_transfer_ended_becomes_a_status_as_in_reactos() {
    for (usbd, status, win32) in [
        (0x0000_0000, NtStatus::SUCCESS, 0),
        (0x4000_0000, NtStatus::PENDING, 997),
        (0xC000_1000, NtStatus::INSUFFICIENT_RESOURCES, 1450),
        (0xC000_7000, NtStatus::DEVICE_NOT_CONNECTED, 1167),
        (0xC001_0000, NtStatus::CANCELLED, 995),
        (0xC000_0E00, NtStatus::NOT_SUPPORTED, 50),
        (0x8000_0200, NtStatus::INVALID_PARAMETER, 87),
        (0x8000_0300, NtStatus::INVALID_PARAMETER, 87),
        (0x8000_0600, NtStatus::INVALID_PARAMETER, 87),
        (0xC000_0A00, NtStatus::INVALID_PARAMETER, 87),
        (0xC000_6000, NtStatus::IO_TIMEOUT, 121),
        (0xC000_0004, NtStatus::UNSUCCESSFUL, 31),
        (0xC000_0001, NtStatus::UNSUCCESSFUL, 31),
        (0xC000_0005, NtStatus::UNSUCCESSFUL, 31),
        (0xC000_0012, NtStatus::UNSUCCESSFUL, 31),
        (0xC000_0030, NtStatus::UNSUCCESSFUL, 31),
        (0x8000_0100, NtStatus::UNSUCCESSFUL, 31),
        (0xC0AB_CDEF, NtStatus::UNSUCCESSFUL, 31),
    ] {
        let made = NtStatus::from_usbd(UsbdStatus(usbd));
        assert_eq!(made, status, "{}", UsbdStatus(usbd));
        assert_eq!(Win32Error::from_nt(made), Win32Error(win32));
    }
}
