//! The transfers that a server has not ended yet, by the numbers that they have on the wire.

use std::collections::{HashMap, VecDeque};

use usbwright_protocol::{Completion, Direction, IsoOutcome, IsoPacket, Status, TransferId};

use super::settings::Change;

/// Transfers that a server says it does not know, and might answer nevertheless: so many are kept in mind.
const LATE_MOST: usize = 1024;
/// Places to begin with, a power of two.
const PLACES: usize = 16;

/// A transfer under way.
#[derive(Debug)]
pub(super) struct Pending {
    /// Who waits for its end; nobody where it has been told to have ended.
    pub(super) owner: Option<TransferId>,
    pub(super) kind: Kind,
    /// The number of the unlink that asks for it back.
    pub(super) unlink: Option<u32>,
}

/// What a transfer moves, as far as its end depends on it.
#[derive(Debug)]
pub(super) enum Kind {
    /// Data from the device: the most that was asked for, and the most that its owner has room for.
    In {
        length: u32,
        room: u32,
    },
    /// Data to the device, and what it changes if it succeeds.
    Out {
        length: u32,
        change: Option<Change>,
    },
    Isochronous(Box<Packets>),
}

/// The packets of an isochronous transfer, as they were asked for.
#[derive(Debug)]
pub(super) struct Packets {
    pub(super) direction: Direction,
    pub(super) length: u32,
    pub(super) packets: Vec<IsoPacket>,
}

impl Kind {
    /// Bytes that go to the device.
    #[inline]
    fn payload(&self) -> usize {
        match self {
            Self::Out { length, .. } => *length as usize,
            Self::In { .. } => 0,
            Self::Isochronous(packets) => match packets.direction {
                Direction::In => 0,
                Direction::Out => packets.length as usize,
            },
        }
    }
}

impl Pending {
    /// Its end, with nothing moved, for its owner if it has one; it has none from then on.
    pub(super) fn end(&mut self, status: Status) -> Option<Completion> {
        let mut completion = Completion::empty(self.owner.take()?, status);
        if let Kind::Isochronous(asked) = &self.kind {
            let ended = asked.packets.iter().map(|packet| IsoPacket {
                actual_length: 0,
                status,
                ..*packet
            });
            completion.iso = Some(IsoOutcome {
                packets: ended.collect(),
                ..IsoOutcome::default()
            });
        }
        Some(completion)
    }
}

/// The transfers under way. Numbers rise, wrap, are never 0 and never those of a transfer or unlink under way.
///
/// A transfer has its place by the lowest bits of its number. A number whose place is taken is passed over; there are twice as many
/// places as transfers, so that this is rare.
#[derive(Debug)]
pub(super) struct Outstanding {
    next: u32,
    /// A power of two of them.
    places: Vec<Option<(u32, Pending)>>,
    transfers: usize,
    /// Bytes of their payloads to the device.
    payload: usize,
    /// The unlinks under way, and the transfers that they ask for.
    unlinks: HashMap<u32, u32>,
    /// Transfers that the server has said it does not know, the oldest first.
    late: VecDeque<u32>,
}

impl Outstanding {
    pub(super) fn new() -> Self {
        Self {
            next: 1,
            places: none(PLACES),
            transfers: 0,
            payload: 0,
            unlinks: HashMap::new(),
            late: VecDeque::new(),
        }
    }

    #[inline]
    fn place(&self, sequence: u32) -> usize {
        sequence as usize & (self.places.len() - 1)
    }

    /// Gives a transfer a number.
    #[inline(always)]
    pub(super) fn add(&mut self, owner: Option<TransferId>, kind: Kind) -> u32 {
        let sequence = self.number();
        self.insert(sequence, owner, kind);
        sequence
    }

    /// Takes a transfer in that has been given its number already, just now.
    #[inline(always)]
    pub(super) fn insert(&mut self, sequence: u32, owner: Option<TransferId>, kind: Kind) {
        let pending = Pending {
            owner,
            kind,
            unlink: None,
        };
        self.payload += pending.kind.payload();
        let place = self.place(sequence);
        self.places[place] = Some((sequence, pending));
        self.transfers += 1;
    }

    /// The next number.
    #[inline]
    pub(super) fn number(&mut self) -> u32 {
        if 2 * self.transfers >= self.places.len() {
            self.grow();
        }
        loop {
            let sequence = self.next;
            self.next = self.next.wrapping_add(1);
            let free = self.places[self.place(sequence)].is_none();
            let unlinks = !self.unlinks.is_empty();
            if free && sequence != 0 && !(unlinks && self.is_unlink(sequence)) {
                return sequence;
            }
        }
    }

    /// Doubles the places: no two transfers that have had places of their own come to have the same one.
    #[cold]
    fn grow(&mut self) {
        let room = 2 * self.places.len();
        for pending in std::mem::replace(&mut self.places, none(room)) {
            if let Some((sequence, _)) = &pending {
                let place = self.place(*sequence);
                self.places[place] = pending;
            }
        }
    }

    #[cold]
    fn is_unlink(&self, number: u32) -> bool {
        self.unlinks.contains_key(&number)
    }

    #[inline]
    pub(super) fn find(&mut self, sequence: u32) -> Option<&mut Pending> {
        let place = self.place(sequence);
        match &mut self.places[place] {
            Some((number, pending)) if *number == sequence => Some(pending),
            _ => None,
        }
    }

    /// Takes a transfer out that has ended, or can't be heard of any more.
    #[inline]
    pub(super) fn remove(&mut self, sequence: u32) -> Option<Pending> {
        let place = self.place(sequence);
        let (_, pending) = self.places[place].take_if(|(number, _)| *number == sequence)?;
        self.transfers -= 1;
        self.payload -= pending.kind.payload();
        if pending.owner.is_none() || pending.unlink.is_some() {
            self.forget(sequence, &pending);
        }
        Some(pending)
    }

    /// Nothing more is to come for a transfer that has been taken back.
    #[cold]
    fn forget(&mut self, sequence: u32, pending: &Pending) {
        self.late.retain(|late| *late != sequence);
        if let Some(unlink) = pending.unlink {
            self.unlinks.remove(&unlink);
        }
    }

    fn all(&self) -> impl Iterator<Item = &(u32, Pending)> {
        self.places.iter().flatten()
    }

    /// The number of an owner's transfer. It is sought, as few transfers are ever taken back.
    pub(super) fn number_of(&self, owner: TransferId) -> Option<u32> {
        let mut all = self.all();
        let found = all.find(|(_, pending)| pending.owner == Some(owner));
        found.map(|(sequence, _)| *sequence)
    }

    /// Begins to unlink a transfer, and tells the unlink's number. `None` where it has been asked for already.
    pub(super) fn unlink(&mut self, target: u32) -> Option<u32> {
        if self.find(target)?.unlink.is_some() {
            return None;
        }
        let unlink = self.number();
        self.unlinks.insert(unlink, target);
        self.find(target)?.unlink = Some(unlink);
        Some(unlink)
    }

    /// The transfer that an unlink asked for, if it has not ended; the unlink has been answered.
    pub(super) fn unlinked(&mut self, unlink: u32) -> Option<u32> {
        self.unlinks.remove(&unlink)
    }

    /// Ends a transfer for its owner, and keeps it in mind for a while, as its server may answer it nevertheless.
    pub(super) fn expect_late(&mut self, sequence: u32, status: Status) -> Option<Completion> {
        self.late.push_back(sequence);
        if self.late.len() > LATE_MOST
            && let Some(oldest) = self.late.pop_front()
        {
            self.remove(oldest);
        }
        if let Some(pending) = self.find(sequence) {
            pending.unlink = None;
        }
        self.disown(sequence, status)
    }

    /// Ends a transfer for its owner, who is not to hear of it again.
    pub(super) fn disown(&mut self, sequence: u32, status: Status) -> Option<Completion> {
        self.find(sequence)?.end(status)
    }

    /// The numbers of the transfers that have owners, in the order in which they were submitted.
    pub(super) fn owned(&self) -> Vec<u32> {
        let owned = self.all().filter(|(_, pending)| pending.owner.is_some());
        let mut owned: Vec<u32> = owned.map(|(sequence, _)| *sequence).collect();
        owned.sort_unstable_by_key(|sequence| sequence.wrapping_sub(self.next));
        owned
    }

    /// Bytes that are to go to the device, or went there, by transfers that have no reply yet.
    pub(super) fn payload(&self) -> usize {
        self.payload
    }

    /// Whether no reply is to come, not even one that nobody waits for.
    pub(super) fn is_empty(&self) -> bool {
        self.transfers == 0 && self.unlinks.is_empty()
    }

    /// How many transfers nobody waits for.
    pub(super) fn ownerless(&self) -> usize {
        let ownerless = self.all().filter(|(_, pending)| pending.owner.is_none());
        ownerless.count()
    }

    /// Forgets everything; owners have been told.
    pub(super) fn clear(&mut self) {
        self.places = none(PLACES);
        (self.transfers, self.payload) = (0, 0);
        self.unlinks.clear();
        self.late.clear();
    }
}

/// So many places with nothing in them.
fn none(places: usize) -> Vec<Option<(u32, Pending)>> {
    std::iter::repeat_with(|| None).take(places).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: Kind = Kind::Out {
        length: 0,
        change: None,
    };

    #[test]
    fn numbers_wrap_and_pass_over_zero_and_what_is_under_way() {
        let mut outstanding = Outstanding::new();
        assert_eq!(outstanding.add(Some(TransferId(9)), OUT), 1);
        assert_eq!(outstanding.unlink(1), Some(2));
        outstanding.next = u32::MAX;
        let after = [10, 11, 12].map(|id| outstanding.add(Some(TransferId(id)), OUT));
        assert_eq!(after, [u32::MAX, 3, 4]);
        outstanding.remove(1);
        assert_eq!(outstanding.owned(), after);
    }

    #[test]
    fn a_transfer_that_stays_is_found_whatever_comes_and_goes_beside_it() {
        let mut outstanding = Outstanding::new();
        let stays = outstanding.add(Some(TransferId(0)), OUT);
        for id in 1..1000 {
            let sequence = outstanding.add(Some(TransferId(id)), OUT);
            assert_eq!(
                outstanding.remove(sequence).unwrap().owner,
                Some(TransferId(id))
            );
        }
        assert_eq!(outstanding.places.len(), PLACES);
        let crowd: Vec<u32> = (1000..1100)
            .map(|id| outstanding.add(Some(TransferId(id)), OUT))
            .collect();
        for (id, sequence) in (1000..).zip(crowd) {
            assert_eq!(
                outstanding.find(sequence).unwrap().owner,
                Some(TransferId(id))
            );
        }
        assert_eq!(outstanding.find(stays).unwrap().owner, Some(TransferId(0)));
        assert_eq!(outstanding.owned().len(), 101);
    }

    #[test]
    fn a_transfer_is_unlinked_once() {
        let mut outstanding = Outstanding::new();
        let sequence = outstanding.add(Some(TransferId(9)), OUT);
        assert_eq!(outstanding.number_of(TransferId(9)), Some(sequence));
        assert!(outstanding.unlink(sequence).is_some());
        assert!(outstanding.unlink(sequence).is_none());
        assert!(outstanding.unlink(sequence + 9).is_none());
    }

    #[test]
    fn what_may_come_late_is_kept_in_mind_up_to_a_limit() {
        let mut outstanding = Outstanding::new();
        let most = u64::try_from(LATE_MOST).unwrap();
        for id in 0..2 * most {
            let sequence = outstanding.add(Some(TransferId(id)), OUT);
            let end = outstanding.expect_late(sequence, Status::Cancelled);
            assert_eq!(end.unwrap().id, TransferId(id));
        }
        assert_eq!(outstanding.ownerless(), LATE_MOST);
        assert!(outstanding.remove(1).is_none());
        assert!(outstanding.remove(2 * LATE_MOST as u32).is_some());
        assert_eq!(outstanding.late.len(), LATE_MOST - 1);
    }
}
