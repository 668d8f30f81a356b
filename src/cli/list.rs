//! `usbwright list`: what a server exports.

use std::{io::Write, process::ExitCode};

use serde_json::json;
use usbwright::{
    protocol::{Class, usbip::operation::ExportedDevice},
    remote::Remote,
};

use super::usb_ids::UsbIds;
use crate::cli::output::output;

/// List the devices that a USB/IP server exports and nobody has imported.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A HOST is a name or an address, with or without a port (pc.example, 10.0.0.7:3240, [::1]:3240), or unix:/PATH.")]
pub(super) struct Arguments {
    /// The server.
    #[arg(default_value = "127.0.0.1")]
    host: Remote,

    /// The server, as `usbip list` takes it.
    #[arg(short, long, value_name = "HOST", conflicts_with = "host")]
    remote: Option<Remote>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let remote = arguments.remote.as_ref().unwrap_or(&arguments.host);
    let devices = remote.list()?;
    let mut out = output();
    if arguments.json {
        let devices: Vec<_> = devices.iter().map(as_json).collect();
        writeln!(out, "{:#}", json!(devices))?;
    } else if devices.is_empty() {
        eprintln!("usbwright: {remote} exports no devices, or all of them are in use");
    } else {
        write_text(&mut out, &shown(remote), &devices)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The server as the `usbip` tool prints it: without its port.
fn shown(remote: &Remote) -> String {
    match remote {
        Remote::Tcp { host, .. } => host.clone(),
        Remote::Unix(_) => remote.to_string(),
    }
}

/// Writes what `usbip list -r` writes.
fn write_text(out: &mut impl Write, host: &str, devices: &[ExportedDevice]) -> std::io::Result<()> {
    let names = UsbIds::load();
    writeln!(out, "Exportable USB devices\n======================")?;
    writeln!(out, " - {host}")?;
    for device in devices {
        let summary = &device.summary;
        let product = names.product(summary.vendor_id, summary.product_id);
        writeln!(out, "{:>11}: {product}", device.bus_id)?;
        writeln!(out, "{:>11}: {}", "", device.path)?;
        writeln!(out, "{:>11}: {}", "", names.class(summary.class))?;
        for (index, class) in summary.interfaces.iter().enumerate() {
            writeln!(out, "{:>11}: {index:2} - {}", "", names.class(*class))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// What a server tells of a device that it exports.
pub(super) fn as_json(device: &ExportedDevice) -> serde_json::Value {
    let summary = &device.summary;
    let interfaces: Vec<_> = summary.interfaces.iter().map(class_json).collect();
    json!({
        "busid": device.bus_id,
        "path": device.path,
        "bus_number": device.bus_number,
        "device_number": device.device_number,
        "speed": summary.speed.name(),
        "vendor_id": format!("{:04x}", summary.vendor_id),
        "product_id": format!("{:04x}", summary.product_id),
        "device_release": format!("{:04x}", summary.device_release),
        "class": class_json(&summary.class),
        "configuration": summary.configuration,
        "configurations": summary.configurations,
        "interfaces": interfaces,
    })
}

/// A class, its subclass and its protocol, as numbers.
pub(super) fn class_json(class: &Class) -> serde_json::Value {
    json!([class.class, class.subclass, class.protocol])
}
