//! Whether a read, a write or a control transfer is cancelled while it goes on.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use usbwright_protocol::{Completion, Status};

use crate::{completion::TransferError, engine::Flight};

/// What tells that something is cancelled.
pub(crate) type Cancelled<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send + 'a)>;

/// Whether something is cancelled.
#[derive(Default)]
pub(crate) struct Cancel<'a> {
    /// `None` where it can't be, and once it is.
    cancelled: Option<Cancelled<'a>>,
    is_cancelled: bool,
}

impl<'a> Cancel<'a> {
    /// It is once `cancelled` has ended.
    pub(crate) fn when(cancelled: Cancelled<'a>) -> Self {
        Self {
            cancelled: Some(cancelled),
            is_cancelled: false,
        }
    }

    /// What there is to go on with: an error once it is cancelled.
    pub(crate) fn check(&self) -> Result<(), TransferError> {
        match self.is_cancelled {
            true => Err(Status::Cancelled.into()),
            false => Ok(()),
        }
    }

    /// Whether it is cancelled now, and was not before.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(cancelled) = &mut self.cancelled else {
            return false;
        };
        self.is_cancelled = cancelled.as_mut().poll(cx).is_ready();
        if self.is_cancelled {
            self.cancelled = None;
        }
        self.is_cancelled
    }

    /// Waits for what comes before a transfer, and no longer once it is cancelled.
    pub(crate) async fn or<T>(
        &mut self,
        work: impl Future<Output = Result<T, TransferError>>,
    ) -> Result<T, TransferError> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            self.poll(cx);
            match self.check() {
                Ok(()) => work.as_mut().poll(cx),
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    /// The end of a transfer, which is taken back once it is cancelled.
    pub(crate) async fn end(&mut self, mut flight: Flight<'_>) -> Completion {
        poll_fn(|cx| {
            if self.poll(cx) {
                flight.cancel();
            }
            Pin::new(&mut flight).poll(cx)
        })
        .await
    }
}

impl fmt::Debug for Cancel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel")
            .field("is_cancelled", &self.is_cancelled)
            .finish_non_exhaustive()
    }
}
