//! Requests of an application that go to its host by one packet.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use usbwright_host_stack::status::NtStatus;
use zerocopy::IntoBytes as _;

use crate::wire::{HEADER_SIZE, Header, PACKET_SIZE, TOGETHER, kind};

/// How many requests go by one packet.
const MOST: usize = 32;

/// The requests, one behind the other as they have come.
pub(super) struct Batch {
    bytes: Vec<u8>,
    filled: usize,
    held: Vec<Held>,
    /// It goes with the last one.
    descriptor: Option<OwnedFd>,
}

/// A request, as the application has sent it and as the host gets it.
struct Held {
    own: Header,
    header: Header,
    length: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; PACKET_SIZE],
            filled: 0,
            held: Vec::new(),
            descriptor: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether nothing more goes by this packet: what follows one that changes the file is looked at once that has gone.
    pub(super) fn is_full(&self) -> bool {
        let changes = |it: &Held| {
            !matches!(
                it.own.kind.get(),
                kind::READ | kind::WRITE | kind::CONTROL | kind::FLUSH
            )
        };
        let is_last = self.held.last().is_some_and(changes);
        is_last || self.held.len() == MOST || self.filled > TOGETHER
    }

    /// Where the next one is received.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// What was received there.
    pub(super) fn received(&self, length: usize) -> &[u8] {
        &self.bytes[self.filled..][..length]
    }

    /// That is a request, which is to be sent.
    pub(super) fn add(&mut self, header: Header, length: usize, descriptor: Option<OwnedFd>) {
        self.filled += length;
        self.held.push(Held {
            own: header,
            header,
            length,
        });
        self.descriptor = descriptor;
    }

    /// Makes of each what the host gets; those of which nothing can be made are taken out: their numbers, and how they end.
    pub(super) fn prepare(
        &mut self,
        mut make: impl FnMut(&mut Header) -> Result<(), NtStatus>,
    ) -> Vec<(u64, NtStatus)> {
        let mut refused = Vec::new();
        let (mut place, mut at) = (0, 0);
        while let Some(held) = self.held.get_mut(place) {
            held.header = held.own;
            match make(&mut held.header) {
                Ok(()) => {
                    self.bytes[at..][..HEADER_SIZE].copy_from_slice(held.header.as_bytes());
                    at += held.length;
                    place += 1;
                }
                Err(status) => {
                    refused.push((held.own.request.get(), status));
                    self.take_out(place);
                }
            }
        }
        refused
    }

    /// Takes out the request of this number. Tells whether it was there.
    pub(super) fn remove(&mut self, request: u64) -> bool {
        let is_it = |it: &Held| it.own.request.get() == request;
        let place = self.held.iter().position(is_it);
        place.map(|it| self.take_out(it)).is_some()
    }

    fn take_out(&mut self, place: usize) {
        let at: usize = self.held[..place].iter().map(|it| it.length).sum();
        let Held { length, .. } = self.held.remove(place);
        self.bytes.copy_within(at + length..self.filled, at);
        self.filled -= length;
        if place == self.held.len() {
            self.descriptor = None;
        }
    }

    /// The packet, once it is [prepared](Self::prepare).
    pub(super) fn packet(&self) -> (&[u8], Option<BorrowedFd<'_>>) {
        let descriptor = self.descriptor.as_ref().map(|it| it.as_fd());
        (&self.bytes[..self.filled], descriptor)
    }

    /// What was in the packet, each with its number for the application; nothing is any more.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = (Header, u64)> {
        self.filled = 0;
        self.descriptor = None;
        let held = self.held.drain(..);
        held.map(|it| (it.header, it.own.request.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Part, Way};

    /// Takes in a request that writes so many bytes.
    fn write(batch: &mut Batch, request: u64, length: usize) {
        let header = Header {
            request: request.into(),
            input: Part::inline(length),
            ..Header::new(kind::WRITE)
        };
        let packet = [header.as_bytes(), &vec![request as u8; length]].concat();
        batch.room()[..packet.len()].copy_from_slice(&packet);
        assert_eq!(batch.received(packet.len()), packet);
        batch.add(header, packet.len(), None);
    }

    /// The numbers in the packet, each with what follows its header.
    fn contents(batch: &Batch) -> Vec<(u64, Vec<u8>)> {
        let mut others = batch.packet().0;
        let mut contents = Vec::new();
        while !others.is_empty() {
            let (header, payload, behind) = Header::first(others, Way::ToHost).unwrap();
            contents.push((header.request.get(), payload.to_vec()));
            others = behind;
        }
        contents
    }

    /// Numbers the requests for the host, and refuses one.
    fn prepare(batch: &mut Batch, refused: u64) -> Vec<(u64, NtStatus)> {
        batch.prepare(|header| match header.request.get() {
            it if it == refused => Err(NtStatus::ACCESS_DENIED),
            it => {
                header.request = (it + 100).into();
                Ok(())
            }
        })
    }

    #[test]
    fn requests_go_one_behind_the_other_without_those_that_are_refused() {
        let mut batch = Batch::new();
        (1..=3).for_each(|it| write(&mut batch, it, 2));
        let refused = prepare(&mut batch, 2);
        assert_eq!(refused, [(2, NtStatus::ACCESS_DENIED)]);
        assert_eq!(contents(&batch), [(101, vec![1; 2]), (103, vec![3; 2])]);
        let sent: Vec<_> = batch.clear().map(|it| (it.0.request.get(), it.1)).collect();
        assert_eq!(sent, [(101, 1), (103, 3)]);
        assert!(batch.is_empty() && batch.packet().0.is_empty());
    }

    #[test]
    fn what_had_no_room_is_prepared_anew_without_what_was_taken_back_meanwhile() {
        let mut batch = Batch::new();
        (1..=3).for_each(|it| write(&mut batch, it, 2));
        prepare(&mut batch, 0);
        assert!(batch.remove(1) && !batch.remove(1));
        assert!(prepare(&mut batch, 0).is_empty());
        assert_eq!(contents(&batch), [(102, vec![2; 2]), (103, vec![3; 2])]);
    }

    #[test]
    fn nothing_goes_behind_many_requests_many_bytes_or_a_change_of_the_file() {
        let mut batch = Batch::new();
        (1..MOST as u64).for_each(|it| write(&mut batch, it, 0));
        assert!(!batch.is_full());
        write(&mut batch, 99, 0);
        assert!(batch.is_full());
        let mut batch = Batch::new();
        write(&mut batch, 1, TOGETHER);
        assert!(batch.is_full());
        for changes in [kind::OPEN, kind::CLOSE, kind::REGION, kind::RELEASE] {
            let mut batch = Batch::new();
            batch.add(Header::new(changes), HEADER_SIZE, None);
            assert!(batch.is_full());
        }
    }
}
