//! What a driver is told as the device goes that it has open.

use std::sync::Arc;

use super::{Core, RemoteTarget};
use crate::{
    scheduler::{Job, Scheduler},
    stack::{Answer, Outsider, StackShared},
    status::HResult,
    target::TargetState,
};

/// What a driver is told as the device goes that it has open. Each has a default, which does what is to be done; so does `()`.
///
/// They are called by the scheduler of the driver's own stack, and not serialised with other callbacks. A target that its driver has closed tells nothing any more.
#[doc(alias = "IRemoteTargetCallbackRemoval")]
pub trait RemoteTargetCallbacks: Send + Sync + 'static {
    /// The device is to be removed, if the driver does not object. A target that is open still when this returns well is
    /// [closed](RemoteTarget::close_for_query_remove); whoever removes the device waits for that.
    ///
    /// It is not called where the device is unplugged, or its stack fails.
    ///
    /// # Errors
    /// Where the driver objects: the device stays, and the target as it is.
    #[doc(alias = "OnRemoteTargetQueryRemove")]
    fn query_remove(&self, target: &RemoteTarget) -> Result<(), HResult> {
        target.close_for_query_remove();
        Ok(())
    }

    /// The device is not removed, as somebody else has objected. [Reopen](RemoteTarget::reopen) it, to go on.
    #[doc(alias = "OnRemoteTargetRemoveCanceled")]
    fn remove_canceled(&self, target: &RemoteTarget) {
        if let Err(error) = target.reopen() {
            tracing::warn!("a remote target stays closed: {error}");
        }
    }

    /// The device has gone. The target is [closed](RemoteTarget::close) when this returns, unless it was opened for something else.
    #[doc(alias = "OnRemoteTargetRemoveComplete")]
    fn remove_complete(&self, target: &RemoteTarget) {
        target.close();
    }
}

impl RemoteTargetCallbacks for () {}

/// What is to be told.
enum What {
    Query(Arc<Answer>),
    Kept,
    Removed,
}

/// Tells a driver of a removal.
struct Told {
    core: Arc<Core>,
    stack: Arc<StackShared>,
    what: What,
}

impl Outsider for Core {
    fn driver(&self) -> Arc<str> {
        self.device()
            .map_or_else(|| "?".into(), |it| Arc::clone(it.driver()))
    }

    fn query(self: Arc<Self>, stack: &Arc<StackShared>, from: &Scheduler, answer: Arc<Answer>) {
        self.post(stack, from, What::Query(answer));
    }

    fn kept(self: Arc<Self>, stack: &Arc<StackShared>, from: &Scheduler) {
        self.post(stack, from, What::Kept);
    }

    fn removed(self: Arc<Self>, stack: &Arc<StackShared>, from: &Scheduler) {
        self.post(stack, from, What::Removed);
    }
}

impl Core {
    fn post(self: Arc<Self>, stack: &Arc<StackShared>, from: &Scheduler, what: What) {
        let scheduler = Arc::clone(self.scheduler());
        let told = Arc::new(Told {
            core: self,
            stack: Arc::clone(stack),
            what,
        });
        scheduler.hand_in(from, || scheduler.post(None, told));
    }
}

impl Told {
    /// The target, if it is still, or was last, that stack's, and in one of the states that it is told in.
    fn target(&self) -> Option<RemoteTarget> {
        let target = RemoteTarget::again(&self.core)?;
        let closed_for_query = target.state() == TargetState::ClosedForQueryRemove;
        let is_concerned = match &self.what {
            What::Query(_) => self.core.handle().is_some(),
            What::Kept => closed_for_query,
            What::Removed => self.core.handle().is_some() || closed_for_query,
        };
        (is_concerned && self.core.is_for(&self.stack)).then_some(target)
    }

    fn ask(&self, target: &RemoteTarget) -> Result<(), HResult> {
        self.core.callbacks.query_remove(target)?;
        target.close_for_query_remove();
        Ok(())
    }
}

impl Job for Told {
    fn run(self: Arc<Self>) {
        let Some(target) = self.target() else {
            return;
        };
        match &self.what {
            What::Query(answer) => answer.give(self.ask(&target)),
            What::Kept => self.core.callbacks.remove_canceled(&target),
            What::Removed => {
                self.core.callbacks.remove_complete(&target);
                if self.core.is_for(&self.stack) {
                    self.core.close(TargetState::Closed);
                }
            }
        }
    }

    fn is_callback(&self) -> bool {
        false
    }

    fn calls(&self) -> Option<(Arc<str>, &'static str)> {
        Some((self.core.driver(), "a remote target's callback"))
    }
}

impl Drop for Told {
    /// Who can't be asked does not object.
    fn drop(&mut self) {
        if let What::Query(answer) = &self.what {
            answer.give(Ok(()));
        }
    }
}
