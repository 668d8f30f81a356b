//! A logical unit: who it says it is, its drive, and what it has to tell its host.

use std::sync::MutexGuard;

use super::sense::Sense;
use crate::disk::{
    drive::{Drive, Tray},
    medium::Medium,
};

/// Bytes in a logical block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BlockSize {
    /// 512 bytes.
    #[default]
    B512,
    /// 4096 bytes.
    B4096,
}

impl BlockSize {
    /// In bytes.
    pub fn bytes(self) -> u32 {
        match self {
            Self::B512 => 512,
            Self::B4096 => 4096,
        }
    }
}

/// Who a logical unit says it is. What is longer than its field is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its maker, in up to 8 ASCII characters.
    #[doc(alias = "T10 VENDOR IDENTIFICATION")]
    pub vendor: String,
    /// What it is, in up to 16 ASCII characters.
    #[doc(alias = "PRODUCT IDENTIFICATION")]
    pub product: String,
    /// Its release, in up to 4 ASCII characters.
    #[doc(alias = "PRODUCT REVISION LEVEL")]
    pub revision: String,
    /// Its serial number, in ASCII.
    #[doc(alias = "PRODUCT SERIAL NUMBER")]
    pub serial: String,
}

/// One logical unit of a disk.
#[derive(Debug)]
pub struct Unit {
    pub(crate) drive: Drive,
    pub(super) block: BlockSize,
    pub(super) removable: bool,
    pub(super) read_only: bool,
    pub(super) identity: Identity,
    /// What it has to tell before it does anything else.
    #[doc(alias = "UNIT ATTENTION")]
    pub(super) attention: Option<Sense>,
    /// Why the last command failed, until it is asked for.
    pub(super) sense: Sense,
    /// Whether the host has stopped it.
    pub(super) stopped: bool,
    /// Its number and how many there are.
    pub(super) place: (u8, u8),
}

/// A medium in its drive, which stays there for as long as this lives.
pub(super) struct Loaded<'a>(MutexGuard<'a, Tray>);

impl Loaded<'_> {
    pub(super) fn medium(&mut self) -> Result<&mut dyn Medium, Sense> {
        match &mut self.0.medium {
            Some(medium) => Ok(&mut **medium),
            None => Err(Sense::MEDIUM_NOT_PRESENT),
        }
    }
}

impl Unit {
    /// A unit with a drive, a medium in it or not.
    pub fn new(drive: Drive, block: BlockSize, identity: Identity) -> Self {
        Self {
            drive,
            block,
            removable: false,
            read_only: false,
            identity,
            attention: Some(Sense::RESET),
            sense: Sense::NONE,
            stopped: false,
            place: (0, 1),
        }
    }

    /// Its medium can be taken out.
    #[doc(alias = "RMB")]
    pub fn removable(mut self) -> Self {
        self.removable = true;
        self
    }

    /// It refuses to write, whatever its medium allows.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    pub(in crate::disk) fn is_removable(&self) -> bool {
        self.removable
    }

    pub(in crate::disk) fn block_size(&self) -> BlockSize {
        self.block
    }

    pub(super) fn loaded(&self) -> Loaded<'_> {
        Loaded(self.drive.tray())
    }

    /// As [`loaded`](Self::loaded), for a command under way: a medium that was put in since is none of its business.
    ///
    /// # Errors
    /// Where that is so, of which the next command tells as well.
    pub(super) fn still_loaded(&self) -> Result<Loaded<'_>, Sense> {
        let tray = self.drive.tray();
        match tray.changed && tray.medium.is_some() {
            true => Err(Sense::MEDIUM_MAY_HAVE_CHANGED),
            false => Ok(Loaded(tray)),
        }
    }

    /// How many blocks the medium has; an error where the unit is not ready.
    pub(super) fn blocks(&self) -> Result<u64, Sense> {
        let size = self.still_loaded()?.medium()?.size();
        if self.stopped {
            return Err(Sense::STOPPED);
        }
        Ok(size / u64::from(self.block.bytes()))
    }

    /// Whether the present medium is not to be written to.
    pub(super) fn is_protected(&self) -> bool {
        let mut loaded = self.loaded();
        self.read_only || loaded.medium().is_ok_and(|medium| medium.is_read_only())
    }

    /// Whether room can be given back.
    pub(super) fn discards(&self) -> bool {
        let mut loaded = self.loaded();
        !self.read_only && loaded.medium().is_ok_and(|medium| medium.discards())
    }

    /// Begins as if just powered up. What the host before had ejected is in the drive again.
    pub(super) fn reset(&mut self) {
        self.attention = Some(Sense::RESET);
        self.sense = Sense::NONE;
        self.stopped = false;
        let mut tray = self.drive.tray();
        tray.load();
        tray.changed = false;
        tray.prevented = false;
        drop(tray);
        self.drive.note();
    }

    /// Takes what has to be told before anything else is done.
    pub(super) fn take_attention(&mut self) -> Option<Sense> {
        let mut tray = self.drive.tray();
        if std::mem::take(&mut tray.changed) && tray.medium.is_some() {
            self.stopped = false;
            self.attention.get_or_insert(Sense::MEDIUM_MAY_HAVE_CHANGED);
        }
        drop(tray);
        self.attention.take()
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.drive.leave();
    }
}
