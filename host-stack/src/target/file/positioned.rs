//! Files and disks, which make whoever reads them wait: a thread does so.

use std::{
    collections::VecDeque,
    ops::ControlFlow,
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
};

use rustix::io::{Errno, pread, pwrite};

use super::{
    FileKind,
    errors::status_of,
    information::{query, set},
    operation::{Ended, Kind, Operation, PIECE, make_room},
    refuses, refuses_type,
};
use crate::{
    request::{Parameters, format::Format, irp::Irp},
    scheduler::{Job, Scheduler},
    status::NtStatus,
    target::Backend,
};

/// Does the requests for a file, one after the other.
pub(super) struct Positioned(Arc<Shared>);

struct Shared {
    scheduler: Weak<Scheduler>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// `None` once the target is closed.
    descriptor: Option<Arc<OwnedFd>>,
    waiting: VecDeque<Operation>,
    /// What the thread does.
    current: Option<Current>,
    /// What is to be told.
    ended: Vec<Ended>,
    has_thread: bool,
}

struct Current {
    irp: Arc<Irp>,
    is_canceled: bool,
}

impl Positioned {
    pub(super) fn new(scheduler: &Arc<Scheduler>, descriptor: Arc<OwnedFd>) -> Self {
        Self(Arc::new(Shared {
            scheduler: Arc::downgrade(scheduler),
            state: Mutex::new(State {
                descriptor: Some(descriptor),
                waiting: VecDeque::new(),
                current: None,
                ended: Vec::new(),
                has_thread: false,
            }),
            changed: Condvar::new(),
        }))
    }

    /// Hands an operation to the thread; gives it back where there is none.
    fn hand_over(&self, operation: Operation) -> Result<(), (Operation, NtStatus)> {
        let mut state = self.0.state();
        if state.descriptor.is_none() {
            return Err((operation, NtStatus::INVALID_DEVICE_STATE));
        }
        if !state.has_thread {
            let shared = Arc::clone(&self.0);
            let builder = thread::Builder::new().name("host-stack file".to_owned());
            if let Err(error) = builder.spawn(move || shared.work()) {
                tracing::warn!("no thread can be made for a file: {error}");
                return Err((operation, NtStatus::INSUFFICIENT_RESOURCES));
            }
            state.has_thread = true;
        }
        state.waiting.push_back(operation);
        drop(state);
        self.0.changed.notify_one();
        Ok(())
    }
}

impl Backend for Positioned {
    fn refuses(&self, format: &Format) -> Option<NtStatus> {
        refuses(format)
    }

    fn refuses_current(&self, parameters: &Parameters) -> Option<NtStatus> {
        refuses_type(parameters)
    }

    fn start(&self, irp: &Arc<Irp>) {
        let operation = match Operation::of(irp) {
            Ok(operation) => operation,
            Err(status) => return irp.ended(status.into()),
        };
        if operation.moves_nothing() {
            return operation.ended(NtStatus::SUCCESS).tell();
        }
        if let Err((operation, status)) = self.hand_over(operation) {
            operation.ended(status).tell();
        }
    }

    fn cancel(&self, irp: &Arc<Irp>) {
        let mut state = self.0.state();
        let place = state
            .waiting
            .iter()
            .position(|it| Arc::ptr_eq(&it.irp, irp));
        let waiting = place.and_then(|place| state.waiting.remove(place));
        if let Some(current) = &mut state.current {
            current.is_canceled |= Arc::ptr_eq(&current.irp, irp);
        }
        drop(state);
        if let Some(operation) = waiting {
            operation.ended(NtStatus::CANCELLED).tell();
        }
    }

    fn takes_forgotten(&self) -> bool {
        false
    }

    fn closed(&self) {
        let mut state = self.0.state();
        let descriptor = state.descriptor.take();
        let waiting = std::mem::take(&mut state.waiting);
        let current = state.current.take();
        drop(state);
        self.0.changed.notify_one();
        drop(descriptor);
        for operation in waiting {
            operation.ended(NtStatus::CANCELLED).tell();
        }
        if let Some(current) = current {
            current.irp.ended(NtStatus::CANCELLED.into());
        }
    }
}

impl Drop for Positioned {
    fn drop(&mut self) {
        self.closed();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the thread does, until the target is closed.
    fn work(self: &Arc<Self>) {
        while let Some((descriptor, operation)) = self.next() {
            let ended = operation.run(&descriptor, || self.is_canceled());
            drop(descriptor);
            let mut state = self.state();
            // Whoever closes the target meanwhile has told already.
            if state.current.take().is_none() {
                return;
            }
            state.ended.push(ended);
            drop(state);
            if let Some(scheduler) = self.scheduler.upgrade() {
                scheduler.post(None, Arc::clone(self) as Arc<dyn Job>);
            }
        }
    }

    fn next(&self) -> Option<(Arc<OwnedFd>, Operation)> {
        let mut state = self.state();
        loop {
            let descriptor = Arc::clone(state.descriptor.as_ref()?);
            if let Some(operation) = state.waiting.pop_front() {
                state.current = Some(Current {
                    irp: Arc::clone(&operation.irp),
                    is_canceled: false,
                });
                return Some((descriptor, operation));
            }
            drop(descriptor);
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn is_canceled(&self) -> bool {
        let state = self.state();
        state.current.as_ref().is_none_or(|it| it.is_canceled)
    }
}

impl Job for Shared {
    fn run(self: Arc<Self>) {
        let ended = std::mem::take(&mut self.state().ended);
        ended.into_iter().for_each(Ended::tell);
    }

    fn is_callback(&self) -> bool {
        false
    }
}

impl Operation {
    /// Does it, piece by piece as long as it is not cancelled.
    fn run(mut self, descriptor: &OwnedFd, is_canceled: impl Fn() -> bool) -> Ended {
        let room = self.room();
        let status = match &self.kind {
            Kind::Flush => rustix::fs::fsync(descriptor).map_err(status),
            Kind::Query { class, .. } => {
                let answer = query(descriptor, FileKind::File, *class, room);
                return self.answered(answer);
            }
            Kind::Set { class, information } => {
                set(descriptor, FileKind::File, *class, information)
            }
            Kind::Read { .. } | Kind::Write { .. } => loop {
                if is_canceled() {
                    break Err(NtStatus::CANCELLED);
                }
                if let ControlFlow::Break(ended) = self.step(descriptor) {
                    break ended;
                }
            },
        };
        self.ended(status.err().unwrap_or(NtStatus::SUCCESS))
    }

    /// Moves a piece.
    fn step(&mut self, descriptor: &OwnedFd) -> ControlFlow<Result<(), NtStatus>> {
        let wanted = self.room();
        let (moved, whole) = match &mut self.kind {
            Kind::Read { offset, room, .. } => {
                let end = wanted.min(self.moved + PIECE);
                if let Err(status) = make_room(room, end) {
                    return ControlFlow::Break(Err(status));
                }
                let at = offset.saturating_add(self.moved as u64);
                (pread(descriptor, &mut room[self.moved..], at), wanted)
            }
            Kind::Write { data, offset } => {
                let end = data.len().min(self.moved + PIECE);
                let at = offset.saturating_add(self.moved as u64);
                (pwrite(descriptor, &data[self.moved..end], at), data.len())
            }
            _ => return ControlFlow::Break(Ok(())),
        };
        match moved {
            Ok(0) if self.moved == 0 && self.is_read() => {
                ControlFlow::Break(Err(NtStatus::END_OF_FILE))
            }
            Ok(0) if self.is_read() => ControlFlow::Break(Ok(())),
            // A disk takes nothing behind its end.
            Ok(0) => ControlFlow::Break(Err(NtStatus::DISK_FULL)),
            Ok(more) => {
                self.moved += more;
                match self.moved == whole {
                    true => ControlFlow::Break(Ok(())),
                    false => ControlFlow::Continue(()),
                }
            }
            Err(Errno::INTR) => ControlFlow::Continue(()),
            Err(_) if self.is_read() && self.moved > 0 => ControlFlow::Break(Ok(())),
            Err(errno) => ControlFlow::Break(Err(status(errno))),
        }
    }
}

fn status(errno: Errno) -> NtStatus {
    status_of(errno, FileKind::File)
}
