//! Keyboards, mice, tablets and gamepads: HID 1.11, with the boot protocol of those that have one.
//!
//! A [`Keyboard`], [`Mouse`], [`Tablet`] or [`Gamepad`] is the user's side of one, while a host uses the other:
//!
//! ```
//! use std::time::Instant;
//! use usbwright_emulator::{EmulatedDevice, protocol::Speed};
//! use usbwright_models::hid::{Keyboard, KeyboardOptions, Layout, System, TypeError, UnicodeInput};
//!
//! let layout = Layout::new("de", System::Linux).unwrap();
//! let options = KeyboardOptions { layout, unicode: UnicodeInput::Off, interval: 1, serial: None };
//! let (keyboard, firmware) = Keyboard::new(options);
//! let device = EmulatedDevice::new(firmware, Speed::Full, Instant::now())?;
//! // The device goes to its host, on a bus or into a program. The keyboard stays here.
//! match keyboard.type_text("Grüße\n") {
//!     Err(TypeError::Input(error)) => println!("not yet: {error}"),
//!     typed => typed?,
//! }
//! # drop(device);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What was decided
//!
//! Where the specifications leave a choice, this is ours:
//!
//! - **What a slow host reads**: of keyboards, tablets and gamepads each change is a report of its own, none is lost or merged. Of a mouse
//!   motion adds up, and is told in as many reports as it takes; a change of its buttons stands between the motion before it and the one after.
//! - **What nobody reads**: what is held, and where a stick or a pointer is, is told to the next host. What passes (a text, a click, motion) is
//!   refused where no host has configured the device, and forgotten where the host resets it before it has read it; a [`Delivery`] tells both.
//! - **Idle** (§7.2.4): a keyboard begins with 500 ms, the others with none. A new rate counts from the last report, at once.
//! - **Reports** have no ids; the keyboard's is that of the boot protocol in both protocols. A mouse in boot protocol tells of no wheel.
//! - **Remote wake-up** is offered and may be armed. Nothing suspends a device here
//!   ([`Port`](usbwright_emulator::protocol::Port), USB/IP), so there is no host to wake.
//! - **Layouts** are those of the host's system: Linux and Windows differ in what AltGr and dead keys give.

mod class;
mod delivery;
mod descriptors;
mod gamepad;
mod key;
mod keyboard;
mod mouse;
mod reports;
mod tablet;
#[cfg(test)]
mod tests;
mod typing;

use usbwright_emulator::protocol::Speed;

use self::typing::LayoutName;
use crate::{BuildError, Function, Handle, Model, Parameter, ParameterError, Parameters};

pub use self::{
    delivery::{Delivery, InputError},
    gamepad::{Axis, Gamepad, GamepadError, Hat, PadButton},
    key::{Key, NoSuchKey},
    keyboard::{Keyboard, KeyboardOptions, KeyboardState, Leds, TypeError},
    mouse::{Button, Mouse, PointerState},
    tablet::{Tablet, TabletError},
    typing::{Layout, NotOnLayout, System, UnicodeInput},
};

/// What a user may choose about a mouse, a tablet or a gamepad.
#[derive(Clone, Debug)]
pub struct PointerOptions {
    /// How often its host may ask it, in ms.
    pub interval: u8,
    /// Its serial number.
    pub serial: Option<String>,
}

impl Default for PointerOptions {
    fn default() -> Self {
        Self {
            interval: 1,
            serial: None,
        }
    }
}

const INTERVAL: Parameter = Parameter::once(
    "interval",
    "1…255",
    "1; 10 at low speed, which is the least there",
    "how often its host may ask it, in ms; above full speed the power of two below",
);
const SERIAL: Parameter = Parameter::once("serial", "TEXT", "none", "its serial number");

/// The keyboard among the models.
pub(crate) const KEYBOARD: Model = Model {
    name: "keyboard",
    summary: "a keyboard that types text on its host's layout, with boot protocol and LEDs",
    parameters: &[
        Parameter::once(
            "layout",
            "us|de|fr",
            "us",
            "the layout that its host has chosen for it",
        ),
        Parameter::once(
            "system",
            "linux|windows",
            "linux",
            "whose layouts those are: systems differ in AltGr and dead keys",
        ),
        Parameter::once(
            "unicode",
            "off|linux",
            "off",
            "how characters are typed that the layout lacks; linux: Ctrl+Shift+U, the number, Enter",
        ),
        INTERVAL,
        SERIAL,
    ],
    speeds: SPEEDS,
    make: make_keyboard,
};
/// The mouse among the models.
pub(crate) const MOUSE: Model = Model {
    name: "mouse",
    summary: "a mouse with five buttons and two wheels, with boot protocol",
    parameters: &[INTERVAL, SERIAL],
    speeds: SPEEDS,
    make: |speed, parameters| {
        let (handle, firmware) = Mouse::new(options(parameters, speed)?);
        Ok(Function::new(firmware).handle(Handle::Mouse(handle)))
    },
};
/// The tablet among the models.
pub(crate) const TABLET: Model = Model {
    name: "tablet",
    summary: "a pointer that is told where it is, with three buttons and a wheel",
    parameters: &[INTERVAL, SERIAL],
    speeds: SPEEDS,
    make: |speed, parameters| {
        let (handle, firmware) = Tablet::new(options(parameters, speed)?);
        Ok(Function::new(firmware).handle(Handle::Tablet(handle)))
    },
};
/// The gamepad among the models. Its reports are too long for low speed.
pub(crate) const GAMEPAD: Model = Model {
    name: "gamepad",
    summary: "a gamepad: sixteen buttons, a hat, two sticks, two triggers",
    parameters: &[INTERVAL, SERIAL],
    speeds: &[Speed::Full, Speed::High, Speed::Super, Speed::SuperPlus],
    make: |speed, parameters| {
        let (handle, firmware) = Gamepad::new(options(parameters, speed)?);
        Ok(Function::new(firmware).handle(Handle::Gamepad(handle)))
    },
};

const SPEEDS: &[Speed] = &[
    Speed::Full,
    Speed::Low,
    Speed::High,
    Speed::Super,
    Speed::SuperPlus,
];

fn make_keyboard(speed: Speed, parameters: &mut Parameters) -> Result<Function, BuildError> {
    let system = parameters.parsed("system")?.unwrap_or_default();
    let name = parameters.parsed("layout")?.unwrap_or(LayoutName::DEFAULT);
    let unicode = parameters.parsed("unicode")?.unwrap_or_default();
    let PointerOptions { interval, serial } = options(parameters, speed)?;
    let (handle, firmware) = Keyboard::new(KeyboardOptions {
        layout: name.on(system),
        unicode,
        interval,
        serial,
    });
    Ok(Function::new(firmware).handle(Handle::Keyboard(handle)))
}

/// What all of them take.
fn options(parameters: &mut Parameters, speed: Speed) -> Result<PointerOptions, ParameterError> {
    let least = if speed == Speed::Low { 10 } else { 1 };
    let interval = parameters.number("interval", least..=255, least)?;
    Ok(PointerOptions {
        interval: u8::try_from(interval).unwrap_or(u8::MAX),
        serial: parameters.printable("serial")?,
    })
}
