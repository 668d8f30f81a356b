//! `usbwright serve`: exports devices over USB/IP until it is told to end.

use std::{path::PathBuf, process::ExitCode, sync::Arc, thread, time::Instant};

use anyhow::Context as _;
use tokio::{
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};
use tracing::{error, info};
use usbwright::{
    control::{Bench, ControlAddress, Devices, Listener},
    emulator::{
        Bus, BusId,
        server::{Address, Limits, Server},
    },
    metrics::{self, MetricsAddress},
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

A FILE of --config describes a bench: listen = [\"ADDR\", …], control = \"unix:/PATH\", and under [devices] a line
BUSID = \"SPEC\" for each device. On SIGHUP, or by `usbwright control reload`, it is read again: devices that have changed in it are
plugged in anew, and all others are left alone.

A device is attached with `usbip attach -r HOST -b BUSID` or `usbwright attach -r HOST -b BUSID`.

USB/IP has no authentication: whoever reaches an address may use the devices.")]
pub(super) struct Arguments {
    /// A device to export.
    #[arg(value_name = "SPEC", required_unless_present_any = ["control", "config"])]
    specs: Vec<Source>,

    /// Where to listen: IP:PORT, IP for port 3240, or unix:/PATH. [default: 127.0.0.1:3240]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<Address>,

    /// Have `usbwright control` at the devices while they run, by this UNIX socket: unix:/PATH.
    #[arg(long, value_name = "ADDR")]
    control: Option<ControlAddress>,

    /// Export the devices that a file describes, too: see below.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Tell Prometheus of the devices' transfers: PORT of this machine alone, IP:PORT, or unix:/PATH.
    #[arg(long, value_name = "ADDR")]
    metrics: Option<MetricsAddress>,
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
    let bench = arguments.config.as_deref().map(Bench::load).transpose()?;
    descriptors::make_room(arguments.specs.len() + bench.as_ref().map_or(0, Bench::len));
    let bus = Bus::new();
    if arguments.metrics.is_some() {
        bus.count();
    }
    let control = arguments.control.as_ref();
    let control = control.or(bench.as_ref().and_then(|bench| bench.control.as_ref()));
    let devices = (control.is_some() || bench.is_some())
        .then(|| Devices::new(bus.clone(), Handle::current()));
    let file = arguments.config.clone().zip(bench.clone());
    let lines = tokio::select! {
        plugged = plug_all(&bus, devices.as_ref(), file, &arguments.specs) => plugged?,
        _ = interrupted.recv() => return Ok(ExitCode::SUCCESS),
        _ = terminated.recv() => return Ok(ExitCode::SUCCESS),
    };
    let mut server = Server::new(bus.clone(), Limits::default());
    if let Some(devices) = &devices {
        server = server.observed_by(Arc::new(devices.clone()));
    }
    for device in bus.devices() {
        print(&super::describe(&device.description))?;
        lines.tell(&device.bus_id)?;
        for line in devices.iter().flat_map(|it| it.lines(&device.bus_id)) {
            print(&format!("{}: {line}", device.bus_id))?;
        }
    }
    for address in &listen_at(&arguments.listen, bench.as_ref())? {
        let bound = server
            .listen(address)
            .await
            .with_context(|| format!("can't listen at {address}"))?;
        print(&format!("listening at {bound}"))?;
    }
    let control = listen_for_control(control, devices.as_ref())?;
    let metrics = tell_metrics(arguments.metrics.as_ref(), &bus).await?;
    let reloading = match (&bench, devices) {
        (Some(_), Some(devices)) => Some(tokio::spawn(reload_on_hangup(
            signal(SignalKind::hangup())?,
            devices,
        ))),
        _ => None,
    };
    print("ready")?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    if let Some(reloading) = reloading {
        reloading.abort();
    }
    drop((control, metrics));
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Where the command line says, or else the bench, or else at the port of USB/IP of this machine alone.
fn listen_at(said: &[Address], bench: Option<&Bench>) -> anyhow::Result<Vec<Address>> {
    let described = bench.map_or(&[][..], |bench| &bench.listen);
    let said = if said.is_empty() { described } else { said };
    match said.is_empty() {
        true => Ok(vec!["127.0.0.1:3240".parse()?]),
        false => Ok(said.to_vec()),
    }
}

/// Has the bench's file read again whenever that is asked for.
async fn reload_on_hangup(mut hangup: Signal, devices: Devices) {
    while hangup.recv().await.is_some() {
        let devices = devices.clone();
        match tokio::task::spawn_blocking(move || devices.reload()).await {
            Ok(Ok(applied)) => {
                info!(plugged = ?applied.plugged, unplugged = ?applied.unplugged, kept = applied.kept, "the bench was read again");
                for failed in applied.failed {
                    error!("{failed}");
                }
            }
            Ok(Err(refused)) => error!("nothing is changed: {refused}"),
            Err(panicked) => error!("the bench can't be read again: {panicked}"),
        }
    }
}

/// The serial lines of devices; they are disconnected where this is dropped.
#[derive(Default)]
pub(super) struct Lines(Vec<(BusId, Vec<Connected>)>);

impl Lines {
    /// Prints where the other ends of a device's lines are.
    pub(super) fn tell(&self, bus_id: &BusId) -> anyhow::Result<()> {
        let of_the_device = self.0.iter().filter(|(id, _)| id == bus_id);
        let mut lines = of_the_device.flat_map(|(_, lines)| lines);
        lines.try_for_each(|line| print(&format!("{bus_id}: {line}")))
    }
}

fn listen_for_control(
    address: Option<&ControlAddress>,
    devices: Option<&Devices>,
) -> anyhow::Result<Option<Listener>> {
    let (Some(address), Some(devices)) = (address, devices) else {
        return Ok(None);
    };
    let listener = Listener::bind(address, devices)
        .with_context(|| format!("can't listen for control at {address}"))?;
    print(&format!("controlled at {address}"))?;
    Ok(Some(listener))
}

/// Has metrics told, if they are asked for, and prints where.
pub(super) async fn tell_metrics(
    address: Option<&MetricsAddress>,
    bus: &Bus,
) -> anyhow::Result<Option<metrics::Listener>> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = metrics::Listener::bind(address, bus.clone())
        .await
        .with_context(|| format!("can't tell metrics at {address}"))?;
    print(&format!("metrics at {}", listener.address()))?;
    Ok(Some(listener))
}

/// Plugs devices in, by those that are controlled if they are: what a file describes first, as it tells their names. Those
/// that are controlled have their lines then, and tell of them.
async fn plug_all(
    bus: &Bus,
    devices: Option<&Devices>,
    file: Option<(PathBuf, Bench)>,
    specs: &[Source],
) -> anyhow::Result<Lines> {
    let Some(devices) = devices else {
        return plug_in_background(bus, specs).await;
    };
    let devices = devices.clone();
    if let Some((path, bench)) = file {
        let devices = devices.clone();
        let setting_up = tokio::task::spawn_blocking(move || {
            let applied = devices.set_up(path, &bench);
            anyhow::ensure!(applied.failed.is_empty(), applied.failed.join("\n\n"));
            let mut plugged = applied.plugged.iter().map(|it| it.parse::<BusId>());
            plugged.try_for_each(|bus_id| tell_lines(&devices, &bus_id?))
        });
        setting_up.await??;
    }
    let plug = move |spec: &Source| tell_lines(&devices, &devices.plug(spec)?);
    in_background(specs.to_vec(), plug).await?;
    Ok(Lines::default())
}

/// Prints where the other ends of a controlled device's lines are.
fn tell_lines(devices: &Devices, bus_id: &BusId) -> anyhow::Result<()> {
    let lines = devices.lines(bus_id);
    let mut lines = lines.iter();
    lines.try_for_each(|line| print(&format!("{bus_id}: {line}")))
}

/// Has the devices plugged in on a thread where that may block, and which has ended when this returns. Where the future is dropped, a
/// device that is still being asked for, elsewhere, is not waited for.
pub(super) async fn plug_in_background(bus: &Bus, specs: &[Source]) -> anyhow::Result<Lines> {
    let bus = bus.clone();
    let now = Instant::now();
    let plugged = in_background(specs.to_vec(), move |spec| plug(&bus, spec, now)).await?;
    Ok(Lines(plugged))
}

/// Plugs devices in, those with a bus id of their own first, so that no other takes it.
async fn in_background<T: Send + 'static>(
    specs: Vec<Source>,
    plug: impl Fn(&Source) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<Vec<T>> {
    let (tell, told) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("plug".to_owned())
        .spawn(move || {
            let (named, others): (Vec<_>, Vec<_>) =
                specs.iter().partition(|it| it.bus_id().is_some());
            let plugged = named.into_iter().chain(others).map(plug).collect();
            // Nobody listens any more where a signal has come.
            let _ = tell.send(plugged);
        })?;
    let plugged = told.await;
    match thread.join() {
        Ok(()) => plugged?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Makes or takes a device and plugs it in; with its lines.
fn plug(bus: &Bus, spec: &Source, now: Instant) -> anyhow::Result<(BusId, Vec<Connected>)> {
    let device = spec
        .open_with_handles(now)
        .with_context(|| format!("can't have {spec}"))?;
    let bus_id = bus
        .plug(device.port, spec.bus_id().cloned())
        .with_context(|| format!("can't plug {spec} in"))?;
    Ok((bus_id, device.connected))
}
