//! Opening a device.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{Handle, Io, IoOutcome, Opened};
use crate::{
    request::irp::{Origin, Outcome},
    status::Win32Error,
};

/// A device that is being opened.
#[must_use = "the device is closed again where this is dropped"]
#[doc(alias = "CreateFile")]
pub struct Opening {
    pub(super) io: Io,
    pub(super) opened: Option<Opened>,
}

impl Opening {
    fn end(&mut self, outcome: &IoOutcome) -> Result<Handle, Win32Error> {
        let error = outcome.error();
        let Some(mut opened) = self.opened.take() else {
            return Err(error);
        };
        opened.is_open = Some(error == Win32Error::SUCCESS);
        match error {
            Win32Error::SUCCESS => Ok(Handle(Arc::new(opened))),
            _ => Err(error),
        }
    }

    /// Waits until it is open.
    ///
    /// # Errors
    /// The code with which the stack refused it; `ERROR_POSSIBLE_DEADLOCK` where a driver would wait for itself, within one of its callbacks.
    pub fn wait(mut self) -> Result<Handle, Win32Error> {
        let outcome = match self.io.outcome() {
            Some(outcome) => outcome,
            None => self.io.wait_for_end(),
        };
        self.end(&outcome)
    }
}

impl Future for Opening {
    type Output = Result<Handle, Win32Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.io).poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(self.end(&outcome)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let Some(mut opened) = self.opened.take() else {
            return;
        };
        let Ok(irp) = &self.io.irp else {
            opened.is_open = Some(false);
            return;
        };
        let went_well =
            |outcome: Outcome| Win32Error::from_nt(outcome.status) == Win32Error::SUCCESS;
        let mut body = irp.body();
        if body.has_ended() {
            opened.is_open = Some(went_well(body.outcome));
            drop(body);
            return;
        }
        let (stack, file) = (Arc::clone(opened.stack()), opened.file.clone());
        body.origin = Origin::Stack(Some(Box::new(move |outcome| match went_well(outcome) {
            true => stack.clean_up(&file),
            false => stack.drop_file(&file),
        })));
        drop(body);
        self.io.cancel();
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}
