//! The last requests that a host was sent, for whoever looks into its end.

use std::{collections::VecDeque, time::Instant};

use usbwright_host_stack::status::NtStatus;

use crate::wire::{Header, kind};

/// How many are kept.
const KEPT: usize = 16;

/// A request that a host was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// Its number, of those of the host.
    pub number: u64,
    /// The open file.
    pub file: u64,
    /// What it was: `read`, `control` and so on.
    pub kind: &'static str,
    /// The control code, of a `control`; the wanted access, of an `open`; the class, of information.
    pub code: u32,
    /// Bytes that it gave.
    pub input: u32,
    /// Room for what it was to bring, in bytes.
    pub output: u32,
    /// When it was sent.
    pub begun: Instant,
    /// How it ended, if the host has replied.
    pub status: Option<NtStatus>,
}

/// The last ones.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<RequestRecord>);

impl Recent {
    pub(super) fn begin(&mut self, header: &Header, now: Instant) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(RequestRecord {
            number: header.request.get(),
            file: header.file.get(),
            kind: kind::name(header.kind.get()),
            code: header.code.get(),
            input: header.input.length.get(),
            output: header.output.length.get(),
            begun: now,
            status: None,
        });
    }

    /// A request has ended. They are in the order of their numbers.
    pub(super) fn end(&mut self, number: u64, status: NtStatus) {
        let first = self.0.front().map_or(0, |it| it.number);
        let place = number
            .checked_sub(first)
            .and_then(|it| usize::try_from(it).ok());
        if let Some(record) = place.and_then(|it| self.0.get_mut(it)) {
            record.status = Some(status);
        }
    }

    pub(super) fn all(&self) -> Vec<RequestRecord> {
        self.0.iter().cloned().collect()
    }
}
