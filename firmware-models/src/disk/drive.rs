//! What a medium is put into, and taken out of while the disk runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::medium::Medium;
use crate::shared::{self, Changes, Shared};

/// The drive of one logical unit. Whoever has it, besides the disk, may take the medium out and put one in.
#[derive(Clone, Debug)]
pub struct Drive(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    tray: Arc<Mutex<Tray>>,
    /// What is told of it. It is not locked while the tray is.
    told: Arc<Shared<DriveState>>,
}

/// Where the medium of a drive is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// There is none.
    #[default]
    Nowhere,
    /// In the drive: the host sees it.
    Drive,
    /// In the open tray: the host has ejected it.
    Tray,
}

/// What a drive's owner sees of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriveState {
    /// Where its medium is.
    pub place: Place,
    /// How often the host has had all that it wrote put on stable storage.
    pub flushes: u64,
}

impl shared::Panel for DriveState {
    type State = Self;

    fn state(&self) -> Self {
        *self
    }
}

/// What is in a drive.
#[derive(Debug)]
pub(crate) struct Tray {
    /// The medium that the host sees.
    pub(crate) medium: Option<Box<dyn Medium>>,
    /// The medium that the host has ejected: it lies in the open tray.
    ejected: Option<Box<dyn Medium>>,
    /// Whether a medium was put in that the host has not been told of.
    pub(crate) changed: bool,
    /// Whether the host has asked that the medium stays in.
    #[doc(alias = "PREVENT ALLOW MEDIUM REMOVAL")]
    pub(crate) prevented: bool,
}

/// Why a medium can't be put in or taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriveError {
    /// There is one.
    #[error("the drive has a medium: take it out first")]
    Occupied,
    /// There is none.
    #[error("the drive is empty")]
    Empty,
    /// The host has locked it in.
    #[error("the host uses the medium: have it unmounted, or take it out by force")]
    Prevented,
}

impl Drive {
    /// A drive with that medium in it, or an empty one.
    pub fn new(medium: Option<Box<dyn Medium>>) -> Self {
        let tray = Tray {
            medium,
            ejected: None,
            changed: false,
            prevented: false,
        };
        Self::with(Arc::new(Mutex::new(tray)))
    }

    fn with(tray: Arc<Mutex<Tray>>) -> Self {
        let drive = Self(Arc::new(Inside {
            tray,
            told: Shared::new(DriveState::default()),
        }));
        drive.note();
        drive
    }

    /// The same drive for a disk that is made anew, with what is in it, and nothing told of it yet.
    pub(crate) fn again(&self) -> Self {
        Self::with(Arc::clone(&self.0.tray))
    }

    pub(crate) fn tray(&self) -> MutexGuard<'_, Tray> {
        self.0.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its owner sees of it.
    pub fn state(&self) -> DriveState {
        self.0.told.state()
    }

    /// A way to wait for changes of its state, those after this call, until the disk is gone.
    pub fn changes(&self) -> Changes<DriveState> {
        self.0.told.changes()
    }

    /// Has it told where the medium is now. Not to be called with the tray.
    pub(crate) fn note(&self) {
        self.0
            .told
            .change(|state| state.place = self.tray().place());
    }

    /// Has it told that the medium was flushed. Not to be called with the tray.
    pub(crate) fn note_flush(&self) {
        self.0.told.change(|state| state.flushes += 1);
    }

    /// The disk is gone: it lets go of the drive, and then has that told.
    pub(crate) fn leave(&mut self) {
        let left = std::mem::replace(self, Self::new(None));
        let told = Arc::clone(&left.0.told);
        drop(left);
        told.leave();
    }

    /// Puts a medium in. The host is told with its next command. May be called at any time; it waits for what the disk
    /// just reads or writes.
    ///
    /// # Errors
    /// Where there is one already; also one that the host has ejected and nobody has taken out.
    pub fn insert(&self, medium: Box<dyn Medium>) -> Result<(), DriveError> {
        let mut tray = self.tray();
        if tray.medium.is_some() || tray.ejected.is_some() {
            return Err(DriveError::Occupied);
        }
        tray.medium = Some(medium);
        tray.changed = true;
        drop(tray);
        self.note();
        Ok(())
    }

    /// Takes the medium out, `by_force` even where the host has locked it in. What the host wrote and did not flush may
    /// be in it or not.
    ///
    /// # Errors
    /// Where there is none, or it is locked in.
    pub fn take(&self, by_force: bool) -> Result<Box<dyn Medium>, DriveError> {
        let taken = self.tray().take(by_force);
        self.note();
        taken
    }
}

impl Tray {
    fn place(&self) -> Place {
        match (&self.medium, &self.ejected) {
            (Some(_), _) => Place::Drive,
            (None, Some(_)) => Place::Tray,
            (None, None) => Place::Nowhere,
        }
    }

    fn take(&mut self, by_force: bool) -> Result<Box<dyn Medium>, DriveError> {
        if let Some(medium) = self.ejected.take() {
            return Ok(medium);
        }
        if self.medium.is_some() && self.prevented && !by_force {
            return Err(DriveError::Prevented);
        }
        self.prevented = false;
        self.medium.take().ok_or(DriveError::Empty)
    }

    /// The host opens the tray.
    pub(crate) fn eject(&mut self) {
        if let Some(medium) = self.medium.take() {
            self.ejected = Some(medium);
        }
    }

    /// The host closes the tray.
    pub(crate) fn load(&mut self) {
        if let Some(medium) = self.ejected.take() {
            self.medium = Some(medium);
            self.changed = true;
        }
    }
}
