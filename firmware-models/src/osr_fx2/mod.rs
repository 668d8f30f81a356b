//! The OSR USB-FX2 learning board, which the sample drivers of Microsoft's driver frameworks are written for: eight switches on
//! an interrupt endpoint, a bulk loopback, seven segments and a bar graph.
//!
//! A [`Board`] is the user's side of it, while a host uses the other:
//!
//! ```
//! use std::time::Instant;
//! use usbwright_emulator::{EmulatedDevice, protocol::Speed};
//! use usbwright_models::osr_fx2::{Options, OsrFx2};
//!
//! let mut firmware = OsrFx2::new(Options::default());
//! let board = firmware.board();
//! let device = EmulatedDevice::new(firmware, Speed::High, Instant::now())?;
//! // The device goes to its host, on a bus or into a program. The board stays here.
//! board.set_switch(3, true)?;
//! assert_eq!(board.switches().bits(), 0x20);
//! assert_eq!(board.segments().character(), Some(' '));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What was decided
//!
//! What it does is what OSR's data sheet and the samples' headers tell. Where they leave a choice, this is ours:
//!
//! - **Requests** are taken as vendor requests and, as one sample sends them, with the standard type. A value that is set is the
//!   first byte of the data stage or, where there is none, the lower byte of `wValue`.
//! - **The loopback** is emptied by a reset and by SET_CONFIGURATION, but not where the interface's only setting is chosen again.
//! - **The switch endpoint's packets** have one byte, as the data sheet says; one sample's dump has 73.
//! - **The bar graph** counts the packets that the loopback sends back. After 80 of them all LEDs are lit, after 90 none is. Once
//!   a host has set it, it shows what was set, until the board is reset.
//! - **The version** whose digits are shown at start is 1.0. The show begins when a host first resets or configures the board,
//!   anew at each reset, and ends early when a host sets the segments.
//! - **Reenumeration** begins everything anew but the switches, and stays on the bus with its configuration: a device can't take
//!   itself off and come back. A [`State`] tells how often it was asked for.
//! - **Suspend** and resume come by [`Board`]. The board may be set up to wake its host, but has no way to do so.

mod board;
mod descriptors;
mod display;
mod loopback;
mod panel;
mod switches;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use usbwright_emulator::{
    Context, Firmware, In, Out,
    protocol::{EndpointAddress, Setup, Speed, descriptor::Device},
};

use self::{
    board::{Handles, Shared},
    loopback::Loopback,
    panel::Panel,
};
use crate::{BuildError, Function, Handle, Model, Parameter, Parameters};

pub use self::{
    board::{Board, Changes},
    display::{BarGraph, NoSuchLed, SevenSegments},
    panel::State,
    switches::{NoSuchSwitch, Switches, SwitchesError},
};

/// The board's requests. Those that read have one byte of data.
mod request {
    pub(super) const READ_SEVEN_SEGMENTS: u8 = 0xd4;
    pub(super) const READ_SWITCHES: u8 = 0xd6;
    pub(super) const READ_BAR_GRAPH: u8 = 0xd7;
    pub(super) const SET_BAR_GRAPH: u8 = 0xd8;
    pub(super) const IS_HIGH_SPEED: u8 = 0xd9;
    pub(super) const REENUMERATE: u8 = 0xda;
    pub(super) const SET_SEVEN_SEGMENTS: u8 = 0xdb;
}

/// `bmRequestType` of the requests that read: device to host, standard or vendor, to the device.
const READS: [u8; 2] = [0x80, 0xc0];
/// `bmRequestType` of the others.
const WRITES: [u8; 2] = [0x00, 0x40];

/// The board among the models.
pub(crate) const MODEL: Model = Model {
    name: "osr-fx2",
    summary: "the OSR USB-FX2 learning board: switches, seven segments, a bar graph, and a bulk loopback",
    parameters: &[Parameter::once(
        "switches",
        "0x00…0xff",
        "0x00",
        "the switches that are on: 0x80 is the one printed 1, 0x01 the one printed 8",
    )],
    speeds: &[Speed::High, Speed::Full],
    make,
};

fn make(_: Speed, parameters: &mut Parameters) -> Result<Function, BuildError> {
    let options = Options {
        switches: parameters.parsed("switches")?.unwrap_or_default(),
    };
    let mut firmware = OsrFx2::new(options);
    let board = firmware.board();
    Ok(Function::new(firmware).handle(Handle::Board(board)))
}

/// What a user may choose about a board.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How its switches are at first.
    pub switches: Switches,
}

/// The firmware of a board. It is for full and high speed.
#[derive(Debug)]
pub struct OsrFx2 {
    loopback: Loopback,
    shared: Arc<Shared>,
    handles: Handles,
}

impl OsrFx2 {
    /// A board that is on no bus yet.
    pub fn new(options: Options) -> Self {
        Self {
            loopback: Loopback::default(),
            shared: Shared::new(Panel::new(options.switches)),
            handles: Handles::default(),
        }
    }

    /// The board's switches and displays, to be kept while the firmware goes into a device.
    pub fn board(&mut self) -> Board {
        Board::new(self.handles.held(&self.shared))
    }

    /// Does something at the panel, shows what is to be shown by now, and asks to be woken when that changes.
    fn act(&self, cx: &mut Context<'_>, action: impl FnOnce(&mut Panel, Instant)) {
        let now = cx.now();
        let next = self.shared.change(|panel| {
            action(panel, now);
            panel.turn_to(now)
        });
        if let Some(next) = next {
            cx.wake_at(next);
        }
    }

    fn reenumerate(&mut self, cx: &mut Context<'_>) {
        self.loopback.clear();
        let letter = letter(cx.speed());
        let configured = cx.configuration().is_some();
        self.act(cx, |panel, now| {
            panel.reenumerate();
            panel.power_up(now, letter);
            panel.reports.configure(configured);
        });
    }
}

/// What the segments show of a speed.
fn letter(speed: Speed) -> char {
    if speed == Speed::High { 'H' } else { 'F' }
}

impl Firmware for OsrFx2 {
    fn describe(&self, speed: Speed) -> Device {
        descriptors::describe(speed)
    }

    fn control_in(&mut self, setup: &Setup, cx: &mut Context<'_>) -> In {
        if !READS.contains(&setup.request_type) {
            return In::Stall;
        }
        self.act(cx, |_, _| ());
        let state = self.shared.state();
        let byte = match setup.request {
            request::READ_SEVEN_SEGMENTS => state.segments.bits(),
            request::READ_SWITCHES => state.switches.bits(),
            request::READ_BAR_GRAPH => state.bar_graph.bits(),
            request::IS_HIGH_SPEED => (cx.speed() == Speed::High).into(),
            _ => return In::Stall,
        };
        In::Data(Bytes::copy_from_slice(&[byte]))
    }

    fn control_out(&mut self, setup: &Setup, data: &Bytes, cx: &mut Context<'_>) -> Out {
        if !WRITES.contains(&setup.request_type) {
            return Out::Stall;
        }
        let [lower, _] = setup.value.to_le_bytes();
        let byte = data.first().copied().unwrap_or(lower);
        match setup.request {
            request::SET_BAR_GRAPH => self
                .shared
                .change(|panel| panel.set_bar_graph(BarGraph::new(byte))),
            request::SET_SEVEN_SEGMENTS => self
                .shared
                .change(|panel| panel.set_segments(SevenSegments::new(byte))),
            request::REENUMERATE if data.is_empty() => self.reenumerate(cx),
            _ => return Out::Stall,
        }
        Out::Taken
    }

    fn send(&mut self, endpoint: EndpointAddress, _: usize, _: &mut Context<'_>) -> In {
        if endpoint == descriptors::SWITCHES {
            let switches = self.shared.change(|panel| panel.reports.take());
            return switches.map_or(In::NotYet, |switches| {
                In::Data(Bytes::copy_from_slice(&[switches.bits()]))
            });
        }
        let answer = self.loopback.send();
        if matches!(answer, In::Data(_)) {
            self.shared.change(Panel::count_packet);
        }
        answer
    }

    fn receive(&mut self, _: EndpointAddress, data: &Bytes, cx: &mut Context<'_>) -> Out {
        let packet_size = descriptors::bulk_packet_size(cx.speed());
        self.loopback.receive(data, packet_size)
    }

    fn configured(&mut self, configuration: Option<u8>, cx: &mut Context<'_>) {
        self.loopback.clear();
        self.shared.listen(&self.handles, || cx.waker());
        let letter = letter(cx.speed());
        self.act(cx, |panel, now| {
            panel.power_up_once(now, letter);
            panel.reports.configure(configuration.is_some());
        });
    }

    fn reset(&mut self, cx: &mut Context<'_>) {
        self.loopback.clear();
        self.shared.listen(&self.handles, || cx.waker());
        let letter = letter(cx.speed());
        self.act(cx, |panel, now| panel.power_up(now, letter));
    }

    fn woken(&mut self, cx: &mut Context<'_>) {
        self.act(cx, |_, _| ());
    }
}

impl Drop for OsrFx2 {
    fn drop(&mut self) {
        self.shared.leave();
    }
}
