//! `usbwright stack io`: a device's drivers, used by hand as an application uses them.

use std::{
    fs,
    io::{Read, Write, stdin},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use usbwright::stack::device_name;
use usbwright_reflector::{
    ControlCode, IoOutcome, NameSpace,
    application::{self, Device, Io, OpenOptions},
    status::Win32Error,
};

use crate::cli::io::{sink::dump, words};
use crate::cli::output::output;

/// Read, write, control and ask a device through its drivers, as an application does.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
NAME is the device's, as `usbwright stack list` tells it. Data that is read goes to the standard output, as a hex dump on a terminal and as it is \
elsewhere.

Examples, with the drivers of an OSR USB-FX2 board:
  usbwright stack io osr-fx2 write --text hello
  usbwright stack io osr-fx2 read 5
  usbwright stack io osr-fx2 ioctl 0xffdc6018 --output 1     # read the switches

Of drivers that have information about their files, such as the sample `echo`:
  usbwright stack io echo query 5 24                         # FileStandardInformation
  usbwright stack io echo set 20 --data 0300000000000000     # FileEndOfFileInformation: 3 bytes")]
pub(super) struct Arguments {
    /// The device.
    name: String,

    #[command(subcommand)]
    action: Action,

    /// Where the manager has the names of devices [default: $XDG_RUNTIME_DIR/usbwright/devices].
    #[arg(long, value_name = "FOLDER", global = true)]
    devices_in: Option<PathBuf>,

    /// How many seconds the drivers may take; without it, as long as they like.
    #[arg(long, value_name = "SECONDS", global = true)]
    timeout: Option<u64>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Read up to LENGTH bytes.
    Read {
        length: usize,
        /// From this place in the device, in bytes.
        #[arg(long, default_value_t = 0)]
        offset: u64,
    },
    /// Write bytes.
    Write {
        #[command(flatten)]
        input: Input,
        /// To this place in the device, in bytes.
        #[arg(long, default_value_t = 0)]
        offset: u64,
    },
    /// Send a control code, with input and room for output.
    Ioctl {
        /// The code, such as 0xffdc6018.
        #[arg(value_parser = number)]
        code: u32,
        #[command(flatten)]
        input: Input,
        /// Room for output, in bytes.
        #[arg(long, value_name = "LENGTH", default_value_t = 0)]
        output: usize,
    },
    /// Have written what is buffered.
    Flush,
    /// Ask for information about the file, of a class, for which there is room for LENGTH bytes.
    Query {
        /// The class, by its number in FILE_INFORMATION_CLASS: 5 is FileStandardInformation.
        #[arg(value_parser = number)]
        class: u32,
        length: usize,
    },
    /// Set information about the file, of a class.
    Set {
        /// The class, by its number in FILE_INFORMATION_CLASS: 20 is FileEndOfFileInformation.
        #[arg(value_parser = number)]
        class: u32,
        #[command(flatten)]
        input: Input,
    },
}

/// What is given to the drivers; nothing, if it is not said.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Input {
    /// Bytes in hexadecimal digits.
    #[arg(long, value_name = "HEX", value_parser = words::hex)]
    data: Option<Bytes>,
    /// A text.
    #[arg(long)]
    text: Option<String>,
    /// What is in a file; - is the standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

fn number(text: &str) -> Result<u32, String> {
    words::number(text, u32::MAX)
}

impl Input {
    fn bytes(&self) -> anyhow::Result<Bytes> {
        if let Some(path) = &self.file {
            let mut bytes = Vec::new();
            let read = match path.as_os_str() == "-" {
                true => stdin().read_to_end(&mut bytes).map(|_| ()),
                false => fs::read(path).map(|it| bytes = it),
            };
            read.with_context(|| format!("can't read {}", path.display()))?;
            return Ok(bytes.into());
        }
        let text = self.text.clone().map(Bytes::from);
        Ok(self.data.clone().or(text).unwrap_or_default())
    }
}

/// Where devices have their names.
pub(super) fn name_space(folder: Option<&Path>) -> NameSpace {
    folder.map_or_else(application::name_space, NameSpace::at)
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Some(name) = device_name(&arguments.name) else {
        bail!("no device can have the name {:?}", arguments.name);
    };
    let timeout = arguments.timeout.map(Duration::from_secs);
    let mut options =
        OpenOptions::new(name).name_space(name_space(arguments.devices_in.as_deref()));
    if let Some(timeout) = timeout {
        options = options.timeout(timeout);
    }
    // Closed, it would take back what is outstanding.
    let device = options.open()?;
    let io = begin(&device, &arguments.action)?;
    let outcome = match timeout {
        Some(timeout) => io.timeout(timeout).wait(),
        None => io.wait(),
    };
    tell(&outcome)
}

fn begin(device: &Device, action: &Action) -> anyhow::Result<Io> {
    Ok(match action {
        Action::Read { length, offset } => device.read_at(*length, *offset),
        Action::Write { input, offset } => device.write_at(input.bytes()?, *offset),
        Action::Ioctl {
            code,
            input,
            output,
        } => device.control(ControlCode(*code), input.bytes()?, *output),
        Action::Flush => device.flush(),
        Action::Query { class, length } => device.query_information(*class, *length),
        Action::Set { class, input } => device.set_information(*class, input.bytes()?),
    })
}

/// Prints what came, also where there was more of it; the rest is an error.
fn tell(outcome: &IoOutcome) -> anyhow::Result<ExitCode> {
    let mut out = output();
    match out.is_terminal() {
        true => dump(&mut out, 0, &outcome.data)?,
        false => out.write_all(&outcome.data)?,
    }
    out.flush()?;
    match outcome.error() {
        Win32Error::SUCCESS => Ok(ExitCode::SUCCESS),
        error => bail!(
            "{error} ({}), after {} bytes",
            outcome.status,
            outcome.information
        ),
    }
}
