//! `usbwright serve`: exports devices over USB/IP until it is told to end.

use std::{path::PathBuf, process::ExitCode, sync::Arc, thread, time::Instant};

use anyhow::Context as _;
use sd_notify::NotifyState;
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
        server::{Address, Inherited, Limits, Server},
    },
    metrics::{self, MetricsAddress},
    serial::Connected,
    source::Source,
};

use super::{
    descriptors,
    listening::heard,
    print,
    signals::Signals,
    systemd::{Sockets, Watchdog, notify},
};

/// Export devices over USB/IP.
///
/// It prints a line for each device and each address, then `ready`, and serves until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A SPEC is MODEL[,key[=value]]…, such as gadget-zero,speed=super,busid=1-7: `usbwright devices` lists the models and their \
parameters. Another server's device is exported as well: remote,host=HOST[:PORT],busid=ID or remote,unix=/PATH,busid=ID.
So is a real one of this machine, which the kernel's drivers let go of: libusb,id=VVVV:PPPP, or \
libusb with serial=TEXT, bus=N,address=N or path=1-1.2.

A FILE of --config describes a bench: listen = [\"ADDR\", …], control = \"unix:/PATH\", metrics = \"ADDR\", and under [devices] a line \
BUSID = \"SPEC\" for each device. On SIGHUP, or by `usbwright control reload`, it is read again: devices that have changed in it are \
plugged in anew, and all others are left alone.

Sockets that systemd has opened (socket activation) are listened at, too: those of the names `control` and `metrics` as --control \
and --metrics, all others as --listen. systemd is told when the server is ready, and that it is alive (Type=notify, WatchdogSec=).

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
    let mut signals = Signals::new()?;
    let sockets = Sockets::take()?;
    let plan = Plan::new(arguments, &sockets)?;
    let bus = Bus::new();
    if plan.counts {
        bus.count();
    }
    let devices = plan
        .is_watched()
        .then(|| Devices::new(bus.clone(), Handle::current()));
    let file = arguments.config.clone().zip(plan.bench.clone());
    let lines = tokio::select! {
        plugged = plug_all(&bus, devices.as_ref(), file, &arguments.specs) => plugged?,
        () = signals.recv() => return Ok(ExitCode::SUCCESS),
    };
    tell_devices(&bus, devices.as_ref(), &lines)?;
    let heard = plan.listen(sockets, &bus, devices.as_ref()).await?;
    let reloading = match (&plan.bench, devices) {
        (Some(_), Some(devices)) => Some(tokio::spawn(reload_on_hangup(
            signal(SignalKind::hangup())?,
            devices,
        ))),
        _ => None,
    };
    print("ready")?;
    let status = format!("{} devices are plugged in", bus.devices().len());
    notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
    let watchdog = Watchdog::start();
    signals.recv().await;
    notify(&[NotifyState::Stopping]);
    if let Some(reloading) = reloading {
        reloading.abort();
    }
    heard.end().await;
    drop(watchdog);
    Ok(ExitCode::SUCCESS)
}

/// Where a server is to be heard.
struct Plan {
    bench: Option<Bench>,
    listen: Vec<Address>,
    control: Option<ControlAddress>,
    metrics: Option<MetricsAddress>,
    /// Whether anybody may use the devices while they run, besides a client.
    controlled: bool,
    /// Whether their transfers are counted.
    counts: bool,
}

impl Plan {
    /// What the command line says, or else the bench, along with the sockets that there are already.
    fn new(arguments: &Arguments, sockets: &Sockets) -> anyhow::Result<Self> {
        let bench = arguments.config.as_deref().map(Bench::load).transpose()?;
        descriptors::make_room(arguments.specs.len() + bench.as_ref().map_or(0, Bench::len));
        let described = bench.as_ref();
        let control = arguments.control.as_ref();
        let control = control.or(described.and_then(|it| it.control.as_ref()));
        let metrics = arguments.metrics.as_ref();
        let metrics = metrics.or(described.and_then(|it| it.metrics.as_ref()));
        Ok(Self {
            listen: listen_at(arguments, bench.as_ref(), sockets)?,
            controlled: control.is_some() || sockets.control.is_some(),
            counts: metrics.is_some() || sockets.metrics.is_some(),
            metrics: metrics.cloned(),
            control: control.cloned(),
            bench,
        })
    }

    /// Whether the devices are to be known by more than the bus.
    fn is_watched(&self) -> bool {
        self.controlled || self.bench.is_some()
    }

    /// Begins to listen, and prints where.
    async fn listen(
        &self,
        sockets: Sockets,
        bus: &Bus,
        devices: Option<&Devices>,
    ) -> anyhow::Result<Heard> {
        let mut server = Server::new(bus.clone(), Limits::default());
        if let Some(devices) = devices {
            server = server.observed_by(Arc::new(devices.clone()));
        }
        for socket in sockets.usbip {
            let bound = server.listen_on(socket)?;
            print(&format!("listening at {bound}"))?;
        }
        for address in &self.listen {
            let bound = server.listen(address).await;
            let bound = heard(format_args!("can't listen at {address}"), bound)?;
            print(&format!("listening at {bound}"))?;
        }
        let mut control = Vec::new();
        if let Some(devices) = devices {
            control = listen_for_control(sockets.control, self.control.as_ref(), devices)?;
        }
        let mut metrics = Vec::from_iter(tell_metrics(self.metrics.as_ref(), bus).await?);
        if let Some(socket) = sockets.metrics {
            let listener = metrics::Listener::on(socket, bus.clone())?;
            print(&format!("metrics at {}", listener.address()))?;
            metrics.push(listener);
        }
        Ok(Heard {
            server,
            control,
            metrics,
        })
    }
}

/// A server that is heard.
struct Heard {
    server: Server,
    control: Vec<Listener>,
    metrics: Vec<metrics::Listener>,
}

impl Heard {
    /// Ends it, once the devices are given back.
    async fn end(self) {
        drop((self.control, self.metrics));
        self.server.stop().await;
    }
}

/// Prints what is plugged in.
fn tell_devices(bus: &Bus, devices: Option<&Devices>, lines: &Lines) -> anyhow::Result<()> {
    for device in bus.devices() {
        print(&super::describe(&device.description))?;
        lines.tell(&device.bus_id)?;
        for line in devices.iter().flat_map(|it| it.lines(&device.bus_id)) {
            print(&format!("{}: {line}", device.bus_id))?;
        }
    }
    Ok(())
}

/// Where the command line says, or else the bench, or else, with no socket that listens already, at the port of USB/IP of this machine
/// alone.
fn listen_at(
    arguments: &Arguments,
    bench: Option<&Bench>,
    sockets: &Sockets,
) -> anyhow::Result<Vec<Address>> {
    let described = bench.map_or(&[][..], |bench| &bench.listen);
    let said = match arguments.listen.is_empty() {
        true => described,
        false => &arguments.listen,
    };
    match said.is_empty() && sockets.usbip.is_empty() {
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

/// Has the devices controlled by those sockets that there are, and prints where.
fn listen_for_control(
    socket: Option<Inherited>,
    address: Option<&ControlAddress>,
    devices: &Devices,
) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    if let Some(socket) = socket {
        let listener = Listener::on(socket, devices);
        listeners.push(listener.context("can't listen for control at systemd's socket")?);
    }
    if let Some(address) = address {
        let listener = Listener::bind(address, devices);
        let what = format_args!("can't listen for control at {address}");
        listeners.push(heard(what, listener)?);
    }
    for listener in &listeners {
        print(&format!("controlled at {}", listener.address()))?;
    }
    Ok(listeners)
}

/// Has metrics told, if they are asked for, and prints where.
pub(super) async fn tell_metrics(
    address: Option<&MetricsAddress>,
    bus: &Bus,
) -> anyhow::Result<Option<metrics::Listener>> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = metrics::Listener::bind(address, bus.clone()).await;
    let listener = heard(format_args!("can't tell metrics at {address}"), listener)?;
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
