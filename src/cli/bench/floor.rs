//! `usbwright bench floor`: serves the floor, for another client to be measured with.

use std::{process::ExitCode, thread};

use anyhow::Context as _;
use usbwright::{bench::floor::Floor, emulator::server::Address, protocol::Speed};

use crate::cli::print;

/// Serve the floor until a signal ends it: it looks like a Gadget Zero, and does the least that a server can.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where to listen: IP:PORT, IP for port 3240, or unix:/PATH.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3240")]
    listen: Vec<Address>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let floor = Floor::new(Speed::High)?;
    for address in &arguments.listen {
        let bound = floor.clone().listen(address);
        let bound = bound.with_context(|| format!("can't listen at {address}"))?;
        print(&format!("listening at {bound}"))?;
    }
    print("ready")?;
    loop {
        thread::park();
    }
}
