//! What a medium is put into, and taken out of while the disk runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::medium::Medium;

/// The drive of one logical unit. Whoever has it, besides the disk, may take the medium out and put one in.
#[derive(Clone, Debug)]
pub struct Drive(Arc<Mutex<Tray>>);

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
        Self(Arc::new(Mutex::new(Tray {
            medium,
            ejected: None,
            changed: false,
            prevented: false,
        })))
    }

    pub(crate) fn tray(&self) -> MutexGuard<'_, Tray> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        Ok(())
    }

    /// Takes the medium out, `by_force` even where the host has locked it in. What the host wrote and did not flush may
    /// be in it or not.
    ///
    /// # Errors
    /// Where there is none, or it is locked in.
    pub fn take(&self, by_force: bool) -> Result<Box<dyn Medium>, DriveError> {
        let mut tray = self.tray();
        if let Some(medium) = tray.ejected.take() {
            return Ok(medium);
        }
        if tray.medium.is_some() && tray.prevented && !by_force {
            return Err(DriveError::Prevented);
        }
        tray.prevented = false;
        tray.medium.take().ok_or(DriveError::Empty)
    }
}

impl Tray {
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
