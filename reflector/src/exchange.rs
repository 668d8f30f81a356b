//! The ends of all channels, from packet to packet, with no socket: for tests and the fuzzer, which run them as the crate does.

use std::{
    collections::HashMap,
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use usbwright_host_stack::{IoOutcome, status::NtStatus};
use usbwright_ports::{Violation, parts::Parcel as _};
use zerocopy::IntoBytes as _;

use crate::{
    application::core::{ApplicationCore, Request},
    host::desk::{Asked, Desk},
    order::{For, Order},
    relay::{Ahead, Prepared, Relay},
    wire::{Header, Packet, Way, kind},
};

/// The reflector, between applications, which are told apart by their files' numbers, and a host.
#[derive(Debug)]
pub struct ReflectorExchange {
    relay: Relay<u64>,
    orders: HashMap<u64, Order>,
}

/// What becomes of an application's packet.
#[derive(Debug)]
pub enum Routed {
    /// It goes to the host, like this.
    ToHost(Vec<u8>),
    /// The request ends so.
    Ends(NtStatus),
}

impl Default for ReflectorExchange {
    fn default() -> Self {
        Self {
            relay: Relay::new(),
            orders: HashMap::new(),
        }
    }
}

impl ReflectorExchange {
    /// An application comes.
    ///
    /// # Errors
    /// Where there is no host any more.
    pub fn attach(&mut self, file: u64) -> Result<(), NtStatus> {
        self.relay.attach(file, file)?;
        self.orders.insert(file, Order::default());
        Ok(())
    }

    /// A packet of an application.
    ///
    /// # Errors
    /// What it breaks; the application is to be [let go](Self::leave).
    pub fn from_application(&mut self, file: u64, bytes: &[u8]) -> Result<Routed, Violation> {
        let (mut header, payload) = Header::open(bytes, Way::FromApplication)?;
        if header.kind.get() == kind::HELLO {
            return Err(Violation::Time(kind::HELLO));
        }
        let request = header.request.get();
        let order = self.orders.entry(file).or_default();
        if order.request(request)? {
            return Ok(Routed::Ends(NtStatus::CANCELLED));
        }
        if let Prepared::Ends(status) = self.relay.prepare(file, &mut header, 1, Ahead::default()) {
            return Ok(Routed::Ends(status));
        }
        self.relay.sent(&header, request, Instant::now());
        Ok(Routed::ToHost([header.as_bytes(), payload].concat()))
    }

    /// A packet of an application by its cancel channel: the number of what the host is to take back.
    ///
    /// # Errors
    /// What it breaks.
    pub fn cancel(&mut self, file: u64, bytes: &[u8]) -> Result<Option<u64>, Violation> {
        let (header, _) = Header::open(bytes, Way::Cancel)?;
        let request = header.request.get();
        match self.orders.entry(file).or_default().cancel(request)? {
            For::Coming => Ok(None),
            For::Known => Ok(self.relay.cancel(file, request, Instant::now())),
        }
    }

    /// A packet of the host: the requests that it ends, those of applications that are there, are added to `ended`, by file and number, with the bytes that come with each.
    ///
    /// # Errors
    /// What it breaks; the host is to be [ended](Self::end).
    pub fn from_host(
        &mut self,
        bytes: &[u8],
        ended: &mut Vec<(u64, u64, usize)>,
    ) -> Result<(), Violation> {
        let mut others = bytes;
        loop {
            let (header, payload, behind) = Header::first(others, Way::FromHost)?;
            let brought = self.relay.receive(&header)?;
            let to = brought.to();
            ended.extend(to.map(|(file, request)| (*file, request, payload.len())));
            if behind.is_empty() {
                return Ok(());
            }
            others = behind;
        }
    }

    /// An application goes: what the host is sent for that.
    pub fn leave(&mut self, file: u64) -> (Vec<u64>, Option<Vec<u8>>) {
        self.orders.remove(&file);
        let leaving = self.relay.leave(file, Instant::now());
        let close = (leaving.closes && self.relay.ended().is_none()).then(|| {
            let header = self.relay.close(file);
            self.relay.sent_close(&header, Instant::now());
            header.as_bytes().to_vec()
        });
        (leaving.cancels, close)
    }

    /// The host dies: the requests that end with it, by file and number.
    pub fn end(&mut self) -> Vec<(u64, u64)> {
        let remains = self.relay.end(NtStatus::DRIVER_PROCESS_TERMINATED);
        remains.map(|it| it.requests).unwrap_or_default()
    }

    /// How many requests the host has.
    pub fn outstanding(&self) -> usize {
        self.relay.outstanding()
    }
}

/// A host's end.
#[derive(Debug, Default)]
pub struct HostExchange(Desk);

/// What a packet of the reflector asks of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A greeting.
    Welcome,
    /// A request of this number; whether it is to be taken back at once.
    Request(u64, bool),
    /// That a file is let go of; the request that ends by that.
    Close(Option<u64>),
}

impl HostExchange {
    /// A packet of the reflector: what it asks for is added to `wanted`.
    ///
    /// # Errors
    /// What it breaks.
    pub fn feed(&mut self, bytes: &[u8], wanted: &mut Vec<Wanted>) -> Result<(), Violation> {
        let mut others = bytes;
        loop {
            let (header, _, behind) = Header::first(others, Way::ToHost)?;
            wanted.push(match self.0.receive(&header)? {
                Asked::Welcome => Wanted::Welcome,
                Asked::Request { cancelled } => Wanted::Request(header.request.get(), cancelled),
                Asked::Close { ends } => Wanted::Close(ends),
            });
            if behind.is_empty() {
                return Ok(());
            }
            others = behind;
        }
    }

    /// A packet by the cancel channel: what is to be taken back.
    ///
    /// # Errors
    /// What it breaks.
    pub fn cancel(&mut self, bytes: &[u8]) -> Result<Option<u64>, Violation> {
        let (header, _) = Header::open(bytes, Way::Cancel)?;
        self.0.cancel(&header)
    }

    /// A request has ended, well or not: the one that closes its file, if that ends as well.
    pub fn ended(&mut self, request: u64, well: bool) -> Option<u64> {
        self.0.ended(request, well)
    }
}

/// An application's end.
#[derive(Debug)]
pub struct ApplicationExchange {
    core: ApplicationCore,
    now: Instant,
}

impl Default for ApplicationExchange {
    fn default() -> Self {
        Self {
            core: ApplicationCore::new(),
            now: Instant::now(),
        }
    }
}

impl ApplicationExchange {
    /// Begins a request of a kind, with its input and room for its output: its number.
    pub fn begin(&mut self, kind: u16, input: Bytes, output: usize, seconds: Option<u8>) -> u64 {
        let deadline = seconds.map(|it| self.now + Duration::from_secs(it.into()));
        self.core.begin(Request {
            header: Header::new(kind),
            input,
            output,
            deadline,
            refused: None,
        })
    }

    /// How a request has ended, once.
    pub fn take(&mut self, request: u64) -> Option<IoOutcome> {
        self.core.watch(request, Waker::noop());
        self.core.take(request)
    }

    /// Asks a request back.
    pub fn cancel(&mut self, request: u64) {
        self.core.cancel(request);
    }

    /// Nobody wants to know how a request ends.
    pub fn abandon(&mut self, request: u64) {
        self.core.abandon(request);
    }

    /// So many seconds pass.
    pub fn advance(&mut self, seconds: u8) {
        self.now += Duration::from_secs(seconds.into());
        self.core.expire(self.now);
    }

    /// A packet of the reflector, whose descriptors are left out.
    ///
    /// # Errors
    /// What it breaks; the connection has ended then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let fed = Packet::read(bytes).and_then(|packet| self.core.receive(packet));
        if fed.is_err() {
            self.core.end();
        }
        self.core.woken().clear();
        fed
    }

    /// The next packet for the reflector.
    pub fn outgoing(&mut self) -> Option<Vec<u8>> {
        let packet = self.core.outgoing()?;
        self.core.sent();
        Some([packet.header(), packet.payload()].concat())
    }

    /// The next packet by the cancel channel.
    pub fn outgoing_cancel(&mut self) -> Option<Vec<u8>> {
        let number = self.core.outgoing_cancel()?;
        self.core.sent_cancel();
        Some(Header::cancel(number).as_bytes().to_vec())
    }

    /// The connection ends.
    pub fn end(&mut self) {
        self.core.end();
    }
}
