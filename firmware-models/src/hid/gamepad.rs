//! The gamepad: buttons, a hat, two sticks and two triggers.

use std::{str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;
use usbwright_emulator::{Firmware, protocol::Class};

use super::{
    InputError, PointerOptions, PointerState,
    class::{Function, Hid, Protocol},
    delivery::{States, answer},
    descriptors::Description,
    reports,
};
use crate::shared::{self, Changes, Held};

/// A gamepad's report: two bytes of buttons, the hat, two bytes for each way of each stick, one for each trigger.
type Report = [u8; 13];
/// Nothing is pressed, and the hat is in the middle.
const NEUTRAL: Report = [0, 0, HAT_IN_THE_MIDDLE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const HAT: usize = 2;
const HAT_IN_THE_MIDDLE: u8 = 8;

/// A button of a gamepad, as Linux names them (`Documentation/input/gamepad.rst`) and numbers them, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PadButton(u8);

impl PadButton {
    const NAMES: [&'static str; 15] = [
        "a", "b", "c", "x", "y", "z", "tl", "tr", "tl2", "tr2", "select", "start", "mode",
        "thumbl", "thumbr",
    ];

    /// The button of a number, 1 to 16.
    pub fn new(number: u8) -> Option<Self> {
        (1..=16).contains(&number).then_some(Self(number))
    }
}

impl FromStr for PadButton {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, &'static str> {
        let named = (1..).zip(Self::NAMES).find(|(_, known)| *known == name);
        let number = named.map(|it| it.0).or_else(|| name.parse().ok());
        number.and_then(Self::new).ok_or(
            "a button is 1 to 16, or a, b, c, x, y, z, tl, tr, tl2, tr2, select, start, mode, thumbl, thumbr",
        )
    }
}

/// A stick or a trigger, one way of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Axis {
    /// The left stick to the right.
    X,
    /// The left stick down.
    Y,
    /// The right stick to the right.
    Rx,
    /// The right stick down.
    Ry,
    /// The left trigger.
    Z,
    /// The right trigger.
    Rz,
}

impl FromStr for Axis {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, &'static str> {
        match name {
            "x" => Ok(Self::X),
            "y" => Ok(Self::Y),
            "rx" => Ok(Self::Rx),
            "ry" => Ok(Self::Ry),
            "z" => Ok(Self::Z),
            "rz" => Ok(Self::Rz),
            _ => Err("an axis is x, y (left stick), rx, ry (right stick), z or rz (triggers)"),
        }
    }
}

impl Axis {
    /// The least and the most that it can be at: a stick is at 0 by itself, a trigger as well.
    pub fn range(self) -> std::ops::RangeInclusive<i16> {
        match self {
            Self::X | Self::Y | Self::Rx | Self::Ry => -i16::MAX..=i16::MAX,
            Self::Z | Self::Rz => 0..=0xff,
        }
    }
}

/// Where a hat is pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hat {
    /// Nowhere.
    #[default]
    Center,
    /// Away from the user.
    Up,
    /// Away and to the right.
    UpRight,
    /// To the right.
    Right,
    /// To the right and down.
    DownRight,
    /// To the user.
    Down,
    /// To the left and down.
    DownLeft,
    /// To the left.
    Left,
    /// Away and to the left.
    UpLeft,
}

impl Hat {
    fn value(self) -> u8 {
        match self {
            Self::Center => HAT_IN_THE_MIDDLE,
            pushed => pushed as u8 - 1,
        }
    }
}

impl FromStr for Hat {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, &'static str> {
        match name {
            "center" => Ok(Self::Center),
            "up" => Ok(Self::Up),
            "up-right" => Ok(Self::UpRight),
            "right" => Ok(Self::Right),
            "down-right" => Ok(Self::DownRight),
            "down" => Ok(Self::Down),
            "down-left" => Ok(Self::DownLeft),
            "left" => Ok(Self::Left),
            "up-left" => Ok(Self::UpLeft),
            _ => Err(
                "a hat is at center, up, up-right, right, down-right, down, down-left, left or up-left",
            ),
        }
    }
}

/// Why a gamepad can't do what its user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GamepadError {
    /// A value that the axis does not reach.
    #[error("{axis:?} reaches from {} to {}, and not to {value}", axis.range().start(), axis.range().end())]
    OutOfReach {
        /// The axis.
        axis: Axis,
        /// The value.
        value: i16,
    },
    /// The host does not take it.
    #[error(transparent)]
    Input(#[from] InputError),
}

/// The user's side of a gamepad. Clones are the same gamepad's; any thread may use them, at any time, also when the device is gone.
///
/// Each change is a report of its own, which the host reads in order.
#[derive(Clone, Debug)]
pub struct Gamepad(Arc<Held<Pad>>);

impl Gamepad {
    /// A gamepad that is on no bus yet: its user's side, and the firmware for a device.
    pub fn new(options: PointerOptions) -> (Self, impl Firmware) {
        let description = Description {
            class: Class {
                class: 3,
                subclass: 0,
                protocol: 0,
            },
            product: "Gamepad",
            serial: options.serial,
            country: 0,
            idle: Duration::ZERO,
            interval: options.interval,
            reports: reports::gamepad(),
            longest: size_of::<Report>() as u16,
        };
        let (firmware, held) = Hid::new(description, Pad(States::new(NEUTRAL)));
        (Self(held), firmware)
    }

    /// What its user sees.
    pub fn state(&self) -> PointerState {
        self.0.shared().state()
    }

    /// Presses a button, which is held from then on.
    ///
    /// # Errors
    /// Where no host reads it.
    pub fn press(&self, button: PadButton) -> Result<(), InputError> {
        self.set(|report| set_button(report, button, true))
    }

    /// Releases a button.
    ///
    /// # Errors
    /// Where no host reads it.
    pub fn release(&self, button: PadButton) -> Result<(), InputError> {
        self.set(|report| set_button(report, button, false))
    }

    /// Presses a button and releases it.
    ///
    /// # Errors
    /// Where no host uses the gamepad or reads it.
    pub fn click(&self, button: PadButton) -> Result<(), InputError> {
        self.0.act(|pad| {
            let (mut down, mut up) = (pad.0.latest(), pad.0.latest());
            set_button(&mut down, button, true);
            set_button(&mut up, button, false);
            let admitted = pad.0.delivery().admit(1);
            answer(admitted.and_then(|()| pad.0.pass_through([down, up])))
        })
    }

    /// Pushes the hat.
    ///
    /// # Errors
    /// Where no host reads it.
    pub fn set_hat(&self, hat: Hat) -> Result<(), InputError> {
        self.set(|report| report[HAT] = hat.value())
    }

    /// Moves a stick or a trigger.
    ///
    /// # Errors
    /// Where it does not reach so far, or no host reads it.
    pub fn set_axis(&self, axis: Axis, value: i16) -> Result<(), GamepadError> {
        if !axis.range().contains(&value) {
            return Err(GamepadError::OutOfReach { axis, value });
        }
        let [low, high] = value.to_le_bytes();
        Ok(self.set(|report| match axis {
            Axis::X => report[3..5].copy_from_slice(&[low, high]),
            Axis::Y => report[5..7].copy_from_slice(&[low, high]),
            Axis::Rx => report[7..9].copy_from_slice(&[low, high]),
            Axis::Ry => report[9..11].copy_from_slice(&[low, high]),
            Axis::Z => report[11] = low,
            Axis::Rz => report[12] = low,
        })?)
    }

    fn set(&self, change: impl FnOnce(&mut Report)) -> Result<(), InputError> {
        self.0.act(|pad| {
            let mut report = pad.0.latest();
            change(&mut report);
            answer(pad.0.set(report))
        })
    }

    /// A way to wait for changes, those after this call: of what the host has read.
    pub fn changes(&self) -> Changes<PointerState> {
        self.0.changes()
    }
}

fn set_button(report: &mut Report, PadButton(number): PadButton, down: bool) {
    let bits = 1u16 << (number - 1);
    for (byte, bits) in report.iter_mut().zip(bits.to_le_bytes()) {
        match down {
            true => *byte |= bits,
            false => *byte &= !bits,
        }
    }
}

/// What the user has done with a gamepad.
#[derive(Debug)]
pub(super) struct Pad(States<13>);

impl shared::Panel for Pad {
    type State = PointerState;

    fn state(&self) -> PointerState {
        PointerState {
            delivery: self.0.delivery(),
        }
    }
}

impl Function for Pad {
    fn connect(&mut self, configured: bool) {
        self.0.connect(configured);
    }

    fn next(&mut self, _: Protocol) -> Option<Bytes> {
        let report = self.0.next()?;
        Some(Bytes::copy_from_slice(&report))
    }

    fn again(&self, _: Protocol) -> Bytes {
        Bytes::copy_from_slice(&self.0.told())
    }
}
