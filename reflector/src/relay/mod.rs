//! What one host's channels mean to the reflector, without I/O: the table of all requests that the host has, and the files that are open there.
//!
//! A request is in the table from when it was sent until it ends, once: by the host's reply, or with the host. Whoever is at a file's other end is an `A`.

mod access;
mod file;
mod record;

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use usbwright_host_stack::status::NtStatus;
use usbwright_ports::Violation;

pub(crate) use self::file::Ahead;
use self::file::{File, Phase};
use self::record::Recent;
pub use self::record::RequestRecord;
use crate::wire::{Header, kind};

/// The table.
#[derive(Debug)]
pub(crate) struct Relay<A> {
    /// Why there is no host any more.
    ended: Option<NtStatus>,
    greeted: bool,
    last: u64,
    table: HashMap<u64, Outstanding>,
    files: BTreeMap<u64, File<A>>,
    recent: Recent,
}

/// A request that the host has.
#[derive(Debug)]
struct Outstanding {
    file: u64,
    /// The number that the application gave it; none for the reflector's own.
    request: Option<u64>,
    header: Header,
    begun: Instant,
    cancelled: Option<Instant>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// It goes to the host, as it is now, and is then to be [told of](Relay::sent).
    ToHost,
    /// It ends at once.
    Ends(NtStatus),
}

/// What a host's packet brings about.
#[derive(Debug)]
pub(crate) enum Brought<A> {
    /// Nothing.
    Nothing,
    /// A reply for an application's request of this number.
    Reply {
        to: A,
        request: u64,
        /// The file is open from now on.
        opened: bool,
    },
    /// A file is closed; whoever closed it may be told.
    Closed {
        file: u64,
        to: Option<(A, u64)>,
        /// It was the last one.
        last: bool,
    },
}

impl<A> Brought<A> {
    /// Who is told, and of which of its requests.
    pub(crate) fn to(&self) -> Option<(&A, u64)> {
        match self {
            Self::Reply { to, request, .. }
            | Self::Closed {
                to: Some((to, request)),
                ..
            } => Some((to, *request)),
            _ => None,
        }
    }
}

/// What ends with a host.
#[derive(Debug)]
pub(crate) struct Remains<A> {
    /// Requests of applications, by their own numbers, the oldest first.
    pub(crate) requests: Vec<(A, u64)>,
    /// Those that have files there.
    pub(crate) files: Vec<A>,
}

/// What is to be sent for an application that has gone.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    /// Requests to be taken back, by the host's numbers.
    pub(crate) cancels: Vec<u64>,
    /// Whether the file is to be closed.
    pub(crate) closes: bool,
}

/// An operation that a host may not take for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Critical {
    /// A request is being taken back.
    Cancel,
    /// A file is being closed.
    Close,
}

impl<A: Clone> Relay<A> {
    pub(crate) fn new() -> Self {
        Self {
            ended: None,
            greeted: false,
            last: 0,
            table: HashMap::new(),
            files: BTreeMap::new(),
            recent: Recent::default(),
        }
    }

    /// Why there is no host any more.
    pub(crate) fn ended(&self) -> Option<NtStatus> {
        self.ended
    }

    /// An application is there, and may open.
    pub(crate) fn attach(&mut self, file: u64, to: A) -> Result<(), NtStatus> {
        match self.ended {
            Some(status) => Err(status),
            None => {
                self.files.insert(file, File::new(to));
                Ok(())
            }
        }
    }

    /// Looks at a request of an application, and makes of it what the host gets, behind what is ahead in the same packet. `process` opens.
    pub(crate) fn prepare(
        &self,
        file: u64,
        header: &mut Header,
        process: u32,
        ahead: Ahead,
    ) -> Prepared {
        if let Some(status) = self.ended {
            return Prepared::Ends(status);
        }
        let Some(of) = self.files.get(&file).filter(|it| it.to.is_some()) else {
            return Prepared::Ends(NtStatus::INVALID_HANDLE);
        };
        if let Err(status) = of.check(header, ahead) {
            return Prepared::Ends(status);
        }
        if header.kind.get() == kind::OPEN {
            header.position = u64::from(process).into();
        }
        header.request = (self.last + 1 + ahead.requests as u64).into();
        header.file = file.into();
        Prepared::ToHost
    }

    /// A request that was [prepared](Self::prepare) has been sent. `request` is the application's number.
    pub(crate) fn sent(&mut self, header: &Header, request: u64, now: Instant) {
        self.begin(header, Some(request), now);
    }

    fn begin(&mut self, header: &Header, request: Option<u64>, now: Instant) {
        let (number, file) = (header.request.get(), header.file.get());
        self.last = number;
        if let Some(of) = self.files.get_mut(&file) {
            of.sent(header, request);
        }
        self.recent.begin(header, now);
        let outstanding = Outstanding {
            file,
            request,
            header: *header,
            begun: now,
            cancelled: None,
        };
        self.table.insert(number, outstanding);
    }

    /// A packet of the host. With an error, the host is to be ended.
    pub(crate) fn receive(&mut self, header: &Header) -> Result<Brought<A>, Violation> {
        let number = header.kind.get();
        match (number, self.greeted) {
            (kind::WELCOME, false) => {
                self.greeted = true;
                Ok(Brought::Nothing)
            }
            (kind::REPLY, true) => self.reply(header),
            _ => Err(Violation::Time(number)),
        }
    }

    fn reply(&mut self, header: &Header) -> Result<Brought<A>, Violation> {
        let number = header.request.get();
        let outstanding = self.table.get(&number).ok_or(Violation::Unasked(number))?;
        file::check_reply(&outstanding.header, header)?;
        // A file is closed when nothing of it is outstanding any more.
        let closes = outstanding.header.kind.get() == kind::CLOSE;
        let of = self.files.get(&outstanding.file).filter(|_| closes);
        if of.is_some_and(|it| !it.is_idle()) {
            return Err(Violation::Time(kind::CLOSE));
        }
        let Some(outstanding) = self.table.remove(&number) else {
            return Err(Violation::Unasked(number));
        };
        self.recent.end(number, header.status());
        Ok(self.ended_by_reply(&outstanding, header.status()))
    }

    fn ended_by_reply(&mut self, outstanding: &Outstanding, status: NtStatus) -> Brought<A> {
        let number = outstanding.file;
        let Some(file) = self.files.get_mut(&number) else {
            return Brought::Nothing;
        };
        let opened = file.ended(&outstanding.header, outstanding.request, status);
        let to = file.to.clone().zip(outstanding.request);
        if file.phase == Phase::Closed {
            self.files.remove(&number);
            let last = !self.files.values().any(File::is_open);
            return Brought::Closed {
                file: number,
                to,
                last,
            };
        }
        match to {
            Some((to, request)) => Brought::Reply {
                to,
                request,
                opened,
            },
            None => Brought::Nothing,
        }
    }

    /// An application asks for a request back: the host's number of it, unless it has ended or was asked for before.
    pub(crate) fn cancel(&mut self, file: u64, request: u64, now: Instant) -> Option<u64> {
        let number = self.files.get(&file)?.number_of(request)?;
        self.mark(number, now).then_some(number)
    }

    fn mark(&mut self, number: u64, now: Instant) -> bool {
        let Some(outstanding) = self.table.get_mut(&number) else {
            return false;
        };
        let first = outstanding.cancelled.is_none();
        outstanding.cancelled.get_or_insert(now);
        first
    }

    /// An application has gone, and hears nothing any more.
    pub(crate) fn leave(&mut self, file: u64, now: Instant) -> Leaving {
        let Some(of) = self.files.get_mut(&file) else {
            return Leaving::default();
        };
        of.to = None;
        let closes = of.phase.is_to_be_closed();
        let mut cancels = of.numbers();
        if matches!(of.phase, Phase::New | Phase::Refused) {
            self.files.remove(&file);
        }
        cancels.retain(|number| {
            let of = self.table.get(number).map(|it| it.header.kind.get());
            of != Some(kind::CLOSE) && self.mark(*number, now)
        });
        Leaving { cancels, closes }
    }

    /// What closes a file of an application that has gone; to be [told of](Self::sent_close).
    pub(crate) fn close(&self, file: u64) -> Header {
        Header {
            request: (self.last + 1).into(),
            file: file.into(),
            ..Header::new(kind::CLOSE)
        }
    }

    /// That has been sent.
    pub(crate) fn sent_close(&mut self, header: &Header, now: Instant) {
        self.begin(header, None, now);
    }

    /// There is no host any more; none where that was so before.
    pub(crate) fn end(&mut self, status: NtStatus) -> Option<Remains<A>> {
        if self.ended.is_some() {
            return None;
        }
        self.ended = Some(status);
        let mut table: Vec<_> = std::mem::take(&mut self.table).into_iter().collect();
        table.sort_unstable_by_key(|(number, _)| *number);
        let files = std::mem::take(&mut self.files);
        let requests = table.into_iter().filter_map(|(_, it)| {
            let to = files.get(&it.file)?.to.clone()?;
            Some((to, it.request?))
        });
        Some(Remains {
            requests: requests.collect(),
            files: files.values().filter_map(|it| it.to.clone()).collect(),
        })
    }

    /// Whether a file has several requests outstanding.
    pub(crate) fn is_busy(&self, file: u64) -> bool {
        self.files.get(&file).is_some_and(File::is_busy)
    }

    /// How many requests the host has.
    pub(crate) fn outstanding(&self) -> usize {
        self.table.len()
    }

    /// How many files are open.
    pub(crate) fn open_files(&self) -> usize {
        self.files.values().filter(|it| it.is_open()).count()
    }

    /// How many requests the host has been sent.
    pub(crate) fn sent_so_far(&self) -> u64 {
        self.last
    }

    /// The operation that the host owes for longest, of those that it may not take for ever, and since when.
    pub(crate) fn critical(&self) -> Option<(Critical, Instant)> {
        let all = self.table.values().filter_map(|it| match it.cancelled {
            Some(since) => Some((Critical::Cancel, since)),
            None if it.header.kind.get() == kind::CLOSE => Some((Critical::Close, it.begun)),
            None => None,
        });
        all.min_by_key(|(_, since)| *since)
    }

    /// The last requests, the oldest first.
    pub(crate) fn recent(&self) -> Vec<RequestRecord> {
        self.recent.all()
    }
}

#[cfg(test)]
mod tests;
