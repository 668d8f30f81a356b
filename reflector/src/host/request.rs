//! How a request is submitted to the stack, and what happens when it ends.

use std::{
    os::fd::OwnedFd,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use usbwright_host_stack::{ControlCode, Handle, OpenOptions, status::NtStatus};

use super::{File, Output, Pending, Server};
use crate::{
    region,
    wire::{Header, INLINE, Part, kind},
};

impl Server {
    /// Begins what is asked for.
    pub(super) fn begin(
        self: &Arc<Self>,
        header: &Header,
        payload: &[u8],
        descriptor: Option<OwnedFd>,
    ) {
        let done = match header.kind.get() {
            kind::OPEN => self.open(header, payload),
            kind::REGION => Err(self.map(header, descriptor)),
            kind::RELEASE => Err(self.unmap(header)),
            _ => self.submit(header, payload),
        };
        if let Err(status) = done {
            self.end_request(header.request.get(), status, 0, &[]);
        }
    }

    /// Maps a region: how that ends.
    fn map(&self, header: &Header, descriptor: Option<OwnedFd>) -> NtStatus {
        let Some(descriptor) = descriptor else {
            return NtStatus::INVALID_PARAMETER;
        };
        match region::open(descriptor, header.position.get()) {
            Ok(mapping) => {
                let mut state = self.state();
                let file = state.files.get_mut(&header.file.get());
                file.map(|it| it.regions.insert(header.output.region.get(), mapping));
                NtStatus::SUCCESS
            }
            Err(error) => {
                tracing::warn!(%error, "an application's memory can't be mapped");
                error.status()
            }
        }
    }

    fn unmap(&self, header: &Header) -> NtStatus {
        let mut state = self.state();
        let file = state.files.get_mut(&header.file.get());
        let mapping = file.and_then(|it| it.regions.remove(&header.output.region.get()));
        drop(state);
        match mapping {
            Some(_) => NtStatus::SUCCESS,
            None => NtStatus::INVALID_PARAMETER,
        }
    }

    /// Opens the device for an application. A name is text, or the file is not opened.
    fn open(self: &Arc<Self>, header: &Header, payload: &[u8]) -> Result<(), NtStatus> {
        let file = header.file.get();
        let name = std::str::from_utf8(payload).map_err(|_| NtStatus::INVALID_PARAMETER)?;
        let process = u32::try_from(header.position.get()).unwrap_or(0);
        let options = OpenOptions::new()
            .name(name)
            .access(header.code.get())
            .process(process);
        self.state().files.insert(file, File::default());
        let opening = self.stack.open(&options);
        self.keep(header.request.get(), Pending::Opening { opening, file });
        Ok(())
    }

    fn submit(self: &Arc<Self>, header: &Header, payload: &[u8]) -> Result<(), NtStatus> {
        let (handle, input, to) = self.parts(header, payload)?;
        let room = header.output.length.get() as usize;
        let position = header.position.get();
        let io = match header.kind.get() {
            kind::READ => handle.read_at(room, position),
            kind::WRITE => handle.write_at(input, position),
            kind::CONTROL => handle.control(ControlCode(header.code.get()), input, room),
            kind::FLUSH => handle.flush(),
            kind::QUERY => handle.query_information(header.code.get(), room),
            kind::SET => handle.set_information(header.code.get(), input),
            _ => return Err(NtStatus::INVALID_DEVICE_REQUEST),
        };
        drop(handle);
        let request = header.request.get();
        match io.has_ended() {
            true => self.reply(request, &io.wait(), &to),
            false => self.keep(request, Pending::Io { io, to }),
        }
        Ok(())
    }

    /// The file's handle, what is given, and where goes what comes.
    fn parts(&self, header: &Header, payload: &[u8]) -> Result<(Handle, Bytes, Output), NtStatus> {
        let state = self.state();
        let file = state.files.get(&header.file.get());
        let file = file.ok_or(NtStatus::INVALID_HANDLE)?;
        let handle = file.handle.clone().ok_or(NtStatus::INVALID_HANDLE)?;
        let input = match header.input.is_inline() {
            true => Bytes::copy_from_slice(payload),
            false => file.input(&header.input)?,
        };
        let to = file.output(&header.output)?;
        Ok((handle, input, to))
    }

    /// Keeps a request until it ends.
    fn keep(self: &Arc<Self>, request: u64, pending: Pending) {
        let waker = Waker::from(Arc::new(Ends {
            server: Arc::downgrade(self),
            request,
        }));
        let mut state = self.state();
        state.requests.insert(request, pending);
        drop(state);
        self.look(request, &waker);
    }

    /// Looks whether a request has ended, and tells so then; otherwise it is looked at again when it ends.
    fn look(&self, request: u64, waker: &Waker) {
        let mut state = self.state();
        let Some(pending) = state.requests.get_mut(&request) else {
            return;
        };
        let mut context = Context::from_waker(waker);
        match pending {
            Pending::Io { io, to } => {
                let Poll::Ready(outcome) = Pin::new(io).poll(&mut context) else {
                    return;
                };
                let to = std::mem::take(to);
                let ended = state.requests.remove(&request);
                drop(state);
                self.reply(request, &outcome, &to);
                drop(ended);
            }
            Pending::Opening { opening, file } => {
                let Poll::Ready(opened) = Pin::new(opening).poll(&mut context) else {
                    return;
                };
                let file = *file;
                let ended = state.requests.remove(&request);
                drop(state);
                drop(ended);
                self.opened(request, file, opened);
            }
        }
    }

    /// Asks for a request back.
    pub(super) fn take_back(self: &Arc<Self>, request: u64) {
        let mut state = self.state();
        match state.requests.get(&request) {
            Some(Pending::Io { io, .. }) => {
                let cancel = io.cancel_handle();
                drop(state);
                if let Some(cancel) = cancel {
                    cancel.cancel();
                }
            }
            Some(Pending::Opening { file, .. }) => {
                let file = *file;
                let opening = state.requests.remove(&request);
                state.files.remove(&file);
                drop(state);
                // What is opened all the same is closed by that.
                drop(opening);
                self.end_request(request, NtStatus::CANCELLED, 0, &[]);
            }
            None => {}
        }
    }
}

/// Looks at a request when it ends.
struct Ends {
    server: Weak<Server>,
    request: u64,
}

impl Wake for Ends {
    fn wake(self: Arc<Self>) {
        if let Some(server) = self.server.upgrade() {
            server.look(self.request, &Waker::from(self));
        }
    }
}

impl File {
    /// What a request gives, where it lies.
    fn input(&self, part: &Part) -> Result<Bytes, NtStatus> {
        let mapping = self.regions.get(&part.region.get());
        let mapping = mapping.ok_or(NtStatus::INVALID_PARAMETER)?;
        let range = range(part, mapping.len())?;
        Ok(match range.is_empty() {
            true => Bytes::new(),
            false => mapping.bytes(range),
        })
    }

    fn output(&self, part: &Part) -> Result<Output, NtStatus> {
        if part.is_inline() {
            return match part.length.get() as usize <= INLINE {
                true => Ok(Output::Reply),
                false => Err(NtStatus::INVALID_PARAMETER),
            };
        }
        let mapping = self.regions.get(&part.region.get());
        let mapping = mapping.ok_or(NtStatus::INVALID_PARAMETER)?;
        range(part, mapping.len())?;
        Ok(Output::Region(Arc::clone(mapping), *part))
    }
}

/// The bytes of a part, if a region of that length has them.
fn range(part: &Part, length: usize) -> Result<std::ops::Range<usize>, NtStatus> {
    let range = part.range();
    let [start, end] = [range.start, range.end].map(|it| usize::try_from(it).unwrap_or(usize::MAX));
    match start <= end && end <= length {
        true => Ok(start..end),
        false => Err(NtStatus::INVALID_PARAMETER),
    }
}
