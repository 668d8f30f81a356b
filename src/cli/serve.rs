//! `usbwright serve`: exports devices over USB/IP until it is told to end.

use std::{process::ExitCode, thread, time::Instant};

use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use usbwright::{
    emulator::{
        Bus, BusId,
        server::{Address, Limits, Server},
    },
    serial::Connected,
    source::Source,
};

use super::{descriptors, print};

/// Export devices over USB/IP.
///
/// It prints a line for each device and each address, then `ready`, and serves until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A SPEC is MODEL[,key[=value]]…, such as gadget-zero,speed=super,busid=1-7: `usbwright devices` lists the models and their
parameters. Another server's device is exported as well: remote,host=HOST[:PORT],busid=ID or remote,unix=/PATH,busid=ID.
So is a real one of this machine, which the kernel's drivers let go of: libusb,id=VVVV:PPPP, or
libusb with serial=TEXT, bus=N,address=N or path=1-1.2.

A device is attached with `usbip attach -r HOST -b BUSID` or `usbwright attach -r HOST -b BUSID`.

USB/IP has no authentication: whoever reaches an address may use the devices.")]
pub(super) struct Arguments {
    /// A device to export.
    #[arg(value_name = "SPEC", required = true)]
    specs: Vec<Source>,

    /// Where to listen: IP:PORT, IP for port 3240, or unix:/PATH.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3240")]
    listen: Vec<Address>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // From here on a signal ends the server cleanly, even before it is ready.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    descriptors::make_room(arguments.specs.len());
    let bus = Bus::new();
    let lines = tokio::select! {
        plugged = plug_in_background(&bus, &arguments.specs) => plugged?,
        _ = interrupted.recv() => return Ok(ExitCode::SUCCESS),
        _ = terminated.recv() => return Ok(ExitCode::SUCCESS),
    };
    let mut server = Server::new(bus.clone(), Limits::default());
    for device in bus.devices() {
        print(&super::describe(&device.description))?;
        lines.tell(&device.bus_id)?;
    }
    for address in &arguments.listen {
        let bound = server
            .listen(address)
            .await
            .with_context(|| format!("can't listen at {address}"))?;
        print(&format!("listening at {bound}"))?;
    }
    print("ready")?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// The serial lines of devices; they are disconnected where this is dropped.
pub(super) struct Lines(Vec<(BusId, Connected)>);

impl Lines {
    /// Prints where the other ends of a device's lines are.
    pub(super) fn tell(&self, bus_id: &BusId) -> anyhow::Result<()> {
        let mut lines = self.0.iter().filter(|(id, _)| id == bus_id);
        lines.try_for_each(|(_, line)| print(&format!("{bus_id}: {line}")))
    }
}

/// Does what [`plug`] does on a thread where it may block, and which has ended when this returns. Where the future is dropped, a device that
/// is still being asked for, elsewhere, is not waited for.
pub(super) async fn plug_in_background(bus: &Bus, specs: &[Source]) -> anyhow::Result<Lines> {
    let (bus, specs) = (bus.clone(), specs.to_vec());
    let (tell, told) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("plug".to_owned())
        .spawn(move || {
            // Nobody listens any more where a signal has come.
            let _ = tell.send(plug(&bus, &specs));
        })?;
    let plugged = told.await;
    match thread.join() {
        Ok(()) => plugged?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Makes or takes the devices and plugs them in; those with a bus id of their own first, so that no other takes it.
fn plug(bus: &Bus, specs: &[Source]) -> anyhow::Result<Lines> {
    let now = Instant::now();
    let mut lines = Vec::new();
    let (named, others): (Vec<_>, Vec<_>) = specs.iter().partition(|it| it.bus_id().is_some());
    for spec in named.into_iter().chain(others) {
        let device = spec
            .open_with_handles(now)
            .with_context(|| format!("can't have {spec}"))?;
        let bus_id = bus
            .plug(device.port, spec.bus_id().cloned())
            .with_context(|| format!("can't plug {spec} in"))?;
        let connected = device.connected.into_iter();
        lines.extend(connected.map(|line| (bus_id.clone(), line)));
    }
    Ok(Lines(lines))
}
