//! The transfers that a server has not ended yet, by the numbers that they have on the wire.

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    hash::{BuildHasher, Hasher},
};

use usbwright_protocol::{Completion, Direction, IsoOutcome, IsoPacket, Status, TransferId};

use super::settings::Change;

/// Transfers that a server says it does not know, and might answer nevertheless: so many are kept in mind.
const LATE_MOST: usize = 1024;

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
    In { length: u32, room: u32 },
    /// Data to the device, and what it changes if it succeeds.
    Out { length: u32, change: Option<Change> },
    Isochronous {
        direction: Direction,
        length: u32,
        packets: Vec<IsoPacket>,
    },
}

impl Pending {
    /// Its end, with nothing moved, for its owner if it has one; it has none from then on.
    pub(super) fn end(&mut self, status: Status) -> Option<Completion> {
        let mut completion = Completion::empty(self.owner.take()?, status);
        if let Kind::Isochronous { packets, .. } = &self.kind {
            let ended = packets.iter().map(|packet| IsoPacket {
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
#[derive(Debug)]
pub(super) struct Outstanding {
    next: u32,
    /// Whether numbers have begun anew: only then can one be taken.
    wrapped: bool,
    transfers: HashMap<u32, Pending, Spread>,
    /// The unlinks under way, and the transfers that they ask for.
    unlinks: HashMap<u32, u32, Spread>,
    /// Transfers that the server has said it does not know, the oldest first.
    late: VecDeque<u32>,
}

impl Outstanding {
    pub(super) fn new() -> Self {
        let spread = Spread::new();
        Self {
            next: 1,
            wrapped: false,
            transfers: HashMap::with_hasher(spread),
            unlinks: HashMap::with_hasher(spread),
            late: VecDeque::new(),
        }
    }

    /// Gives a transfer a number.
    pub(super) fn add(&mut self, owner: Option<TransferId>, kind: Kind) -> u32 {
        let sequence = self.number();
        self.insert(sequence, owner, kind);
        sequence
    }

    /// Takes a transfer in that has been given its number already.
    pub(super) fn insert(&mut self, sequence: u32, owner: Option<TransferId>, kind: Kind) {
        let pending = Pending {
            owner,
            kind,
            unlink: None,
        };
        self.transfers.insert(sequence, pending);
    }

    /// The next number.
    pub(super) fn number(&mut self) -> u32 {
        loop {
            let sequence = self.next;
            self.next = self.next.wrapping_add(1);
            self.wrapped |= self.next == 0;
            if !self.wrapped || sequence != 0 && !self.is_taken(sequence) {
                return sequence;
            }
        }
    }

    fn is_taken(&self, number: u32) -> bool {
        self.transfers.contains_key(&number) || self.unlinks.contains_key(&number)
    }

    pub(super) fn find(&self, sequence: u32) -> Option<&Pending> {
        self.transfers.get(&sequence)
    }

    /// Takes a transfer out that has ended, or can't be heard of any more.
    pub(super) fn remove(&mut self, sequence: u32) -> Option<Pending> {
        let pending = self.transfers.remove(&sequence)?;
        if pending.owner.is_none() {
            self.late.retain(|late| *late != sequence);
        }
        if let Some(unlink) = pending.unlink {
            self.unlinks.remove(&unlink);
        }
        Some(pending)
    }

    /// The number of an owner's transfer. It is sought, as few transfers are ever taken back.
    pub(super) fn number_of(&self, owner: TransferId) -> Option<u32> {
        let mut transfers = self.transfers.iter();
        let found = transfers.find(|(_, pending)| pending.owner == Some(owner));
        found.map(|(sequence, _)| *sequence)
    }

    /// Begins to unlink a transfer, and tells the unlink's number. `None` where it has been asked for already.
    pub(super) fn unlink(&mut self, target: u32) -> Option<u32> {
        if self.transfers.get(&target)?.unlink.is_some() {
            return None;
        }
        let unlink = self.number();
        self.unlinks.insert(unlink, target);
        if let Some(pending) = self.transfers.get_mut(&target) {
            pending.unlink = Some(unlink);
        }
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
            self.transfers.remove(&oldest);
        }
        if let Some(pending) = self.transfers.get_mut(&sequence) {
            pending.unlink = None;
        }
        self.disown(sequence, status)
    }

    /// Ends a transfer for its owner, who is not to hear of it again.
    pub(super) fn disown(&mut self, sequence: u32, status: Status) -> Option<Completion> {
        self.transfers.get_mut(&sequence)?.end(status)
    }

    /// The numbers of the transfers that have owners, in the order in which they were submitted.
    pub(super) fn owned(&self) -> Vec<u32> {
        let transfers = self.transfers.iter();
        let owned = transfers.filter(|(_, pending)| pending.owner.is_some());
        let mut owned: Vec<u32> = owned.map(|(sequence, _)| *sequence).collect();
        owned.sort_unstable_by_key(|sequence| sequence.wrapping_sub(self.next));
        owned
    }

    /// Whether no reply is to come, not even one that nobody waits for.
    pub(super) fn is_empty(&self) -> bool {
        self.transfers.is_empty() && self.unlinks.is_empty()
    }

    /// How many transfers nobody waits for.
    pub(super) fn ownerless(&self) -> usize {
        let transfers = self.transfers.values();
        transfers.filter(|pending| pending.owner.is_none()).count()
    }

    /// Forgets everything; owners have been told.
    pub(super) fn clear(&mut self) {
        self.transfers.clear();
        self.unlinks.clear();
        self.late.clear();
    }
}

/// A quick hash of one number, with a secret, so that whoever picks the numbers can't have them collide.
#[derive(Clone, Copy, Debug)]
struct Spread(u64);

impl Spread {
    fn new() -> Self {
        Self(RandomState::new().hash_one(0u64))
    }
}

impl BuildHasher for Spread {
    type Hasher = SpreadHasher;

    fn build_hasher(&self) -> SpreadHasher {
        SpreadHasher(self.0)
    }
}

#[derive(Debug)]
struct SpreadHasher(u64);

impl Hasher for SpreadHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
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
