//! Devices that this process makes: the kernel is at the other end of a socket pair from each.

use std::{
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{self, ExitCode},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use tracing::{info, warn};
use usbwright::{
    emulator::{
        Bus, BusId,
        server::{self, Ended, Limits},
    },
    metrics::MetricsAddress,
    protocol::usbip::operation::ExportedDevice,
    source::Source,
    sysfs::Sysfs,
    vhci::{Records, Vhci, VhciError},
};

use super::background;
use crate::cli::{
    describe, detach, print,
    serve::{plug_in_background, tell_metrics},
    signals::Signals,
};

/// How long Linux may take to configure a device.
pub(in crate::cli) const PATIENCE: Duration = Duration::from_secs(20);
/// The stack of a device's thread; its firmware runs on it.
const STACK: usize = 1 << 20;

pub(super) fn run(
    specs: &[Source],
    metrics: Option<&MetricsAddress>,
    left_behind: bool,
) -> anyhow::Result<ExitCode> {
    if left_behind {
        refuse_stdio(specs)?;
        background::leave_session().context("can't begin a session")?;
    }
    let vhci = Vhci::open(Sysfs::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let ended = runtime.block_on(attach(&vhci, specs, metrics, left_behind));
    // A wait that was cut short by a signal ends by itself.
    runtime.shutdown_background();
    ended
}

/// Nobody is at the input and output of a process in the background.
pub(in crate::cli) fn refuse_stdio(specs: &[Source]) -> anyhow::Result<()> {
    match specs.iter().find(|spec| spec.takes_stdio()) {
        Some(spec) => bail!("{spec}: there is no input and output here: use pty or unix=PATH"),
        None => Ok(()),
    }
}

async fn attach(
    vhci: &Vhci,
    specs: &[Source],
    metrics: Option<&MetricsAddress>,
    left_behind: bool,
) -> anyhow::Result<ExitCode> {
    // From here on a signal detaches what is attached.
    let mut signals = Signals::new()?;
    let bus = Bus::new();
    if metrics.is_some() {
        bus.count();
    }
    let lines = tokio::select! {
        plugged = plug_in_background(&bus, specs) => plugged?,
        () = signals.recv() => return Ok(ExitCode::SUCCESS),
    };
    let _metrics = tell_metrics(metrics, &bus).await?;
    let mut attached = Attached::new(vhci, &bus);
    for device in bus.devices() {
        let port = attached.add(&device.bus_id)?;
        print(&format!("{}, port {port}", describe(&device.description)))?;
        lines.tell(&device.bus_id)?;
    }
    tokio::select! {
        () = signals.recv() => return attached.detach(),
        configured = wait_configured(vhci.clone(), attached.ports.clone()) => configured?,
    }
    print(background::READY)?;
    if left_behind {
        background::leave_output().context("can't let go of the output")?;
    }
    tokio::select! {
        () = signals.recv() => return attached.detach(),
        () = attached.ended() => {}
    }
    print("all devices have been detached")?;
    Ok(ExitCode::SUCCESS)
}

async fn wait_configured(vhci: Vhci, ports: Vec<u32>) -> anyhow::Result<()> {
    let waiting = tokio::task::spawn_blocking(move || {
        ports.into_iter().try_for_each(|port| {
            let device = vhci.wait_configured(port, PATIENCE)?;
            info!(port, device = device.name(), "configured");
            Ok::<_, VhciError>(())
        })
    });
    Ok(waiting.await??)
}

/// The devices that are attached; dropping this detaches them.
struct Attached<'a> {
    vhci: &'a Vhci,
    bus: &'a Bus,
    /// The ports whose device is still there.
    ports: Vec<u32>,
    ends: mpsc::UnboundedReceiver<(u32, Ended)>,
    end: mpsc::UnboundedSender<(u32, Ended)>,
}

impl<'a> Attached<'a> {
    fn new(vhci: &'a Vhci, bus: &'a Bus) -> Self {
        let (end, ends) = mpsc::unbounded_channel();
        Self {
            vhci,
            bus,
            ports: Vec::new(),
            ends,
            end,
        }
    }

    /// Attaches a device of the bus, and tells its port.
    fn add(&mut self, bus_id: &BusId) -> anyhow::Result<u32> {
        let lease = self.bus.lease(bus_id, Instant::now())?;
        let (ours, port) = join(self.vhci, lease.description())?;
        self.ports.push(port);
        let pid = process::id().to_string();
        super::note(port, "usbwright".to_owned(), pid, bus_id);
        let end = self.end.clone();
        let ours = Arc::new(ours);
        thread::Builder::new()
            .name(format!("usb {bus_id}"))
            .stack_size(STACK)
            .spawn(move || {
                let ended = server::serve(&ours, lease, Limits::default());
                drop(ours);
                // Nobody listens once this process is about to end.
                let _ = end.send((port, ended));
            })
            .context("can't start a thread")?;
        Ok(port)
    }

    /// Waits until the last device has been detached.
    async fn ended(&mut self) {
        while !self.ports.is_empty() {
            let Some((port, ended)) = self.ends.recv().await else {
                return;
            };
            self.forget(port, &ended);
        }
    }

    /// Forgets a device that has been detached, as its port may be somebody else's from now on.
    fn forget(&mut self, port: u32, ended: &Ended) {
        match ended {
            Ended::Closed => info!(port, "detached"),
            ended => warn!(port, "detached: {ended}"),
        }
        self.ports.retain(|it| *it != port);
        Records::default().remove(port);
    }

    /// Detaches what is still attached, and returns when its ports are free.
    fn detach(mut self) -> anyhow::Result<ExitCode> {
        while let Ok((port, ended)) = self.ends.try_recv() {
            self.forget(port, &ended);
        }
        let ports = std::mem::take(&mut self.ports);
        let detached = ports
            .into_iter()
            .map(|port| (port, detach_one(self.vhci, port)));
        let detached: Vec<_> = detached.collect();
        for (port, result) in detached {
            result?;
            self.vhci.wait_free(port, detach::PATIENCE)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        for port in &self.ports {
            if let Err(error) = detach_one(self.vhci, *port) {
                warn!("can't detach port {port}: {error}");
            }
        }
    }
}

/// Attaches a device to the kernel's end of a socket pair, and tells the other end and the port.
pub(in crate::cli) fn join(vhci: &Vhci, device: &ExportedDevice) -> anyhow::Result<(OwnedFd, u32)> {
    let (ours, kernels) = UnixStream::pair().context("can't make a socket pair")?;
    server::widen(&ours);
    server::widen(&kernels);
    let port = vhci.attach(&kernels, device.device_id(), device.summary.speed)?;
    Ok((ours.into(), port))
}

/// Detaches a device; one that has just been detached by somebody else is as good.
fn detach_one(vhci: &Vhci, port: u32) -> Result<(), VhciError> {
    match detach::detach(vhci, port) {
        Err(VhciError::Detached(_)) => {
            Records::default().remove(port);
            Ok(())
        }
        result => result,
    }
}
