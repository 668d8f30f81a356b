//! Giving a request away: to a queue, or to a target.

use std::sync::Arc;

use super::{
    CompletionCallback, Request, SendError, SendOptions, Sent, format::Format, irp::Told, sent,
};
use crate::{
    queue::Queue,
    status::{NtStatus, Win32Error},
    target::IoTarget,
};

impl Request {
    /// Hands it to another queue of the same device. The queue that delivered it may deliver the next one.
    ///
    /// # Errors
    /// With the request: [`NtStatus::INVALID_DEVICE_REQUEST`] where it has not come from a queue, or the queue is the same or another device's; [`NtStatus::WDF_BUSY`] where the
    /// queue accepts none.
    #[doc(alias = "ForwardToIoQueue")]
    pub fn forward(self, queue: &Queue) -> Result<(), SendError> {
        let from = self.with(|level| level.queue.clone());
        match from.map(|from| queue.shared().take_over(&from, self.irp())) {
            Some(Ok(())) => {
                drop(self.into_irp());
                Ok(())
            }
            Some(Err(status)) => Err(SendError::new(self, status)),
            None => Err(SendError::new(self, NtStatus::INVALID_DEVICE_REQUEST)),
        }
    }

    /// Puts it back at the head of the manual queue that it was retrieved from.
    ///
    /// # Errors
    /// With the request, `ERROR_INVALID_OPERATION`, where it has not come from a manual queue.
    #[doc(alias = "Requeue")]
    pub fn requeue(self) -> Result<(), SendError> {
        let from = self.with(|level| level.queue.clone());
        match from.filter(|queue| queue.is_manual()) {
            Some(queue) => {
                queue.requeue(&self.into_irp());
                Ok(())
            }
            None => Err(SendError::with(self, Win32Error::INVALID_OPERATION.into())),
        }
    }

    /// Formats it to be sent on as it came.
    #[doc(alias = "FormatUsingCurrentType")]
    pub fn format_using_current_type(&mut self) {
        self.with(|level| level.format = Format::Current);
    }

    /// Formats it as a control code, as [`IoTarget::format_for_ioctl`] does, with buffers of its own.
    pub(crate) fn format(&mut self, format: Format) {
        self.with(|level| level.format = format);
    }

    /// Sends it to a target. What it asked for is kept, and completing it completes what it asked for.
    ///
    /// # Errors
    /// With the request, and with the code to complete it with, where it is not sent.
    #[doc(alias = "Send")]
    pub fn send(self, target: &IoTarget, options: SendOptions) -> Result<Sent, SendError> {
        sent::send(self, target, options, Told::Future(None)).map(Sent::new)
    }

    /// Sends it to a target, and has `callback` called when it has ended. Nothing is allocated.
    ///
    /// # Errors
    /// As those of [`send`](Self::send). The callback is not called then.
    #[doc(alias = "SetCompletionCallback")]
    pub fn send_then(
        self,
        target: &IoTarget,
        options: SendOptions,
        callback: Arc<dyn CompletionCallback>,
    ) -> Result<(), SendError> {
        sent::send(self, target, options, Told::Callback(callback)).map(drop)
    }

    /// Sends it on as it came, and never sees it again: it is completed as the target completes it. The queue that delivered it may deliver the next one.
    ///
    /// # Errors
    /// As those of [`send`](Self::send), and [`NtStatus::INVALID_DEVICE_STATE`] for a request that the driver has made, [`NtStatus::INVALID_DEVICE_REQUEST`]
    /// for one that was formatted otherwise or goes to a file.
    #[doc(alias = "WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET")]
    pub fn send_and_forget(self, target: &IoTarget) -> Result<(), SendError> {
        self.forget(target, SendOptions::new())
    }

    pub(crate) fn forget(
        mut self,
        target: &IoTarget,
        options: SendOptions,
    ) -> Result<(), SendError> {
        if self.with(|level| level.is_own) {
            return Err(sent::refused(self, NtStatus::INVALID_DEVICE_STATE));
        }
        let formatted = self.with(|level| !matches!(level.format, Format::None | Format::Current));
        if formatted || !target.takes_forgotten() {
            return Err(sent::refused(self, NtStatus::INVALID_DEVICE_REQUEST));
        }
        self.format_using_current_type();
        let queue = self.with(|level| level.queue.take());
        let irp = Arc::clone(self.irp());
        let sent = sent::send(self, target, options, Told::Nobody);
        match (sent, queue) {
            (Ok(_), Some(queue)) => queue.left(&irp),
            (Ok(_), None) => {}
            (Err(error), queue) => {
                error.request.with(|level| level.queue = queue);
                return Err(error);
            }
        }
        Ok(())
    }
}
