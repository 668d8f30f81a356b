//! Information about files, as Windows lays it out (`wdm.h`).

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Stat, fstat, ftruncate};

use super::{FileKind, errors::status_of};
use crate::status::NtStatus;

/// `FileBasicInformation`: times and attributes.
const BASIC: u32 = 4;
/// `FileStandardInformation`: lengths, and the number of names.
const STANDARD: u32 = 5;
/// `FileEndOfFileInformation`: the length, to be set.
const END_OF_FILE: u32 = 20;

/// Bytes in a block, by which the system counts what a file takes on the disk.
const BLOCK: u64 = 512;
/// Seconds from 1601, from which Windows counts, to 1970.
const TO_1970: i64 = 11_644_473_600;
/// `FILE_ATTRIBUTE_READONLY`, `FILE_ATTRIBUTE_DEVICE`, `FILE_ATTRIBUTE_NORMAL`.
const ATTRIBUTES: [u32; 3] = [0x01, 0x40, 0x80];

/// The information of a class, for which there is `room` in bytes.
pub(super) fn query(
    descriptor: &OwnedFd,
    kind: FileKind,
    class: u32,
    room: usize,
) -> Result<Vec<u8>, NtStatus> {
    let told = match class {
        BASIC | STANDARD => fstat(descriptor).map_err(|errno| status_of(errno, kind))?,
        _ => return Err(NtStatus::INVALID_INFO_CLASS),
    };
    let information = match class {
        BASIC => basic(&told),
        _ => standard(&told),
    };
    match information.len() <= room {
        true => Ok(information),
        false => Err(NtStatus::INFO_LENGTH_MISMATCH),
    }
}

/// Sets the information of a class.
pub(super) fn set(
    descriptor: &OwnedFd,
    kind: FileKind,
    class: u32,
    information: &[u8],
) -> Result<(), NtStatus> {
    if class != END_OF_FILE {
        return Err(NtStatus::INVALID_INFO_CLASS);
    }
    if kind != FileKind::File {
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    }
    let length = information.try_into().map(i64::from_le_bytes);
    let length = length.map_err(|_| NtStatus::INFO_LENGTH_MISMATCH)?;
    let length = u64::try_from(length).map_err(|_| NtStatus::INVALID_PARAMETER)?;
    ftruncate(descriptor, length).map_err(|errno| status_of(errno, kind))
}

/// `FILE_BASIC_INFORMATION`: creation, last access, last write, change; attributes; and four bytes to a multiple of eight.
fn basic(told: &Stat) -> Vec<u8> {
    let times = [
        0,
        time(told.st_atime, told.st_atime_nsec),
        time(told.st_mtime, told.st_mtime_nsec),
        time(told.st_ctime, told.st_ctime_nsec),
    ];
    let [read_only, device, normal] = ATTRIBUTES;
    let attributes = match FileType::from_raw_mode(told.st_mode) {
        FileType::RegularFile if told.st_mode & 0o222 == 0 => read_only,
        FileType::RegularFile => normal,
        _ => device,
    };
    let mut bytes: Vec<u8> = times.iter().flat_map(|it| it.to_le_bytes()).collect();
    bytes.extend(attributes.to_le_bytes());
    bytes.extend([0; 4]);
    bytes
}

/// `FILE_STANDARD_INFORMATION`: bytes on the disk, length, names; whether it is to be deleted, whether it is a directory; and two bytes to a multiple of eight.
fn standard(told: &Stat) -> Vec<u8> {
    let allocated = u64::try_from(told.st_blocks).unwrap_or(0) * BLOCK;
    let mut bytes = allocated.to_le_bytes().to_vec();
    bytes.extend(told.st_size.to_le_bytes());
    bytes.extend(
        u32::try_from(told.st_nlink)
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
    bytes.extend([u8::from(told.st_nlink == 0), 0, 0, 0]);
    bytes
}

/// A time in units of 100 ns since 1601.
fn time(seconds: i64, nanoseconds: u64) -> i64 {
    let nanoseconds = i64::try_from(nanoseconds).unwrap_or(0);
    let since = seconds.saturating_add(TO_1970).saturating_mul(10_000_000);
    since.saturating_add(nanoseconds / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_1601_in_units_of_100_nanoseconds() {
        assert_eq!(time(0, 0), 116_444_736_000_000_000);
        assert_eq!(time(-TO_1970, 250), 2);
    }
}
