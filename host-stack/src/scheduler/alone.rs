//! What is not done within anything else, as it may have to wait for that.

use std::sync::Arc;

use super::{Job, Scheduler, list::Entry};

impl Scheduler {
    /// Has a job done by a thread that is not within a callback of this stack: the job may wait for callbacks that are under way, and of these a thread can't go on
    /// with the one that it has interrupted.
    pub(crate) fn post_alone(&self, job: Arc<dyn Job>) {
        let entry = Entry {
            lock: None,
            job,
            alone: true,
        };
        let mut state = self.state();
        if self.has_ended() {
            drop(state);
            return drop(entry);
        }
        state.ready.push_back(entry);
        state.alone += 1;
        // Those that wait may be within a callback, all of them.
        self.alarm(&mut state);
        drop(state);
        self.waiters.wake_all();
        self.lend();
    }
}
