//! `usbwright port`: the ports of this machine that a device is attached to.

use std::{io::Write, process::ExitCode};

use serde_json::json;
use usbwright::{
    protocol::Speed,
    sysfs::Sysfs,
    vhci::{Port, PortState, Record, Records, Vhci},
};

use super::usb_ids::UsbIds;
use crate::cli::output::output;

/// List the ports that a device is attached to, as `usbip port` does.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print a table, a line for each port.
    #[arg(long)]
    table: bool,

    /// Print JSON.
    #[arg(long, conflicts_with = "table")]
    json: bool,
}

/// An attached device.
struct Attached {
    port: Port,
    /// Vendor and product id, if Linux still has the device.
    ids: Option<(u16, u16)>,
    record: Option<Record>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let sysfs = Sysfs::default();
    let ports = Vhci::open(sysfs.clone())?.ports()?;
    let in_use = |port: &Port| matches!(port.state, PortState::Used | PortState::Failed);
    let attached: Vec<_> = ports
        .into_iter()
        .filter(in_use)
        .map(|port| Attached::at(port, &sysfs))
        .collect();
    let mut out = output();
    if arguments.json {
        let attached: Vec<_> = attached.iter().map(Attached::as_json).collect();
        writeln!(out, "{:#}", json!(attached))?;
    } else if arguments.table {
        write_table(&mut out, &attached)?;
    } else {
        write_text(&mut out, &attached)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Attached {
    fn at(port: Port, sysfs: &Sysfs) -> Self {
        let device = port.device.as_deref().and_then(|name| sysfs.device(name));
        let ids = device.and_then(|it| Some((it.vendor_id().ok()?, it.product_id().ok()?)));
        Self {
            ids,
            record: Records::default().read(port.number),
            port,
        }
    }

    fn device(&self) -> &str {
        self.port.device.as_deref().unwrap_or("-")
    }

    fn remote_numbers(&self) -> (u32, u32) {
        (self.port.device_id >> 16, self.port.device_id & 0xffff)
    }

    fn as_json(&self) -> serde_json::Value {
        let (bus, device) = self.remote_numbers();
        let hexadecimal = |id: u16| format!("{id:04x}");
        let remote = self.record.as_ref().map(|it| {
            json!({
                "host": it.host,
                "service": it.service,
                "busid": it.bus_id,
            })
        });
        json!({
            "port": self.port.number,
            "state": state(self.port.state),
            "speed": self.port.speed.map(Speed::name),
            "device": self.port.device,
            "vendor_id": self.ids.map(|ids| hexadecimal(ids.0)),
            "product_id": self.ids.map(|ids| hexadecimal(ids.1)),
            "remote": remote,
            "remote_bus_number": bus,
            "remote_device_number": device,
        })
    }
}

fn state(state: PortState) -> &'static str {
    match state {
        PortState::Free => "free",
        PortState::Addressing => "addressing",
        PortState::Used => "used",
        PortState::Failed => "failed",
    }
}

/// Writes what `usbip port` writes.
fn write_text(out: &mut impl Write, attached: &[Attached]) -> std::io::Result<()> {
    let names = UsbIds::load();
    writeln!(out, "Imported USB devices\n====================")?;
    for it in attached {
        let state = match it.port.state {
            PortState::Failed => "Port Error",
            _ => "Port in Use",
        };
        let speed = it.port.speed.map_or("Unknown Speed", speed_text);
        writeln!(out, "Port {:02}: <{state}> at {speed}", it.port.number)?;
        let product = it
            .ids
            .map(|(vendor, product)| names.product(vendor, product));
        writeln!(
            out,
            "       {}",
            product.as_deref().unwrap_or("unknown product")
        )?;
        match &it.record {
            Some(record) => writeln!(out, "{:>10} -> {record}", it.device())?,
            None => writeln!(
                out,
                "{:>10} -> unknown host, remote port and remote busid",
                it.device()
            )?,
        }
        let (bus, device) = it.remote_numbers();
        writeln!(out, "{:>10} -> remote bus/dev {bus:03}/{device:03}", "")?;
    }
    Ok(())
}

/// A speed in the words of the `usbip` tool.
fn speed_text(speed: Speed) -> &'static str {
    match speed {
        Speed::Low => "Low Speed(1.5Mbps)",
        Speed::Full => "Full Speed(12Mbps)",
        Speed::High => "High Speed(480Mbps)",
        Speed::Super => "Super Speed(5000Mbps)",
        Speed::SuperPlus => "Super Speed Plus(10000Mbps)",
    }
}

fn write_table(out: &mut impl Write, attached: &[Attached]) -> std::io::Result<()> {
    writeln!(
        out,
        "{:4}  {:6}  {:10}  {:8}  {:9}  FROM",
        "PORT", "STATE", "SPEED", "DEVICE", "ID"
    )?;
    for it in attached {
        let ids = it.ids.map(|ids| format!("{:04x}:{:04x}", ids.0, ids.1));
        let from = it.record.as_ref().map(Record::to_string);
        writeln!(
            out,
            "{:<4}  {:6}  {:10}  {:8}  {:9}  {}",
            it.port.number,
            state(it.port.state),
            it.port.speed.map_or("-", Speed::name),
            it.device(),
            ids.as_deref().unwrap_or("-"),
            from.as_deref().unwrap_or("-"),
        )?;
    }
    Ok(())
}
