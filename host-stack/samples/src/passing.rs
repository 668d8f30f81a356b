//! Sending a request on to a pipe, and completing it as that has ended.

use std::sync::Arc;

use usbwright_host_stack::{
    CompletionCallback, Request, RequestCompletionParams, SendError, SendOptions, status::HResult,
    usb::UsbTargetPipe,
};

/// Sends a request that was formatted for a pipe, or completes it where it could not be.
pub(crate) fn send(
    request: Request,
    formatted: Result<UsbTargetPipe, HResult>,
    ended: &Arc<dyn CompletionCallback>,
) {
    match formatted {
        Err(status) => request.complete_with_information(status, 0),
        Ok(pipe) => {
            let sent = request.send_then(pipe.target(), SendOptions::new(), Arc::clone(ended));
            sent.unwrap_or_else(SendError::complete);
        }
    }
}

/// Completes a request as what was sent for it has ended.
pub(crate) fn complete(request: Request, params: &RequestCompletionParams) {
    request.complete_with_information(params.status(), params.information());
}
