//! `usbwright control`: uses the devices of a server that runs, by its control socket.

use std::{
    env,
    io::Write,
    path::{self, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::Value;
use usbwright::control::{Client, ControlAddress, Event, Line, Request};

use crate::cli::output::output;

/// Use the devices of a running server: plug and unplug them, type, click, flip switches, watch.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A DEVICE is a bus id, such as 1-1, or one of the functions of a device that has several, such as 1-1/2.
`list` tells what there is and what each can do.

KEYS are the names of keys with + between them (ctrl+alt+del, shift+f5, enter, a), or a mouse's or gamepad's button.

`usbwright serve --control unix:/PATH` makes the socket. Where --control is not given here, it is
$USBWRIGHT_CONTROL or unix:$XDG_RUNTIME_DIR/usbwright.control. docs/control.md tells what programs say there.")]
pub(super) struct Arguments {
    /// The server's control socket: unix:/PATH.
    #[arg(long, value_name = "ADDR", global = true)]
    control: Option<ControlAddress>,

    /// Print what the server answers, as JSON.
    #[arg(long, global = true)]
    json: bool,

    /// Do not wait until the device's host has read what was typed, clicked or moved.
    #[arg(long, global = true)]
    no_wait: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the devices: who has them, and what can be done with them.
    List,
    /// Make a device and plug it in; prints its bus id.
    Plug {
        /// The device: MODEL[,key[=value]]….
        spec: String,
    },
    /// Take a device off the bus.
    Unplug { device: String },
    /// Take a device off and plug it in again, perhaps at another speed.
    Replug {
        device: String,
        speed: Option<String>,
    },
    /// Print what a device's user sees, as JSON: LEDs, switches, displays.
    State { device: String },
    /// Type a text.
    Type {
        device: String,
        #[arg(allow_hyphen_values = true)]
        text: String,
    },
    /// Press keys together, or a button, and release them.
    Press {
        device: String,
        #[arg(allow_hyphen_values = true)]
        keys: String,
    },
    /// Press keys or a button, and hold them down.
    Hold { device: String, keys: String },
    /// Release keys or a button that are held down.
    Release { device: String, keys: String },
    /// Move a mouse by X and Y, to the right and down, or a tablet's pointer to the place X, Y (0 to 32767).
    Move {
        device: String,
        #[arg(allow_negative_numbers = true)]
        x: i32,
        #[arg(allow_negative_numbers = true)]
        y: i32,
    },
    /// Press and release a button of a mouse or tablet: left, right, middle, back or forward.
    Click {
        device: String,
        #[arg(default_value = "left")]
        button: String,
    },
    /// Turn a wheel up, and a mouse's also to the right.
    Wheel {
        device: String,
        #[arg(allow_negative_numbers = true)]
        up: i32,
        #[arg(allow_negative_numbers = true, default_value_t = 0)]
        right: i32,
    },
    /// Move a gamepad's stick (x, y, rx, ry: -32767 to 32767) or trigger (z, rz: 0 to 255).
    Axis {
        device: String,
        axis: String,
        #[arg(allow_negative_numbers = true)]
        value: i16,
    },
    /// Push a gamepad's hat: center, up, up-right, right, down-right, down, down-left, left, up-left.
    Hat { device: String, to: String },
    /// Flip a switch of an OSR USB-FX2 board, by the number printed at it.
    Switch {
        device: String,
        switch: u8,
        to: OnOff,
    },
    /// Set the lines of a serial port that its other end has.
    Lines {
        device: String,
        /// Data carrier detect (DCD).
        #[arg(long)]
        carrier: Option<OnOff>,
        /// Data set ready (DSR).
        #[arg(long)]
        ready: Option<OnOff>,
    },
    /// Tell the host of a serial port: break, ring, framing-error, parity-error or overrun.
    Signal { device: String, signal: String },
    /// Put an image into the drive of a removable disk.
    Insert {
        device: String,
        image: PathBuf,
        /// The logical unit.
        #[arg(long, default_value_t = 0)]
        unit: usize,
        /// It is not written to, and others may read it, too.
        #[arg(long)]
        ro: bool,
    },
    /// Take the medium out of the drive of a removable disk.
    Eject {
        device: String,
        /// The logical unit.
        #[arg(long, default_value_t = 0)]
        unit: usize,
        /// Even if the disk's host has locked it in.
        #[arg(long)]
        force: bool,
    },
    /// Have the server read its --config file again: what has not changed there is left alone.
    Reload,
    /// Print what has happened lately, an event for each line.
    Events {
        /// Go on with what happens from now on.
        #[arg(long)]
        follow: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnOff {
    On,
    Off,
}

impl Command {
    fn request(self) -> Request {
        match self {
            Self::List => Request::List {},
            Self::Reload => Request::Reload {},
            Self::Plug { spec } => Request::Plug { spec },
            Self::Unplug { device } => Request::Unplug { device },
            Self::Replug { device, speed } => Request::Replug { device, speed },
            Self::State { device } => Request::State { device },
            Self::Type { device, text } => Request::Type { device, text },
            Self::Press { device, keys } => Request::Press { device, keys },
            Self::Hold { device, keys } => Request::Hold { device, keys },
            Self::Release { device, keys } => Request::Release { device, keys },
            Self::Move { device, x, y } => Request::Move { device, x, y },
            Self::Click { device, button } => Request::Click { device, button },
            Self::Wheel { device, up, right } => Request::Wheel { device, up, right },
            Self::Axis {
                device,
                axis,
                value,
            } => Request::Axis {
                device,
                axis,
                value,
            },
            Self::Hat { device, to } => Request::Hat { device, to },
            Self::Switch { device, switch, to } => Request::Switch {
                device,
                switch,
                on: to == OnOff::On,
            },
            Self::Lines {
                device,
                carrier,
                ready,
            } => Request::Lines {
                device,
                carrier: carrier.map(|it| it == OnOff::On),
                ready: ready.map(|it| it == OnOff::On),
            },
            Self::Signal { device, signal } => Request::Signal { device, signal },
            Self::Insert {
                device,
                image,
                unit,
                ro,
            } => Request::Insert {
                device,
                // The server may run in another folder.
                image: path::absolute(&image).unwrap_or(image),
                unit,
                read_only: ro,
            },
            Self::Eject {
                device,
                unit,
                force,
            } => Request::Eject {
                device,
                unit,
                force,
            },
            Self::Events { follow } => Request::Events { follow },
        }
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let address = match arguments.control {
        Some(address) => address,
        None => default_address()?,
    };
    let mut client = Client::connect(&address)?;
    let request = arguments.command.request();
    let line = Line {
        wait: arguments.no_wait.then_some(false),
        ..Line::of(request.clone())
    };
    let answer = client.request(&line)?;
    let mut out = output();
    match (&request, &answer) {
        (Request::Events { follow }, Value::Array(past)) => {
            for event in past {
                let event = serde_json::from_value(event.clone());
                write_event(&mut out, &event?, arguments.json)?;
            }
            if *follow {
                loop {
                    write_event(&mut out, &client.event()?, arguments.json)?;
                }
            }
        }
        (_, Value::Null) => {}
        _ if arguments.json => writeln!(out, "{answer:#}")?,
        (Request::List {}, Value::Array(devices)) => {
            for device in devices {
                writeln!(out, "{}", listed(device))?;
            }
        }
        (Request::Plug { .. } | Request::Replug { .. }, answer) => {
            writeln!(out, "{}", text(answer, "device"))?;
        }
        (_, answer) => writeln!(out, "{answer:#}")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a server of the same user listens, if nothing else is said.
fn default_address() -> anyhow::Result<ControlAddress> {
    if let Ok(address) = env::var("USBWRIGHT_CONTROL") {
        return address.parse().context("USBWRIGHT_CONTROL");
    }
    let folder = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let folder = folder.context("which server is not said: use --control unix:/PATH")?;
    let path = folder.join("usbwright.control");
    Ok(format!("unix:{}", path.display()).parse()?)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A device in a line.
fn listed(device: &Value) -> String {
    let functions = device.get("functions").and_then(Value::as_array);
    let can = functions.into_iter().flatten().map(|function| {
        let can = function.get("can").and_then(Value::as_array);
        let can: Vec<_> = can
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        format!("; {}: {}", text(function, "kind"), can.join(", "))
    });
    let by = match device.get("by").and_then(Value::as_str) {
        Some(by) => format!("attached by {by}"),
        None => "free".to_owned(),
    };
    format!(
        "{}: {}, {}, {} speed, {by}{}",
        text(device, "device"),
        text(device, "spec"),
        text(device, "id"),
        text(device, "speed"),
        can.collect::<String>()
    )
}

fn write_event(out: &mut impl Write, event: &Event, json: bool) -> anyhow::Result<()> {
    match json {
        true => writeln!(out, "{}", serde_json::to_string(event)?)?,
        false => writeln!(out, "{}", told(event))?,
    }
    out.flush()?;
    Ok(())
}

/// An event in a line.
fn told(event: &Event) -> String {
    match event {
        Event::Plugged {
            device,
            spec,
            speed,
        } => format!("{device}: plugged in: {spec}, {speed} speed"),
        Event::Unplugged { device } => format!("{device}: unplugged"),
        Event::Attached { device, by } => format!("{device}: attached by {by}"),
        Event::Released { device, by, reason } => {
            format!("{device}: released by {by}: {reason}")
        }
        Event::Configured {
            device,
            configuration,
        } => format!("{device}: configuration {configuration} set"),
        Event::Changed {
            device,
            function,
            kind,
            state,
        } => format!("{device}/{function}: {kind}: {state}"),
    }
}
