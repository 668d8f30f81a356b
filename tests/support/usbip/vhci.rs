//! What the kernel's client knows and demands, by the rules of `vhci_rx.c`: where it would drop the connection, this
//! panics. It reads the bytes by itself and shares no code with the server.

use std::collections::{HashMap, VecDeque};

pub(crate) const HEADER: usize = 48;
pub(crate) const ISO_PACKET: usize = 16;

/// The status of an unlink that took its transfer back.
pub(crate) const TAKEN_BACK: i32 = -104;

/// Statuses that mean something to a Linux driver.
const STATUSES: [i32; 9] = [0, -12, -18, -32, -71, -75, -104, -108, -121];

/// A transfer that a client has submitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Submitted {
    pub(crate) reads: bool,
    pub(crate) length: u32,
    /// `number_of_packets` as it was sent.
    pub(crate) packets: u32,
    pub(crate) isochronous: bool,
}

/// A reply, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// `USBIP_RET_SUBMIT`.
    Ended(Ended),
    /// `USBIP_RET_UNLINK`.
    Unlinked { sequence: u32, status: i32 },
}

/// The end of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) sequence: u32,
    pub(crate) status: i32,
    pub(crate) actual_length: u32,
    pub(crate) packets: u32,
    pub(crate) error_count: u32,
    pub(crate) data: Vec<u8>,
    /// Offset, length, actual length and status of each isochronous packet.
    pub(crate) iso: Vec<[u32; 4]>,
}

/// The client's book of what is under way.
#[derive(Debug, Default)]
pub(crate) struct Vhci {
    /// By number; a number may be used again once it is free. With each, how many commands went before it.
    outstanding: HashMap<u32, VecDeque<(u64, Submitted)>>,
    unlinks: HashMap<u32, (u64, u32)>,
    commands: u64,
}

impl Vhci {
    pub(crate) fn submitted(&mut self, sequence: u32, submitted: Submitted) {
        self.commands += 1;
        let queue = self.outstanding.entry(sequence).or_default();
        queue.push_back((self.commands, submitted));
    }

    /// Notes an unlink, and tells whether its number was free.
    pub(crate) fn unlinked(&mut self, sequence: u32, target: u32) -> bool {
        self.commands += 1;
        let before = self.unlinks.insert(sequence, (self.commands, target));
        before.is_none()
    }

    /// The numbers of the transfers that are under way.
    pub(crate) fn outstanding(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = self.outstanding.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }

    /// Whether a number is used twice at once.
    pub(crate) fn is_duplicate(&self, sequence: u32) -> bool {
        let queue = self.outstanding.get(&sequence);
        queue.is_some_and(|queue| queue.len() > 1)
    }

    /// How many unlinks wait for their answer.
    pub(crate) fn unlinks(&self) -> usize {
        self.unlinks.len()
    }

    /// Takes a reply off the front of `bytes` and checks it; `None` where it is not whole yet.
    pub(crate) fn receive(&mut self, bytes: &mut Vec<u8>) -> Option<Answer> {
        if bytes.len() < HEADER {
            return None;
        }
        let sequence = word(bytes, 0x04);
        match word(bytes, 0) {
            3 => {
                let ended = self.read_end(sequence, bytes)?;
                self.take(sequence);
                Some(Answer::Ended(ended))
            }
            4 => {
                let status = word(bytes, 0x14).cast_signed();
                bytes.drain(..HEADER);
                self.check_unlink(sequence, status);
                Some(Answer::Unlinked { sequence, status })
            }
            other => panic!("unknown pdu {other:#x}: {:02x?}", &bytes[..HEADER]),
        }
    }

    fn read_end(&self, sequence: u32, bytes: &mut Vec<u8>) -> Option<Ended> {
        let submitted = self.outstanding.get(&sequence).and_then(VecDeque::front);
        let (_, submitted) =
            submitted.unwrap_or_else(|| panic!("cannot find a urb of seqnum {sequence}"));
        let mut ended = Ended {
            sequence,
            status: word(bytes, 0x14).cast_signed(),
            actual_length: word(bytes, 0x18),
            packets: word(bytes, 0x20),
            error_count: word(bytes, 0x24),
            data: Vec::new(),
            iso: Vec::new(),
        };
        assert!(STATUSES.contains(&ended.status), "{ended:?}");
        assert!(bytes[0x28..0x30] == [0; 8], "padding that is not zero");
        assert!(
            ended.actual_length <= submitted.length,
            "more than was asked for: {ended:?} {submitted:?}"
        );
        let payload = if submitted.reads {
            ended.actual_length as usize
        } else {
            0
        };
        let packets = if submitted.isochronous {
            assert!(ended.packets <= submitted.packets, "{ended:?}");
            ended.packets as usize
        } else {
            assert_eq!(ended.packets, submitted.packets, "{ended:?}");
            0
        };
        let size = HEADER + payload + packets * ISO_PACKET;
        if bytes.len() < size {
            return None;
        }
        ended.data = bytes[HEADER..HEADER + payload].to_vec();
        let descriptions = bytes[HEADER + payload..size].chunks(ISO_PACKET);
        ended.iso = descriptions
            .map(|it| [word(it, 0), word(it, 4), word(it, 8), word(it, 12)])
            .collect();
        bytes.drain(..size);
        if submitted.isochronous {
            let moved: u32 = ended.iso.iter().map(|packet| packet[2]).sum();
            assert_eq!(moved, ended.actual_length, "the sum differs: {ended:?}");
        }
        Some(ended)
    }

    fn take(&mut self, sequence: u32) {
        if let Some(queue) = self.outstanding.get_mut(&sequence) {
            queue.pop_front();
            if queue.is_empty() {
                self.outstanding.remove(&sequence);
            }
        }
    }

    fn check_unlink(&mut self, sequence: u32, status: i32) {
        let unlink = self.unlinks.remove(&sequence);
        let (place, target) =
            unlink.unwrap_or_else(|| panic!("an answer to no unlink: {sequence}"));
        let front = self.outstanding.get(&target).and_then(VecDeque::front);
        match (status, front) {
            (TAKEN_BACK, Some(_)) => self.take(target),
            (TAKEN_BACK, None) => panic!("{target} was taken back after its end"),
            (0, Some((submit, _))) => assert!(
                *submit > place,
                "unlink {sequence} says that {target} has ended, which has not"
            ),
            (0, None) => {}
            (other, _) => panic!("unlink {sequence} answered with {other}"),
        }
    }
}

/// The big-endian word at `place`.
pub(crate) fn word(bytes: &[u8], place: usize) -> u32 {
    let bytes = bytes[place..place + 4].try_into();
    u32::from_be_bytes(bytes.expect("four bytes"))
}
