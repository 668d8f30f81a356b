//! The thread that drives a port where nobody else does: for tasks, which can't block, and for what is due at a time.

use std::{
    sync::{Arc, Weak},
    task::Waker,
    thread,
    time::{Duration, Instant},
};

use tracing::error;
use usbwright_protocol::Outside;

use super::{
    Engine,
    bell::Bell,
    state::{Driving, State},
};

/// An engine's thread, which begins when it is first needed.
#[derive(Debug)]
pub(super) struct Driver(Arc<Bell>);

/// What the thread does next.
enum Step {
    Sleep(Option<Duration>),
    Lead(Arc<dyn Outside>, Option<Duration>),
}

impl Driver {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Wakes the thread as the port has something to do.
    pub(super) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    /// Ends the thread.
    pub(super) fn end(&self) {
        self.0.end();
    }

    /// Sees to it that the thread does what has become necessary.
    pub(super) fn arrange(&self, engine: &Engine, state: &mut State) {
        let due = match engine.clock.is_manual() {
            true => None,
            false => state.deadline(),
        };
        let leads = state.needs_leader();
        let listens = engine.outside.is_none() && state.port.may_wake();
        if due.is_none() && !leads && !listens {
            return;
        }
        if !self.0.has_thread() {
            return self.begin(engine, state);
        }
        let earlier = |until: Option<Instant>| match (due, until) {
            (Some(due), Some(until)) => due < until,
            (Some(_), None) => true,
            (None, _) => false,
        };
        match state.driver {
            Driving::Asleep(until) if leads || earlier(until) => {
                state.driver = Driving::Awake;
                self.0.unpark();
            }
            Driving::Outside(until) if earlier(until) => {
                state.driver = Driving::Outside(due);
                if let Some(outside) = &engine.outside {
                    outside.interrupt();
                }
            }
            _ => {}
        }
    }

    fn begin(&self, engine: &Engine, state: &mut State) {
        let bell = Arc::clone(&self.0);
        let this = Weak::clone(&engine.this);
        let builder = thread::Builder::new().name("usb-target".to_owned());
        let spawned = builder.spawn(move || run(&this, &bell));
        match spawned {
            Ok(thread) => {
                state.driver = Driving::Awake;
                // It may have done so itself already.
                self.0.wakes(thread.thread().clone());
            }
            Err(error) => {
                error!("transfers may hang, as no thread can be made to drive them: {error}");
            }
        }
    }
}

fn run(engine: &Weak<Engine>, bell: &Bell) {
    // From here on it can be woken.
    bell.wakes(thread::current());
    while !bell.has_ended() {
        let Some(step) = engine.upgrade().map(|engine| engine.step(bell)) else {
            return;
        };
        match step {
            Step::Sleep(None) => thread::park(),
            Step::Sleep(Some(time)) => thread::park_timeout(time),
            Step::Lead(outside, time) => {
                outside.wait(time);
                if let Some(engine) = engine.upgrade() {
                    engine.end_lead();
                }
            }
        }
    }
}

impl Engine {
    /// Does what is due, and tells what the driver does next.
    fn step(&self, bell: &Bell) -> Step {
        let rung = bell.take();
        let due = self.state().deadline();
        let now = self.now();
        let manual = self.clock.is_manual();
        if rung || !manual && due.is_some_and(|due| due <= now) {
            self.drive();
        }
        self.with(|state| {
            let due = state.deadline().filter(|_| !manual);
            let time = due.map(|due| due.saturating_duration_since(now));
            match &self.outside {
                Some(outside) if state.needs_leader() => {
                    state.led = true;
                    state.driver = Driving::Outside(due);
                    Step::Lead(Arc::clone(outside), time)
                }
                _ => {
                    state.driver = Driving::Asleep(due);
                    state.pass_lead();
                    Step::Sleep(time)
                }
            }
        })
    }

    /// A thread has waited outside: what came is handed out. Tells whether other threads would wait there, too.
    pub(super) fn end_lead(&self) -> bool {
        let now = self.clock.read();
        self.with(|state| {
            state.led = false;
            if let Driving::Outside(_) = state.driver {
                state.driver = Driving::Awake;
            }
            state.poll(now);
            !state.followers.is_empty()
        })
    }
}
