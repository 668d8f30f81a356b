//! A template for new models: a bell with a lamp. Its user presses the button, its host is told how often, and lights the lamp.
//!
//! It is compiled and tested with the others, and is in no list. A new model begins as a copy of this folder; what is said here is what a
//! model's head has to say: what the device is, and, below, what was decided where its manual leaves a choice.
//!
//! - **Presses** are told as the number of those since the last report, 255 at the most: more are forgotten.
//! - **A reset** forgets presses and turns the lamp off; a configuration that is set forgets presses.

mod descriptors;
mod panel;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use usbwright_emulator::{
    Context, Firmware, In, Out,
    protocol::{EndpointAddress, RequestKind, Setup, Speed, descriptor::Device},
};

use self::panel::{Handles, Panel, Shared};
use crate::{BuildError, Function, Model, Parameter, Parameters};

pub use self::panel::{Bell, Changes, State};

/// The vendor request that sets the lamp: `wValue` is 1 for on, 0 for off.
const SET_LAMP: u8 = 1;
/// The vendor request that reads the lamp, a byte.
const GET_LAMP: u8 = 2;

/// The bell among the models.
pub(crate) const MODEL: Model = Model {
    name: "template",
    summary: "a bell with a lamp: what a new model begins with",
    parameters: &[Parameter::once(
        "lit",
        "",
        "off",
        "the lamp is lit at first",
    )],
    speeds: &[Speed::Full, Speed::High],
    make,
};

fn make(_: Speed, parameters: &mut Parameters) -> Result<Function, BuildError> {
    let options = Options {
        lit: parameters.flag("lit")?,
    };
    // A model whose user is to be heard adds `.handle(Handle::Bell(firmware.bell()))`, with a variant of its own in `src/handle.rs`.
    Ok(Function::new(Template::new(options)))
}

/// What a user may choose about a bell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether its lamp is lit at first.
    pub lit: bool,
}

/// The firmware of a bell.
#[derive(Debug)]
pub struct Template {
    shared: Arc<Shared>,
    handles: Handles,
}

impl Template {
    /// A bell that is on no bus yet.
    pub fn new(options: Options) -> Self {
        Self {
            shared: Shared::new(Panel::new(options.lit)),
            handles: Handles::default(),
        }
    }

    /// The bell's button and lamp, to be kept while the firmware goes into a device.
    pub fn bell(&mut self) -> Bell {
        Bell::new(self.handles.held(&self.shared))
    }
}

impl Firmware for Template {
    fn describe(&self, speed: Speed) -> Device {
        descriptors::describe(speed)
    }

    fn control_in(&mut self, setup: &Setup, _: &mut Context<'_>) -> In {
        match (setup.kind(), setup.request) {
            (RequestKind::Vendor, GET_LAMP) => {
                let lit = self.shared.state().lit;
                In::Data(Bytes::copy_from_slice(&[lit.into()]))
            }
            _ => In::Stall,
        }
    }

    fn control_out(&mut self, setup: &Setup, _: &Bytes, _: &mut Context<'_>) -> Out {
        match (setup.kind(), setup.request, setup.value) {
            (RequestKind::Vendor, SET_LAMP, 0 | 1) => {
                self.shared.change(|panel| panel.light(setup.value == 1));
                Out::Taken
            }
            _ => Out::Stall,
        }
    }

    fn send(&mut self, _: EndpointAddress, _: usize, _: &mut Context<'_>) -> In {
        // Endpoint zero apart, there is one endpoint: the report of presses.
        let presses = self.shared.change(Panel::take);
        presses.map_or(In::NotYet, |presses| {
            In::Data(Bytes::copy_from_slice(&[presses]))
        })
    }

    fn configured(&mut self, _: Option<u8>, cx: &mut Context<'_>) {
        self.shared.listen(&self.handles, || cx.waker());
        self.shared.change(Panel::forget);
    }

    fn reset(&mut self, cx: &mut Context<'_>) {
        self.shared.listen(&self.handles, || cx.waker());
        self.shared.change(|panel| {
            panel.forget();
            panel.light(false);
        });
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        self.shared.leave();
    }
}
