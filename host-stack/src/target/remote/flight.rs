//! Requests that are with another stack.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;

use super::core::Core;
use crate::{
    Io, IoOutcome, Window,
    request::{
        Parameters,
        format::{Asked, Format},
        irp::{Asker, Irp, Outcome},
    },
    scheduler::Job,
    stack::StackShared,
    status::NtStatus,
    target::Backend,
};

/// Has another stack do requests.
pub(super) struct Remote(pub(super) Arc<Core>);

/// A request that is with another stack.
pub(super) struct Flight {
    core: Weak<Core>,
    irp: Arc<Irp>,
    stack: Arc<StackShared>,
    /// The request that the other stack has, unless it was refused.
    theirs: Option<Arc<Irp>>,
    state: Mutex<Option<(Io, Option<Window>)>>,
}

impl Backend for Remote {
    fn refuses(&self, format: &Format) -> Option<NtStatus> {
        match format {
            Format::Io { parameters, .. } => self.refuses_current(parameters),
            _ => Some(NtStatus::INVALID_DEVICE_REQUEST),
        }
    }

    fn refuses_current(&self, parameters: &Parameters) -> Option<NtStatus> {
        match parameters {
            // The target has a file of its own, which it opens and closes itself.
            Parameters::Create(_)
            | Parameters::Cleanup
            | Parameters::Close
            | Parameters::NoFormat => Some(NtStatus::INVALID_DEVICE_REQUEST),
            _ => None,
        }
    }

    fn start(&self, irp: &Arc<Irp>) {
        let mut body = irp.body();
        if body.has_ended() {
            return;
        }
        let asked = Asked::of(body.top());
        drop(body);
        match (asked, self.0.handle()) {
            (Some(asked), Some(handle)) => {
                let flight = Flight::begin(&self.0, irp, asked, &handle);
                self.0.fly(&flight);
                flight.run();
            }
            (None, _) => irp.ended(NtStatus::INVALID_DEVICE_REQUEST.into()),
            (_, None) => irp.ended(NtStatus::INVALID_DEVICE_STATE.into()),
        }
    }

    fn cancel(&self, irp: &Arc<Irp>) {
        let flights = self.0.flights();
        let flight = flights.iter().find(|it| Arc::ptr_eq(&it.irp, irp));
        if let Some((flight, theirs)) = flight.and_then(|it| Some((it, it.theirs.as_ref()?))) {
            let scheduler = flight.stack.scheduler();
            scheduler.hand_in(self.0.scheduler(), || theirs.cancel(Asker::Origin));
        }
    }

    fn beyond(&self, irp: &Arc<Irp>) -> Option<Arc<Irp>> {
        let flights = self.0.flights();
        let flight = flights.iter().find(|it| Arc::ptr_eq(&it.irp, irp))?;
        flight.theirs.clone()
    }

    fn takes_forgotten(&self) -> bool {
        false
    }

    fn closed(&self) {
        self.0.let_go();
        for flight in self.0.flights() {
            flight.give_up();
        }
    }
}

impl Flight {
    fn begin(core: &Arc<Core>, irp: &Arc<Irp>, asked: Asked, handle: &crate::Handle) -> Arc<Self> {
        let Asked {
            parameters,
            input,
            output,
        } = asked;
        let input = input.map_or_else(Bytes::new, |it| it.payload().into_bytes());
        let stack = Arc::clone(handle.stack());
        let io = stack
            .scheduler()
            .hand_in(core.scheduler(), || handle.ask(parameters, input));
        Arc::new(Self {
            core: Arc::downgrade(core),
            irp: Arc::clone(irp),
            stack,
            theirs: io.irp(),
            state: Mutex::new(Some((io, output))),
        })
    }

    fn state(&self) -> MutexGuard<'_, Option<(Io, Option<Window>)>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it here, though the other stack may have it still: what that makes of it is of no account any more.
    fn give_up(self: Arc<Self>) {
        Arc::clone(&self).run();
        let given_up = self.state().take();
        if given_up.is_some() {
            self.end(NtStatus::CANCELLED.into());
        }
    }

    fn end(&self, outcome: Outcome) {
        if let Some(core) = self.core.upgrade() {
            core.land(self);
        }
        self.irp.ended(outcome);
    }

    /// How it has ended, if it has, and where what came is to be put.
    fn look(self: &Arc<Self>) -> Option<(IoOutcome, Option<Window>)> {
        let mut state = self.state();
        let waker = Waker::from(Arc::clone(self));
        let (io, _) = state.as_mut()?;
        let polled = Pin::new(io).poll(&mut Context::from_waker(&waker));
        let Poll::Ready(outcome) = polled else {
            return None;
        };
        let (io, window) = state.take()?;
        drop(state);
        drop(io);
        Some((outcome, window))
    }
}

impl Job for Flight {
    fn run(self: Arc<Self>) {
        let Some((outcome, window)) = self.look() else {
            return;
        };
        let IoOutcome {
            mut status,
            mut information,
            data,
        } = outcome;
        if let Some(window) = window.filter(|_| !data.is_empty())
            && let Err(error) = window.fill(data.into())
        {
            (status, information) = (error.status(), 0);
        }
        self.end(Outcome {
            status,
            information,
            usb: None,
        });
    }

    fn is_callback(&self) -> bool {
        false
    }
}

impl Wake for Flight {
    fn wake(self: Arc<Self>) {
        if let Some(core) = self.core.upgrade() {
            let scheduler = Arc::clone(core.scheduler());
            scheduler.post(None, self);
        }
    }
}
