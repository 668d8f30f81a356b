//! The client's stream: composed of random bytes, and read by the protocol's rules to know what a server has to see.

use std::{collections::HashSet, time::Duration};

use super::{LIMITS, Step};
use crate::vhci::{HEADER, ISO_PACKET, Submitted, Vhci, word};

/// What a server has to make of the bytes so far.
#[derive(Default)]
pub(super) struct Stream {
    rest: Vec<u8>,
    broken: bool,
    used: HashSet<u32>,
}

impl Stream {
    /// Notes every whole command; `false` where an unlink's number is not free.
    pub(super) fn feed(&mut self, bytes: &[u8], vhci: &mut Vhci) -> bool {
        self.rest.extend_from_slice(bytes);
        while !self.broken {
            match self.size() {
                Some(size) if self.rest.len() >= size => {}
                _ => break,
            }
            let size = self.size().unwrap_or(HEADER);
            let command: Vec<u8> = self.rest.drain(..size).collect();
            let sequence = word(&command, 4);
            self.used.insert(sequence);
            if word(&command, 0) == 2 {
                let target = word(&command, 0x14);
                self.used.insert(target);
                if !vhci.unlinked(sequence, target) {
                    return false;
                }
                continue;
            }
            if !windows_fit(&command) {
                self.broken = true;
            }
            vhci.submitted(sequence, submitted(&command));
        }
        true
    }

    /// The bytes of the command that the rest begins with; `None` where its header is not whole or it breaks the protocol.
    fn size(&mut self) -> Option<usize> {
        if self.rest.len() < HEADER {
            return None;
        }
        let submitted = submitted(&self.rest);
        let sound = match word(&self.rest, 0) {
            1 => {
                word(&self.rest, 0x0c) <= 1
                    && word(&self.rest, 0x10) <= 15
                    && submitted.length <= LIMITS.transfer
                    && !(submitted.isochronous && submitted.packets > LIMITS.iso_packets)
            }
            2 => return Some(HEADER),
            _ => false,
        };
        if !sound {
            self.broken = true;
            return None;
        }
        Some(HEADER + payload(submitted) + packets(submitted) * ISO_PACKET)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// The bytes after the last whole command.
    pub(super) fn rest(&self) -> usize {
        self.rest.len()
    }

    /// How many bytes make the last command whole.
    pub(super) fn missing(&mut self) -> usize {
        match self.rest.len() {
            0 => 0,
            length if length < HEADER => HEADER - length,
            length => self.size().map_or(0, |size| size - length),
        }
    }

    /// A number that nothing has had.
    pub(super) fn fresh(&mut self) -> u32 {
        let free = (0x4000_0000..).find(|number| !self.used.contains(number));
        let number = free.expect("fewer commands than numbers");
        self.used.insert(number);
        number
    }
}

/// Gadget Zero's isochronous endpoints have the number 2 in every setting that has them.
fn submitted(command: &[u8]) -> Submitted {
    Submitted {
        reads: word(command, 0x0c) == 1,
        length: word(command, 0x18),
        packets: word(command, 0x20),
        isochronous: word(command, 0x10) == 2,
    }
}

fn payload(submitted: Submitted) -> usize {
    if submitted.reads {
        0
    } else {
        submitted.length as usize
    }
}

fn packets(submitted: Submitted) -> usize {
    if submitted.isochronous {
        submitted.packets as usize
    } else {
        0
    }
}

/// Whether the isochronous packets lie within the buffer, and are together no longer than it.
fn windows_fit(command: &[u8]) -> bool {
    let submitted = submitted(command);
    let length = u64::from(submitted.length);
    let windows = command[HEADER + payload(submitted)..].chunks(ISO_PACKET);
    let windows: Vec<(u64, u64)> = windows
        .map(|it| (word(it, 0).into(), word(it, 4).into()))
        .collect();
    let sum: u64 = windows.iter().map(|window| window.1).sum();
    sum <= length && windows.iter().all(|window| window.0 + window.1 <= length)
}

/// An unlink's bytes.
pub(super) fn unlink(sequence: u32, target: u32) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    put(&mut bytes, 0, 2);
    put(&mut bytes, 4, sequence);
    put(&mut bytes, 0x14, target);
    bytes
}

fn put(bytes: &mut [u8], place: usize, word: u32) {
    bytes[place..place + 4].copy_from_slice(&word.to_be_bytes());
}

/// Requests that matter to Gadget Zero.
const SETUPS: [[u8; 8]; 12] = [
    [0x00, 9, 3, 0, 0, 0, 0, 0],
    [0x00, 9, 2, 0, 0, 0, 0, 0],
    [0x00, 9, 2, 0, 0, 0, 0, 0],
    [0x01, 11, 1, 0, 0, 0, 0, 0],
    [0x01, 11, 2, 0, 0, 0, 0, 0],
    [0x02, 3, 0, 0, 0x81, 0, 0, 0],
    [0x02, 1, 0, 0, 0x81, 0, 0, 0],
    [0x02, 1, 0, 0, 0x01, 0, 0, 0],
    [0x80, 6, 0, 1, 0, 0, 18, 0],
    [0x40, 0x5b, 0, 0, 0, 0, 100, 0],
    [0xc0, 0x5c, 0, 0, 0, 0, 100, 0],
    [0x23, 3, 4, 0, 1, 0, 0, 0],
];

/// A client's steps, as bytes tell them: mostly sound commands, some with a byte changed.
pub(super) fn compose(script: &[u8]) -> Vec<Step> {
    let mut script = script.iter().copied();
    let mut next: u32 = [1, 0x7fff_fff8, 0xffff_fff8][usize::from(script.next().unwrap_or(0)) % 3];
    let mut steps = vec![Step::Send(request(next, SETUPS[0]))];
    while let Some(action) = script.next() {
        let mut byte = || script.next().unwrap_or(0);
        next = next.wrapping_add(1);
        let mut bytes = match action % 16 {
            0..=2 => request(next, SETUPS[usize::from(byte()) % SETUPS.len()]),
            3..=9 => transfer(next, &mut byte),
            // Before or after the number in hand; the unlink's own number is never a submit's.
            10..=12 => {
                let target = next
                    .wrapping_add(u32::from(byte() % 16))
                    .wrapping_sub(u32::from(byte() % 16));
                unlink(next ^ 0x2000_0000, target)
            }
            13 => {
                let time = Duration::from_micros(u64::from(byte()) * 6000);
                steps.push(Step::Wait(time));
                continue;
            }
            _ => {
                steps.push(Step::Read);
                continue;
            }
        };
        if action >= 0xf0 {
            let place = usize::from(byte()) % HEADER.min(bytes.len());
            bytes[place] = byte();
        }
        steps.push(Step::Send(bytes));
    }
    steps
}

fn request(sequence: u32, setup: [u8; 8]) -> Vec<u8> {
    let length = u16::from_le_bytes([setup[6], setup[7]]);
    let reads = setup[0] & 0x80 != 0 && length > 0;
    let mut bytes = header(sequence, 0, reads, length.into(), 0);
    bytes[0x28..].copy_from_slice(&setup);
    if !reads {
        bytes.resize(HEADER + usize::from(length), 0);
    }
    bytes
}

fn transfer(sequence: u32, byte: &mut impl FnMut() -> u8) -> Vec<u8> {
    let endpoint = [1, 1, 1, 2, 2, 3, 4, 15][usize::from(byte() % 8)];
    let reads = byte().is_multiple_of(2);
    let count = u32::from(byte());
    let length = match byte() % 4 {
        0 => count % 8,
        1 => count * 64,
        2 => count % 9 * 512,
        _ => count * 257,
    };
    let packets = match (endpoint, byte()) {
        (2, many) => u32::from(many) % 34,
        (_, 0..128) => 0,
        (_, 128..192) => u32::MAX,
        (_, other) => other.into(),
    };
    let mut bytes = header(sequence, endpoint, reads, length, packets);
    if !reads {
        bytes.resize(HEADER + length as usize, byte());
    }
    if endpoint == 2 {
        let each = length.checked_div(packets).unwrap_or(0);
        for packet in 0..packets {
            let mut description = [0; ISO_PACKET];
            put(&mut description, 0, packet * each);
            put(&mut description, 4, each);
            put(&mut description, 8, 5);
            put(&mut description, 12, 0xffff_ffee);
            bytes.extend_from_slice(&description);
        }
    }
    bytes
}

fn header(sequence: u32, endpoint: u32, reads: bool, length: u32, packets: u32) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    put(&mut bytes, 0, 1);
    put(&mut bytes, 4, sequence);
    put(&mut bytes, 8, 0x10001);
    put(&mut bytes, 0x0c, u32::from(reads));
    put(&mut bytes, 0x10, endpoint);
    put(&mut bytes, 0x14, 0x40);
    put(&mut bytes, 0x18, length);
    put(&mut bytes, 0x20, packets);
    bytes
}
