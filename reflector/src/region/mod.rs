//! Regions of shared memory: what an application and a host both map.
//!
//! A region is a memory file (`memfd_create`) that is sealed against shrinking, growing and further seals. So whoever maps it can rely on its length: no
//! access ends a process by `SIGBUS`, as it would beyond the end of a file that somebody has cut.

mod mapping;

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, fstatfs, ftruncate,
    memfd_create,
};
use thiserror::Error;
use usbwright_host_stack::status::NtStatus;

pub(crate) use mapping::Mapping;

use crate::wire::LONGEST_REGION;

/// What keeps a region's length as it is.
const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// `TMPFS_MAGIC` of `linux/magic.h`: where memory files are. Those of huge pages are elsewhere, and a page of them may be missing.
const TMPFS: u64 = 0x0102_1994;

/// Why a region is none.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegionError {
    /// It may be cut or grown, or is no memory file.
    #[error(
        "a region is a memfd of ordinary pages, sealed with F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_SEAL"
    )]
    NotSealed,
    /// It is not as long as was told.
    #[error("a region of {is} bytes, where {told} were told")]
    Length {
        /// What was told.
        told: u64,
        /// What it has.
        is: u64,
    },
    /// It is too long, or has no byte.
    #[error("a region of {0} bytes; it has at least one, and at most 1 GiB")]
    Size(u64),
    /// The system has no room for it.
    #[error("a region can't be made or mapped: {0}")]
    System(#[from] io::Error),
}

impl RegionError {
    /// The status that stands for it.
    pub fn status(&self) -> NtStatus {
        match self {
            Self::NotSealed | Self::Length { .. } | Self::Size(_) => NtStatus::INVALID_PARAMETER,
            Self::System(_) => NtStatus::INSUFFICIENT_RESOURCES,
        }
    }
}

/// Looks whether a descriptor is a region of so many bytes.
pub(crate) fn check(descriptor: impl AsFd, length: u64) -> Result<(), RegionError> {
    if !(1..=LONGEST_REGION).contains(&length) {
        return Err(RegionError::Size(length));
    }
    // Only what memfd_create has made can have these seals.
    let seals = fcntl_get_seals(&descriptor).map_err(|_| RegionError::NotSealed)?;
    let system = fstatfs(&descriptor).map_err(io::Error::from)?;
    if !seals.contains(SEALS)
        || seals.intersects(SealFlags::WRITE | SealFlags::FUTURE_WRITE)
        || u64::try_from(system.f_type) != Ok(TMPFS)
    {
        return Err(RegionError::NotSealed);
    }
    let size = fstat(&descriptor).map_err(io::Error::from)?.st_size;
    let is = u64::try_from(size).unwrap_or(0);
    match is == length {
        true => Ok(()),
        false => Err(RegionError::Length { told: length, is }),
    }
}

/// Makes a region of zeros: its descriptor, and this process' mapping of it.
pub(crate) fn create(length: usize) -> Result<(OwnedFd, Arc<Mapping>), RegionError> {
    let long = length as u64;
    if !(1..=LONGEST_REGION).contains(&long) {
        return Err(RegionError::Size(long));
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let descriptor = memfd_create("usbwright-region", flags).map_err(io::Error::from)?;
    ftruncate(&descriptor, long).map_err(io::Error::from)?;
    fcntl_add_seals(&descriptor, SEALS).map_err(io::Error::from)?;
    let mapping = Mapping::of(&descriptor, length)?;
    Ok((descriptor, Arc::new(mapping)))
}

/// Maps a region that somebody else has made.
pub(crate) fn open(descriptor: OwnedFd, length: u64) -> Result<Arc<Mapping>, RegionError> {
    check(&descriptor, length)?;
    let length = usize::try_from(length).map_err(|_| RegionError::Size(length))?;
    let file = File::from(descriptor);
    Ok(Arc::new(Mapping::of(&file, length)?))
}

#[cfg(test)]
mod tests {
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    fn memory_file(seals: SealFlags, length: u64) -> OwnedFd {
        let descriptor = memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&descriptor, length).unwrap();
        fcntl_add_seals(&descriptor, seals).unwrap();
        descriptor
    }

    #[test]
    fn a_region_is_the_same_memory_at_both_ends() {
        let (descriptor, here) = create(8192).unwrap();
        let there = open(descriptor, 8192).unwrap();
        here.copy_in(4090, b"across pages");
        let mut came = [0; 12];
        there.copy_out(4090, &mut came);
        assert_eq!(&came, b"across pages");
        assert_eq!(&there.bytes(4090..4096)[..], b"across");
    }

    #[test]
    fn the_bytes_of_a_region_keep_it_mapped() {
        let (_descriptor, mapping) = create(1).unwrap();
        mapping.copy_in(0, b"x");
        let bytes = mapping.bytes(0..1);
        drop(mapping);
        assert_eq!(&bytes[..], b"x");
    }

    #[test]
    fn what_is_not_sealed_or_no_memory_file_is_no_region() {
        let (pipe, _other) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let plain: OwnedFd = tempfile::tempfile().unwrap().into();
        let open_to_cuts = memory_file(SealFlags::GROW | SealFlags::SEAL, 10);
        let read_only = memory_file(SEALS | SealFlags::WRITE, 10);
        for descriptor in [pipe, plain, open_to_cuts, read_only] {
            let refused = open(descriptor, 10);
            assert!(
                matches!(refused, Err(RegionError::NotSealed)),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn a_length_that_is_not_the_files_is_refused() {
        for (length, told) in [(10, 11), (11, 10)] {
            let refused = open(memory_file(SEALS, length), told).unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!("a region of {length} bytes, where {told} were told")
            );
        }
        let too_long = open(memory_file(SEALS, 1), LONGEST_REGION + 1);
        assert!(matches!(too_long, Err(RegionError::Size(_))));
        assert!(matches!(create(0), Err(RegionError::Size(0))));
    }

    #[test]
    fn a_region_can_not_be_cut() {
        let (descriptor, _mapping) = create(4096).unwrap();
        assert!(ftruncate(&descriptor, 0).is_err());
        assert!(ftruncate(&descriptor, 8192).is_err());
    }
}
