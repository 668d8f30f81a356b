//! Where the requests of applications come from.

use std::{io, os::fd::OwnedFd};

use usbwright_host_stack::Stack;

use crate::operations::Operations;

/// What carries the requests of applications to stacks, and their answers back. `Fn(&Stack, data, cancel, operations)` is one.
pub trait Channels: Send + Sync + 'static {
    /// Begins to serve a stack, over two sockets that keep packets apart: that of the data, and that of the cancels. It goes on until what this returns is dropped.
    ///
    /// Cancels, cleanups and closes are critical: each is [begun](Operations::begin) when it comes, so that the manager sees it if it never ends.
    ///
    /// # Errors
    /// Where it can't serve; the stack is not started then.
    fn serve(
        &self,
        stack: &Stack,
        data: OwnedFd,
        cancel: OwnedFd,
        operations: Operations,
    ) -> io::Result<Serving>;
}

/// A stack that is being served; dropping it ends that.
pub type Serving = Box<dyn Send>;

/// A manager's reflector sends them. It knows itself what of theirs is critical, and tells the manager.
pub(crate) fn reflected(
    stack: &Stack,
    data: OwnedFd,
    cancel: OwnedFd,
    _: Operations,
) -> io::Result<Serving> {
    let serving = usbwright_reflector::host::Serving::start(stack.clone(), data, cancel)?;
    Ok(Box::new(serving))
}

impl<F> Channels for F
where
    F: Fn(&Stack, OwnedFd, OwnedFd, Operations) -> io::Result<Serving> + Send + Sync + 'static,
{
    fn serve(
        &self,
        stack: &Stack,
        data: OwnedFd,
        cancel: OwnedFd,
        operations: Operations,
    ) -> io::Result<Serving> {
        self(stack, data, cancel, operations)
    }
}
