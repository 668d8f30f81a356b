//! `usbwright bench floor`: serves the floor, for another client or this machine's kernel to be measured with.

use std::{process::ExitCode, thread};

use anyhow::Context as _;
use usbwright::{
    bench::floor::Floor, emulator::server::Address, protocol::Speed, sysfs::Sysfs, vhci::Vhci,
};

use crate::cli::{attach, describe, listening::heard, print};

/// Serve the floor until a signal ends it: it looks like a Gadget Zero, and does the least that a server can.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where to listen: IP:PORT, IP for port 3240, or unix:/PATH.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3240")]
    listen: Vec<Address>,

    /// Attach it to this machine instead, over a socket pair, as `usbwright attach SPEC` does; until it is detached
    #[arg(long, conflicts_with = "listen")]
    attach: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let floor = Floor::new(Speed::High)?;
    if arguments.attach {
        return attach(floor);
    }
    for address in &arguments.listen {
        let bound = floor.clone().listen(address);
        let bound = heard(format_args!("can't listen at {address}"), bound)?;
        print(&format!("listening at {bound}"))?;
    }
    print("ready")?;
    loop {
        thread::park();
    }
}

fn attach(floor: Floor) -> anyhow::Result<ExitCode> {
    let vhci = Vhci::open(Sysfs::default())?;
    let (socket, port) = attach::join(&vhci, &floor.device)?;
    print(&format!("{}, port {port}", describe(&floor.device)))?;
    let serving = thread::spawn(move || floor.serve(&socket));
    vhci.wait_configured(port, attach::PATIENCE)?;
    print("ready")?;
    match serving.join() {
        Ok(ended) => ended.context("the kernel broke the connection")?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
    print("it has been detached")?;
    Ok(ExitCode::SUCCESS)
}
