//! The board as its user has it in front of them, while a host uses the device: a handle for any thread.

use std::sync::Arc;

use super::{
    NoSuchSwitch, Switches,
    display::{BarGraph, SevenSegments},
    panel::{Panel, State},
};
use crate::shared::{self, Held};

/// The board's panel, which the firmware shares with the board's handles.
pub(super) type Shared = shared::Shared<Panel>;
/// The board's handles, as the firmware knows them.
pub(super) type Handles = shared::Handles<Panel>;
/// Waits for a board's changes: of its switches, its displays, its packets.
pub type Changes = shared::Changes<State>;

impl shared::Panel for Panel {
    type State = State;

    fn state(&self) -> State {
        self.state()
    }
}

/// A board's switches and displays, from [`OsrFx2::board`](super::OsrFx2::board). Clones are the same board.
///
/// Any thread may use it, at any time, also when the device is gone; nothing here blocks.
#[derive(Clone, Debug)]
pub struct Board(Arc<Held<Panel>>);

impl Board {
    pub(super) fn new(held: Arc<Held<Panel>>) -> Self {
        Self(held)
    }

    /// What the board shows, and how its switches are.
    pub fn state(&self) -> State {
        self.0.shared().state()
    }

    /// The positions of the switches.
    pub fn switches(&self) -> Switches {
        self.state().switches
    }

    /// Sets all switches. A host that waits for the switches is told at once. While a byte waits that the host has not read,
    /// the board does not look at them.
    pub fn set_switches(&self, switches: Switches) {
        self.0.act(|panel| (panel.reports.set(switches), ()));
    }

    /// Sets the switch at which `printed` is printed, 1 to 8, as [`set_switches`](Self::set_switches) does.
    ///
    /// # Errors
    /// Where there is no such switch.
    pub fn set_switch(&self, printed: u8, on: bool) -> Result<(), NoSuchSwitch> {
        self.0
            .act(|panel| match panel.reports.switches().with(printed, on) {
                Ok(switches) => (panel.reports.set(switches), Ok(())),
                Err(error) => (false, Err(error)),
            })
    }

    /// The LEDs of the bar graph.
    pub fn bar_graph(&self) -> BarGraph {
        self.state().bar_graph
    }

    /// The seven segments.
    pub fn segments(&self) -> SevenSegments {
        self.state().segments
    }

    /// Packets that the loopback has sent back since the board was last reset.
    pub fn packets(&self) -> u64 {
        self.state().packets
    }

    /// Tells the board that its bus was suspended: the segments show S, and the switches are not looked at. What drives a device
    /// carries no suspend ([`Port`](usbwright_emulator::protocol::Port), USB/IP), so whoever plays the bus says so here. A board
    /// that no host has reset or configured yet does not mind.
    pub fn suspend(&self) {
        self.0.shared().change(Panel::suspend);
    }

    /// Tells the board that its bus was resumed: the segments show A, and the host is told the switches. It does nothing where
    /// the bus is not suspended.
    pub fn resume(&self) {
        self.0.act(|panel| (panel.resume(), ()));
    }

    /// A way to wait for changes, those after this call.
    pub fn changes(&self) -> Changes {
        self.0.changes()
    }
}
