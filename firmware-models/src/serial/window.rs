//! How much a host may have that its programs have not read: Linux drops what is too much.

use std::time::{Duration, Instant};

use usbwright_emulator::Context;

/// Transfers that Linux' driver keeps at the device (`ACM_NR` in `drivers/usb/class/cdc-acm.h`), as long as its terminal has room.
const TRANSFERS: usize = 16;
/// Packets in each of them.
const PACKETS: usize = 2;
/// Bytes that may be under way. A terminal takes 4095 at a time (`N_TTY_BUF_SIZE` in `drivers/tty/n_tty.c`), and asks for more when it
/// has given them away: with fewer under way than that, what waits in front of it becomes less each time.
const BYTES: usize = 2048;
/// Bytes that are sent without a pause. Linux moves them to its terminal in a thread of its own, which busy ones can keep from a processor
/// meanwhile; what it holds is 640 KiB (`TTYB_DEFAULT_MEM_LIMIT` in `drivers/tty/tty_buffer.c`).
const BURST: usize = 256 << 10;
/// What is after them: long enough for everybody else to go to sleep.
const PAUSE: Duration = Duration::from_millis(4);
/// Answers that are given to any host before it is waited for it.
const FREE: usize = 32;
/// How long it is waited for a host that asks for no more, at first and at the most.
const PATIENCE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(16)];

/// Tells whether a host has room, by the transfers that it keeps at the device: one that was answered and has not come back is data
/// that nobody has read.
#[derive(Debug)]
pub(super) struct Window {
    /// Bytes in a transfer of such a host.
    transfer: usize,
    /// Transfers that the host keeps here when it has room.
    most: usize,
    /// When it has been waited for long enough, where it is waited.
    ends: Option<Instant>,
    /// Transfers that were here when that was so the last time, since when there have not been enough.
    here: Option<usize>,
    /// Answers that are given although there are not enough.
    granted: usize,
    patience: Duration,
    /// Bytes that are left of the burst.
    left: usize,
    /// When the pause after it ends.
    pause: Option<Instant>,
}

impl Window {
    pub(super) fn new(packet: usize) -> Self {
        Self {
            transfer: packet * PACKETS,
            most: TRANSFERS,
            ends: None,
            here: Some(0),
            granted: FREE,
            patience: PATIENCE[0],
            left: BURST,
            pause: None,
        }
    }

    pub(super) fn restart(&mut self) {
        *self = Self::new(self.transfer / PACKETS);
    }

    /// Whether a transfer of so many bytes may be answered now; otherwise the firmware is called again in time.
    pub(super) fn opens(&mut self, room: usize, cx: &mut Context<'_>) -> bool {
        if room != self.transfer {
            return true;
        }
        if self.pauses(cx) || !self.has_enough(cx) {
            return false;
        }
        self.left -= self.transfer;
        true
    }

    /// Whether it is the pause after a burst.
    fn pauses(&mut self, cx: &mut Context<'_>) -> bool {
        if self.left >= self.transfer {
            return false;
        }
        let ends = *self.pause.get_or_insert_with(|| cx.now() + PAUSE);
        if cx.now() < ends {
            cx.wake_at(ends);
            return true;
        }
        (self.left, self.pause) = (BURST, None);
        false
    }

    /// Whether the host keeps enough transfers here, or has been waited for.
    fn has_enough(&mut self, cx: &mut Context<'_>) -> bool {
        let (queued, under_way) = (cx.queued(), (BYTES / self.transfer).max(1));
        let enough = (self.most + 1).saturating_sub(under_way);
        if queued >= enough {
            (self.ends, self.here, self.granted) = (None, None, 0);
            self.most = self.most.max(queued);
            return true;
        }
        if self.granted > 0 {
            self.granted -= 1;
            return true;
        }
        let ends = *self.ends.get_or_insert_with(|| cx.now() + self.patience);
        if ends <= cx.now() {
            self.go_on(queued, under_way);
            return true;
        }
        cx.call_when_queued(enough);
        cx.wake_at(ends);
        false
    }

    /// The host has not asked for more for long. Where it has brought back all that it was given since the last time, it keeps no more
    /// transfers here than these; otherwise its programs do not read, and the next time is to come later.
    fn go_on(&mut self, queued: usize, under_way: usize) {
        if self.here.is_some_and(|here| queued >= here) {
            self.most = queued;
        } else {
            self.patience = (self.patience * 2).min(PATIENCE[1]);
        }
        self.here = Some(queued);
        self.granted = under_way - 1;
        self.ends = None;
    }
}
