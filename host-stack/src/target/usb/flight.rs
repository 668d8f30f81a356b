//! Requests that are on their way on the bus.

use std::{
    future::pending,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use tokio_util::sync::ReusableBoxFuture;
use usbwright_target::{Completion, TransferError, protocol::Status};

use crate::{
    Window,
    request::irp::{Irp, Outcome},
    scheduler::{Job, Scheduler},
    status::{NtStatus, UsbdStatus},
};

/// Flights that are kept to be used again.
const SPARE: usize = 64;

/// The requests of one target that are on their way, and what was used for others before.
pub(super) struct Flights {
    scheduler: Weak<Scheduler>,
    lists: Arc<Mutex<Lists>>,
}

#[derive(Default)]
struct Lists {
    flying: Vec<Arc<Flight>>,
    spare: Vec<Arc<Flight>>,
}

/// A request that is on its way.
struct Flight {
    scheduler: Weak<Scheduler>,
    lists: Weak<Mutex<Lists>>,
    cancelled: Arc<AtomicBool>,
    state: Mutex<State>,
}

/// Ends once a request is taken back. Whoever takes it back polls it.
pub(super) struct Cancelled(Arc<AtomicBool>);

impl Future for Cancelled {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

struct State {
    /// The transfer, or one that has ended, whose room the next one takes.
    future: ReusableBoxFuture<'static, Completion>,
    /// Whose transfer it is, and where what comes is put.
    flying: Option<(Arc<Irp>, Option<Window>)>,
}

impl State {
    fn is_of(&self, irp: &Arc<Irp>) -> bool {
        let flying = self.flying.as_ref();
        flying.is_some_and(|(it, _)| Arc::ptr_eq(it, irp))
    }
}

impl Lists {
    /// Keeps a flight for another request.
    fn keep(&mut self, flight: Arc<Flight>) {
        if self.spare.len() < SPARE {
            self.spare.push(flight);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Flights {
    pub(super) fn new(scheduler: &Arc<Scheduler>) -> Self {
        Self {
            scheduler: Arc::downgrade(scheduler),
            lists: Arc::default(),
        }
    }

    /// Begins with a request: its transfer, which is to end soon once it is taken back, is done on the bus, and what it brings is put into `window`.
    pub(super) fn start<T: Future<Output = Completion> + Send + 'static>(
        &self,
        irp: &Arc<Irp>,
        window: Option<Window>,
        transfer: impl FnOnce(Cancelled) -> T,
    ) {
        let spare = lock(&self.lists).spare.pop();
        let flight = spare.unwrap_or_else(|| self.flight());
        let waker = Waker::from(Arc::clone(&flight));
        let mut state = lock(&flight.state);
        flight.cancelled.store(false, Ordering::Release);
        let cancelled = Cancelled(Arc::clone(&flight.cancelled));
        state.future.set(transfer(cancelled));
        match state.future.poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(completion) => {
                drop(state);
                lock(&self.lists).keep(flight);
                irp.ended(outcome(completion, window.as_ref()));
            }
            Poll::Pending => {
                state.flying = Some((Arc::clone(irp), window));
                lock(&self.lists).flying.push(Arc::clone(&flight));
            }
        }
    }

    fn flight(&self) -> Arc<Flight> {
        Arc::new(Flight {
            scheduler: Weak::clone(&self.scheduler),
            lists: Arc::downgrade(&self.lists),
            cancelled: Arc::default(),
            state: Mutex::new(State {
                future: ReusableBoxFuture::new(pending()),
                flying: None,
            }),
        })
    }

    /// Takes a request back, which ends soon, and tells what had moved.
    pub(super) fn cancel(&self, irp: &Arc<Irp>) {
        let flying = lock(&self.lists).flying.clone();
        let flight = flying.iter().find(|it| lock(&it.state).is_of(irp));
        if let Some(flight) = flight {
            flight.cancel(irp);
        }
    }
}

impl Flight {
    /// Has its transfer taken back, unless it has ended meanwhile, and another flies.
    fn cancel(self: &Arc<Self>, irp: &Arc<Irp>) {
        let state = lock(&self.state);
        let flies = state.is_of(irp);
        if flies {
            self.cancelled.store(true, Ordering::Release);
        }
        drop(state);
        if flies {
            Arc::clone(self).run();
        }
    }

    /// Looks whether its transfer has ended, and ends the request then.
    fn poll(self: &Arc<Self>, cx: &mut Context<'_>) {
        let mut state = lock(&self.state);
        if state.flying.is_none() {
            return;
        }
        let Poll::Ready(completion) = state.future.poll(cx) else {
            return;
        };
        let flown = state.flying.take();
        drop(state);
        if let Some(lists) = self.lists.upgrade() {
            let mut lists = lock(&lists);
            lists.flying.retain(|it| !Arc::ptr_eq(it, self));
            lists.keep(Arc::clone(self));
        }
        if let Some((irp, window)) = flown {
            irp.ended(outcome(completion, window.as_ref()));
        }
    }
}

impl Job for Flight {
    fn run(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        self.poll(&mut Context::from_waker(&waker));
    }
}

impl Wake for Flight {
    fn wake(self: Arc<Self>) {
        if let Some(scheduler) = self.scheduler.upgrade() {
            scheduler.post(None, self);
        }
    }
}

/// What a driver is told of a transfer; what came is put where it belongs.
fn outcome(completion: Completion, window: Option<&Window>) -> Outcome {
    let usb = completion.status();
    let mut status = match &completion.error {
        None => NtStatus::SUCCESS,
        Some(error) => status_of(error),
    };
    let Completion { length, data, .. } = completion;
    if let Some(window) = window.filter(|_| !data.is_empty())
        && let Err(error) = window.fill(data)
    {
        status = error.status();
    }
    Outcome {
        status,
        information: length,
        usb,
    }
}

/// The `NTSTATUS` of what went wrong with a transfer.
pub(super) fn status_of(error: &TransferError) -> NtStatus {
    match error {
        TransferError::Usb(Status::TimedOut) => NtStatus::IO_TIMEOUT,
        TransferError::Usb(status) => NtStatus::from_usbd(UsbdStatus::from(*status)),
        TransferError::Stale(_) | TransferError::Reading(_) => NtStatus::INVALID_DEVICE_STATE,
        TransferError::Direction { .. } | TransferError::Type { .. } => {
            NtStatus::INVALID_DEVICE_REQUEST
        }
        TransferError::NotWholePackets { .. } => NtStatus::INVALID_BUFFER_SIZE,
        _ => NtStatus::INVALID_PARAMETER,
    }
}
