//! What threads work at.

use std::{cell::RefCell, sync::Arc};

use super::{DeviceLock, Job, Scheduler};

thread_local! {
    /// What this thread works at, the innermost last.
    pub(super) static WORKS_FOR: RefCell<Vec<Work>> = const { RefCell::new(Vec::new()) };
}

/// The driver that is called, and the callback, as far as they are known.
pub(crate) type Calls = Option<(Arc<str>, &'static str)>;

/// What a thread works at.
pub(super) struct Work {
    pub(super) scheduler: *const Scheduler,
    /// It calls a driver back for a request.
    pub(super) in_callback: bool,
    /// The lock that the job holds.
    pub(super) lock: Option<Arc<DeviceLock>>,
    /// The job itself, if others may go on with it while this thread waits.
    pub(super) job: Option<Arc<dyn Job>>,
    /// Names the job.
    pub(super) serves: *const (),
    pub(super) calls: Calls,
}

impl Work {
    fn of(scheduler: &Scheduler) -> Self {
        Self {
            scheduler,
            in_callback: false,
            lock: None,
            job: None,
            serves: std::ptr::null(),
            calls: None,
        }
    }
}

/// While it lives, this thread works a list off.
pub(super) struct Working;

impl Working {
    pub(super) fn begin(scheduler: &Scheduler) -> Self {
        Self::enter(Work::of(scheduler))
    }

    #[inline]
    pub(super) fn enter(work: Work) -> Self {
        WORKS_FOR.with_borrow_mut(|all| all.push(work));
        Self
    }

    /// Ends it, and tells what was called.
    #[inline]
    pub(super) fn end(self) -> Calls {
        std::mem::forget(self);
        Self::leave()
    }

    fn leave() -> Calls {
        // What is dropped may be a driver's, which may call the framework.
        let work = WORKS_FOR.with_borrow_mut(Vec::pop)?;
        if let Some(lock) = work.lock {
            lock.set_busy(false);
        }
        work.calls
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        Self::leave();
    }
}

/// Whether this thread is within anything of any stack.
pub(crate) fn is_within() -> bool {
    WORKS_FOR.with_borrow(|all| !all.is_empty())
}

/// Whether this thread is within a callback that keeps a device's others waiting by this lock, also while it waits itself.
pub(crate) fn holds(lock: &Arc<DeviceLock>) -> bool {
    let is_it = |it: &Arc<DeviceLock>| !it.gives_way && Arc::ptr_eq(it, lock);
    WORKS_FOR.with_borrow(|all| all.iter().any(|it| it.lock.as_ref().is_some_and(is_it)))
}

/// Whether this thread is within a job.
pub(crate) fn serves<T>(job: *const T) -> bool {
    WORKS_FOR.with_borrow(|all| all.iter().any(|it| it.serves == job.cast()))
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

    /// The driver that this thread calls innermost, and the callback.
    pub(crate) fn caller(&self) -> Calls {
        let is_it = |it: &&Work| std::ptr::eq(it.scheduler, self) && it.calls.is_some();
        WORKS_FOR.with_borrow(|all| all.iter().rev().find(is_it)?.calls.clone())
    }

    /// Calls a driver, and then does what is to be done because of it.
    pub(crate) fn enter_for<T>(
        &self,
        driver: &Arc<str>,
        callback: &'static str,
        action: impl FnOnce() -> T,
    ) -> T {
        let here = self.is_here();
        let working = Working::enter(Work {
            calls: Some((Arc::clone(driver), callback)),
            ..Work::of(self)
        });
        let result = action();
        drop(working);
        if !here {
            self.go_on();
        }
        result
    }
}
