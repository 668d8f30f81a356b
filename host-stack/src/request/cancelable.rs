//! Requests that a driver keeps, and that may be cancelled meanwhile.

use std::sync::Arc;

use super::{
    OnCancel, Request,
    irp::{Irp, Location},
};

/// A request that a driver has marked as cancelable, and keeps. To do anything with it, it has to be [had back](Self::unmark) first: so it can't be
/// completed while its cancel callback does so.
///
/// Dropped without that, it is lost as a dropped [`Request`] is.
#[derive(Debug)]
#[must_use = "a request that is dropped is lost"]
#[doc(alias = "MarkCancelable")]
pub struct Cancelable(Option<Arc<Irp>>);

/// The request has been cancelled: the cancel callback has it, or will have it soon (UMDF: `ERROR_OPERATION_ABORTED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has been cancelled, and its cancel callback has it")]
#[doc(alias = "UnmarkCancelable")]
pub struct CancelStarted;

impl Cancelable {
    pub(super) fn mark(irp: Arc<Irp>, on_cancel: Arc<dyn OnCancel>) -> Self {
        let mut body = irp.body();
        body.place(Location::Marked(on_cancel));
        if body.is_canceled() {
            irp.cancel_marked(body);
        } else {
            drop(body);
        }
        Self(Some(irp))
    }

    /// Has the request back.
    ///
    /// # Errors
    /// Where it has been cancelled.
    #[doc(alias = "UnmarkCancelable")]
    pub fn unmark(mut self) -> Result<Request, CancelStarted> {
        let irp = self.0.take().ok_or(CancelStarted)?;
        take(irp).ok_or(CancelStarted)
    }
}

/// The request, if it was marked still, which it is not from now on.
fn take(irp: Arc<Irp>) -> Option<Request> {
    let mut body = irp.body();
    let marked = matches!(body.location, Location::Marked(_));
    if marked {
        body.place(Location::Driver);
    }
    drop(body);
    marked.then(|| Request::of(irp))
}

impl Drop for Cancelable {
    fn drop(&mut self) {
        drop(self.0.take().and_then(take));
    }
}
