//! The mouse: motion that adds up until the host asks, and buttons that are told one by one.

use std::{collections::VecDeque, str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;
use usbwright_emulator::{Firmware, protocol::Class};

use super::{
    Delivery, InputError, PointerOptions,
    class::{Function, Hid, Protocol},
    descriptors::{BOOT, Description},
    reports,
};
use crate::shared::{self, Changes, Held};

/// Bytes in a report: buttons, two of motion for each way, a wheel for each way.
const REPORT: usize = 7;

/// A button of a pointing device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Button {
    /// The first.
    Left,
    /// The second.
    Right,
    /// The third, or the wheel.
    Middle,
    /// The fourth, at the side; a tablet has none.
    Back,
    /// The fifth, at the side; a tablet has none.
    Forward,
}

impl Button {
    /// Its bit in a report.
    pub(super) fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl FromStr for Button {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, &'static str> {
        match name {
            "left" => Ok(Self::Left),
            "right" => Ok(Self::Right),
            "middle" => Ok(Self::Middle),
            "back" => Ok(Self::Back),
            "forward" => Ok(Self::Forward),
            _ => Err("a button is left, right, middle, back or forward"),
        }
    }
}

/// What a pointing device's user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PointerState {
    /// What the host has read.
    pub delivery: Delivery,
}

/// The user's side of a mouse. Clones are the same mouse's; any thread may use them, at any time, also when the device is gone.
///
/// Motion that the host has not read adds up; where that is more than one report can tell, several do. Each change of a button is told
/// after the motion before it and before the motion after it.
#[derive(Clone, Debug)]
pub struct Mouse(Arc<Held<Motions>>);

impl Mouse {
    /// A mouse that is on no bus yet: its user's side, and the firmware for a device.
    pub fn new(options: PointerOptions) -> (Self, impl Firmware) {
        let description = Description {
            class: Class {
                class: 3,
                subclass: BOOT,
                protocol: 2,
            },
            product: "Mouse",
            serial: options.serial,
            country: 0,
            idle: Duration::ZERO,
            interval: options.interval,
            reports: reports::mouse(),
            longest: REPORT as u16,
        };
        let (firmware, held) = Hid::new(description, Motions::default());
        (Self(held), firmware)
    }

    /// What its user sees.
    pub fn state(&self) -> PointerState {
        self.0.shared().state()
    }

    /// Moves it: to the right and down, in counts.
    ///
    /// # Errors
    /// Where no host uses it or reads it.
    pub fn move_by(&self, right: i32, down: i32) -> Result<(), InputError> {
        self.turn(Motion {
            right: right.into(),
            down: down.into(),
            ..Motion::default()
        })
    }

    /// Turns its wheel: away from the user and to the right, in notches.
    ///
    /// # Errors
    /// Where no host uses it or reads it.
    pub fn wheel(&self, up: i32, right: i32) -> Result<(), InputError> {
        self.turn(Motion {
            wheel: up.into(),
            pan: right.into(),
            ..Motion::default()
        })
    }

    fn turn(&self, motion: Motion) -> Result<(), InputError> {
        self.0.act(|motions| {
            let turned = motions.turn(motion);
            (turned.is_ok(), turned)
        })
    }

    /// Presses a button, which is held from then on.
    ///
    /// # Errors
    /// Where no host reads it.
    pub fn press(&self, button: Button) -> Result<(), InputError> {
        self.buttons(|buttons| [buttons | button.bit()])
    }

    /// Releases a button.
    ///
    /// # Errors
    /// Where no host reads it.
    pub fn release(&self, button: Button) -> Result<(), InputError> {
        self.buttons(|buttons| [buttons & !button.bit()])
    }

    /// Presses a button and releases it.
    ///
    /// # Errors
    /// Where no host uses it or reads it.
    pub fn click(&self, button: Button) -> Result<(), InputError> {
        self.buttons(|buttons| [buttons | button.bit(), buttons & !button.bit()])
    }

    fn buttons<const N: usize>(
        &self,
        change: impl FnOnce(u8) -> [u8; N],
    ) -> Result<(), InputError> {
        self.0.act(|motions| {
            let changed = motions.set_buttons(&change(motions.buttons));
            (changed.is_ok(), changed)
        })
    }

    /// A way to wait for changes, those after this call: of what the host has read.
    pub fn changes(&self) -> Changes<PointerState> {
        self.0.changes()
    }
}

/// Motion that the host has not been told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Motion {
    right: i64,
    down: i64,
    wheel: i64,
    pan: i64,
}

impl Motion {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, other: Self) {
        self.right = self.right.saturating_add(other.right);
        self.down = self.down.saturating_add(other.down);
        self.wheel = self.wheel.saturating_add(other.wheel);
        self.pan = self.pan.saturating_add(other.pan);
    }

    /// Takes as much as a report can tell: that far along each axis and that far at the wheels.
    fn take(&mut self, along: i64, wheels: i64) -> Self {
        let part = |value: &mut i64, most: i64| {
            let part = (*value).clamp(-most, most);
            *value -= part;
            part
        };
        Self {
            right: part(&mut self.right, along),
            down: part(&mut self.down, along),
            wheel: part(&mut self.wheel, wheels),
            pan: part(&mut self.pan, wheels),
        }
    }
}

/// Buttons, and the motion while they are so.
#[derive(Clone, Copy, Debug)]
struct Step {
    buttons: u8,
    motion: Motion,
    /// Whether it begins with a change of the buttons.
    changed: bool,
}

/// What the user has done with a mouse.
#[derive(Debug, Default)]
pub(super) struct Motions {
    buttons: u8,
    told: u8,
    steps: VecDeque<Step>,
    delivery: Delivery,
}

impl Motions {
    fn turn(&mut self, motion: Motion) -> Result<(), InputError> {
        self.delivery.admit(0)?;
        if motion.is_none() {
            return Ok(());
        }
        // A change of buttons is told without motion, so that a click is where it was meant.
        if let Some(last) = self.steps.back_mut().filter(|last| !last.changed) {
            last.motion.add(motion);
            return Ok(());
        }
        self.delivery.admit(1)?;
        self.push(self.buttons, motion, false);
        Ok(())
    }

    fn set_buttons(&mut self, states: &[u8]) -> Result<(), InputError> {
        if let (false, [state]) = (self.delivery.configured, states) {
            self.buttons = *state;
            return Ok(());
        }
        self.delivery.admit(states.len())?;
        for state in states {
            if *state != self.buttons {
                self.buttons = *state;
                self.push(*state, Motion::default(), true);
            }
        }
        Ok(())
    }

    fn push(&mut self, buttons: u8, motion: Motion, changed: bool) {
        self.steps.push_back(Step {
            buttons,
            motion,
            changed,
        });
        self.delivery.waiting = self.steps.len();
    }

    fn report(&self, motion: Motion, protocol: Protocol) -> Bytes {
        // Every part was cut to its field by `Motion::take`.
        let byte = |value: i64| (value as i8).to_le_bytes();
        let word = |value: i64| (value as i16).to_le_bytes();
        match protocol {
            Protocol::Boot => {
                let parts = [[self.told], byte(motion.right), byte(motion.down)];
                Bytes::from(parts.concat())
            }
            Protocol::Report => {
                let mut report = vec![self.told];
                report.extend(word(motion.right));
                report.extend(word(motion.down));
                report.extend(byte(motion.wheel));
                report.extend(byte(motion.pan));
                Bytes::from(report)
            }
        }
    }
}

impl shared::Panel for Motions {
    type State = PointerState;

    fn state(&self) -> PointerState {
        PointerState {
            delivery: self.delivery,
        }
    }
}

impl Function for Motions {
    fn connect(&mut self, configured: bool) {
        self.delivery.connect(configured);
        self.steps.clear();
        self.told = 0;
        if configured && self.buttons != 0 {
            self.push(self.buttons, Motion::default(), true);
        }
    }

    fn next(&mut self, protocol: Protocol) -> Option<Bytes> {
        let first = self.steps.front_mut()?;
        let along = match protocol {
            Protocol::Boot => i8::MAX.into(),
            Protocol::Report => i16::MAX.into(),
        };
        let motion = first.motion.take(along, i8::MAX.into());
        self.told = first.buttons;
        if protocol == Protocol::Boot {
            // It has no wheels to tell of.
            (first.motion.wheel, first.motion.pan) = (0, 0);
        }
        if first.motion.is_none() {
            self.steps.pop_front();
            self.delivery.waiting = self.steps.len();
        }
        Some(self.report(motion, protocol))
    }

    fn again(&self, protocol: Protocol) -> Bytes {
        self.report(Motion::default(), protocol)
    }
}
