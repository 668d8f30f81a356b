//! That no byte is lost, doubled or out of order, whatever becomes of the reads and writes that move them.

use std::{sync::Arc, time::Duration};

use proptest::{prelude::*, test_runner::RngSeed};
use usbwright_target::{PipePolicy, Wait, protocol::Status};

use crate::support::{
    Answer, Bench, Button, LARGEST, PACKET, Polled, ScriptedPort, Taking, byte, bytes,
};

/// What becomes of a call that has to wait.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Dropped,
    Aborted,
    Cancelled,
    TimesOut,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Dropped),
        Just(Fate::Aborted),
        Just(Fate::Cancelled),
        Just(Fate::TimesOut)
    ]
}

fn policy() -> impl Strategy<Value = PipePolicy> {
    any::<[bool; 3]>().prop_map(|[clear, ignore, partial]| PipePolicy {
        auto_clear_stall: clear,
        ignore_short_packets: ignore,
        allow_partial_reads: partial,
        transfer_timeout: Some(Duration::from_millis(100)),
        ..PipePolicy::DEFAULT
    })
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        0..3 * PACKET,
        (0..4usize).prop_map(|packets| packets * PACKET)
    ]
}

/// A step of a device's and its host's life.
#[derive(Clone, Debug)]
enum Step {
    /// The device has a message to send.
    Sends(usize),
    Reads(usize, PipePolicy, Option<usize>, Fate),
}

fn step() -> impl Strategy<Value = Step> {
    let reads = (length(), policy(), prop::option::of(length()), fate());
    prop_oneof![
        length().prop_map(Step::Sends),
        reads.prop_map(|(length, policy, sends, fate)| Step::Reads(length, policy, sends, fate)),
    ]
}

/// A device that sends a known stream, and what has come of it.
struct Streaming {
    bench: Bench,
    sent: usize,
    came: Vec<u8>,
}

impl Streaming {
    fn sends(&mut self, length: usize) {
        let message: Vec<_> = (self.sent..self.sent + length).map(byte).collect();
        self.sent += length;
        self.bench.answers([Answer::sends(message)]);
    }

    fn reads(&mut self, length: usize, policy: PipePolicy, sends: Option<usize>, fate: Fate) {
        let pipe = self.bench.source(policy);
        let button = Button::default();
        let mut read = Polled::new(pipe.read_cancelable(length, button.pressed()));
        let mut ended = read.poll();
        if let (None, Some(length)) = (&ended, sends) {
            self.sends(length);
        }
        if ended.is_none() {
            match fate {
                Fate::Dropped => {}
                Fate::Aborted => {
                    pipe.abort().wait();
                    ended = Some(read.end());
                }
                Fate::Cancelled => {
                    button.press();
                    ended = Some(read.end());
                }
                Fate::TimesOut => {
                    self.bench.advance(100);
                    ended = Some(read.end());
                }
            }
        }
        self.came
            .extend(ended.map(|it| it.data.to_vec()).unwrap_or_default());
    }

    /// Reads whatever is left.
    fn drain(&mut self) {
        while self.came.len() < self.sent {
            let before = self.came.len();
            self.reads(1 << 16, PipePolicy::DEFAULT, Some(1), Fate::Aborted);
            assert!(self.came.len() > before || self.bench.device.is_connected());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(400) })]

    #[test]
    fn reads_yield_the_devices_stream_whatever_becomes_of_them(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut streaming = Streaming { bench: Bench::new(), sent: 0, came: Vec::new() };
        for step in steps {
            match step {
                Step::Sends(length) => streaming.sends(length),
                Step::Reads(length, policy, sends, fate) => {
                    streaming.reads(length, policy, sends, fate);
                }
            }
        }
        streaming.drain();
        prop_assert!(bytes(streaming.sent) == streaming.came);
    }

    #[test]
    fn reads_yield_the_stream_of_a_port_that_gives_transfers_back_late(
        steps in prop::collection::vec((0..4u8, length(), any::<bool>()), 1..60),
    ) {
        let port = ScriptedPort::new();
        let pipe = port.source(PipePolicy::default());
        let (mut sent, mut came) = (0, Vec::new());
        let mut button = Arc::<Button>::default();
        let mut read = None;
        let serve = |sent: &mut usize, length: usize| {
            let Some(room) = port.lengths().first().copied() else {
                return;
            };
            let id = port.script().outstanding[0].id;
            let is_cancelled = port.script().cancelled.contains(&id);
            let length = length.min(room);
            let data = (*sent..*sent + length).map(byte).collect();
            *sent += length;
            let status = match is_cancelled && length.is_multiple_of(PACKET) && length < room {
                true => Status::Cancelled,
                false => Status::Done,
            };
            port.end(0, status, data);
        };
        for (what, length, keeps) in steps {
            match what {
                0 if read.is_none() => {
                    button = Arc::default();
                    let pressed = Arc::clone(&button);
                    let pipe = &pipe;
                    read = Some(Polled::new(async move {
                        pipe.read_cancelable(length, pressed.pressed()).await
                    }));
                }
                1 if !keeps => read = None,
                3 => button.press(),
                _ => serve(&mut sent, length),
            }
            if let Some(ended) = read.as_mut().and_then(Polled::poll) {
                came.extend(ended.data.to_vec());
                read = None;
            }
        }
        drop(read);
        while !port.lengths().is_empty() {
            serve(&mut sent, 0);
        }
        while came.len() < sent {
            came.extend(Polled::new(pipe.read(1)).end().data.to_vec());
        }
        prop_assert!(bytes(sent) == came);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(60) })]

    #[test]
    fn a_device_takes_a_beginning_of_each_write_and_nothing_else(
        writes in prop::collection::vec((0..3 * LARGEST, 0..3 * LARGEST, 0..4usize, fate()), 1..4),
    ) {
        let bench = Bench::new();
        let pipe = bench.sink(PipePolicy {
            transfer_timeout: Some(Duration::from_millis(100)),
            ..PipePolicy::DEFAULT
        });
        for (length, taken, more, fate) in writes {
            let taken = taken / PACKET * PACKET;
            bench.script.with(|it| {
                it.taken.clear();
                it.taking = Taking::Only(taken);
            });
            let button = Button::default();
            let mut write = Polled::new(pipe.write_cancelable(bytes(length), button.pressed()));
            let mut ended = write.poll();
            bench.script.with(|it| it.taking = Taking::Only(taken + more * PACKET));
            if ended.is_none() {
                match fate {
                    Fate::Dropped => drop(write),
                    Fate::Aborted => {
                        pipe.abort().wait();
                        ended = Some(write.end());
                    }
                    Fate::Cancelled => {
                        button.press();
                        ended = Some(write.end());
                    }
                    Fate::TimesOut => {
                        bench.advance(100);
                        ended = Some(write.end());
                    }
                }
            }
            let written = bench.script.with(|it| it.written());
            prop_assert!(written.len() <= length && written == bytes(written.len()));
            if let Some(ended) = ended {
                prop_assert_eq!(ended.length, written.len());
            }
        }
    }
}
