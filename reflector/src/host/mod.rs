//! A host's end: it submits what the reflector sends to a stack, and replies.

pub(crate) mod desk;
mod opening;
mod replies;
mod request;

use std::{
    collections::HashMap,
    fmt, io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::{self, JoinHandle},
};

use thiserror::Error;
use usbwright_host_stack::{
    Handle, Io, IoOutcome, Opening, Stack,
    status::{NtStatus, Win32Error},
};
use usbwright_ports::{
    Violation,
    parts::{Received, Socket},
};

use self::{
    desk::{Asked, Desk},
    replies::Replies,
};
use crate::{
    region::Mapping,
    wire::{HEADER_SIZE, Header, PACKET_SIZE, Part, Way, kind, one_descriptor},
};

/// A stack that is served to a reflector. Dropped, it is served no more: what is outstanding is cancelled, and what is open closed.
///
/// One thread reads requests and submits them, and goes on with the stack as an application in this process would; another reads cancels. Replies are sent by whichever
/// thread ends a request, which waits where the reflector does not read: a driver in its callback may be made to wait so, and nobody else. Where several requests have come by one packet,
/// replies wait for each other for 50 µs; a third thread sees to it that a driver that blocks in a callback does not hold up replies to the requests before it.
#[must_use = "the stack is served for as long as this is there"]
pub struct Serving {
    server: Arc<Server>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a stack is served no more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServingEnded {
    /// The reflector has closed its end, or was killed.
    #[error("the reflector has closed its end")]
    ByReflector,
    /// This end was closed.
    #[error("this end was closed")]
    Closed,
    /// What was to be the reflector broke the protocol.
    #[error("what came is not from a reflector: {0}")]
    Violation(Violation),
    /// A socket failed.
    #[error("the socket failed: {0}")]
    Socket(io::ErrorKind),
}

struct Server {
    stack: Stack,
    data: Socket,
    replies: Replies,
    cancel: Socket,
    state: Mutex<State>,
    ended: OnceLock<ServingEnded>,
}

#[derive(Default)]
struct State {
    desk: Desk,
    files: HashMap<u64, File>,
    requests: HashMap<u64, Pending>,
}

/// A file that an application has open here.
#[derive(Default)]
struct File {
    /// None while it is being opened.
    handle: Option<Handle>,
    regions: HashMap<u32, Arc<Mapping>>,
}

/// A request that the stack has.
enum Pending {
    Opening {
        opening: Opening,
        file: u64,
    },
    Io {
        io: Io,
        /// Where what it brings goes.
        to: Output,
    },
}

/// Where what a request brings goes.
#[derive(Clone, Default)]
enum Output {
    /// Into the reply.
    #[default]
    Reply,
    /// Into a region.
    Region(Arc<Mapping>, Part),
}

impl Serving {
    /// Serves `stack` by a host's ends of its channels.
    ///
    /// # Errors
    /// Where the system has no thread for it.
    pub fn start(stack: Stack, data: OwnedFd, cancel: OwnedFd) -> io::Result<Self> {
        let server = Arc::new(Server {
            stack,
            data: data.into(),
            replies: Replies::new(),
            cancel: cancel.into(),
            state: Mutex::default(),
            ended: OnceLock::new(),
        });
        let mut serving = Self {
            server: Arc::clone(&server),
            threads: Vec::new(),
        };
        let its = Arc::clone(&server);
        serving.spawn("replies", move || its.replies.guard(&its.data))?;
        let its = Arc::clone(&server);
        serving.spawn("requests", move || its.read_requests())?;
        serving.spawn("cancels", move || server.read_cancels())?;
        Ok(serving)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Why the stack is served no more, once that is so.
    pub fn ended(&self) -> Option<&ServingEnded> {
        self.server.ended.get()
    }

    /// Waits until the reflector closes its end, and lets go of all that was open. It is not to be called within a driver's callback.
    pub fn wait(mut self) -> ServingEnded {
        self.join();
        self.server
            .ended
            .get()
            .cloned()
            .unwrap_or(ServingEnded::Closed)
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.server.end(ServingEnded::Closed);
        self.join();
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("ended", &self.ended())
            .finish_non_exhaustive()
    }
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, why: ServingEnded) {
        if let ServingEnded::Violation(violation) = &why {
            tracing::error!(%violation, "what sends requests is no reflector");
        }
        let _ = self.ended.set(why);
        self.data.shut_down();
        self.cancel.shut_down();
        self.replies.end();
    }

    /// Reads requests until there is no reflector, and lets go of all then.
    fn read_requests(self: &Arc<Self>) {
        let mut buffer = vec![0; PACKET_SIZE];
        let why = loop {
            match self.read_request(&mut buffer) {
                Ok(()) => {}
                Err(why) => break why,
            }
        };
        self.end(why);
        let mut state = self.state();
        let files = std::mem::take(&mut state.files);
        let requests = std::mem::take(&mut state.requests);
        drop(state);
        // The drivers are told that the files are closed, and what is outstanding is cancelled by that.
        drop(files);
        drop(requests);
    }

    fn read_request(self: &Arc<Self>, buffer: &mut [u8]) -> Result<(), ServingEnded> {
        let mut descriptors = Vec::new();
        let length = received(self.data.receive_into(buffer, &mut descriptors, true))?;
        let Some(length) = length else {
            return Ok(());
        };
        let packet = &buffer[..length];
        let (header, payload, behind) = Header::first(packet, Way::ToHost)?;
        if behind.is_empty() {
            return self.take(&header, payload, descriptors);
        }
        self.replies.hold();
        let taken = self.take_all(packet, descriptors);
        self.replies.release(&self.data);
        taken
    }

    /// Does what each message asks for. A descriptor goes with the last one.
    fn take_all(
        self: &Arc<Self>,
        packet: &[u8],
        mut descriptors: Vec<OwnedFd>,
    ) -> Result<(), ServingEnded> {
        let mut others = packet;
        while !others.is_empty() {
            let (header, payload, behind) = Header::first(others, Way::ToHost)?;
            let its = match behind.is_empty() {
                true => std::mem::take(&mut descriptors),
                false => Vec::new(),
            };
            self.take(&header, payload, its)?;
            others = behind;
        }
        Ok(())
    }

    /// Does what a message asks for.
    fn take(
        self: &Arc<Self>,
        header: &Header,
        payload: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), ServingEnded> {
        let wanted = header.kind.get() == kind::REGION;
        let descriptor = one_descriptor(wanted, descriptors)?;
        let asked = self.state().desk.receive(header)?;
        match asked {
            Asked::Welcome => self.send(&Header::welcome(), &[]),
            Asked::Request { cancelled } => {
                self.begin(header, payload, descriptor);
                if cancelled {
                    self.take_back(header.request.get());
                }
            }
            Asked::Close { ends } => self.close(header.file.get(), ends),
        }
        Ok(())
    }

    fn read_cancels(self: &Arc<Self>) {
        let mut buffer = [0; HEADER_SIZE + 1];
        let why = loop {
            match self.read_cancel(&mut buffer) {
                Ok(()) => {}
                Err(why) => break why,
            }
        };
        self.end(why);
    }

    fn read_cancel(self: &Arc<Self>, buffer: &mut [u8]) -> Result<(), ServingEnded> {
        let mut descriptors = Vec::new();
        let length = received(self.cancel.receive_into(buffer, &mut descriptors, true))?;
        let Some(length) = length else {
            return Ok(());
        };
        let (header, _) = Header::open(&buffer[..length], Way::Cancel)?;
        one_descriptor(false, descriptors)?;
        let request = self.state().desk.cancel(&header)?;
        if let Some(request) = request {
            self.take_back(request);
        }
        Ok(())
    }

    /// Lets go of a file: its drivers are told, and what is outstanding is cancelled.
    fn close(self: &Arc<Self>, file: u64, ends: Option<u64>) {
        let mut state = self.state();
        let open = state.files.remove(&file);
        let is_its =
            |it: &Pending| matches!(it, Pending::Opening { file: its, .. } if *its == file);
        let openings = state.requests.iter().filter(|(_, it)| is_its(it));
        let openings: Vec<u64> = openings.map(|(number, _)| *number).collect();
        drop(state);
        drop(open);
        openings.into_iter().for_each(|it| self.take_back(it));
        if let Some(request) = ends {
            self.send(&Header::reply(request, NtStatus::SUCCESS, 0, 0), &[]);
        }
    }

    /// Tells how a request has ended.
    fn reply(&self, request: u64, outcome: &IoOutcome, to: &Output) {
        let information = outcome.information as u64;
        match to {
            Output::Region(mapping, part) => {
                let fits = outcome.data.len().min(part.length.get() as usize);
                let offset = usize::try_from(part.offset.get()).unwrap_or(usize::MAX);
                mapping.copy_in(offset, &outcome.data[..fits]);
                self.end_request(request, outcome.status, information, &[]);
            }
            Output::Reply => {
                self.end_request(request, outcome.status, information, &outcome.data);
            }
        }
    }

    /// A request is outstanding no more, and neither may be the one that closes its file.
    fn end_request(&self, request: u64, status: NtStatus, information: u64, data: &[u8]) {
        let header = Header::reply(request, status, information, data.len());
        self.send(&header, data);
        // What closes the file ends after all that was outstanding: so this is told of once the reply is on its way.
        let well = Win32Error::from_nt(status) == Win32Error::SUCCESS;
        let closed = self.state().desk.ended(request, well);
        if let Some(closed) = closed {
            self.send(&Header::reply(closed, NtStatus::SUCCESS, 0, 0), &[]);
        }
    }

    /// Sends a packet, at once or with those that follow.
    fn send(&self, header: &Header, payload: &[u8]) {
        self.replies.send(&self.data, header, payload);
    }
}

/// The length of what has come, if anything has.
fn received(received: io::Result<Received<usize>>) -> Result<Option<usize>, ServingEnded> {
    match received {
        Ok(Received::Packet(length)) => Ok(Some(length)),
        Ok(Received::Nothing) => Ok(None),
        Ok(Received::Violation(violation)) => Err(violation.into()),
        Ok(Received::End) => Err(ServingEnded::ByReflector),
        Err(error) => Err(ServingEnded::Socket(error.kind())),
    }
}

impl From<Violation> for ServingEnded {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}
