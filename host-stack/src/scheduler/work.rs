//! What threads work at.

use std::{cell::RefCell, sync::Arc};

use super::{DeviceLock, Job, Scheduler};

thread_local! {
    /// What this thread works at, the innermost last.
    pub(super) static WORKS_FOR: RefCell<Vec<Work>> = const { RefCell::new(Vec::new()) };
}

/// What a thread works at.
pub(super) struct Work {
    pub(super) scheduler: *const Scheduler,
    /// It calls a driver back for a request.
    in_callback: bool,
    /// The lock that the job holds.
    pub(super) lock: Option<Arc<DeviceLock>>,
    /// The job itself, if others may go on with it while this thread waits.
    pub(super) job: Option<Arc<dyn Job>>,
}

/// While it lives, this thread works a list off.
pub(super) struct Working;

impl Working {
    pub(super) fn begin(scheduler: &Scheduler) -> Self {
        Self::enter(scheduler, false, None, None)
    }

    #[inline]
    pub(super) fn enter(
        scheduler: &Scheduler,
        in_callback: bool,
        lock: Option<Arc<DeviceLock>>,
        job: Option<Arc<dyn Job>>,
    ) -> Self {
        WORKS_FOR.with_borrow_mut(|all| {
            all.push(Work {
                scheduler,
                in_callback,
                lock,
                job,
            });
        });
        Self
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        // What is dropped may be a driver's, which may call the framework.
        let (lock, _job) = WORKS_FOR.with_borrow_mut(|all| {
            let ended = all.last_mut();
            let had = ended.map(|it| (it.lock.take(), it.job.take()));
            all.pop();
            had.unwrap_or_default()
        });
        if let Some(lock) = lock {
            lock.set_busy(false);
        }
    }
}

impl Scheduler {
    /// Whether this thread is within a callback of this stack, or an application's call of it.
    pub(crate) fn is_here(&self) -> bool {
        WORKS_FOR.with_borrow(|all| all.iter().any(|it| std::ptr::eq(it.scheduler, self)))
    }

    /// Whether this thread is within a callback for a request of this stack.
    pub(crate) fn is_in_callback(&self) -> bool {
        let is_in = |it: &Work| std::ptr::eq(it.scheduler, self) && it.in_callback;
        WORKS_FOR.with_borrow(|all| all.iter().any(is_in))
    }
}
