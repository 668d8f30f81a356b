//! `usbwright detach`: takes devices off this machine's ports.

use std::{process::ExitCode, time::Duration};

use usbwright::{
    sysfs::Sysfs,
    vhci::{PortState, Records, Vhci, VhciError},
};

/// How long a port may take to be free.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

use super::print;

/// Detach devices from this machine's ports.
///
/// It returns when the ports are free again. A port that is free already is told and is no error.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "usbwright detach [OPTIONS] <PORT>...\n       usbwright detach [OPTIONS] --all"
)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true)))]
pub(super) struct Arguments {
    /// The ports, as `usbwright port` numbers them.
    #[arg(value_name = "PORT", group = "which")]
    ports: Vec<u32>,

    /// A port, as `usbip detach` takes it.
    #[arg(short, long, value_name = "PORT", group = "which")]
    port: Vec<u32>,

    /// Every port that something is attached to.
    #[arg(long, group = "which", conflicts_with_all = ["ports", "port"])]
    all: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let vhci = Vhci::open(Sysfs::default())?;
    let ports = if arguments.all {
        let ports = vhci.ports()?.into_iter();
        let taken = ports.filter(|port| port.state != PortState::Free);
        taken.map(|port| port.number).collect()
    } else {
        [arguments.ports.as_slice(), &arguments.port].concat()
    };
    let mut detached = Vec::new();
    for port in ports {
        match detach(&vhci, port) {
            Ok(()) => detached.push(port),
            Err(VhciError::Detached(_)) => print(&format!("port {port} is free already"))?,
            Err(error) => return Err(error.into()),
        }
    }
    for port in detached {
        vhci.wait_free(port, PATIENCE)?;
        print(&format!("port {port} is free"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Detaches a port's device, and forgets where it came from.
pub(super) fn detach(vhci: &Vhci, port: u32) -> Result<(), VhciError> {
    vhci.detach(port)?;
    Records::default().remove(port);
    Ok(())
}
