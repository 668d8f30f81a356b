//! Whatever is done with a reader, and in whatever order: nothing of the stream is lost, and nothing comes twice.

use std::{pin::pin, time::Duration};

use proptest::prelude::*;
use usbwright_target::{Bulk, ContinuousReader, In, Pipe, ReaderConfig};

use super::PACKET;
use crate::support::{Bench, data, now};

/// What is done with a reader.
#[derive(Clone, Debug)]
enum Act {
    /// The device has so many bytes more.
    Send(usize),
    Stall,
    /// The device looks at what it has.
    Nudge,
    /// The next message is taken if it has come; the future is dropped.
    Next,
    Start,
    Stop,
    Abort,
    Advance,
    /// The reader is dropped, and there is another one.
    Renew(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..4 * PACKET).prop_map(Act::Send),
        2 => (0..4usize).prop_map(|packets| Act::Send(packets * PACKET)),
        2 => Just(Act::Stall),
        3 => Just(Act::Nudge),
        8 => Just(Act::Next),
        2 => Just(Act::Start),
        2 => Just(Act::Stop),
        1 => Just(Act::Abort),
        2 => Just(Act::Advance),
        1 => (0..4usize).prop_map(Act::Renew),
    ]
}

/// A reader that is watched for what it brings.
struct Run {
    bench: Bench,
    pipe: Pipe<Bulk, In>,
    reader: Option<ContinuousReader>,
    sent: Vec<u8>,
    came: Vec<u8>,
}

impl Run {
    fn new() -> Self {
        let bench = Bench::new();
        let pipe = bench.pipe();
        let mut run = Self {
            bench,
            pipe,
            reader: None,
            sent: Vec::new(),
            came: Vec::new(),
        };
        run.renew(2);
        run
    }

    fn renew(&mut self, pending: usize) {
        drop(self.reader.take());
        let config = ReaderConfig {
            pending,
            ..ReaderConfig::new(2 * PACKET)
        };
        let reader = self.pipe.reader(config).unwrap();
        reader.start();
        self.reader = Some(reader);
    }

    fn reader(&mut self) -> &mut ContinuousReader {
        self.reader.as_mut().unwrap()
    }

    /// Takes what has come. Tells whether there was anything, a failure included.
    fn next(&mut self) -> bool {
        let reader = self.reader.as_mut().unwrap();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match pin!(reader.next()).poll(&mut cx) {
            std::task::Poll::Ready(Ok(message)) => self.came.extend(message.data().to_vec()),
            std::task::Poll::Ready(Err(_)) => {}
            std::task::Poll::Pending => return false,
        }
        true
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Send(length) => {
                let bytes = data(self.sent.len() as u8, *length);
                self.sent.extend_from_slice(&bytes);
                self.bench.script.sends(bytes);
            }
            Act::Stall => self.bench.script.stalls(),
            Act::Nudge => self.bench.nudge(),
            Act::Next => {
                self.next();
            }
            Act::Start => self.reader().start(),
            Act::Stop => now(self.reader().handle().stop()),
            Act::Abort => now(self.pipe.abort()),
            Act::Advance => self.bench.clock.advance(Duration::from_secs(1)),
            Act::Renew(pending) => self.renew(*pending),
        }
    }

    /// Takes all that there is.
    fn finish(&mut self) {
        loop {
            self.reader().start();
            self.bench.nudge();
            self.bench.clock.advance(Duration::from_secs(1));
            if !self.next() && self.bench.script.state().steps.is_empty() {
                break;
            }
        }
        now(self.reader().handle().stop());
        while self.next() {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_and_nothing_comes_twice(acts in prop::collection::vec(act(), 1..80)) {
        let mut run = Run::new();
        acts.iter().for_each(|act| run.act(act));
        run.finish();
        prop_assert_eq!(run.came.len(), run.sent.len());
        prop_assert!(run.came == run.sent);
    }
}
