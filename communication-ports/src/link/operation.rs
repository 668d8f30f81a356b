//! An operation of a connection, as a future, and as a call that blocks.

use std::{
    sync::Arc,
    task::{Poll, Wake, Waker},
    thread::{self, Thread},
    time::Instant,
};

use usbwright_target::Clock;

use super::{Core, Lead, Link};

/// What an operation does with its connection's core.
pub trait Call {
    /// The core.
    type Core: Core;
    /// How it ends, for the core.
    type Raw;
    /// How it ends.
    type Output;

    /// Begins it.
    fn begin(&mut self, core: &mut Self::Core, clock: &Clock);

    /// How it has ended, once.
    fn take(&mut self, core: &mut Self::Core) -> Option<Self::Raw>;

    /// Makes of that what the caller gets; the core is not locked meanwhile.
    fn settle(&mut self, raw: Self::Raw) -> Self::Output;

    /// Has `waker` woken when it ends.
    fn watch(&self, core: &mut Self::Core, waker: &Waker);

    /// Nobody wants to know how it ends.
    fn abandon(&mut self, core: &mut Self::Core);

    /// When it ends by itself, once it has begun.
    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// An operation that begins when it is first polled, waited for, or [started](Self::start).
pub struct Operation<A: Call> {
    link: Arc<Link<A::Core>>,
    call: A,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    UnderWay,
    Over,
}

impl<A: Call> Operation<A> {
    /// Of a connection.
    pub fn new(link: &Arc<Link<A::Core>>, call: A) -> Self {
        Self {
            link: Arc::clone(link),
            call,
            stage: Stage::New,
        }
    }

    /// Begins it now.
    pub fn start(&mut self) {
        self.begin(None);
        if let Some(deadline) = self.call.deadline() {
            self.link.schedule(deadline);
        }
    }

    /// What it is.
    pub fn call(&self) -> &A {
        &self.call
    }

    /// The connection.
    pub fn link(&self) -> &Arc<Link<A::Core>> {
        &self.link
    }

    /// What it is, to be changed before it begins.
    pub fn call_mut(&mut self) -> &mut A {
        &mut self.call
    }

    /// Begins it, if it has not begun yet; whoever blocks for it leads if that can be.
    fn begin(&mut self, lead: Option<&mut Option<Lead>>) {
        let new = self.stage == Stage::New;
        self.stage = Stage::UnderWay;
        let manual = self.link.is_manual();
        self.link.with(|state| {
            if let Some(lead) = lead {
                state.try_lead(lead, manual);
            }
            if new {
                self.call.begin(&mut state.core, &self.link.clock);
            }
        });
    }

    /// Blocks until it ends.
    pub fn wait(mut self) -> A::Output {
        if self.link.is_manual() {
            self.link.watch_alone();
        }
        let mut lead = None;
        let mut waker = None;
        loop {
            self.begin(Some(&mut lead));
            if let Some(output) = self.look(&mut lead, &mut waker) {
                self.stage = Stage::Over;
                return self.call.settle(output);
            }
            match &mut lead {
                Some(lead) => self.read(lead),
                None => self.park(),
            }
        }
    }

    /// How it has ended; otherwise, a thread that does not lead is woken when there is something to see.
    fn look(&mut self, lead: &mut Option<Lead>, waker: &mut Option<Waker>) -> Option<A::Raw> {
        let manual = self.link.is_manual();
        self.link.with(|state| {
            let output = self.call.take(&mut state.core);
            if output.is_some() {
                state.leave(lead.take());
                return output;
            }
            // Whoever led may have left since this thread began, when it did not follow yet.
            state.try_lead(lead, manual);
            if lead.is_none() {
                let waker = waker.get_or_insert_with(thread_waker);
                self.call.watch(&mut state.core, waker);
                state.follow(waker);
            }
            output
        })
    }

    /// Reads a packet, or waits for as long as the operation may take.
    fn read(&mut self, lead: &mut Lead) {
        let deadline = self.call.deadline();
        let left = deadline.map(|it| it.saturating_duration_since(Instant::now()));
        let waited = match left {
            Some(left) => lead.socket.wait(Some(left)),
            None => Ok(()),
        };
        let received = waited.and_then(|()| {
            let wait = left.is_none();
            lead.socket.receive(&mut lead.buffer, self.link.limit, wait)
        });
        self.link.with(|state| {
            self.link.take_in(state, received);
            if deadline.is_some_and(|it| it <= Instant::now()) {
                state.core.expire(Instant::now());
            }
        });
    }

    fn park(&self) {
        match self.call.deadline() {
            Some(deadline) if !self.link.is_manual() => {
                thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
                if deadline <= Instant::now() {
                    self.link.with(|state| state.core.expire(Instant::now()));
                }
            }
            _ => thread::park(),
        }
    }

    /// As a future's. It is not to be polled again once it was ready.
    pub fn poll(&mut self, waker: &Waker) -> Poll<A::Output> {
        assert!(self.stage != Stage::Over, "it is polled after it was ready");
        self.link.watch_alone();
        let new = self.stage == Stage::New;
        self.begin(None);
        let output = self.link.with(|state| {
            let output = self.call.take(&mut state.core);
            if output.is_none() {
                self.call.watch(&mut state.core, waker);
            }
            output
        });
        match output {
            Some(output) => {
                self.stage = Stage::Over;
                Poll::Ready(self.call.settle(output))
            }
            None => {
                if let Some(deadline) = self.call.deadline().filter(|_| new) {
                    self.link.schedule(deadline);
                }
                Poll::Pending
            }
        }
    }
}

impl<A: Call> Drop for Operation<A> {
    fn drop(&mut self) {
        if self.stage == Stage::UnderWay {
            self.link.with(|state| self.call.abandon(&mut state.core));
        }
    }
}

/// Wakes this thread from [`thread::park`].
pub fn thread_waker() -> Waker {
    struct Parked(Thread);

    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    Arc::new(Parked(thread::current())).into()
}

/// Makes a public future of an operation.
macro_rules! public_future {
    ($(#[$doc:meta])* $name:ident($call:ty) -> $output:ty;) => {
        $(#[$doc])*
        #[must_use = "it begins when it is waited for, polled or started"]
        pub struct $name(pub(crate) crate::link::Operation<$call>);

        impl $name {
            /// Blocks this thread until it ends. Not for use within a task, as its runtime's other tasks would wait as well.
            pub fn wait(self) -> $output {
                self.0.wait()
            }

            /// Begins it now, so that it goes on while this thread does something else.
            pub fn start(mut self) -> Self {
                self.0.start();
                self
            }
        }

        impl std::future::Future for $name {
            type Output = $output;

            fn poll(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<$output> {
                self.0.poll(context.waker())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use public_future;

#[cfg(test)]
mod tests;
