//! How fast bytes go to the host: in bursts, with a pause between them in which it may work them off.

use std::time::{Duration, Instant};

use usbwright_emulator::{Context, protocol::Speed};

use super::descriptors;

/// Packets in a burst.
const PACKETS: usize = 16;
/// What is between two bursts: a microframe.
const PAUSE: Duration = Duration::from_micros(125);

/// The burst that is under way, or the pause after it. The clock is read once for each pause.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes in a burst.
    burst: usize,
    /// Bytes that are left of it.
    left: usize,
    /// When the pause ends.
    ends: Option<Instant>,
}

impl Pace {
    /// At full speed the bus itself is slow enough.
    pub(super) fn new(speed: Speed) -> Self {
        let burst = match speed {
            Speed::Low | Speed::Full => usize::MAX,
            _ => PACKETS * descriptors::packet_size(speed),
        };
        Self {
            burst,
            left: burst,
            ends: None,
        }
    }

    pub(super) fn restart(&mut self) {
        self.left = self.burst;
        self.ends = None;
    }

    /// When the pause ends, if there is one now.
    pub(super) fn pause(&mut self, cx: &Context<'_>) -> Option<Instant> {
        if self.left == 0 && self.ends.is_none() {
            self.ends = Some(cx.now() + PAUSE);
        }
        self.ends
    }

    /// Bytes that may go now.
    pub(super) fn room(&self) -> usize {
        self.left
    }

    /// So many bytes have gone.
    pub(super) fn count(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Ends the pause where its time has come, and tells when it ends where it has not.
    pub(super) fn go_on(&mut self, now: Instant) -> Option<Instant> {
        if self.ends.is_some_and(|end| end <= now) {
            self.restart();
        }
        self.ends
    }
}
