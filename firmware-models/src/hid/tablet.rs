//! The tablet: a pointer that is told where it is.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use usbwright_emulator::{Firmware, protocol::Class};

use super::{
    Button, InputError, PointerOptions, PointerState,
    class::{Function, Hid, Protocol},
    delivery::{States, answer},
    descriptors::Description,
    reports,
};
use crate::shared::{self, Changes, Held};

/// A tablet's report: buttons, two bytes across, two bytes down, the wheel.
type Report = [u8; 6];
/// Where the wheel is in it: it is told once, and is no state.
const WHEEL: usize = 5;

/// The user's side of a tablet. Clones are the same tablet's; any thread may use them, at any time, also when the device is gone.
///
/// Each place and each change of a button is a report of its own, which the host reads in order.
#[derive(Clone, Debug)]
pub struct Tablet(Arc<Held<Pen>>);

/// A place off the tablet, or a button that it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TabletError {
    /// A place that is not on it.
    #[error("a tablet reaches from 0 to {} both ways", Tablet::END)]
    OffTheTablet,
    /// Only the first three buttons are there.
    #[error("a tablet has a left, a right and a middle button")]
    NoSuchButton,
    /// The host does not take it.
    #[error(transparent)]
    Input(#[from] InputError),
}

impl Tablet {
    /// The place furthest to the right, and furthest down; the upper left corner is 0, 0.
    pub const END: u16 = 0x7fff;

    /// A tablet that is on no bus yet: its user's side, and the firmware for a device.
    pub fn new(options: PointerOptions) -> (Self, impl Firmware) {
        let description = Description {
            class: Class {
                class: 3,
                subclass: 0,
                protocol: 0,
            },
            product: "Tablet",
            serial: options.serial,
            country: 0,
            idle: Duration::ZERO,
            interval: options.interval,
            reports: reports::tablet(),
            longest: size_of::<Report>() as u16,
        };
        let (firmware, held) = Hid::new(description, Pen(States::new([0; 6])));
        (Self(held), firmware)
    }

    /// What its user sees.
    pub fn state(&self) -> PointerState {
        self.0.shared().state()
    }

    /// Goes to a place, from the left and from above.
    ///
    /// # Errors
    /// Where that is not on the tablet, or no host reads it.
    pub fn move_to(&self, x: u16, y: u16) -> Result<(), TabletError> {
        if x > Self::END || y > Self::END {
            return Err(TabletError::OffTheTablet);
        }
        Ok(self.set(|report| {
            report[1..3].copy_from_slice(&x.to_le_bytes());
            report[3..5].copy_from_slice(&y.to_le_bytes());
        })?)
    }

    /// Presses a button, which is held from then on.
    ///
    /// # Errors
    /// Where there is none such, or no host reads it.
    pub fn press(&self, button: Button) -> Result<(), TabletError> {
        let bit = bit(button)?;
        Ok(self.set(|report| report[0] |= bit)?)
    }

    /// Releases a button.
    ///
    /// # Errors
    /// Where there is none such, or no host reads it.
    pub fn release(&self, button: Button) -> Result<(), TabletError> {
        let bit = bit(button)?;
        Ok(self.set(|report| report[0] &= !bit)?)
    }

    /// Presses a button and releases it.
    ///
    /// # Errors
    /// Where there is none such, or no host uses the tablet or reads it.
    pub fn click(&self, button: Button) -> Result<(), TabletError> {
        let bit = bit(button)?;
        Ok(self.pass_through(|mut report| {
            report[0] |= bit;
            let down = report;
            report[0] &= !bit;
            vec![down, report]
        })?)
    }

    /// Turns its wheel away from the user, in notches.
    ///
    /// # Errors
    /// Where no host uses it or reads it.
    pub fn wheel(&self, up: i32) -> Result<(), InputError> {
        let most = i32::from(i8::MAX);
        let whole = (up / most).unsigned_abs() as usize;
        // So many that they are refused.
        let whole = whole.min(super::delivery::MOST_WAITING);
        let parts = std::iter::repeat_n(most * up.signum(), whole).chain([up % most]);
        self.pass_through(|report| {
            let turned = parts.filter(|part| *part != 0).flat_map(|part| {
                let mut turned = report;
                turned[WHEEL] = (part as i8).to_le_bytes()[0];
                // Back in between: what is no change would not be told.
                [turned, report]
            });
            turned.collect()
        })
    }

    fn set(&self, change: impl FnOnce(&mut Report)) -> Result<(), InputError> {
        self.0.act(|pen| {
            let mut report = pen.0.latest();
            change(&mut report);
            answer(pen.0.set(report))
        })
    }

    fn pass_through(&self, states: impl FnOnce(Report) -> Vec<Report>) -> Result<(), InputError> {
        self.0.act(|pen| {
            let admitted = pen.0.delivery().admit(1);
            answer(admitted.and_then(|()| pen.0.pass_through(states(pen.0.latest()))))
        })
    }

    /// A way to wait for changes, those after this call: of what the host has read.
    pub fn changes(&self) -> Changes<PointerState> {
        self.0.changes()
    }
}

fn bit(button: Button) -> Result<u8, TabletError> {
    match button {
        Button::Left | Button::Right | Button::Middle => Ok(button.bit()),
        Button::Back | Button::Forward => Err(TabletError::NoSuchButton),
    }
}

/// What the user has done with a tablet.
#[derive(Debug)]
pub(super) struct Pen(States<6>);

impl shared::Panel for Pen {
    type State = PointerState;

    fn state(&self) -> PointerState {
        PointerState {
            delivery: self.0.delivery(),
        }
    }
}

impl Function for Pen {
    fn connect(&mut self, configured: bool) {
        self.0.connect(configured);
    }

    fn next(&mut self, _: Protocol) -> Option<Bytes> {
        let report = self.0.next()?;
        Some(Bytes::copy_from_slice(&report))
    }

    fn again(&self, _: Protocol) -> Bytes {
        let mut report = self.0.told();
        report[WHEEL] = 0;
        Bytes::copy_from_slice(&report)
    }
}
