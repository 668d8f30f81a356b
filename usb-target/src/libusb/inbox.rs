//! What comes to a port from its other threads: transfers that have ended, requests that are done, the device's departure.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::{Duration, Instant},
};

use super::requests::Outcome;

/// What has happened.
#[derive(Debug)]
pub(super) enum Event {
    /// libusb has given the transfer of that number back.
    Returned(u64),
    /// The oldest request is done.
    Answered(Outcome),
    /// The device is unplugged.
    Gone,
}

/// A queue of events, which wakes the port's owner as it gets its first one.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    waker: Option<Waker>,
}

impl Inbox {
    /// Appends an event.
    pub(super) fn push(&self, event: Event) {
        let mut state = self.lock();
        let first = state.events.is_empty();
        state.events.push_back(event);
        if first {
            let waker = state.waker.clone();
            drop(state);
            self.filled.notify_one();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Takes every event, in order, into an empty queue.
    pub(super) fn take(&self, events: &mut VecDeque<Event>) {
        std::mem::swap(&mut self.lock().events, events);
    }

    /// Sets whom to wake; wakes them at once where there are events already.
    pub(super) fn set_waker(&self, waker: Waker) {
        let mut state = self.lock();
        let filled = (!state.events.is_empty()).then(|| waker.clone());
        let before = state.waker.replace(waker);
        // Wakers are woken and dropped when the lock is free: they may look into the inbox.
        drop(state);
        drop(before);
        filled.into_iter().for_each(Waker::wake);
    }

    /// Wakes nobody from now on.
    pub(super) fn forget_waker(&self) {
        let _waker = self.lock().waker.take();
    }

    /// Blocks until there is an event or the time has come; whether there is one.
    pub(super) fn wait_until(&self, deadline: Instant) -> bool {
        let limit = deadline.saturating_duration_since(Instant::now());
        let waited =
            self.filled
                .wait_timeout_while(self.lock(), limit.max(Duration::ZERO), |state| {
                    state.events.is_empty()
                });
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.events.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_owner_is_woken_once_until_it_has_looked() {
        let inbox = Inbox::default();
        let count = Arc::new(Count::default());
        let woken = || count.0.load(Ordering::Relaxed);
        inbox.push(Event::Returned(1));
        inbox.set_waker(count.clone().into());
        assert_eq!(woken(), 1, "what came before is not lost");
        inbox.push(Event::Returned(2));
        assert_eq!(woken(), 1);
        let mut events = VecDeque::new();
        inbox.take(&mut events);
        assert!(matches!(
            events.make_contiguous(),
            [Event::Returned(1), Event::Returned(2)]
        ));
        inbox.push(Event::Gone);
        assert_eq!(woken(), 2);
    }

    /// Looks into an inbox when it is woken.
    struct Looks(Arc<Inbox>, AtomicUsize);

    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            let mut events = VecDeque::new();
            self.0.take(&mut events);
            self.1.fetch_add(events.len(), Ordering::Relaxed);
        }
    }

    #[test]
    fn the_owner_may_look_into_it_as_it_is_woken() {
        let inbox = Arc::new(Inbox::default());
        let looks = Arc::new(Looks(Arc::clone(&inbox), AtomicUsize::new(0)));
        inbox.push(Event::Gone);
        inbox.set_waker(looks.clone().into());
        inbox.push(Event::Gone);
        assert_eq!(looks.1.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn waiting_ends_with_an_event_or_in_time() {
        let inbox = Inbox::default();
        assert!(!inbox.wait_until(Instant::now()));
        inbox.push(Event::Gone);
        assert!(inbox.wait_until(Instant::now()));
    }
}
