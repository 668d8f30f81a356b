//! What a firmware and its user's handles share: a locked state, how the device is woken, and who waits for changes.

use std::{
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

/// What is behind the lock, as its user sees it.
pub(crate) trait Panel: Send + 'static {
    /// What a user sees. Where it differs from what it was, those who wait are told.
    type State: Clone + PartialEq + Send + 'static;

    /// The present state.
    fn state(&self) -> Self::State;
}

/// A panel, which the firmware shares with the handles.
#[derive(Debug)]
pub(crate) struct Shared<P>(Mutex<Inside<P>>);

#[derive(Debug)]
struct Inside<P> {
    panel: P,
    /// Wakes the device, where anybody may have to.
    device: Option<Waker>,
    /// The firmware was dropped.
    gone: bool,
    /// How often the state has changed.
    revision: u64,
    /// How many [`Changes`] were made, which are known by number.
    watchers: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl<P: Panel> Shared<P> {
    pub(crate) fn new(panel: P) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inside {
            panel,
            device: None,
            gone: false,
            revision: 0,
            watchers: 0,
            waiting: BTreeMap::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inside<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> P::State {
        self.lock().panel.state()
    }

    /// Looks at the panel.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&P) -> T) -> T {
        look(&self.lock().panel)
    }

    /// Does something at the panel, and tells those who wait for changes if it is one.
    pub(crate) fn change<T>(&self, action: impl FnOnce(&mut P) -> T) -> T {
        let mut inside = self.lock();
        let before = inside.panel.state();
        let answer = action(&mut inside.panel);
        if inside.panel.state() != before {
            inside.revision += 1;
            tell(inside);
        }
        answer
    }

    /// Keeps a waker of the device as long as there are handles; without it, the device can be driven more cheaply.
    pub(crate) fn listen(&self, handles: &Handles<P>, waker: impl FnOnce() -> Waker) {
        let mut inside = self.lock();
        let waker = (handles.0.strong_count() > 0).then(waker);
        let before = std::mem::replace(&mut inside.device, waker);
        drop(inside);
        drop(before);
    }

    /// A way to wait for changes, those after this call.
    pub(crate) fn changes(self: &Arc<Self>) -> Changes<P::State> {
        let (id, seen) = self.watch();
        Changes {
            watched: Arc::<Self>::clone(self),
            id,
            seen,
        }
    }

    /// The firmware is gone, and the device's side does not change any more.
    pub(crate) fn leave(&self) {
        let mut inside = self.lock();
        inside.gone = true;
        let waker = inside.device.take();
        tell(inside);
        drop(waker);
    }
}

/// Wakes whoever waits for changes, without the lock.
fn tell<P>(mut inside: MutexGuard<'_, Inside<P>>) {
    let waiting = std::mem::take(&mut inside.waiting);
    drop(inside);
    waiting.into_values().for_each(Waker::wake);
}

/// What the clones of a user's handle share. Once none is left, nobody can wake the device any more.
#[derive(Debug)]
pub(crate) struct Held<P: Panel>(Arc<Shared<P>>);

impl<P: Panel> Held<P> {
    pub(crate) fn shared(&self) -> &Arc<Shared<P>> {
        &self.0
    }

    /// Does something at the panel, which tells whether the device has something to do by it, and wakes the device then.
    pub(crate) fn act<T>(&self, action: impl FnOnce(&mut P) -> (bool, T)) -> T {
        let (wake, answer) = self.0.change(action);
        if wake {
            let device = self.0.lock().device.clone();
            if let Some(device) = device {
                device.wake();
            }
        }
        answer
    }

    /// A way to wait for changes, those after this call.
    pub(crate) fn changes(&self) -> Changes<P::State> {
        self.0.changes()
    }
}

impl<P: Panel> Drop for Held<P> {
    fn drop(&mut self) {
        let waker = self.0.lock().device.take();
        drop(waker);
    }
}

/// A device's handles, as the firmware knows them: it does not keep them alive.
#[derive(Debug)]
pub(crate) struct Handles<P: Panel>(Weak<Held<P>>);

impl<P: Panel> Default for Handles<P> {
    fn default() -> Self {
        Self(Weak::new())
    }
}

impl<P: Panel> Handles<P> {
    /// What a new handle is made of.
    pub(crate) fn held(&mut self, shared: &Arc<Shared<P>>) -> Arc<Held<P>> {
        self.0.upgrade().unwrap_or_else(|| {
            let held = Arc::new(Held(Arc::clone(shared)));
            self.0 = Arc::downgrade(&held);
            held
        })
    }
}

/// Waits for the changes of a device's state, as a handle's `changes` gives it. Several that come before one looks count as one.
///
/// It needs no runtime: [`poll_next`](Self::poll_next) keeps a waker, [`next`](Self::next) is a future for any executor. It does not
/// keep the device's handle: what was changed last is told once the device is gone, and then that it is.
pub struct Changes<S> {
    watched: Arc<dyn Watched<S>>,
    id: u64,
    /// The revision that was told last.
    seen: u64,
}

impl<S> Changes<S> {
    /// The state once it differs from what was told last; `None` once the device is gone. It may be dropped and called again
    /// without missing anything.
    pub async fn next(&mut self) -> Option<S> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next); the waker is woken at the next change.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<S>> {
        self.watched.poll_change(self.id, &mut self.seen, cx)
    }
}

impl<S> Drop for Changes<S> {
    fn drop(&mut self) {
        self.watched.forget(self.id);
    }
}

impl<S> fmt::Debug for Changes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

/// A panel of which one knows the state alone.
trait Watched<S>: Send + Sync {
    /// A new watcher's number, and the present revision.
    fn watch(&self) -> (u64, u64);
    fn poll_change(&self, id: u64, seen: &mut u64, cx: &mut Context<'_>) -> Poll<Option<S>>;
    fn forget(&self, id: u64);
}

impl<P: Panel> Watched<P::State> for Shared<P> {
    fn watch(&self) -> (u64, u64) {
        let mut inside = self.lock();
        inside.watchers += 1;
        (inside.watchers, inside.revision)
    }

    fn poll_change(&self, id: u64, seen: &mut u64, cx: &mut Context<'_>) -> Poll<Option<P::State>> {
        let mut inside = self.lock();
        if inside.revision != *seen {
            *seen = inside.revision;
            return Poll::Ready(Some(inside.panel.state()));
        }
        if inside.gone {
            return Poll::Ready(None);
        }
        let before = inside.waiting.insert(id, cx.waker().clone());
        drop(inside);
        drop(before);
        Poll::Pending
    }

    fn forget(&self, id: u64) {
        let waker = self.lock().waiting.remove(&id);
        drop(waker);
    }
}
