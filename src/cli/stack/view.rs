//! `usbwright stack list` and `stack tree`: the devices, their stacks and their hosts.

use std::{io::Write, process::ExitCode};

use usbwright_driver_manager::{
    confinement::MeasureState,
    manager::{DeviceView, HostView, View},
};

use super::control::Control;
use crate::cli::output::output;

/// List the devices that a manager knows: the state of each, its drivers with the highest first, and its host.
#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    control: Control,
}

/// Tell of each host process its devices, their stacks, what it is confined by, and its counters.
#[derive(Debug, clap::Args)]
pub(super) struct TreeArguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    control: Control,
}

pub(super) fn list(arguments: &ListArguments) -> anyhow::Result<ExitCode> {
    show(&arguments.control, arguments.json, write_list)
}

pub(super) fn tree(arguments: &TreeArguments) -> anyhow::Result<ExitCode> {
    show(&arguments.control, arguments.json, write_tree)
}

fn show(
    control: &Control,
    json: bool,
    write: impl FnOnce(&mut dyn Write, &View) -> std::io::Result<()>,
) -> anyhow::Result<ExitCode> {
    let view = control.connect()?.view()?;
    let mut out = output();
    match json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&view)?)?,
        false => write(&mut out, &view)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A device in a line: `gadget-zero: running, filter over fx2 (package fx2)`.
fn line(device: &DeviceView) -> String {
    let mut line = format!("{}: {}", device.name, device.state);
    match &device.package {
        Some(package) => {
            let drivers = device.drivers.join(" over ");
            line += &format!(
                ", {drivers} (package {package}), started {} times",
                device.starts
            );
        }
        None => line += &format!(", {}", device.id),
    }
    if let Some(why) = &device.why {
        line += &format!(": {why}");
    }
    line
}

fn write_list(out: &mut dyn Write, view: &View) -> std::io::Result<()> {
    for device in &view.devices {
        let host = device
            .host
            .and_then(|it| view.hosts.iter().find(|host| host.key == it));
        let host = host.map(|it| format!(", host {} (process {})", it.key, it.pid));
        writeln!(out, "{}{}", line(device), host.unwrap_or_default())?;
    }
    Ok(())
}

fn write_tree(out: &mut dyn Write, view: &View) -> std::io::Result<()> {
    for host in &view.hosts {
        write_host(out, host)?;
        for device in view.devices.iter().filter(|it| it.host == Some(host.key)) {
            let left = device.restarts_left;
            writeln!(out, "  {}, can restart {left} times", line(device))?;
        }
    }
    for device in view.devices.iter().filter(|it| it.host.is_none()) {
        writeln!(out, "{}", line(device))?;
    }
    Ok(())
}

fn write_host(out: &mut dyn Write, host: &HostView) -> std::io::Result<()> {
    let kind = match host.pooled {
        true => "pooled",
        false => "for one device",
    };
    writeln!(
        out,
        "host {}: process {}, {}, {kind}, {}",
        host.key, host.pid, host.state, host.executable
    )?;
    writeln!(
        out,
        "  {} messages, {} operations, {} reports",
        host.messages, host.operations, host.reports
    )?;
    let mut held = Vec::new();
    for (measure, state) in &host.confinement.0 {
        match state {
            MeasureState::Held => held.push(format!("{measure:?}")),
            MeasureState::Partly(why) => writeln!(out, "  {measure:?} holds in part: {why}")?,
            MeasureState::Missing(why) => writeln!(out, "  {measure:?} does not hold: {why}")?,
        }
    }
    writeln!(out, "  held: {}", held.join(", "))
}
