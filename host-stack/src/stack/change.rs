//! Who changes a stack's state: one at a time, and nobody within a callback.

use std::{
    sync::{Arc, Weak},
    thread,
};

use super::StackShared;
use crate::{
    callbacks::DeviceCallbacks, device::Device, scheduler::Job, status::HResult, verifier::Rule,
};

/// What a stack does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "WDF_DEVICE_PNP_STATE")]
pub enum PnpState {
    /// Its devices are made, but their hardware is not prepared.
    Stopped,
    /// It works.
    Started,
    /// Its devices have left D0, as they had nothing to do. A request for a power-managed queue brings them back.
    Idle,
    /// Its devices have left D0, until [`Stack::resume`](super::Stack::resume), or until one that can wakes the system.
    Sleeping,
    /// A callback has panicked. It takes no requests.
    Failed,
    /// It is gone.
    Removed,
}

impl PnpState {
    pub(super) fn is_started(self) -> bool {
        matches!(self, Self::Started | Self::Idle | Self::Sleeping)
    }

    /// Whether it takes no requests any more.
    pub(super) fn is_gone(self) -> bool {
        matches!(self, Self::Failed | Self::Removed)
    }
}

/// A driver's callback has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// It told so.
    #[error("driver {driver} failed in {callback}: {status}")]
    Failed {
        /// The driver.
        driver: Arc<str>,
        /// The callback.
        callback: &'static str,
        /// What it told.
        status: HResult,
    },
    /// It panicked.
    #[error("driver {driver} panicked in {callback}: {message}")]
    Panicked {
        /// The driver.
        driver: Arc<str>,
        /// The callback.
        callback: &'static str,
        /// What it said.
        message: String,
    },
}

/// Why a stack's state is not as it was to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// A driver objects. Everything is as it was.
    #[error("driver {driver} objects: {status}")]
    Vetoed {
        /// The driver.
        driver: Arc<str>,
        /// What it told.
        status: HResult,
    },
    /// A driver failed. The stack was removed; or it has failed, where the driver panicked.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// It was asked for within a callback of the stack, and would wait for that to return. That is [reported](crate::Rule::WaitWithin).
    #[error(
        "a stack's state can't be changed within a callback of one of its drivers: have another thread do it"
    )]
    Within,
}

/// Calls a driver, whose panic is an error like others.
pub(super) fn called<T>(
    driver: &Arc<str>,
    callback: &'static str,
    call: impl FnOnce() -> Result<T, HResult>,
) -> Result<T, CallbackError> {
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
    let driver = Arc::clone(driver);
    match ended {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(status)) => Err(CallbackError::Failed {
            driver,
            callback,
            status,
        }),
        Err(panic) => Err(CallbackError::Panicked {
            driver,
            callback,
            message: crate::verifier::message_of(&*panic),
        }),
    }
}

pub(super) type Called = Result<(), CallbackError>;

/// A callback that may fail.
pub(super) type Callback<'a> = &'a dyn Fn(&dyn DeviceCallbacks, &Device) -> Result<(), HResult>;

/// While it lives, nobody else changes the stack's state.
pub(super) struct Change<'a>(&'a StackShared);

impl StackShared {
    /// Waits until nobody else changes the state, unless this thread is within a callback, which would be waited for.
    pub(super) fn begin_change(&self) -> Result<Change<'_>, ChangeError> {
        self.begin_unless_within().ok_or_else(|| {
            if let Some((driver, callback)) = self.scheduler.caller() {
                let object = format!("the stack's state, in {callback}");
                self.verifier.report(&driver, Rule::WaitWithin, object);
            }
            ChangeError::Within
        })
    }

    /// As [`begin_change`](Self::begin_change), for what may be done later as well.
    pub(super) fn begin_unless_within(&self) -> Option<Change<'_>> {
        match self.scheduler.is_here() {
            true => None,
            false => Some(self.scheduler.wait_for(|| self.try_change())),
        }
    }

    /// Whether this thread changes the state.
    pub(crate) fn is_changed_here(&self) -> bool {
        self.state().changes == Some(thread::current().id())
    }

    /// Begins to change the state, if nobody else does.
    pub(super) fn try_change(&self) -> Option<Change<'_>> {
        let mut state = self.state();
        if state.changes.is_some() {
            return None;
        }
        state.changes = Some(thread::current().id());
        drop(state);
        Some(Change(self))
    }

    /// Has the stack removed as soon as nobody changes its state.
    pub(super) fn remove_later(self: &Arc<Self>) {
        self.state().is_to_be_removed = true;
        self.scheduler
            .post_alone(Arc::new(Later(Arc::downgrade(self))));
    }

    /// Has the stack removed so, and ended.
    pub(super) fn end_later(self: &Arc<Self>) {
        self.state().ends = Some(Arc::clone(self));
        self.remove_later();
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.changes = None;
        let remove = std::mem::take(&mut state.is_to_be_removed);
        drop(state);
        match self.0.this.upgrade().filter(|_| remove) {
            Some(stack) => stack.remove_later(),
            None => self.0.idle.changed(),
        }
        self.0.scheduler.nudge();
        self.0.scheduler.enter(|| ());
    }
}

/// Removes a stack, unless somebody changes its state, who then has it removed.
struct Later(Weak<StackShared>);

impl Job for Later {
    fn run(self: Arc<Self>) {
        let Some(stack) = self.0.upgrade() else {
            return;
        };
        let Some(change) = stack.try_change() else {
            return;
        };
        stack.take_away();
        let mut state = stack.state();
        state.is_to_be_removed = false;
        let ends = state.ends.take();
        drop(state);
        drop(change);
        if ends.is_some() {
            stack.end();
        }
    }

    fn is_callback(&self) -> bool {
        false
    }
}
