//! Replies of a host that are handed on together.

use std::{ops::Range, sync::Arc};

use usbwright_ports::Violation;
use zerocopy::IntoBytes as _;

use super::application::Application;
use crate::{
    relay::Brought,
    wire::{HEADER_SIZE, Header, PACKET_SIZE, TOGETHER, Way},
};

/// Replies, one behind the other as they have come, and what each brings about.
pub(super) struct Replies {
    bytes: Vec<u8>,
    filled: usize,
    brought: Vec<(Brought<Arc<Application>>, Range<usize>)>,
}

impl Replies {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; TOGETHER + PACKET_SIZE],
            filled: 0,
            brought: Vec::new(),
        }
    }

    /// Where the next packet is received; none where these are to be handed on first.
    pub(super) fn room(&mut self) -> Option<&mut [u8]> {
        match self.filled > TOGETHER {
            true => None,
            false => Some(&mut self.bytes[self.filled..]),
        }
    }

    /// A packet was received there. Each of its messages gets the number that the application knows. Those before one that breaks the protocol count.
    pub(super) fn take(
        &mut self,
        length: usize,
        mut receive: impl FnMut(&Header) -> Result<Brought<Arc<Application>>, Violation>,
    ) -> Result<(), Violation> {
        let end = self.filled + length;
        while self.filled < end {
            let at = self.filled;
            let bytes = &mut self.bytes[at..end];
            let (mut header, payload, _) = Header::first(bytes, Way::FromHost)?;
            let length = HEADER_SIZE + payload.len();
            let brought = receive(&header)?;
            if let Some((_, request)) = brought.to() {
                header.request = request.into();
                bytes[..HEADER_SIZE].copy_from_slice(header.as_bytes());
            }
            self.filled += length;
            self.brought.push((brought, at..self.filled));
        }
        Ok(())
    }

    /// Hands on what has come, and tells what it brings about: replies for one application that are one behind the other go by one packet.
    pub(super) fn hand_on(&mut self, told: &mut impl FnMut(Brought<Arc<Application>>)) {
        let mut run: Option<(&Arc<Application>, Range<usize>)> = None;
        for (brought, range) in &self.brought {
            let to = brought.to().map(|(to, _)| to);
            match (&mut run, to) {
                (Some((of, bytes)), Some(to)) if Arc::ptr_eq(of, to) && bytes.len() <= TOGETHER => {
                    bytes.end = range.end;
                }
                _ => {
                    let before = std::mem::replace(&mut run, to.map(|it| (it, range.clone())));
                    self.deliver(before);
                }
            }
        }
        self.deliver(run);
        self.filled = 0;
        self.brought
            .drain(..)
            .for_each(|(brought, _)| told(brought));
    }

    fn deliver(&self, run: Option<(&Arc<Application>, Range<usize>)>) {
        if let Some((to, range)) = run {
            to.deliver(&self.bytes[range]);
        }
    }
}
