//! What a client may ask for, and what it is refused for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::BenchError;
use crate::{
    emulator::PlugError,
    models::disk::MediaError,
    models::hid::{GamepadError, InputError, NoSuchKey, TabletError, TypeError},
    models::osr_fx2::NoSuchSwitch,
    source::{OpenError, SourceError},
};

/// A line that a client sends: a request, and how it is to be answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// What the answer is to carry, so that it is known again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// Whether what is done with keys, buttons and sticks is answered once the host has read it. It is, where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
    /// The request.
    #[serde(flatten)]
    pub request: Request,
}

impl Line {
    /// A request that is answered once it has had its effect.
    pub fn of(request: Request) -> Self {
        Self {
            id: None,
            wait: None,
            request,
        }
    }

    /// Reads a line. What it is to be answered with is told where the rest can't be read, too.
    pub(super) fn parse(line: &[u8]) -> (Option<Value>, Result<Self, ControlError>) {
        let mut fields: Map<String, Value> = match serde_json::from_slice(line) {
            Ok(fields) => fields,
            Err(error) => return (None, Err(error.into())),
        };
        let id = fields.remove("id");
        let wait = fields.remove("wait").map(serde_json::from_value);
        let read = || -> Result<Self, serde_json::Error> {
            Ok(Self {
                id: id.clone(),
                wait: wait.transpose()?,
                request: serde_json::from_value(Value::Object(fields))?,
            })
        };
        let line = read().map_err(ControlError::from);
        (id, line)
    }
}

/// What a client may ask for. A `device` is a bus id, such as `1-1`, or one of a device's functions, such as `1-1/2`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are told of in docs/control.md")]
pub enum Request {
    /// All devices.
    List {},
    /// Makes a device and plugs it in.
    Plug { spec: String },
    /// Takes a device off the bus.
    Unplug { device: String },
    /// Takes a device off and plugs it in again, made anew, perhaps at another speed.
    Replug {
        device: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speed: Option<String>,
    },
    /// What a device's user sees.
    State { device: String },
    /// Types a text.
    Type { device: String, text: String },
    /// Presses keys together, or a button, and releases them.
    Press { device: String, keys: String },
    /// Presses them and holds them down.
    Hold { device: String, keys: String },
    /// Releases them.
    Release { device: String, keys: String },
    /// Moves a mouse by, or a tablet's pointer to.
    Move { device: String, x: i32, y: i32 },
    /// Presses a button of a pointing device and releases it.
    Click {
        device: String,
        #[serde(default = "left")]
        button: String,
    },
    /// Turns a wheel.
    Wheel {
        device: String,
        up: i32,
        #[serde(default)]
        right: i32,
    },
    /// Moves a stick or a trigger.
    Axis {
        device: String,
        axis: String,
        value: i16,
    },
    /// Pushes a hat.
    Hat { device: String, to: String },
    /// Sets a switch.
    Switch {
        device: String,
        switch: u8,
        on: bool,
    },
    /// Sets the lines of a serial port that its other end has.
    Lines {
        device: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        carrier: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ready: Option<bool>,
    },
    /// Tells the host of a serial port of something that happens at its other end.
    Signal { device: String, signal: String },
    /// Puts an image into the drive of a disk's logical unit.
    Insert {
        device: String,
        image: PathBuf,
        #[serde(default)]
        unit: usize,
        #[serde(default)]
        read_only: bool,
    },
    /// Takes the medium out of it.
    Eject {
        device: String,
        #[serde(default)]
        unit: usize,
        #[serde(default)]
        force: bool,
    },
    /// Reads the file again that describes the bench, and does what has changed.
    Reload {},
    /// What has happened lately and, where that is wanted, what happens from now on.
    Events {
        #[serde(default)]
        follow: bool,
    },
}

fn left() -> String {
    "left".to_owned()
}

impl Request {
    /// The device that it is about, if it is about one.
    pub(super) fn device(&self) -> Option<&str> {
        match self {
            Self::List {} | Self::Reload {} | Self::Plug { .. } | Self::Events { .. } => None,
            Self::Unplug { device }
            | Self::Replug { device, .. }
            | Self::State { device }
            | Self::Type { device, .. }
            | Self::Press { device, .. }
            | Self::Hold { device, .. }
            | Self::Release { device, .. }
            | Self::Move { device, .. }
            | Self::Click { device, .. }
            | Self::Wheel { device, .. }
            | Self::Axis { device, .. }
            | Self::Hat { device, .. }
            | Self::Switch { device, .. }
            | Self::Lines { device, .. }
            | Self::Signal { device, .. }
            | Self::Insert { device, .. }
            | Self::Eject { device, .. } => Some(device),
        }
    }

    /// What it is called.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Self::List {} => "list",
            Self::Reload {} => "reload",
            Self::Plug { .. } => "plug",
            Self::Unplug { .. } => "unplug",
            Self::Replug { .. } => "replug",
            Self::State { .. } => "state",
            Self::Type { .. } => "type",
            Self::Press { .. } => "press",
            Self::Hold { .. } => "hold",
            Self::Release { .. } => "release",
            Self::Move { .. } => "move",
            Self::Click { .. } => "click",
            Self::Wheel { .. } => "wheel",
            Self::Axis { .. } => "axis",
            Self::Hat { .. } => "hat",
            Self::Switch { .. } => "switch",
            Self::Lines { .. } => "lines",
            Self::Signal { .. } => "signal",
            Self::Insert { .. } => "insert",
            Self::Eject { .. } => "eject",
            Self::Events { .. } => "events",
        }
    }
}

/// Why a request is refused. Nothing was done, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A line that is no request.
    #[error("this is no request: {0} (docs/control.md tells which there are)")]
    Syntax(#[from] serde_json::Error),
    /// No device of that name.
    #[error("there is no device {device}: {known}")]
    NoDevice {
        /// What was asked for.
        device: String,
        /// What there is.
        known: String,
    },
    /// No function of that number.
    #[error("{device} has {count} functions to be used, and none is {number}")]
    NoFunction {
        /// The device.
        device: String,
        /// How many it has.
        count: usize,
        /// What was asked for.
        number: String,
    },
    /// The device can't do that.
    #[error("{device} ({kind}) can't {verb}: it can {can}")]
    Unable {
        /// The device.
        device: String,
        /// What it is.
        kind: String,
        /// What it was asked for.
        verb: &'static str,
        /// What it can do.
        can: String,
    },
    /// No file describes the bench.
    #[error("no file describes these devices: start the server with --config FILE")]
    NoBench,
    /// The file describes none. Nothing was changed.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// A SPEC that can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A device that can't be had.
    #[error("can't have {spec}: {cause}")]
    Open {
        /// What was asked for.
        spec: String,
        /// Why not.
        cause: OpenError,
    },
    /// A device that can't be plugged in.
    #[error("can't plug {spec} in: {cause}")]
    Plug {
        /// What was asked for.
        spec: String,
        /// Why not.
        cause: PlugError,
    },
    /// A speed that the device can't have.
    #[error("{device}: {reason}")]
    Speed {
        /// The device.
        device: String,
        /// Why not.
        reason: String,
    },
    /// What the device refuses to do.
    #[error("{device}: {cause}")]
    Refused {
        /// The device.
        device: String,
        /// Why.
        cause: Refusal,
    },
    /// The host did not read all of it.
    #[error("{device}: the host has reset the device before it had read all of it")]
    Forgotten {
        /// The device.
        device: String,
    },
    /// The device is gone.
    #[error("{device}: the device was unplugged meanwhile")]
    Gone {
        /// The device.
        device: String,
    },
}

/// Why a device refuses to do what it can do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Type(#[from] TypeError),
    #[error(transparent)]
    Key(#[from] NoSuchKey),
    #[error(transparent)]
    Tablet(#[from] TabletError),
    #[error(transparent)]
    Gamepad(#[from] GamepadError),
    #[error(transparent)]
    Switch(#[from] NoSuchSwitch),
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error("`{word}` will not do: {rule}")]
    Word { word: String, rule: &'static str },
}
