//! What is to be done, and who does it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::Thread,
    time::Instant,
};

use super::Job;

/// Has callbacks run one at a time.
#[doc(alias = "presentation lock")]
#[derive(Debug, Default)]
pub(crate) struct DeviceLock {
    busy: AtomicBool,
    /// Whether another callback may run while one waits for something else.
    pub(super) gives_way: bool,
}

impl DeviceLock {
    /// One that only keeps callbacks in their order: while one waits for something else, others run.
    pub(crate) fn for_order() -> Arc<Self> {
        Arc::new(Self {
            gives_way: true,
            ..Self::default()
        })
    }

    fn is_free(&self) -> bool {
        !self.busy.load(Ordering::Acquire)
    }

    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Release);
    }
}

pub(super) struct Entry {
    pub(super) lock: Option<Arc<DeviceLock>>,
    pub(super) job: Arc<dyn Job>,
    /// It is not to be done within something else of the stack.
    pub(super) alone: bool,
}

impl Entry {
    /// Whether a thread may do it, which may be `within` something else of the stack.
    pub(super) fn is_free(&self, within: bool) -> bool {
        !(self.alone && within) && self.lock.as_ref().is_none_or(|lock| lock.is_free())
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) ready: VecDeque<Entry>,
    /// How much of it is not to be done within something else.
    pub(super) alone: usize,
    pub(super) timers: BTreeMap<(Instant, u64), Arc<dyn Job>>,
    pub(super) timers_set: u64,
    /// Decides what is done next.
    pub(super) seed: Option<u64>,
    pub(super) worker: Option<Thread>,
    /// A callback has panicked, and no other is called.
    pub(super) failed: bool,
}

impl State {
    pub(super) fn draw(&mut self, count: usize) -> usize {
        let Some(seed) = &mut self.seed else {
            return 0;
        };
        // The generator of Knuth's MMIX.
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as usize % count.max(1)
    }
}

/// Names a timer that was set.
pub(crate) type TimerId = (Instant, u64);
