//! Shared memory for requests that are too long for packets, which is used again.

use std::{os::fd::OwnedFd, sync::Arc};

use bytes::Bytes;
use usbwright_host_stack::status::NtStatus;

use crate::{
    region::{self, Mapping},
    wire::{Header, INLINE, Part},
};

/// How many blocks are kept for requests to come.
const KEPT: usize = 4;
/// The most bytes of a block that is kept.
const LONGEST_KEPT: usize = 4 << 20;

/// A region for one request at a time: what it gives, and behind that room for what it brings.
#[derive(Debug)]
pub(super) struct Block {
    number: u32,
    mapping: Arc<Mapping>,
    /// Where what it brings begins, and how much it may be.
    output: (usize, usize),
}

/// Blocks that no request has.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    last: u32,
    free: Vec<Block>,
}

/// How long a block is wanted for what is given and what is brought, where either is too long for a packet.
pub(super) fn wanted(input: usize, output: usize) -> Option<usize> {
    let long = |length: usize| if length > INLINE { length } else { 0 };
    let wanted = long(input).saturating_add(long(output));
    (wanted > 0).then_some(wanted)
}

/// Has a request's bytes travel in packets, as far as they are in no region yet.
pub(super) fn inline(header: &mut Header, input: usize, output: usize) {
    let is_free = |part: &Part| *part == Part::default();
    if is_free(&header.input) {
        header.input = Part::inline(input);
    }
    if is_free(&header.output) {
        header.output = Part::inline(output);
    }
}

impl Blocks {
    /// A number for a region. There are as many as a connection can have.
    pub(super) fn number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1).max(1);
        self.last
    }

    /// A block of at least so many bytes, with its descriptor where it is new.
    pub(super) fn take(&mut self, wanted: usize) -> Result<(Block, Option<OwnedFd>), NtStatus> {
        let fits = |it: &Block| it.len() >= wanted && it.len() / 4 <= wanted;
        if let Some(place) = self.free.iter().position(fits) {
            return Ok((self.free.swap_remove(place), None));
        }
        let length = wanted.checked_next_power_of_two().unwrap_or(wanted);
        let (descriptor, mapping) = region::create(length).map_err(|error| error.status())?;
        let block = Block {
            number: self.number(),
            mapping,
            output: (0, 0),
        };
        Ok((block, Some(descriptor)))
    }

    /// A block is free. What is returned is kept no more.
    pub(super) fn give_back(&mut self, block: Block) -> Option<Block> {
        if block.len() > LONGEST_KEPT {
            return Some(block);
        }
        self.free.insert(0, block);
        (self.free.len() > KEPT).then(|| self.free.pop()).flatten()
    }
}

impl Block {
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Says in the header where what is long is, and puts there what is given.
    pub(super) fn lay_out(&mut self, header: &mut Header, input: &Bytes, output: usize) {
        let mut at = 0;
        if input.len() > INLINE {
            self.mapping.copy_in(0, input);
            at = input.len();
            header.input = Part::within(self.number, 0..at as u64);
        }
        if output > INLINE {
            let end = at + output;
            header.output = Part::within(self.number, at as u64..end as u64);
            self.output = (at, output);
        } else {
            self.output = (0, 0);
        }
        inline(header, input.len(), output);
    }

    /// What was brought, of so many bytes at the most; none where that travels in the reply.
    pub(super) fn output(&self, most: usize) -> Option<Bytes> {
        let (at, room) = self.output;
        if room == 0 {
            return None;
        }
        let mut data = vec![0; most.min(room)];
        self.mapping.copy_out(at, &mut data);
        Some(data.into())
    }
}
