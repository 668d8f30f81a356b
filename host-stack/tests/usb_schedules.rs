//! What holds of a USB target's requests in whatever order things are done: seeds decide, and one with which it does not hold is told.

mod dice;
mod usb_support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use usbwright_host_stack::{
    Memory, Request, RequestCompletionParams, SendOptions, Sent, SentIoAction, StackBuilder,
    Threads, Timeout, status::NtStatus, usb::UsbTargetPipe, usb_target::protocol::Status,
};

use crate::{
    dice::{Dice, try_all},
    usb_support::{BULK_IN, PACKET, Rig, room},
};

/// How a read may end whatever becomes of it.
const ENDS: [NtStatus; 4] = [
    NtStatus::SUCCESS,
    NtStatus::CANCELLED,
    NtStatus::IO_TIMEOUT,
    NtStatus::WDF_IO_TIMEOUT_NOT_SENT,
];

/// Reads of a bulk pipe, and what was told of each.
struct Reads {
    rig: Rig,
    /// In the order in which they were sent.
    sent: Vec<Sent>,
    next: u8,
}

impl Reads {
    fn new(seed: u64) -> Self {
        let seeded = |it: StackBuilder| it.threads(Threads::Seeded(seed));
        let rig = Rig::built(0, |_| Ok(()), None, seeded);
        Self {
            rig,
            sent: Vec::new(),
            next: 0,
        }
    }

    fn pipe(&self) -> UsbTargetPipe {
        self.rig.pipe(BULK_IN)
    }

    /// So many bytes, each of which can be told from those near it.
    fn data(&mut self, length: usize) -> Vec<u8> {
        (0..length)
            .map(|_| {
                self.next = self.next.wrapping_add(1);
                self.next
            })
            .collect()
    }

    fn one(&self, dice: &mut Dice) -> Option<&Sent> {
        self.sent.get(dice.roll(self.sent.len().max(1)))
    }

    fn step(&mut self, dice: &mut Dice, memories: &mut Vec<Memory>) {
        match dice.roll(10) {
            0..=2 => {
                let mut options = SendOptions::new();
                if dice.roll(3) == 0 {
                    let time = Duration::from_millis(1 + dice.roll(9) as u64);
                    options = options.timeout(Timeout::After(time));
                }
                let memory = room((1 + dice.roll(3)) * PACKET);
                self.sent
                    .push(self.rig.read_with(BULK_IN, &memory, options));
                memories.push(memory);
            }
            3 | 4 => self.end_one(dice),
            5 => {
                let moved = dice.roll(2) * PACKET;
                let data = self.data(moved);
                self.rig.wire.moves(BULK_IN, &data);
                if let Some(sent) = self.one(dice) {
                    sent.cancel();
                }
            }
            6 => self.rig.clock.advance(Duration::from_millis(3)),
            7 => {
                let action = match dice.roll(2) {
                    0 => SentIoAction::CancelSentIo,
                    _ => SentIoAction::LeaveSentIoPending,
                };
                self.pipe().target().stop(action).unwrap();
            }
            8 => self.pipe().target().start().unwrap(),
            _ => match dice.roll(4) {
                0 => self.pipe().abort().unwrap(),
                _ => self.rig.poke(),
            },
        }
    }

    /// The device sends something, if it is asked for anything.
    fn end_one(&mut self, dice: &mut Dice) {
        if self.rig.wire.pending(BULK_IN) == 0 {
            return;
        }
        let length = dice.roll(PACKET);
        let data = self.data(length);
        self.rig.wire.end(BULK_IN, Status::Done, &data);
        if dice.roll(2) == 0 {
            self.rig.poke();
        }
    }

    /// Ends what has not ended, and tells what all reads have brought, in their order.
    fn told(mut self, memories: &[Memory]) -> (Vec<u8>, Vec<u8>) {
        self.pipe().target().start().unwrap();
        self.rig.look();
        while self.rig.wire.pending(BULK_IN) > 0 {
            let data = self.data(1);
            self.rig.end(BULK_IN, Status::Done, &data);
        }
        let mut told = Vec::new();
        for (sent, memory) in self.sent.into_iter().zip(memories) {
            let (_, params) = sent.wait();
            assert!(ENDS.contains(&params.nt_status()), "{params:?}");
            let length = params.information();
            assert_eq!(params.usb().unwrap().transfer().bytes, length);
            told.extend_from_slice(&memory.to_bytes(None).unwrap()[..length]);
        }
        (told, self.rig.wire.came(BULK_IN))
    }
}

#[test]
fn reads_tell_every_byte_once_and_in_order_whatever_becomes_of_them() {
    try_all("every byte is told once", |seed, mut dice| {
        let mut reads = Reads::new(seed);
        let mut memories = Vec::new();
        for _ in 0..5 + dice.roll(25) {
            reads.step(&mut dice, &mut memories);
        }
        let (told, came) = reads.told(&memories);
        assert_eq!(told, came);
    });
}

#[test]
fn every_request_ends_once_whatever_becomes_of_its_device() {
    try_all("every request ends once", |seed, mut dice| {
        let seeded = |it: StackBuilder| it.threads(Threads::Seeded(seed));
        let rig = Rig::built(0, |_| Ok(()), None, seeded);
        // It goes with its stack, once it is unplugged.
        let device = rig.device();
        let ends = Arc::new(Mutex::new(Vec::new()));
        let memory = room(PACKET);
        let mut sends = 0;
        for _ in 0..20 {
            match dice.roll(8) {
                0..=2 => {
                    let (pipe, mut request) = (rig.pipe(BULK_IN), device.create_request());
                    pipe.format_for_read(&mut request, Some(&memory), None)
                        .unwrap();
                    let (number, ends) = (sends, Arc::clone(&ends));
                    let told = move |_: Request, _: &RequestCompletionParams| {
                        ends.lock().unwrap().push(number);
                    };
                    let sent = request.send_then(pipe.target(), SendOptions::new(), Arc::new(told));
                    sends += usize::from(sent.is_ok());
                }
                3 => {
                    let _ = rig.interface().select_setting(dice.roll(3) as u8);
                }
                4 if rig.wire.pending(BULK_IN) > 0 => rig.wire.end(BULK_IN, Status::Stalled, &[]),
                5 => {
                    let _ = rig.pipe(BULK_IN).reset();
                }
                6 if dice.roll(4) == 0 => rig.wire.unplug(),
                _ => rig.poke(),
            }
        }
        match dice.roll(2) {
            0 => rig.stack.surprise_remove(),
            _ => rig.stack.remove().unwrap(),
        }
        rig.stack.run();
        let mut ends = ends.lock().unwrap().clone();
        ends.sort_unstable();
        assert!(ends.into_iter().eq(0..sends));
    });
}
