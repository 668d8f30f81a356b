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
    future: ReusableBoxFuture<'static, Completion>,
    irp: Option<Arc<Irp>>,
    /// Where what comes is put.
    window: Option<Window>,
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
        let flight = spare.unwrap_or_else(|| {
            Arc::new(Flight {
                scheduler: Weak::clone(&self.scheduler),
                lists: Arc::downgrade(&self.lists),
                cancelled: Arc::default(),
                state: Mutex::new(State {
                    future: ReusableBoxFuture::new(pending()),
                    irp: None,
                    window: None,
                }),
            })
        });
        let mut state = lock(&flight.state);
        flight.cancelled.store(false, Ordering::Release);
        state
            .future
            .set(transfer(Cancelled(Arc::clone(&flight.cancelled))));
        state.irp = Some(Arc::clone(irp));
        state.window = window;
        drop(state);
        lock(&self.lists).flying.push(Arc::clone(&flight));
        flight.run();
    }

    /// Takes a request back, which ends soon, and tells what had moved.
    pub(super) fn cancel(&self, irp: &Arc<Irp>) {
        let flight = lock(&self.lists)
            .flying
            .iter()
            .find(|it| it.is_of(irp))
            .cloned();
        if let Some(flight) = flight {
            flight.cancel(irp);
        }
    }
}

impl Flight {
    fn is_of(&self, irp: &Arc<Irp>) -> bool {
        let state = lock(&self.state);
        state.irp.as_ref().is_some_and(|it| Arc::ptr_eq(it, irp))
    }

    /// Has its transfer taken back, unless it has ended meanwhile, and another flies.
    fn cancel(self: &Arc<Self>, irp: &Arc<Irp>) {
        let state = lock(&self.state);
        let flies = state.irp.as_ref().is_some_and(|it| Arc::ptr_eq(it, irp));
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
        if state.irp.is_none() {
            return;
        }
        let Poll::Ready(completion) = state.future.poll(cx) else {
            return;
        };
        let (irp, window) = (state.irp.take(), state.window.take());
        state.future.set(pending());
        drop(state);
        if let Some(lists) = self.lists.upgrade() {
            let mut lists = lock(&lists);
            lists.flying.retain(|it| !Arc::ptr_eq(it, self));
            if lists.spare.len() < SPARE {
                lists.spare.push(Arc::clone(self));
            }
        }
        if let Some(irp) = irp {
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
