//! The drives of a disk, as its user has them in front of them: media put in and taken out while a host uses the disk.

use std::task::{Context, Poll};

use super::{
    BlockSize, Drive, DriveError, DriveState, Place, Unit,
    medium::{Access, FileMedium, ImageError, Medium},
};
use crate::shared;

/// The drives of a disk's logical units. Clones are the same drives; any thread may use them, at any time, also when the device is gone.
/// What it does may wait for what the disk just reads or writes.
#[derive(Clone, Debug)]
pub struct Media(Vec<Bay>);

/// The drive of a unit, and what may be put into it.
#[derive(Clone, Debug)]
struct Bay {
    drive: Drive,
    removable: bool,
    block: BlockSize,
}

/// Why a medium can't be put into a disk's drive or taken out.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// There is no such unit.
    #[error("there is no logical unit {unit}: the last is {last}")]
    NoUnit {
        /// The number asked for.
        unit: usize,
        /// The highest there is.
        last: usize,
    },
    /// Its medium can't be taken out.
    #[error("its medium can't be taken out: a disk that is made with `removable` has one that can")]
    Fixed,
    /// A medium that does not consist of whole blocks.
    #[error("a medium of {size} bytes has no whole number of blocks of {block} bytes")]
    Size {
        /// Its size in bytes.
        size: u64,
        /// Bytes in a block of the unit.
        block: u32,
    },
    /// The image can't be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The drive refuses.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

impl Media {
    /// The drives of a disk that is to be made of these units.
    pub fn of(units: &[Unit]) -> Self {
        let bays = units.iter().map(|unit| Bay {
            drive: unit.drive.clone(),
            removable: unit.is_removable(),
            block: unit.block_size(),
        });
        Self(bays.collect())
    }

    /// The drives, for a disk that is made anew.
    pub(crate) fn drives(&self) -> impl Iterator<Item = Drive> {
        self.0.iter().map(|bay| bay.drive.again())
    }

    fn bay(&self, unit: usize) -> Result<&Bay, MediaError> {
        let last = self.0.len().saturating_sub(1);
        let bay = self.0.get(unit).ok_or(MediaError::NoUnit { unit, last })?;
        match bay.removable {
            true => Ok(bay),
            false => Err(MediaError::Fixed),
        }
    }

    /// What is in each drive.
    pub fn state(&self) -> Vec<DriveState> {
        self.0.iter().map(|bay| bay.drive.state()).collect()
    }

    /// Opens an image and puts it into a unit's drive. A medium that the host has ejected is taken out before.
    ///
    /// # Errors
    /// Where there is no such drive or it is not empty, and where the image can't be used.
    pub fn insert(
        &self,
        unit: usize,
        image: &std::path::Path,
        access: Access,
    ) -> Result<(), MediaError> {
        let bay = self.bay(unit)?;
        if bay.drive.state().place == Place::Drive {
            return Err(DriveError::Occupied.into());
        }
        let medium = FileMedium::open(image, access)?;
        let (size, block) = (medium.size(), bay.block.bytes());
        if size == 0 || !size.is_multiple_of(block.into()) {
            return Err(MediaError::Size { size, block });
        }
        if bay.drive.state().place == Place::Tray {
            bay.drive.take(false)?;
        }
        Ok(bay.drive.insert(Box::new(medium))?)
    }

    /// Takes the medium out of a unit's drive, `by_force` even where the host has locked it in, and closes it.
    ///
    /// # Errors
    /// Where there is no such drive, it is empty, or the medium is locked in.
    pub fn eject(&self, unit: usize, by_force: bool) -> Result<(), MediaError> {
        let mut medium = self.bay(unit)?.drive.take(by_force)?;
        // What the host wrote last is its own matter; a flush that fails has been told to whoever asked for one.
        let _ = medium.flush();
        Ok(())
    }

    /// A way to wait for changes, those after this call.
    pub fn changes(&self) -> MediaChanges {
        let each = self.0.iter().map(|bay| {
            let changes = bay.drive.changes();
            (changes, bay.drive.state())
        });
        MediaChanges(each.collect())
    }
}

/// Waits for the changes of a disk's drives, as [`StateChanges`](crate::StateChanges) does for one. It does not keep the drives.
#[derive(Debug)]
pub struct MediaChanges(Vec<(shared::Changes<DriveState>, DriveState)>);

impl MediaChanges {
    /// The state of each drive once one has changed; `None` once the disk is gone. The waker is woken at the next change.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<DriveState>>> {
        let (mut changed, mut gone) = (false, false);
        for (changes, last) in &mut self.0 {
            match changes.poll_next(cx) {
                Poll::Ready(Some(state)) => (*last, changed) = (state, true),
                Poll::Ready(None) => gone = true,
                Poll::Pending => {}
            }
        }
        match (changed, gone) {
            (true, _) => Poll::Ready(Some(self.0.iter().map(|(_, last)| *last).collect())),
            (false, true) => Poll::Ready(None),
            (false, false) => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, task::Waker, time::Instant};

    use super::*;
    use crate::{Handle, Spec};

    fn made(spec: &str) -> (usbwright_emulator::EmulatedDevice, Media) {
        let spec: Spec = spec.parse().unwrap();
        let mut made = spec.build_with_handles(Instant::now()).unwrap();
        match made.handles.remove(0) {
            Handle::Disk(media) => (made.device, media),
            other => panic!("{other:?}"),
        }
    }

    fn look(changes: &mut MediaChanges) -> Poll<Option<Vec<Place>>> {
        let states = changes.poll_next(&mut Context::from_waker(Waker::noop()));
        states.map(|it| it.map(|all| all.iter().map(|drive| drive.place).collect()))
    }

    #[test]
    fn media_are_changed_and_the_changes_told_until_the_disk_is_gone() {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(1 << 20).unwrap();
        let (device, media) = made("disk,size=1M,lun=removable");
        let mut changes = media.changes();
        assert!(look(&mut changes).is_pending());
        media.insert(1, image.path(), Access::Write).unwrap();
        let (drive, nowhere) = (Place::Drive, Place::Nowhere);
        assert_eq!(look(&mut changes), Poll::Ready(Some(vec![drive, drive])));
        media.eject(1, false).unwrap();
        assert_eq!(look(&mut changes), Poll::Ready(Some(vec![drive, nowhere])));
        assert!(look(&mut changes).is_pending());
        drop(device);
        assert_eq!(look(&mut changes), Poll::Ready(None));
    }

    #[test]
    fn an_image_is_let_go_of_with_the_disk_and_its_handle() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        fs::write(&image, [0; 512]).unwrap();
        let spec = format!("disk,image={}", image.display());
        let (device, media) = made(&spec);
        let mut changes = media.changes();
        drop(device);
        drop(media);
        assert_eq!(look(&mut changes), Poll::Ready(None));
        made(&spec);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        fs::write(&image, [0; 1000]).unwrap();
        let (_device, media) = made("disk,removable,lun=size=1M");
        let told = |unit| {
            let refused = media.insert(unit, &image, Access::Read);
            refused.unwrap_err().to_string()
        };
        assert_eq!(
            told(0),
            "a medium of 1000 bytes has no whole number of blocks of 512 bytes"
        );
        assert!(told(1).contains("made with `removable`"));
        assert_eq!(told(2), "there is no logical unit 2: the last is 1");
    }
}
