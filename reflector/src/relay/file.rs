//! A file that is open at a host, as the reflector knows it: what may be asked of it, and what it has outstanding.

use std::collections::{BTreeMap, HashMap};

use usbwright_host_stack::{
    ControlCode,
    status::{NtStatus, Win32Error},
};
use usbwright_ports::Violation;

use super::access::Granted;
use crate::wire::{Header, INLINE, LONGEST_REGION, MOST_REGIONS, MOST_REQUESTS, Part, kind};

/// The most room for what comes in packets that the requests of a file may want together, in bytes.
const MOST_PROMISED: u64 = 16 << 20;

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing was asked of the host.
    New,
    Opening,
    Open,
    Closing,
    /// The drivers have refused to open it.
    Refused,
    /// It is closed.
    Closed,
}

impl Phase {
    /// Whether the host has something of it that nobody has closed.
    pub(super) fn is_to_be_closed(self) -> bool {
        matches!(self, Self::Opening | Self::Open)
    }
}

/// Requests of a file that are ahead of another one in the same packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ahead {
    pub(super) requests: usize,
    /// The room that they want for what comes in packets.
    room: u64,
}

impl Ahead {
    /// One more is.
    pub(crate) fn add(&mut self, header: &Header) {
        self.requests += 1;
        self.room += inline_room(header);
    }
}

#[derive(Debug)]
pub(super) struct File<A> {
    /// Whoever has it open, as long as they are there.
    pub(super) to: Option<A>,
    pub(super) phase: Phase,
    granted: Granted,
    /// The host's numbers of what is outstanding, by the application's.
    requests: BTreeMap<u64, u64>,
    /// The lengths of regions.
    regions: HashMap<u32, u64>,
    promised: u64,
}

impl<A> File<A> {
    pub(super) fn new(to: A) -> Self {
        Self {
            to: Some(to),
            phase: Phase::New,
            granted: Granted::default(),
            requests: BTreeMap::new(),
            regions: HashMap::new(),
            promised: 0,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Closing)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.requests.len() > 1
    }

    /// The host's number of a request that is outstanding.
    pub(super) fn number_of(&self, request: u64) -> Option<u64> {
        self.requests.get(&request).copied()
    }

    /// The host's numbers of all that is outstanding.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.requests.values().copied().collect()
    }

    /// Whether a request may go to the host, behind others.
    pub(super) fn check(&self, header: &Header, ahead: Ahead) -> Result<(), NtStatus> {
        let wanted = match header.kind.get() {
            kind::OPEN => Phase::New,
            _ => Phase::Open,
        };
        if self.phase != wanted {
            return Err(NtStatus::INVALID_HANDLE);
        }
        let code = header.code.get();
        let allowed = match header.kind.get() {
            kind::CONTROL => self.granted.allows(ControlCode(code)),
            kind::SET => self.granted.lets_set(code),
            _ => true,
        };
        if !allowed {
            return Err(NtStatus::ACCESS_DENIED);
        }
        let promised = self.promised + ahead.room + inline_room(header);
        let requests = self.requests.len() + ahead.requests;
        // The last request is always possible.
        let closes = header.kind.get() == kind::CLOSE;
        if !closes && (requests >= MOST_REQUESTS || promised > MOST_PROMISED) {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        match header.kind.get() {
            kind::REGION => self.check_region(header),
            kind::RELEASE => self.length_of(&header.output).map(drop),
            _ => self
                .check_part(&header.input)
                .and(self.check_part(&header.output)),
        }
    }

    fn check_region(&self, header: &Header) -> Result<(), NtStatus> {
        let number = header.output.region.get();
        let fits = (1..=LONGEST_REGION).contains(&header.position.get());
        if !fits || number == 0 || self.regions.contains_key(&number) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let all = self.regions.values().sum::<u64>() + header.position.get();
        match self.regions.len() < MOST_REGIONS && all <= LONGEST_REGION {
            true => Ok(()),
            false => Err(NtStatus::INSUFFICIENT_RESOURCES),
        }
    }

    fn length_of(&self, part: &Part) -> Result<u64, NtStatus> {
        let length = self.regions.get(&part.region.get());
        length.copied().ok_or(NtStatus::INVALID_PARAMETER)
    }

    fn check_part(&self, part: &Part) -> Result<(), NtStatus> {
        if part.is_inline() {
            return Ok(());
        }
        match part.range().end <= self.length_of(part)? {
            true => Ok(()),
            false => Err(NtStatus::INVALID_PARAMETER),
        }
    }

    /// A request has gone to the host.
    pub(super) fn sent(&mut self, header: &Header, request: Option<u64>) {
        let region = header.output.region.get();
        match header.kind.get() {
            kind::OPEN => {
                self.phase = Phase::Opening;
                self.granted = Granted::of(header.code.get());
            }
            kind::CLOSE => self.phase = Phase::Closing,
            kind::REGION => drop(self.regions.insert(region, header.position.get())),
            kind::RELEASE => drop(self.regions.remove(&region)),
            _ => {}
        }
        self.promised += inline_room(header);
        if let Some(request) = request {
            self.requests.insert(request, header.request.get());
        }
    }

    /// Whether nothing is outstanding but, maybe, what closes it.
    pub(super) fn is_idle(&self) -> bool {
        let closes = usize::from(self.phase == Phase::Closing);
        self.requests.len() <= closes
    }

    /// A request has ended. Tells whether the file is open by that.
    pub(super) fn ended(
        &mut self,
        header: &Header,
        request: Option<u64>,
        status: NtStatus,
    ) -> bool {
        self.promised -= inline_room(header);
        if let Some(request) = request {
            self.requests.remove(&request);
        }
        match (header.kind.get(), self.phase) {
            (kind::CLOSE, _) => self.phase = Phase::Closed,
            (kind::OPEN, Phase::Opening) => {
                let went_well = Win32Error::from_nt(status) == Win32Error::SUCCESS;
                self.phase = match went_well {
                    true => Phase::Open,
                    false => Phase::Refused,
                };
                return went_well;
            }
            _ => {}
        }
        false
    }
}

/// The room that a request wants for what comes in a packet.
fn inline_room(header: &Header) -> u64 {
    match header.output.is_inline() {
        true => header.output.length.get().into(),
        false => 0,
    }
}

/// The most that the end of a request can tell.
fn most(asked: &Header) -> u64 {
    let (input, output) = (asked.input.length.get(), asked.output.length.get());
    match asked.kind.get() {
        kind::READ | kind::QUERY => output.into(),
        kind::WRITE | kind::SET => input.into(),
        kind::CONTROL => input.max(output).into(),
        // What its completion tells is the drivers' business.
        _ => u64::MAX,
    }
}

/// Whether a reply is one to what was asked.
pub(super) fn check_reply(asked: &Header, reply: &Header) -> Result<(), Violation> {
    let (moved, most) = (reply.position.get(), most(asked));
    if moved > most {
        return Err(Violation::Excess { moved, most });
    }
    let came = u64::from(reply.input.length.get());
    if !reply.input.is_inline() {
        return Err(Violation::Fields(kind::REPLY));
    }
    let room = inline_room(asked).min(INLINE as u64);
    match came > room.min(moved) {
        true => Err(Violation::Excess {
            moved: came,
            most: room.min(moved),
        }),
        false => Ok(()),
    }
}
