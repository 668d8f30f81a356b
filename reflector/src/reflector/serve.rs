//! The thread of an application's connection: it reads requests and sends them to the host at once, takes cancels there, and waits for room where there is none.

use std::{
    collections::VecDeque,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use usbwright_host_stack::status::NtStatus;
use usbwright_ports::{
    Violation,
    parts::{Delivery, Received, Socket},
};
use zerocopy::IntoBytes as _;

use super::{
    application::{Application, Flushed},
    batch::Batch,
    link::{Forwarded, HostLink},
};
use crate::{
    order::{For, Order},
    region,
    wire::{HEADER_SIZE, Header, Way, kind, one_descriptor},
};

/// How long an application may take to greet.
const GREETING: Duration = Duration::from_secs(5);
/// When what the system had no memory for is tried again.
const RETRY: Duration = Duration::from_millis(10);
/// How many requests are taken before anything else is looked at.
const REQUESTS_AT_A_TIME: usize = 32;
/// How many cancels are taken before anything else is looked at.
const CANCELS_AT_A_TIME: usize = 64;

/// Why a connection ends.
pub(super) enum Ending {
    /// The application has closed it, or died.
    Left,
    /// What was open is gone, and the application has been told.
    Gone,
    /// The application broke the protocol.
    Violation(Violation),
}

impl From<Violation> for Ending {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// Hears the application's first packet, and answers it.
pub(super) fn greet(socket: &Socket) -> Result<(), (NtStatus, String)> {
    let until = Instant::now() + GREETING;
    let mut buffer = [0; HEADER_SIZE + 1];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || socket.wait(Some(left)).is_err() {
            return Err((NtStatus::IO_TIMEOUT, "nothing was said for 5 s".into()));
        }
        let mut descriptors = Vec::new();
        let violation = match socket.receive_into(&mut buffer, &mut descriptors, false) {
            Ok(Received::Packet(length)) => {
                match Header::open(&buffer[..length], Way::FromApplication) {
                    Ok((header, _)) if header.kind.get() == kind::HELLO => return Ok(()),
                    Ok((header, _)) => Violation::Time(header.kind.get()),
                    Err(violation) => violation,
                }
            }
            Ok(Received::Nothing) => continue,
            Ok(Received::Violation(violation)) => violation,
            Ok(Received::End) | Err(_) => {
                return Err((NtStatus::PORT_DISCONNECTED, "nobody is there".into()));
            }
        };
        let status = match violation {
            Violation::Version(_) => NtStatus::NOT_SUPPORTED,
            _ => NtStatus::INVALID_PARAMETER,
        };
        return Err((status, violation.to_string()));
    }
}

/// Tells the application that it is connected, and gives it its end of the cancel channel.
pub(super) fn welcome(application: &Application, cancel: &OwnedFd) -> bool {
    let header = Header::welcome();
    let sent = application
        .socket
        .send_parts(header.as_bytes(), &[], Some(cancel.as_fd()));
    matches!(sent, Ok(Delivery::Sent))
}

/// A connection as its thread has it.
pub(super) struct Serving {
    application: Arc<Application>,
    link: Arc<HostLink>,
    order: Order,
    /// Requests on their way to the host.
    batch: Batch,
    /// The host has no room for them.
    stalled: Option<Stalled>,
    /// Cancels for which the host has no room.
    cancels: VecDeque<u64>,
    /// The application has several requests under way: another one may be there already.
    is_busy: bool,
}

struct Stalled {
    /// It is tried again after a while.
    later: bool,
}

/// What there is to be done.
struct Ready {
    cancels: bool,
    requests: bool,
}

impl Serving {
    pub(super) fn new(application: Arc<Application>, link: Arc<HostLink>) -> Self {
        Self {
            application,
            link,
            order: Order::default(),
            batch: Batch::new(),
            stalled: None,
            cancels: VecDeque::new(),
            is_busy: false,
        }
    }

    /// Serves until the connection ends, and tells why it does.
    pub(super) fn run(mut self) -> Ending {
        let ending = loop {
            match self.turn() {
                Ok(()) => {}
                Err(ending) => break ending,
            }
        };
        self.application.end();
        if !matches!(ending, Ending::Gone) {
            self.leave();
        }
        ending
    }

    fn turn(&mut self) -> Result<(), Ending> {
        let flushed = match self.application.flush() {
            Flushed::Over => return Err(Ending::Gone),
            Flushed::Broken => return Err(Ending::Left),
            flushed => flushed,
        };
        if self.stalled.take().is_some() {
            self.forward();
        }
        self.send_cancels();
        let ready = self.wait(flushed)?;
        if ready.cancels {
            self.take_cancels()?;
        }
        match ready.requests {
            true => self.take_requests(),
            false => Ok(()),
        }
    }

    /// Waits until there is something to be done.
    fn wait(&self, flushed: Flushed) -> Result<Ready, Ending> {
        let takes = flushed == Flushed::All && self.stalled.is_none();
        let mut data = PollFlags::RDHUP;
        data.set(PollFlags::IN, takes);
        data.set(PollFlags::OUT, flushed == Flushed::Full);
        let mut polled = vec![
            PollFd::new(&self.application.socket, data),
            PollFd::new(&self.application.cancel, PollFlags::IN),
            PollFd::from_borrowed_fd(self.application.bell(), PollFlags::IN),
        ];
        if self.stalled.as_ref().is_some_and(|it| !it.later) {
            polled.push(PollFd::from_borrowed_fd(self.link.data(), PollFlags::OUT));
        }
        if !self.cancels.is_empty() {
            polled.push(PollFd::from_borrowed_fd(
                self.link.cancels(),
                PollFlags::OUT,
            ));
        }
        let retry = Timespec::try_from(RETRY).ok();
        let later = self.stalled.as_ref().is_some_and(|it| it.later);
        let time = retry.filter(|_| later || flushed == Flushed::Later);
        match poll(&mut polled, time.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return Err(Ending::Left),
        }
        let of = |at: usize| polled[at].revents();
        if of(2).contains(PollFlags::IN) {
            self.application.unring();
        }
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        // What it has sent before it went is taken first, as far as it can be.
        if of(0).intersects(gone) && !(takes && of(0).contains(PollFlags::IN)) {
            return Err(Ending::Left);
        }
        Ok(Ready {
            cancels: of(1).contains(PollFlags::IN),
            requests: of(0).contains(PollFlags::IN) && takes,
        })
    }

    /// Takes what has come, and sends it to the host; what was there before the end, or before what breaks the protocol, as well.
    fn take_requests(&mut self) -> Result<(), Ending> {
        let taken = self.gather();
        self.forward();
        taken
    }

    /// Takes what has come; of an application that waits for each of its requests, it is one.
    fn gather(&mut self) -> Result<(), Ending> {
        for _ in 0..REQUESTS_AT_A_TIME {
            if !self.take_request()? || !self.is_busy || self.batch.is_full() {
                break;
            }
        }
        Ok(())
    }

    /// Tells whether there was one.
    fn take_request(&mut self) -> Result<bool, Ending> {
        let mut descriptors = Vec::new();
        let socket = &self.application.socket;
        let length = match socket.receive_into(self.batch.room(), &mut descriptors, false) {
            Ok(Received::Packet(length)) => length,
            Ok(Received::Nothing) => return Ok(false),
            Ok(Received::Violation(violation)) => return Err(violation.into()),
            Ok(Received::End) | Err(_) => return Err(Ending::Left),
        };
        self.request(length, descriptors)?;
        Ok(true)
    }

    /// A packet was received into the batch.
    fn request(&mut self, length: usize, descriptors: Vec<OwnedFd>) -> Result<(), Violation> {
        let (header, _) = Header::open(self.batch.received(length), Way::FromApplication)?;
        let number = header.kind.get();
        if number == kind::HELLO {
            return Err(Violation::Time(number));
        }
        let descriptor = one_descriptor(number == kind::REGION, descriptors)?;
        let request = header.request.get();
        if self.order.request(request)? {
            self.answer(request, NtStatus::CANCELLED);
            return Ok(());
        }
        if let Some(descriptor) = &descriptor
            && let Err(error) = region::check(descriptor, header.position.get())
        {
            self.answer(request, error.status());
            return Ok(());
        }
        self.batch.add(header, length, descriptor);
        Ok(())
    }

    fn answer(&self, request: u64, status: NtStatus) {
        let reply = Header::reply(request, status, 0, 0);
        self.application.deliver(reply.as_bytes());
    }

    /// Sends the batch to the host.
    fn forward(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let (forwarded, ended) = self.link.forward(&self.application, &mut self.batch);
        match forwarded {
            Forwarded::Gone { is_busy } => self.is_busy = is_busy,
            Forwarded::Waits { later } => self.stalled = Some(Stalled { later }),
        }
        for (request, status) in ended {
            self.answer(request, status);
        }
    }

    fn take_cancels(&mut self) -> Result<(), Ending> {
        let mut buffer = [0; HEADER_SIZE + 1];
        for _ in 0..CANCELS_AT_A_TIME {
            let mut descriptors = Vec::new();
            let socket = &self.application.cancel;
            let length = match socket.receive_into(&mut buffer, &mut descriptors, false) {
                Ok(Received::Packet(length)) => length,
                Ok(Received::Nothing) => return Ok(()),
                Ok(Received::Violation(violation)) => return Err(violation.into()),
                Ok(Received::End) | Err(_) => return Err(Ending::Left),
            };
            let (header, _) = Header::open(&buffer[..length], Way::Cancel)?;
            one_descriptor(false, descriptors)?;
            self.cancel(header.request.get())?;
        }
        Ok(())
    }

    fn cancel(&mut self, request: u64) -> Result<(), Violation> {
        if self.order.cancel(request)? == For::Coming {
            return Ok(());
        }
        // It is here still, and the host never hears of it.
        if self.batch.remove(request) {
            self.stalled.take_if(|_| self.batch.is_empty());
            self.answer(request, NtStatus::CANCELLED);
            return Ok(());
        }
        let file = self.application.file;
        let number = self.link.relay().cancel(file, request, Instant::now());
        self.cancels.extend(number);
        self.send_cancels();
        Ok(())
    }

    fn send_cancels(&mut self) {
        while let Some(number) = self.cancels.front() {
            if !self.link.cancel(*number) {
                return;
            }
            self.cancels.pop_front();
        }
    }

    /// The application has gone: what it has outstanding is taken back, and its file closed.
    fn leave(&mut self) {
        let leaving = self.link.leave(self.application.file);
        self.cancels.extend(leaving.cancels);
        let mut closes = leaving.closes;
        loop {
            self.send_cancels();
            if closes && self.link.close(self.application.file) {
                closes = false;
            }
            let ended = self.link.relay().ended().is_some();
            if ended || (self.cancels.is_empty() && !closes) {
                return;
            }
            self.wait_for_host(closes);
        }
    }

    /// Waits until the host has room for what it is to be told, or goes.
    fn wait_for_host(&self, closes: bool) {
        let mut polled = Vec::new();
        if closes {
            polled.push(PollFd::from_borrowed_fd(self.link.data(), PollFlags::OUT));
        }
        if !self.cancels.is_empty() {
            polled.push(PollFd::from_borrowed_fd(
                self.link.cancels(),
                PollFlags::OUT,
            ));
        }
        let _ = poll(&mut polled, None);
    }
}
