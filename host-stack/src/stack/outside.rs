//! Drivers of other stacks that have a stack open: they are asked before it is removed, and told afterwards.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{StackShared, change::ChangeError};
use crate::{scheduler::Scheduler, status::HResult};

/// A driver of another stack that has this one open. What it is told, it is told by its own stack's scheduler, on behalf of `from`.
pub(crate) trait Outsider: Send + Sync {
    /// The driver's name.
    fn driver(&self) -> Arc<str>;
    /// The stack is to be removed, if it does not object.
    fn query(self: Arc<Self>, stack: &Arc<StackShared>, from: &Scheduler, answer: Arc<Answer>);
    /// The stack is not removed.
    fn kept(self: Arc<Self>, stack: &Arc<StackShared>, from: &Scheduler);
    /// The stack has gone.
    fn removed(self: Arc<Self>, stack: &Arc<StackShared>, from: &Scheduler);
}

/// What a driver of another stack answers.
pub(crate) struct Answer {
    given: Mutex<Option<Result<(), HResult>>>,
    asks: Weak<Scheduler>,
}

impl Answer {
    /// Answers, unless that was done. Who goes without an answer does not object.
    pub(crate) fn give(&self, answer: Result<(), HResult>) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.get_or_insert(answer);
        drop(given);
        if let Some(asks) = self.asks.upgrade() {
            asks.nudge();
        }
    }

    fn given(&self) -> Option<Result<(), HResult>> {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StackShared {
    /// A driver of another stack has opened this one.
    pub(crate) fn add_outsider(&self, outsider: &Arc<dyn Outsider>) {
        let mut all = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|it| {
            it.strong_count() > 0 && !std::ptr::addr_eq(it.as_ptr(), Arc::as_ptr(outsider))
        });
        all.push(Arc::downgrade(outsider));
    }

    fn outsiders(&self) -> Vec<Arc<dyn Outsider>> {
        let all = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    }

    /// Asks those that have the stack open, the first first. Tells who was asked; where one objects, those that did not are told that the stack stays.
    pub(super) fn ask_outside(&self) -> Result<Vec<Arc<dyn Outsider>>, ChangeError> {
        let mut asked = Vec::new();
        for outsider in self.outsiders() {
            match self.answer_of(&outsider) {
                Ok(()) => asked.push(outsider),
                Err(status) => {
                    self.tell_kept(&asked);
                    let driver = outsider.driver();
                    return Err(ChangeError::Vetoed { driver, status });
                }
            }
        }
        Ok(asked)
    }

    fn answer_of(&self, outsider: &Arc<dyn Outsider>) -> Result<(), HResult> {
        let Some(this) = self.this.upgrade() else {
            return Ok(());
        };
        let answer = Arc::new(Answer {
            given: Mutex::default(),
            asks: Arc::downgrade(&self.scheduler),
        });
        Arc::clone(outsider).query(&this, &self.scheduler, Arc::clone(&answer));
        self.scheduler.wait_for(|| {
            let gone = self.scheduler.has_ended().then_some(Ok(()));
            answer.given().or(gone)
        })
    }

    /// Tells those who were asked that the stack is not removed.
    pub(super) fn tell_kept(&self, asked: &[Arc<dyn Outsider>]) {
        let Some(this) = self.this.upgrade() else {
            return;
        };
        for outsider in asked {
            Arc::clone(outsider).kept(&this, &self.scheduler);
        }
    }

    /// Tells those who have the stack open that it has gone, once.
    pub(super) fn tell_removed(&self) {
        let all = self.outsiders();
        self.outside
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let Some(this) = self.this.upgrade() else {
            return;
        };
        for outsider in all {
            outsider.removed(&this, &self.scheduler);
        }
    }
}
