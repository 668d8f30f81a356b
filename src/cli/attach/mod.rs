//! `usbwright attach`: puts devices on this machine's ports, a server's or this process's own.

mod background;
mod local;

pub(super) use local::{PATIENCE, join, refuse_stdio};

use std::process::ExitCode;

use tracing::warn;
use usbwright::{
    emulator::BusId,
    metrics::MetricsAddress,
    remote::Remote,
    source::Source,
    sysfs::Sysfs,
    vhci::{Record, Records, Vhci},
};

/// Attach devices to this machine: a server's, or ones that this process makes.
///
/// With -r and -b it attaches a server's device, prints its port and ends, as `usbip attach` does.
///
/// With SPECs it makes the devices, attaches them without any network, prints a line for each, and `ready` when Linux has
/// configured them all. It ends on SIGINT or SIGTERM, which detaches them, or when all have been detached otherwise.
#[derive(Debug, clap::Args)]
#[command(override_usage = "\
usbwright attach [OPTIONS] <SPEC>...
       usbwright attach [OPTIONS] --remote <HOST> --busid <BUSID>")]
#[command(after_help = "\
A SPEC is MODEL[,key[=value]]…, such as gadget-zero,speed=super: `usbwright devices` lists the models and their parameters.
A HOST is a name or an address, with or without a port (pc.example, 10.0.0.7:3240, [::1]:3240), or unix:/PATH.

It needs root, and a kernel with vhci_hcd (`modprobe vhci-hcd`); `usbwright lab` brings a kernel and needs neither.")]
pub(super) struct Arguments {
    /// A device to make.
    #[arg(
        value_name = "SPEC",
        required_unless_present = "remote",
        conflicts_with = "remote"
    )]
    specs: Vec<Source>,

    /// The server to import from.
    #[arg(short, long, value_name = "HOST", requires = "bus_id")]
    remote: Option<Remote>,

    /// The device to import, as `usbwright list` names it.
    #[arg(short, long = "busid", value_name = "BUSID", requires = "remote")]
    bus_id: Option<BusId>,

    /// Tell Prometheus of the devices' transfers: PORT of this machine alone, IP:PORT, or unix:/PATH.
    #[arg(long, value_name = "ADDR", conflicts_with = "remote")]
    metrics: Option<MetricsAddress>,

    /// Leave a process behind that serves the devices, and end when they are ready.
    #[arg(long, conflicts_with = "remote")]
    background: bool,

    /// Be the process that is left behind.
    #[arg(long, hide = true, conflicts_with = "background")]
    left_behind: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.background {
        return background::start();
    }
    match (&arguments.remote, &arguments.bus_id) {
        (Some(remote), Some(bus_id)) => import(remote, bus_id),
        _ => local::run(
            &arguments.specs,
            arguments.metrics.as_ref(),
            arguments.left_behind,
        ),
    }
}

fn import(remote: &Remote, bus_id: &BusId) -> anyhow::Result<ExitCode> {
    let vhci = Vhci::open(Sysfs::default())?;
    let (socket, device) = remote.import(bus_id.as_str())?;
    let port = vhci.attach(&socket, device.device_id(), device.summary.speed)?;
    let (host, service) = match remote {
        Remote::Tcp { host, port } => (host.clone(), port.to_string()),
        Remote::Unix(_) => (remote.to_string(), "-".to_owned()),
    };
    note(port, host, service, bus_id);
    super::print(&format!("{}, port {port}", super::describe(&device)))?;
    Ok(ExitCode::SUCCESS)
}

/// Notes where a port's device came from; one that can't be noted is attached nevertheless.
fn note(port: u32, host: String, service: String, bus_id: &BusId) {
    let record = Record {
        host,
        service,
        bus_id: bus_id.to_string(),
    };
    if let Err(error) = Records::default().write(port, &record) {
        warn!("can't note where the device at port {port} came from: {error}");
    }
}
