//! What the host is told of the line's signals (PSTN 1.2 §6.5.4).

use super::{Signal, StatusLines, descriptors};

/// `bNotificationCode` of a serial state.
const SERIAL_STATE: u8 = 0x20;
/// Signals of one kind that wait to be told at the most; more are not told.
const MOST_WAITING: u8 = 64;
/// The kinds of signals, with their bits.
const SIGNALS: [(Signal, u8); 5] = [
    (Signal::Break, 0x04),
    (Signal::Ring, 0x08),
    (Signal::FramingError, 0x10),
    (Signal::ParityError, 0x20),
    (Signal::Overrun, 0x40),
];

/// The state of the line, as far as the host has to be told of it. A signal is told as often as it came; of the lines, what
/// they are now.
#[derive(Debug, Default)]
pub(super) struct SerialState {
    lines: StatusLines,
    /// What the host knows of the lines.
    told: StatusLines,
    /// How often each signal is to be told.
    waiting: [u8; SIGNALS.len()],
}

impl SerialState {
    pub(super) fn lines(&self) -> StatusLines {
        self.lines
    }

    pub(super) fn set_lines(&mut self, lines: StatusLines) {
        self.lines = lines;
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        for ((kind, _), waiting) in SIGNALS.iter().zip(&mut self.waiting) {
            if *kind == signal {
                *waiting = waiting.saturating_add(1).min(MOST_WAITING);
            }
        }
    }

    /// A host begins anew: it takes all lines for low.
    pub(super) fn restart(&mut self) {
        self.told = StatusLines::default();
        self.waiting = Default::default();
    }

    /// The next notification, if there is something to tell.
    pub(super) fn next(&mut self) -> Option<[u8; 10]> {
        if self.told == self.lines && self.waiting == [0; SIGNALS.len()] {
            return None;
        }
        self.told = self.lines;
        let mut state =
            u8::from(self.lines.data_carrier_detect) | u8::from(self.lines.data_set_ready) << 1;
        for ((_, bit), waiting) in SIGNALS.iter().zip(&mut self.waiting) {
            if *waiting > 0 {
                *waiting -= 1;
                state |= bit;
            }
        }
        let interface = descriptors::COMMUNICATIONS;
        Some([0xa1, SERIAL_STATE, 0, 0, interface, 0, 2, 0, state, 0])
    }
}
