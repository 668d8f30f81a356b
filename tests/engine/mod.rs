//! A client made of random bytes against a Gadget Zero, and what a server owes any client.
//!
//! The property tests and the fuzz target run the same engine: [`run`] panics where a promise is broken.

mod stream;

use std::time::{Duration, Instant};

use usbwright_emulator::{
    EmulatedDevice,
    protocol::Speed,
    server::{Exchange, Limits, SessionError},
};
use usbwright_models::gadget_zero::{GadgetZero, Options, PatternKind};

use self::stream::{Stream, compose};
use crate::vhci::{Answer, Vhci};

/// Small limits, so that random bytes come to them.
pub(crate) const LIMITS: Limits = Limits {
    transfer: 64 << 10,
    iso_packets: 32,
    pending_transfers: 40,
    pending_bytes: 32 << 10,
    visitors: 1,
};

/// What a client does next.
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    Read,
}

/// Plays `script`: its first byte says whether the rest is the client's stream as it is, or tells what to compose.
pub(crate) fn run(script: &[u8]) {
    let Some((&mode, rest)) = script.split_first() else {
        return;
    };
    let steps = match mode % 4 {
        0 => vec![Step::Send(rest.to_vec())],
        _ => compose(rest),
    };
    let mut session = Session::new(mode);
    for step in steps {
        let sound = match step {
            Step::Send(bytes) => session.send(&bytes),
            Step::Wait(time) => session.wait(time),
            Step::Read => session.read(),
        };
        if !sound {
            return;
        }
    }
    session.finish();
}

struct Session {
    exchange: Exchange,
    device: EmulatedDevice,
    now: Instant,
    stream: Stream,
    vhci: Vhci,
    replies: Vec<u8>,
    chunk: usize,
}

impl Session {
    fn new(mode: u8) -> Self {
        let now = Instant::now();
        let options = Options {
            pattern: [PatternKind::Unchecked, PatternKind::Mod63][usize::from(mode >> 2 & 1)],
            queue_length: 2,
            ..Options::default()
        };
        let firmware = GadgetZero::new(Speed::High, options);
        let device = EmulatedDevice::new(firmware, Speed::High, now);
        Self {
            exchange: Exchange::new(LIMITS),
            device: device.expect("Gadget Zero is sound"),
            now,
            stream: Stream::default(),
            vhci: Vhci::default(),
            replies: Vec::new(),
            chunk: [1, 7, 47, 48, 49, 1000, 4096, 1 << 20][usize::from(mode >> 5)],
        }
    }

    /// Sends bytes in chunks; `false` where the session has ended.
    fn send(&mut self, bytes: &[u8]) -> bool {
        bytes.chunks(self.chunk).all(|chunk| self.feed(chunk))
    }

    fn feed(&mut self, bytes: &[u8]) -> bool {
        if !self.stream.feed(bytes, &mut self.vhci) {
            // Two unlinks of one number can't be told apart by their answers.
            return false;
        }
        let result = self.exchange.feed(bytes, &mut self.device, self.now);
        self.check_load();
        result.map_or_else(|error| self.end(&error), |()| true)
    }

    fn wait(&mut self, time: Duration) -> bool {
        self.now += time;
        self.exchange.poll(&mut self.device, self.now);
        let deadline = self.exchange.deadline(&self.device);
        assert!(deadline.is_none_or(|deadline| deadline > self.now));
        self.check_load();
        true
    }

    /// Reads until nothing more comes; `false` where the session has ended.
    fn read(&mut self) -> bool {
        loop {
            let replies = self.exchange.take();
            let unread = self.exchange.load().unread;
            self.replies.extend_from_slice(&replies);
            while let Some(answer) = self.vhci.receive(&mut self.replies) {
                self.check(&answer);
            }
            assert!(self.replies.is_empty(), "half a reply: {:?}", self.replies);
            if let Err(error) = self.exchange.feed(&[], &mut self.device, self.now) {
                return self.end(&error);
            }
            let load = self.exchange.load();
            if load.replies == 0 && load.unread == unread {
                return true;
            }
        }
    }

    /// The server has closed the connection, which only a client that broke the protocol brings about.
    fn end(&self, error: &SessionError) -> bool {
        match error {
            SessionError::Duplicate(sequence) => assert!(self.vhci.is_duplicate(*sequence)),
            _ => assert!(self.stream.is_broken(), "closed without a reason: {error}"),
        }
        false
    }

    fn check(&self, answer: &Answer) {
        if let Answer::Ended(ended) = answer
            && !ended.iso.is_empty()
        {
            let failed = ended.iso.iter().filter(|packet| packet[3] != 0).count();
            assert_eq!(failed, ended.error_count as usize);
        }
    }

    fn check_load(&self) {
        let load = self.exchange.load();
        assert!(load.transfers <= LIMITS.pending_transfers, "{load:?}");
        let most = LIMITS.pending_bytes.max(LIMITS.transfer as usize + 512);
        assert!(load.bytes <= most, "{load:?}");
        // 2 MiB that may wait, what one command brings, and what all that wait may bring at once.
        let most = (2 << 20) + (LIMITS.pending_transfers + 1) * (LIMITS.transfer as usize + 560);
        assert!(load.replies <= most, "{load:?}");
    }

    /// Takes everything back: each transfer is answered once then, and each unlink.
    fn finish(mut self) {
        // A header that is made whole may tell of a body that is missing, too.
        loop {
            let missing = vec![0; self.stream.missing()];
            if !self.send(&missing) || !self.read() {
                return;
            }
            if missing.is_empty() {
                break;
            }
        }
        assert!(!self.stream.is_broken(), "what breaks the protocol is seen");
        assert_eq!(self.exchange.load().unread, self.stream.rest());
        assert_eq!(
            self.vhci.outstanding().len(),
            self.exchange.load().transfers
        );
        for target in self.vhci.outstanding() {
            let unlink = stream::unlink(self.stream.fresh(), target);
            if !self.send(&unlink) || !self.read() {
                return;
            }
        }
        assert_eq!(self.vhci.outstanding(), [0; 0]);
        assert_eq!(self.exchange.load().bytes, 0);
        self.wait(Duration::from_secs(2));
        self.read();
        assert_eq!(self.vhci.unlinks(), 0, "an unlink without an answer");
    }
}
