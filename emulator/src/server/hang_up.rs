//! What ends a link's waits once its device is unplugged.

use std::{os::fd::OwnedFd, sync::Arc, task::Wake};

use rustix::net::{Shutdown, shutdown};

/// Shuts a link's socket down, which ends any wait for it: the device was unplugged.
#[derive(Debug)]
pub(super) struct HangUp(Arc<OwnedFd>);

impl HangUp {
    pub(super) fn new(socket: &Arc<OwnedFd>) -> Arc<Self> {
        Arc::new(Self(Arc::clone(socket)))
    }
}

impl Wake for HangUp {
    fn wake(self: Arc<Self>) {
        // It fails where the client has left, which ends the wait as well.
        let _ = shutdown(&*self.0, Shutdown::Both);
    }
}
