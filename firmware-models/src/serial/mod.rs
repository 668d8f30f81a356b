//! A serial port: USB CDC, Abstract Control Model (CDC 1.2, PSTN 1.2), which the drivers of Linux (`cdc_acm`), macOS and Windows
//! (`usbser`) know.
//!
//! A [`Terminal`] is the other end of its line, while a host uses the port:
//!
//! ```
//! use std::time::Instant;
//! use usbwright_emulator::{EmulatedDevice, protocol::Speed};
//! use usbwright_models::{Strings, serial::{Serial, StatusLines}};
//!
//! let mut firmware = Serial::new(Speed::High, Strings::of("Serial port"));
//! let terminal = firmware.terminal();
//! let device = EmulatedDevice::new(firmware, Speed::High, Instant::now())?;
//! // The device goes to its host, on a bus or into a program. The terminal stays here.
//! terminal.set_lines(StatusLines { data_carrier_detect: true, data_set_ready: true });
//! assert_eq!(terminal.state().coding.to_string(), "9600 8N1");
//! # drop(device);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What was decided
//!
//! Where the specifications leave a choice, this is ours:
//!
//! - **No byte is lost.** What is written at either end waits for the other one, up to 256 KiB each way, however long nobody reads it and
//!   whether or not somebody is there; then whoever writes has to wait (NAK, for the host). It also outlasts a reset, a new
//!   configuration and another host. A loopback is emptied by them.
//! - **Flow control** is that: RTS is told to the other end and does nothing else, and there is no CTS, which CDC does not have. XON and
//!   XOFF are characters as any others.
//! - **A host is guarded against itself.** Linux' driver asks for more before its terminal has given away what it has, 4095 bytes at a time,
//!   and drops what does not fit: a program that reads slower than the port sends loses bytes, also of the kernel's own ACM gadget. This port
//!   sends no more than 2 KiB that such a host has not asked to replace, and pauses for 4 ms after 256 KiB. It knows it by its transfers, of
//!   two packets each.
//! - **A line coding** that is none (no such parity, a rate of 0) stalls, and changes nothing. Whatever it says, bytes pass as they are, as
//!   fast as they may.
//! - **A break** of 65,535 ms lasts until the host ends it, another one as long as it says, by the device's clock. It is told to the
//!   other end, in no order with the bytes.
//! - **Serial states**: of DCD and DSR the host is told what they are, not each time that they change while it does not ask; of what
//!   only happens (break, ring, errors) as often as it happened, up to 64 times each.
//! - **Commands** (SEND_ENCAPSULATED_COMMAND) stall: the port speaks no protocol of its own.

mod descriptors;
mod line;
mod notification;
mod options;
mod queue;
mod terminal;
#[cfg(test)]
mod tests;
mod window;
mod wire;

use std::{
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use usbwright_emulator::{
    Context, Firmware, In, Out,
    protocol::{EndpointAddress, Recipient, RequestKind, Setup, Speed, descriptor::Device},
};

pub use self::{
    line::{ControlLines, LineCoding, Parity, Signal, StatusLines, StopBits},
    options::OtherEnd,
    terminal::{Changes, Gone, State, Terminal},
};
use self::{window::Window, wire::Wire};
use crate::{
    BuildError, Function, Handle, Model, Parameters, Strings,
    shared::{Handles, Shared},
};

/// The port's requests (PSTN 1.2 §6.3).
mod request {
    pub(super) const SET_LINE_CODING: u8 = 0x20;
    pub(super) const GET_LINE_CODING: u8 = 0x21;
    pub(super) const SET_CONTROL_LINE_STATE: u8 = 0x22;
    pub(super) const SEND_BREAK: u8 = 0x23;
}

/// The length of a break that lasts until it is ended (PSTN 1.2 §6.3.13).
const ENDLESS: u16 = 0xffff;

/// The serial port among the models.
pub(crate) const MODEL: Model = Model {
    name: "serial",
    summary: "a serial port (CDC-ACM), with a terminal, a socket, this command's input and output, or a loopback at its other end",
    parameters: options::PARAMETERS,
    speeds: &[Speed::High, Speed::Full, Speed::Super, Speed::SuperPlus],
    make,
};

fn make(speed: Speed, parameters: &mut Parameters) -> Result<Function, BuildError> {
    let strings = Strings::of("Serial port").take(parameters)?;
    let mut firmware = Serial::new(speed, strings);
    let other_end = options::take_other_end(parameters)?;
    if other_end == OtherEnd::Loopback {
        return Ok(Function::new(firmware.loopback()));
    }
    let terminal = firmware.terminal_for(other_end);
    Ok(Function::new(firmware).handle(Handle::Serial(terminal)))
}

/// The firmware of a serial port.
#[derive(Debug)]
pub struct Serial {
    strings: Strings,
    /// Bytes in a packet.
    packet: usize,
    shared: Arc<Shared<Wire>>,
    handles: Handles<Wire>,
    /// What the host sends goes back to it.
    loopback: bool,
    /// When the break ends that the host sends.
    break_ends: Option<Instant>,
    /// A transfer of full packets is to be ended by one without data.
    ends_with_nothing: bool,
    window: Window,
}

impl Serial {
    /// A port for a device that runs at `speed`.
    pub fn new(speed: Speed, strings: Strings) -> Self {
        Self {
            strings,
            packet: descriptors::packet_size(speed),
            shared: Shared::new(Wire::default()),
            handles: Handles::default(),
            loopback: false,
            break_ends: None,
            ends_with_nothing: false,
            window: Window::new(descriptors::packet_size(speed)),
        }
    }

    /// Joins the line with itself, as a loopback plug does: bytes come back, DTR as DSR and DCD, and a break as a break. A
    /// [`terminal`](Self::terminal) sees what the host sets, and gets no bytes then.
    pub fn loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// The other end of the line, to be kept while the firmware goes into a device.
    pub fn terminal(&mut self) -> Terminal {
        Terminal::new(self.handles.held(&self.shared))
    }

    /// As [`terminal`](Self::terminal), which tells what is to be connected to it.
    fn terminal_for(&mut self, other_end: OtherEnd) -> Terminal {
        self.shared.change(|wire| wire.other_end = Some(other_end));
        self.terminal()
    }

    fn restart(&mut self, cx: &Context<'_>) {
        self.break_ends = None;
        self.ends_with_nothing = false;
        self.window.restart();
        self.shared.listen(&self.handles, || cx.waker());
        let loopback = self.loopback;
        self.shared.change(|wire| {
            wire.restart(cx.configuration().is_some());
            if loopback {
                wire.clear();
                wire.serial_state.set_lines(StatusLines::default());
            }
        });
    }

    fn set_control_lines(&self, value: u16) {
        let lines = ControlLines {
            data_terminal_ready: value & 1 != 0,
            request_to_send: value & 2 != 0,
        };
        self.shared.change(|wire| {
            wire.state.control = lines;
            if self.loopback {
                wire.serial_state.set_lines(StatusLines {
                    data_carrier_detect: lines.data_terminal_ready,
                    data_set_ready: lines.data_terminal_ready,
                });
            }
        });
    }

    /// Begins a break of so many milliseconds, or ends one.
    fn send_break(&mut self, length: u16, cx: &mut Context<'_>) {
        self.break_ends = match length {
            0 | ENDLESS => None,
            _ => Some(cx.now() + Duration::from_millis(length.into())),
        };
        if let Some(end) = self.break_ends {
            cx.wake_at(end);
        }
        self.shared.change(|wire| {
            let begins = length > 0 && !wire.state.breaking;
            wire.state.breaking = length > 0;
            wire.state.breaks += u64::from(begins);
            if begins && self.loopback {
                wire.serial_state.signal(Signal::Break);
            }
        });
    }
}

/// Whether a request is the communications interface's.
fn is_ours(setup: &Setup) -> bool {
    setup.kind() == RequestKind::Class
        && setup.recipient() == Recipient::Interface
        && setup.interface() == descriptors::COMMUNICATIONS
}

impl Firmware for Serial {
    fn describe(&self, speed: Speed) -> Device {
        descriptors::describe(speed, &self.strings)
    }

    fn control_in(&mut self, setup: &Setup, _: &mut Context<'_>) -> In {
        if !is_ours(setup) || setup.request != request::GET_LINE_CODING {
            return In::Stall;
        }
        let coding = self.shared.state().coding.to_bytes();
        In::Data(Bytes::copy_from_slice(&coding))
    }

    fn control_out(&mut self, setup: &Setup, data: &Bytes, cx: &mut Context<'_>) -> Out {
        if !is_ours(setup) {
            return Out::Stall;
        }
        match setup.request {
            request::SET_LINE_CODING => {
                let coding = <[u8; line::LENGTH]>::try_from(&data[..]).ok();
                let Some(coding) = coding.and_then(LineCoding::from_bytes) else {
                    return Out::Stall;
                };
                self.shared.change(|wire| wire.state.coding = coding);
            }
            request::SET_CONTROL_LINE_STATE if data.is_empty() => {
                self.set_control_lines(setup.value);
            }
            request::SEND_BREAK if data.is_empty() => self.send_break(setup.value, cx),
            _ => return Out::Stall,
        }
        Out::Taken
    }

    fn send(&mut self, endpoint: EndpointAddress, room: usize, cx: &mut Context<'_>) -> In {
        if endpoint == descriptors::NOTIFICATIONS {
            let notification = self.shared.change(|wire| wire.serial_state.next());
            return notification.map_or(In::NotYet, |it| In::Data(Bytes::copy_from_slice(&it)));
        }
        let window = &mut self.window;
        let (data, writer) = self.shared.change(|wire| {
            if wire.waiting() > 0 && !window.opens(room, cx) {
                return (None, None);
            }
            wire.send(room, self.packet)
        });
        writer.into_iter().for_each(Waker::wake);
        let ends = std::mem::take(&mut self.ends_with_nothing);
        match data {
            Some(data) => {
                // Where the host has room left, it waits for a short packet.
                self.ends_with_nothing = data.len() < room && data.len() % self.packet == 0;
                In::Data(data)
            }
            None if ends => In::Data(Bytes::new()),
            None => In::NotYet,
        }
    }

    fn receive(&mut self, _: EndpointAddress, data: &Bytes, _: &mut Context<'_>) -> Out {
        if data.is_empty() {
            return Out::Taken;
        }
        let (loopback, packet) = (self.loopback, self.packet);
        let (taken, reader) = self.shared.change(|wire| match loopback {
            true => (wire.return_back(data, packet), None),
            false => wire.receive(data, packet),
        });
        reader.into_iter().for_each(Waker::wake);
        match taken {
            0 => Out::NotYet,
            taken => Out::TakenPart(taken),
        }
    }

    fn configured(&mut self, _: Option<u8>, cx: &mut Context<'_>) {
        self.restart(cx);
    }

    fn reset(&mut self, cx: &mut Context<'_>) {
        self.restart(cx);
    }

    fn woken(&mut self, cx: &mut Context<'_>) {
        match self.break_ends {
            Some(end) if end <= cx.now() => self.send_break(0, cx),
            Some(end) => cx.wake_at(end),
            None => {}
        }
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        let waiting = self.shared.change(Wire::leave);
        waiting.into_iter().flatten().for_each(Waker::wake);
        self.shared.leave();
    }
}
