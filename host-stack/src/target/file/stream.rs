//! Pipes, sockets and terminals: read and written without waiting, when a watcher says that there is something to be done.

use std::{
    collections::VecDeque,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use rustix::{
    event::PollFlags,
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use super::{
    FileKind,
    errors::status_of,
    information::{query, set},
    operation::{Ended, Kind, Operation, PIECE, make_room},
    refuses, refuses_type,
    watcher::Watcher,
};
use crate::{
    request::{Parameters, format::Format, irp::Irp},
    scheduler::{Job, Scheduler},
    status::NtStatus,
    target::Backend,
};

/// Does the requests for a descriptor that can be waited for.
pub(super) struct Stream(Arc<Shared>);

pub(super) struct Shared {
    kind: FileKind,
    scheduler: Weak<Scheduler>,
    state: Mutex<State>,
}

struct State {
    /// `None` once the target is closed.
    descriptor: Option<Arc<OwnedFd>>,
    reads: VecDeque<Operation>,
    /// Writes, and what comes after those before it.
    writes: VecDeque<Operation>,
    watcher: Option<Watcher>,
}

impl Stream {
    pub(super) fn new(
        scheduler: &Arc<Scheduler>,
        descriptor: Arc<OwnedFd>,
        kind: FileKind,
    ) -> Self {
        Self(Arc::new(Shared {
            kind,
            scheduler: Arc::downgrade(scheduler),
            state: Mutex::new(State {
                descriptor: Some(descriptor),
                reads: VecDeque::new(),
                writes: VecDeque::new(),
                watcher: None,
            }),
        }))
    }
}

impl Backend for Stream {
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
        let is_message = self.0.kind == FileKind::Message && !operation.is_read();
        if operation.moves_nothing() && !is_message {
            return operation.ended(NtStatus::SUCCESS).tell();
        }
        match self.0.take_in(operation) {
            Some(ended) => ended.tell(),
            None => self.0.go_on(),
        }
    }

    fn cancel(&self, irp: &Arc<Irp>) {
        let mut state = self.0.state();
        let place =
            |list: &VecDeque<Operation>| list.iter().position(|it| Arc::ptr_eq(&it.irp, irp));
        let operation = match (place(&state.reads), place(&state.writes)) {
            (Some(place), _) => state.reads.remove(place),
            (None, Some(place)) => state.writes.remove(place),
            (None, None) => None,
        };
        drop(state);
        if let Some(operation) = operation {
            operation.ended(NtStatus::CANCELLED).tell();
        }
    }

    fn takes_forgotten(&self) -> bool {
        false
    }

    fn closed(&self) {
        let mut state = self.0.state();
        let gone = (state.descriptor.take(), state.watcher.take());
        let reads = std::mem::take(&mut state.reads);
        let writes = std::mem::take(&mut state.writes);
        drop(state);
        drop(gone);
        for operation in reads.into_iter().chain(writes) {
            operation.ended(NtStatus::CANCELLED).tell();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.closed();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an operation in that may have to wait; how it ended otherwise.
    fn take_in(&self, operation: Operation) -> Option<Ended> {
        let mut state = self.state();
        let Some(descriptor) = &state.descriptor else {
            return Some(operation.ended(NtStatus::INVALID_DEVICE_STATE));
        };
        match &operation.kind {
            Kind::Read { .. } => state.reads.push_back(operation),
            Kind::Write { .. } | Kind::Flush => state.writes.push_back(operation),
            Kind::Query { .. } | Kind::Set { .. } => {
                let descriptor = Arc::clone(descriptor);
                drop(state);
                return operation.attempt(&descriptor, self.kind).ok();
            }
        }
        None
    }

    /// There may be something to be done.
    pub(super) fn is_ready(self: Arc<Self>) {
        if let Some(scheduler) = self.scheduler.upgrade() {
            scheduler.post(None, self);
        }
    }

    /// Does what can be done now, and has the rest watched.
    fn go_on(self: &Arc<Self>) {
        let mut ended = Vec::new();
        let mut state = self.state();
        let State {
            descriptor: Some(descriptor),
            reads,
            writes,
            watcher,
        } = &mut *state
        else {
            return;
        };
        for list in [&mut *reads, &mut *writes] {
            while let Some(operation) = list.pop_front() {
                match operation.attempt(descriptor, self.kind) {
                    Ok(it) => ended.push(it),
                    Err(blocked) => {
                        list.push_front(blocked);
                        break;
                    }
                }
            }
        }
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, !reads.is_empty());
        wanted.set(PollFlags::OUT, !writes.is_empty());
        if !wanted.is_empty()
            && let Err(error) = watcher_of(watcher, descriptor, self).map(|it| it.want(wanted))
        {
            tracing::warn!("a descriptor can't be waited for: {error}");
            let failed = reads.drain(..).chain(writes.drain(..));
            ended.extend(failed.map(|it| it.ended(NtStatus::INSUFFICIENT_RESOURCES)));
        }
        drop(state);
        ended.into_iter().for_each(Ended::tell);
    }
}

fn watcher_of<'a>(
    watcher: &'a mut Option<Watcher>,
    descriptor: &Arc<OwnedFd>,
    shared: &Arc<Shared>,
) -> std::io::Result<&'a Watcher> {
    match watcher {
        Some(watcher) => Ok(watcher),
        none => Ok(none.insert(Watcher::start(descriptor, shared)?)),
    }
}

impl Job for Shared {
    fn run(self: Arc<Self>) {
        self.go_on();
    }

    fn is_callback(&self) -> bool {
        false
    }
}

impl Operation {
    /// Does as much of it as can be done without waiting; gives it back where that is not all.
    fn attempt(mut self, descriptor: &OwnedFd, kind: FileKind) -> Result<Ended, Self> {
        let room = self.room();
        let status = match &self.kind {
            Kind::Read { .. } => self.read(descriptor, kind),
            Kind::Write { .. } => self.write(descriptor, kind),
            // What was written before is the system's already.
            Kind::Flush => Ok(NtStatus::SUCCESS),
            Kind::Query { class, .. } => {
                let answer = query(descriptor, kind, *class, room);
                return Ok(self.answered(answer));
            }
            Kind::Set { class, information } => Ok(set(descriptor, kind, *class, information)
                .err()
                .unwrap_or(NtStatus::SUCCESS)),
        };
        match status {
            Ok(status) => Ok(self.ended(status)),
            Err(Errno::AGAIN) => Err(self),
            Err(errno) => Ok(self.ended(status_of(errno, kind))),
        }
    }

    fn read(&mut self, descriptor: &OwnedFd, kind: FileKind) -> Result<NtStatus, Errno> {
        let wanted = match kind {
            FileKind::Message => self.room(),
            _ => self.room().min(PIECE),
        };
        let Kind::Read { room, .. } = &mut self.kind else {
            return Ok(NtStatus::SUCCESS);
        };
        if let Err(status) = make_room(room, wanted) {
            return Ok(status);
        }
        let there = loop {
            let there = match kind {
                FileKind::Message => {
                    let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
                    recv(descriptor, &mut room[..], flags).map(|(_, there)| there)
                }
                FileKind::Stream => {
                    recv(descriptor, &mut room[..], RecvFlags::DONTWAIT).map(|(_, there)| there)
                }
                _ => rustix::io::read(descriptor, &mut room[..]),
            };
            if there != Err(Errno::INTR) {
                break there?;
            }
        };
        self.moved = there.min(wanted);
        Ok(match kind {
            _ if there > wanted => NtStatus::BUFFER_OVERFLOW,
            FileKind::Pipe if there == 0 => NtStatus::PIPE_BROKEN,
            FileKind::Terminal | FileKind::Character if there == 0 => NtStatus::END_OF_FILE,
            _ => NtStatus::SUCCESS,
        })
    }

    fn write(&mut self, descriptor: &OwnedFd, kind: FileKind) -> Result<NtStatus, Errno> {
        let Kind::Write { data, .. } = &self.kind else {
            return Ok(NtStatus::SUCCESS);
        };
        // However fast the other side is, whoever runs the stack has other things to do as well.
        let end = match kind {
            FileKind::Message => data.len(),
            _ => data.len().min(self.moved + PIECE),
        };
        loop {
            let rest = &data[self.moved..end];
            let taken = match kind.is_socket() {
                true => send(descriptor, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
                false => rustix::io::write(descriptor, rest),
            };
            match taken {
                Ok(taken) => self.moved += taken,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            }
            if self.moved == end {
                break;
            }
        }
        match end == data.len() {
            true => Ok(NtStatus::SUCCESS),
            false => Err(Errno::AGAIN),
        }
    }
}
