//! What a user sees and touches: switches, seven segments, bar graph. No clock and no thread: the time is given.

use std::time::{Duration, Instant};

use super::{
    display::{BarGraph, SevenSegments},
    switches::{Reports, Switches},
};

/// The version of this firmware, whose digits are shown at start: 1.0.
const VERSION: [u8; 2] = [1, 0];
/// How long each of them is shown.
const DIGIT: Duration = Duration::from_millis(500);
/// Packets for each LED.
const PACKETS: u64 = 10;

/// What the board shows, and what its user has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// The positions of the switches.
    pub switches: Switches,
    /// The LEDs of the bar graph.
    pub bar_graph: BarGraph,
    /// The seven segments.
    pub segments: SevenSegments,
    /// Packets that the loopback has sent back since the board was last reset.
    pub packets: u64,
    /// Whether the bus is suspended, as [`Board::suspend`](super::Board::suspend) has said.
    pub suspended: bool,
    /// How often the host has asked the board to leave the bus and come back. The board begins anew by itself then; to take it
    /// off the bus is up to whoever has it there.
    #[doc(alias = "REENUMERATE")]
    pub reenumerations: u32,
}

/// The panel of a board.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) reports: Reports,
    start: Start,
    segments: SevenSegments,
    /// The LEDs that the host has set.
    leds: Option<BarGraph>,
    packets: u64,
    suspended: bool,
    reenumerations: u32,
}

/// The show of the segments at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    NotYet,
    /// Since when, and what comes after the digits.
    Running(Instant, SevenSegments),
    Over,
}

impl Panel {
    pub(super) fn new(switches: Switches) -> Self {
        Self {
            reports: Reports::new(switches),
            start: Start::NotYet,
            segments: SevenSegments::default(),
            leds: None,
            packets: 0,
            suspended: false,
            reenumerations: 0,
        }
    }

    pub(super) fn state(&self) -> State {
        State {
            switches: self.reports.switches(),
            bar_graph: self.bar_graph(),
            segments: self.segments,
            packets: self.packets,
            suspended: self.suspended,
            reenumerations: self.reenumerations,
        }
    }

    /// Begins anew, as when power comes; `letter` is shown after the digits of the version.
    pub(super) fn power_up(&mut self, now: Instant, letter: char) {
        *self = Self {
            start: Start::Running(now, SevenSegments::of(letter).unwrap_or_default()),
            reenumerations: self.reenumerations,
            ..Self::new(self.reports.switches())
        };
    }

    /// As [`power_up`](Self::power_up), where that was not done yet.
    pub(super) fn power_up_once(&mut self, now: Instant, letter: char) {
        if self.start == Start::NotYet {
            self.power_up(now, letter);
        }
    }

    pub(super) fn reenumerate(&mut self) {
        self.reenumerations = self.reenumerations.saturating_add(1);
    }

    /// Shows what is to be shown at a time, and tells when that changes next.
    pub(super) fn turn_to(&mut self, now: Instant) -> Option<Instant> {
        let Start::Running(since, letter) = self.start else {
            return None;
        };
        let age = now.saturating_duration_since(since);
        for (digit, until) in VERSION.into_iter().zip([DIGIT, 2 * DIGIT]) {
            if age < until {
                self.segments = SevenSegments::digit(digit);
                return Some(since + until);
            }
        }
        self.set_segments(letter);
        None
    }

    pub(super) fn set_segments(&mut self, segments: SevenSegments) {
        self.start = Start::Over;
        self.segments = segments;
    }

    pub(super) fn set_bar_graph(&mut self, leds: BarGraph) {
        self.leds = Some(leds);
    }

    /// The loopback has sent a packet back.
    pub(super) fn count_packet(&mut self) {
        self.packets += 1;
    }

    pub(super) fn suspend(&mut self) {
        if !self.suspended && self.start != Start::NotYet {
            self.suspended = true;
            self.set_segments(SevenSegments::of('S').unwrap_or_default());
            self.reports.suspend();
        }
    }

    /// Tells whether there is a byte of the switches now that was not there before.
    pub(super) fn resume(&mut self) -> bool {
        if !self.suspended {
            return false;
        }
        self.suspended = false;
        self.set_segments(SevenSegments::of('A').unwrap_or_default());
        self.reports.resume()
    }

    /// One more LED for each ten packets; after all eight it begins with none again.
    fn bar_graph(&self) -> BarGraph {
        let lit = (self.packets / PACKETS % 9) as u8;
        self.leds.unwrap_or_else(|| BarGraph::level(lit))
    }
}
