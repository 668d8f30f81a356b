//! Who waits for the device to go, though nothing of it is outstanding.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
};

use super::Engine;

/// Ends once the device is unplugged: see [`Device::gone`](crate::Device::gone).
///
/// It keeps the device open for as long as it is kept.
#[must_use = "a future does nothing unless it is polled"]
pub struct Gone {
    engine: Arc<Engine>,
    /// Its place among those that wait.
    place: Option<u64>,
}

/// Those that wait.
#[derive(Default)]
pub(super) struct Mourners {
    wakers: Vec<(u64, Waker)>,
    /// How many have waited.
    seen: u64,
    /// Whether whoever is outside tells of the device's end, too.
    is_watched: bool,
}

impl Mourners {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = Waker> {
        self.wakers.drain(..).map(|(_, waker)| waker)
    }

    /// Has somebody wait, and takes the waker out that was there before.
    fn enter(&mut self, place: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let mine = place.and_then(|place| self.wakers.iter_mut().find(|(it, _)| *it == place));
        if let Some((_, before)) = mine {
            return Some(std::mem::replace(before, waker));
        }
        self.seen += 1;
        *place = Some(self.seen);
        self.wakers.push((self.seen, waker));
        None
    }

    fn leave(&mut self, place: u64) -> Option<Waker> {
        let at = self.wakers.iter().position(|(it, _)| *it == place)?;
        Some(self.wakers.swap_remove(at).1)
    }
}

impl Gone {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            place: None,
        }
    }
}

impl Future for Gone {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { engine, place } = &mut *self;
        let waker = cx.waker().clone();
        // Wakers are dropped when the lock is free.
        let (polled, _before) = engine.with(|state| match state.port.is_connected() {
            true => (Poll::Pending, state.mourners.enter(place, waker)),
            false => (Poll::Ready(()), Some(waker)),
        });
        if polled.is_pending() {
            engine.watch();
        }
        polled
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let _waker = self.engine.with(|state| state.mourners.leave(place));
        }
    }
}

impl fmt::Debug for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gone").finish_non_exhaustive()
    }
}

/// What is outside has come to its end.
struct Ended(Weak<Engine>);

impl Wake for Ended {
    fn wake(self: Arc<Self>) {
        if let Some(engine) = self.0.upgrade() {
            engine.look_for_end();
        }
    }
}

impl Engine {
    /// Has whoever is outside tell of the device's end, once and for all.
    fn watch(&self) {
        let Some(outside) = &self.outside else {
            return;
        };
        let watched = self.with(|state| std::mem::replace(&mut state.mourners.is_watched, true));
        if !watched {
            outside.watch(Waker::from(Arc::new(Ended(Weak::clone(&self.this)))));
        }
    }

    /// Has the port take what has come, and find its end behind that; where a thread waits outside, that thread does.
    fn look_for_end(&self) {
        let now = self.clock.read();
        while self.with(|state| {
            state.poll(now);
            state.port.is_connected() && !state.led
        }) {}
    }
}
