//! `usbwright show`: all that a device tells of itself.

mod bos;
mod class;
mod json;
mod page;
mod standard;
#[cfg(test)]
pub(in crate::cli) mod tests;
mod text;

use std::{io::Write, process::ExitCode};

use self::text::text;
pub(super) use self::{json::json, text::title};
use super::{
    open::{self, DeviceName},
    usb_ids::UsbIds,
};
use crate::cli::output::output;

/// What `--json` prints, for `--help`.
const JSON: &str = "\
JSON: an object with speed, configuration (the value of the one in force, 0 for none, null where the device does not say), \
status, device, configurations, bos, qualifier, other_speed_configurations, languages, strings (by index) and defects. \
Its parts are named as in the specification, without prefixes and in words: vendor_id, max_packet_size, interval. A name is an \
object of index and text, or null; ids, versions and languages are digits; extra, data and bytes are hexadecimal digits, of \
which bytes is a descriptor as it came, with all that belongs to it. A class is three numbers. Fields may be added.";

/// Show every descriptor of a device, as `lsusb -v` does.
///
/// The device is opened as a host opens it; its descriptors are told field by field, in the order of their bytes, with the names
/// that usb.ids has. What breaks a rule is told at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{JSON}", open::HELP))]
pub(super) struct Arguments {
    /// The device.
    #[arg(value_name = "DEVICE")]
    device: DeviceName,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (description, state) = arguments.device.describe()?;
    let mut out = output();
    if arguments.json {
        writeln!(out, "{:#}", json(&description, &state))?;
    } else {
        out.write_all(text(&description, &state, &UsbIds::load()).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
