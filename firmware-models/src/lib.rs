//! The emulated devices of usbwright: one folder for each, all of one shape.
//!
//! A model is a firmware with a name and parameters. [`Spec`] reads what a user writes for one
//! (`gadget-zero,speed=super`), and [`Spec::build`] makes the device.

pub mod composite;
pub mod disk;
pub mod gadget_zero;
mod handle;
pub mod hid;
mod nearest;
pub mod osr_fx2;
mod parameters;
pub mod serial;
mod shared;
mod spec;
mod strings;
// What a new model begins with: it compiles, and nobody can ask for it.
#[cfg(test)]
pub mod template;
#[cfg(test)]
mod testing;

pub(crate) use handle::Function;
pub use handle::{Changes, Handle, Made, State};
pub use parameters::{ParameterError, Parameters};
pub use shared::Changes as StateChanges;
pub use spec::{BuildError, Spec, SpecError, words};
pub use strings::Strings;

use usbwright_emulator::protocol::Speed;

/// A kind of device that can be made.
#[derive(Debug)]
pub struct Model {
    /// The name that a spec begins with.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// What it takes, besides `speed` and `busid`, which every model takes.
    pub parameters: &'static [Parameter],
    /// The speeds it can run at; the first is its default.
    pub speeds: &'static [Speed],
    make: Make,
}

/// Makes a model's firmware, for a speed, from its parameters.
type Make = fn(Speed, &mut Parameters) -> Result<Function, BuildError>;

/// A parameter of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its key.
    pub name: &'static str,
    /// What it takes, such as `0|1|2`; empty where it is given without a value.
    pub values: &'static str,
    /// What it is when it is left out.
    pub default: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Whether it may be given several times.
    pub repeats: bool,
}

impl Parameter {
    /// A parameter that is given once: its key, what it takes, what it is when it is left out, and what it does.
    pub(crate) const fn once(
        name: &'static str,
        values: &'static str,
        default: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            name,
            values,
            default,
            summary,
            repeats: false,
        }
    }
}

/// Every model.
pub static MODELS: &[Model] = &[
    gadget_zero::MODEL,
    disk::MODEL,
    serial::MODEL,
    osr_fx2::MODEL,
    hid::KEYBOARD,
    hid::MOUSE,
    hid::TABLET,
    hid::GAMEPAD,
    composite::MODEL,
];

/// The model of that name.
pub fn model(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}
