//! What a driver has called of a request that it has given away.

use super::{Request, RequestCompletionParams};

/// Is told that what a driver sent has ended. It is not serialised with the device's other callbacks.
#[doc(alias = "IRequestCallbackRequestCompletion")]
pub trait CompletionCallback: Send + Sync + 'static {
    /// The request is the driver's again.
    #[doc(alias = "OnCompletion")]
    fn completed(&self, request: Request, params: &RequestCompletionParams);
}

impl<F: Fn(Request, &RequestCompletionParams) + Send + Sync + 'static> CompletionCallback for F {
    fn completed(&self, request: Request, params: &RequestCompletionParams) {
        self(request, params);
    }
}

/// Is told that a request was cancelled that a driver had marked as cancelable.
#[doc(alias = "IRequestCallbackCancel")]
pub trait OnCancel: Send + Sync + 'static {
    /// The request is the driver's again, to be completed with [`NtStatus::CANCELLED`](crate::status::NtStatus::CANCELLED), now or later.
    #[doc(alias = "OnCancel")]
    fn cancelled(&self, request: Request);
}

impl<F: Fn(Request) + Send + Sync + 'static> OnCancel for F {
    fn cancelled(&self, request: Request) {
        self(request);
    }
}
