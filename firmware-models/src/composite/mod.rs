//! A device of several functions, each of them another model: a keyboard with a disk, two serial ports, and so on.
//!
//! # What was decided
//!
//! Where the specifications leave a choice, this is ours:
//!
//! - **A function** is what a model has in its first configuration, with interfaces and endpoints numbered in the order of the functions: the
//!   next free number for each, IN and OUT apart. It does not know that it is not alone.
//! - **Associations**: a function of several interfaces has one, of the class of its first interface where it brings none itself.
//! - **Requests** to an interface or an endpoint are that function's. Others are offered to one function after the other, and the first one
//!   that does not stall answers.
//! - **Power**: the device has power of its own where all functions have, and draws what they draw together, 500 mA at the most. It
//!   can wake its host where one of them can.
//! - **What belongs to a whole device** (WebUSB, Microsoft OS descriptors, capabilities) can't be a function's, and is refused.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;
use usbwright_emulator::{
    Context, Firmware, In, Out, Part,
    protocol::{
        EndpointAddress, Recipient, Setup, Speed,
        descriptor::{Device, JoinError, Numbering},
    },
};

use crate::{
    BuildError, Function, Model, Parameter, ParameterError, Parameters, Spec, Strings, disk::Drive,
    words,
};

/// The composite device among the models.
pub(crate) const MODEL: Model = Model {
    name: "composite",
    summary: "a device of several functions, each of them another model",
    parameters: &[
        Parameter {
            name: "of",
            values: "MODEL[,,KEY[=VALUE]]…",
            default: "none",
            summary: "a function, as the SPEC of its model with ,, for each comma; may be repeated",
            repeats: true,
        },
        text("vendor", "usbwright", "who made it"),
        text("product", "Composite device", "what it is"),
        text("serial", "0", "its serial number"),
    ],
    speeds: &[Speed::High, Speed::Full, Speed::Super, Speed::SuperPlus],
    make,
};

const fn text(name: &'static str, default: &'static str, summary: &'static str) -> Parameter {
    Parameter {
        name,
        values: "TEXT",
        default,
        summary,
        repeats: false,
    }
}

fn make(speed: Speed, parameters: &mut Parameters) -> Result<Function, BuildError> {
    let strings = Strings::of("Composite device").take(parameters)?;
    let identity = Device::new(0x1d6b, 0x0104)
        .manufacturer(strings.vendor)
        .product(strings.product)
        .serial(strings.serial);
    let (mut firmwares, mut handles, mut specs) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(text) = parameters.text("of")? {
        let mut drives = VecDeque::new();
        parameters.exchange_drives(&mut drives);
        let function = function(&text, speed, &mut drives);
        parameters.exchange_drives(&mut drives);
        let function = function?;
        firmwares.push(function.firmware);
        handles.extend(function.handles);
        specs.push(text);
    }
    if firmwares.is_empty() {
        return Err(BuildError::Incomplete(
            "which functions it has: use of=MODEL for each, such as of=serial,,loopback".to_owned(),
        ));
    }
    let made = Composite::new(speed, &identity, firmwares);
    let composite = made.map_err(|error| BuildError::Join { error, specs })?;
    Ok(Function {
        firmware: Box::new(composite),
        handles,
    })
}

/// Makes one function, and says of what is wrong which one it was.
fn function(
    text: &str,
    speed: Speed,
    drives: &mut VecDeque<Drive>,
) -> Result<Function, BuildError> {
    let wrong = |rule: String| ParameterError::Value {
        key: "of".to_owned(),
        value: text.to_owned(),
        rule,
    };
    let spec: Spec = text
        .parse()
        .map_err(|error| wrong(format!("{error}; a comma within it is written ,,")))?;
    let model = spec.model();
    let of_the_whole = |word: &String| {
        let key = word.split('=').next().unwrap_or_default();
        ["speed", "busid"].contains(&key)
    };
    if model.name == MODEL.name {
        return Err(
            wrong("a composite is no function: give its functions one by one".to_owned()).into(),
        );
    }
    if let Some(word) = words(text).into_iter().find(of_the_whole) {
        return Err(wrong(format!("`{word}` is of the whole device: give it there")).into());
    }
    if !model.speeds.contains(&speed) {
        let rule = format!("{} does not run at {} speed", model.name, speed.name());
        return Err(wrong(rule).into());
    }
    spec.function(speed, drives)
        .map_err(|cause| BuildError::Function {
            spec: text.to_owned(),
            cause: Box::new(cause),
        })
}

/// The firmware of a device of several functions.
pub struct Composite {
    /// The device at its speed, and at the other one that it could run at.
    described: [(Speed, Device); 2],
    functions: Vec<Running>,
    /// Whose each endpoint is, by [`EndpointAddress::index`]: the function's place, and the endpoint's own address.
    endpoints: [Option<(u8, EndpointAddress)>; 32],
}

/// A function of a device.
struct Running {
    firmware: Box<dyn Firmware>,
    numbering: Numbering,
    part: Part,
}

impl Running {
    fn call<T>(
        &mut self,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut dyn Firmware, &mut Context<'_>) -> T,
    ) -> T {
        let firmware = &mut *self.firmware;
        cx.within(&mut self.part, |cx| call(firmware, cx))
    }
}

impl std::fmt::Debug for Composite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numberings: Vec<_> = self.functions.iter().map(|it| &it.numbering).collect();
        f.debug_struct("Composite")
            .field("functions", &numberings)
            .finish_non_exhaustive()
    }
}

impl Composite {
    /// A device of these functions, for one that runs at `speed`. `identity` is what it is called; its configurations are made here.
    ///
    /// # Errors
    /// Where endpoints or interfaces run out, and where a function has what belongs to a whole device.
    pub fn new(
        speed: Speed,
        identity: &Device,
        functions: Vec<Box<dyn Firmware>>,
    ) -> Result<Self, JoinError> {
        let joined = |speed| {
            let devices = functions.iter().map(|it| it.describe(speed));
            identity.clone().joined(devices)
        };
        let other = match speed {
            Speed::Full => Speed::High,
            Speed::High => Speed::Full,
            speed => speed,
        };
        let (device, numberings) = joined(speed)?;
        let described = [(speed, device), (other, joined(other)?.0)];
        let mut endpoints = [None; 32];
        for (place, numbering) in (0..).zip(&numberings) {
            for (own, joined) in numbering.endpoints() {
                endpoints[joined.index()] = Some((place, own));
            }
        }
        let running = |(firmware, numbering)| Running {
            firmware,
            numbering,
            part: Part::default(),
        };
        Ok(Self {
            described,
            functions: functions.into_iter().zip(numberings).map(running).collect(),
            endpoints,
        })
    }

    /// Calls the function that has an endpoint.
    fn at<T>(
        &mut self,
        endpoint: EndpointAddress,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut dyn Firmware, EndpointAddress, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let (place, own) = self.endpoints[endpoint.index()]?;
        let function = self.functions.get_mut(usize::from(place))?;
        Some(function.call(cx, |firmware, cx| call(firmware, own, cx)))
    }

    /// Gives a request to the function that it is for, or else to one after the other until one answers.
    fn request<T>(
        &mut self,
        setup: &Setup,
        cx: &mut Context<'_>,
        mut call: impl FnMut(&mut dyn Firmware, &Setup, &mut Context<'_>) -> Option<T>,
    ) -> Option<T> {
        let with = |number: u8| Setup {
            index: setup.index & 0xff00 | u16::from(number),
            ..*setup
        };
        self.functions.iter_mut().find_map(|function| {
            let numbering = &function.numbering;
            let own = match setup.recipient() {
                Recipient::Interface => with(numbering.own_interface(setup.interface())?),
                Recipient::Endpoint => with(numbering.own_endpoint(setup.endpoint())?.byte()),
                _ => *setup,
            };
            function.call(cx, |firmware, cx| call(firmware, &own, cx))
        })
    }
}

impl Firmware for Composite {
    fn describe(&self, speed: Speed) -> Device {
        let [own, other] = &self.described;
        let described = if speed == other.0 { other } else { own };
        described.1.clone()
    }

    fn control_in(&mut self, setup: &Setup, cx: &mut Context<'_>) -> In {
        let answer = self.request(setup, cx, |firmware, setup, cx| {
            let answer = firmware.control_in(setup, cx);
            (!matches!(answer, In::Stall)).then_some(answer)
        });
        answer.unwrap_or(In::Stall)
    }

    fn control_out(&mut self, setup: &Setup, data: &Bytes, cx: &mut Context<'_>) -> Out {
        let answer = self.request(setup, cx, |firmware, setup, cx| {
            let answer = firmware.control_out(setup, data, cx);
            (answer != Out::Stall).then_some(answer)
        });
        answer.unwrap_or(Out::Stall)
    }

    fn send(&mut self, endpoint: EndpointAddress, room: usize, cx: &mut Context<'_>) -> In {
        let answer = self.at(endpoint, cx, |firmware, own, cx| {
            firmware.send(own, room, cx)
        });
        answer.unwrap_or(In::Stall)
    }

    fn receive(&mut self, endpoint: EndpointAddress, data: &Bytes, cx: &mut Context<'_>) -> Out {
        let answer = self.at(endpoint, cx, |firmware, own, cx| {
            firmware.receive(own, data, cx)
        });
        answer.unwrap_or(Out::Stall)
    }

    fn configured(&mut self, configuration: Option<u8>, cx: &mut Context<'_>) {
        for function in &mut self.functions {
            let own = configuration.map(|_| function.numbering.configuration());
            function.part.configuration = own;
            function.call(cx, |firmware, cx| firmware.configured(own, cx));
        }
    }

    fn setting_chosen(&mut self, interface: u8, alternate: u8, cx: &mut Context<'_>) {
        for function in &mut self.functions {
            if let Some(own) = function.numbering.own_interface(interface) {
                function.call(cx, |firmware, cx| {
                    firmware.setting_chosen(own, alternate, cx);
                });
            }
        }
    }

    fn halt_cleared(&mut self, endpoint: EndpointAddress, cx: &mut Context<'_>) {
        let _ = self.at(endpoint, cx, |firmware, own, cx| {
            firmware.halt_cleared(own, cx);
        });
    }

    fn reset(&mut self, cx: &mut Context<'_>) {
        for function in &mut self.functions {
            function.part = Part::default();
            function.call(cx, |firmware, cx| firmware.reset(cx));
        }
    }

    /// Which of them is meant, a waker does not tell.
    fn woken(&mut self, cx: &mut Context<'_>) {
        for function in &mut self.functions {
            function.part.take_due(cx.now());
            function.call(cx, |firmware, cx| firmware.woken(cx));
        }
    }
}
