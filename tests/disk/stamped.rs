//! Sectors that tell when they were written, and whoever writes them until the disk is gone.

use std::{
    collections::BTreeMap, fs::File, io, os::unix::fs::FileExt, path::Path, sync::mpsc::Sender,
};

pub(crate) const SECTOR: usize = 512;
/// Sectors that are written at a time.
const BLOCK: usize = 8;
/// Blocks that are written to.
const BLOCKS: u64 = 2048;

/// Numbers that look like any, and are the same every time.
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What a sector has that was written as the `time`th.
pub(crate) fn sector(time: u64, place: u64) -> [u8; SECTOR] {
    let mut bytes = [0; SECTOR];
    let mut numbers = Numbers::new(time << 32 ^ place);
    bytes[..8].copy_from_slice(&time.to_le_bytes());
    bytes[8..16].copy_from_slice(&place.to_le_bytes());
    for word in bytes[16..].chunks_exact_mut(8) {
        word.copy_from_slice(&numbers.below(u64::MAX).to_le_bytes());
    }
    bytes
}

/// Blocks that are known to be on stable storage, and the time of each.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    pub(crate) blocks: BTreeMap<u64, u64>,
    /// The time of the last write, flushed or not.
    time: u64,
    /// How many flushes there were.
    pub(crate) flushes: u64,
}

impl Flushed {
    /// Writes blocks and flushes them until that fails. Before each step `progress` is told.
    pub(crate) fn write_on(&mut self, disk: &Path, seed: u64, progress: &Sender<()>) -> io::Error {
        let mut numbers = Numbers::new(seed);
        loop {
            if let Err(error) = self.write_some(disk, &mut numbers, progress) {
                return error;
            }
        }
    }

    fn write_some(
        &mut self,
        disk: &Path,
        numbers: &mut Numbers,
        progress: &Sender<()>,
    ) -> io::Result<()> {
        let file = File::options().write(true).open(disk)?;
        let mut written = BTreeMap::new();
        for _ in 0..1 + numbers.below(8) {
            let block = numbers.below(BLOCKS);
            self.time += 1;
            let first = block * BLOCK as u64;
            let data: Vec<u8> = (first..first + BLOCK as u64)
                .flat_map(|place| sector(self.time, place))
                .collect();
            let _ = progress.send(());
            file.write_all_at(&data, first * SECTOR as u64)?;
            written.insert(block, self.time);
        }
        let _ = progress.send(());
        file.sync_data()?;
        // Only now, that the flush has returned.
        self.blocks.append(&mut written);
        self.flushes += 1;
        Ok(())
    }

    /// Sees that every flushed block is there: it may have been written again since, and that only in part.
    pub(crate) fn check(&self, disk: &Path) {
        let file = File::open(disk).unwrap();
        for (block, time) in &self.blocks {
            for place in block * BLOCK as u64..(block + 1) * BLOCK as u64 {
                let mut found = [0; SECTOR];
                file.read_exact_at(&mut found, place * SECTOR as u64)
                    .unwrap();
                let when = u64::from_le_bytes(found[..8].try_into().unwrap());
                assert!(
                    when >= *time && found == sector(when, place),
                    "sector {place}, which was flushed at {time}, is of {when}"
                );
            }
        }
    }
}

#[test]
#[should_panic(expected = "sector 40, which was flushed at 3, is of 0")]
fn a_flushed_block_that_is_lost_is_found() {
    let disk = tempfile::NamedTempFile::new().unwrap();
    disk.as_file().set_len(1 << 20).unwrap();
    let flushed = Flushed {
        blocks: BTreeMap::from([(5, 3)]),
        ..Flushed::default()
    };
    flushed.check(disk.path());
}
