//! `usbwright demo`: the main job, for somebody who has just arrived.

mod kernel;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use tokio::runtime::Runtime;
use usbwright::{
    emulator::{
        Bus,
        server::{Limits, Server},
    },
    protocol::Setup,
    remote::{Remote, RemoteDevice, RemotePort},
    source::Source,
    target::{Bulk, Device, In, MovesBytes, Out, Queue, TransferError, Wait as _, Way},
};

use super::{open, print, tree, usb_ids::UsbIds};

/// The device that is shown.
const DEVICE: &str = "gadget-zero";
/// As much of its tree as is shown, in lines.
const BRANCHES: usize = 5;
/// How long data is moved each way.
const STREAMING: Duration = Duration::from_millis(500);
/// Bytes of a transfer.
const TRANSFER: usize = 64 << 10;
/// Transfers in flight.
const IN_FLIGHT: usize = 16;

/// What is written to the device's buffer, and read back.
const GREETING: &[u8] = b"Hello, device!";
/// Gadget Zero's requests that write and read its buffer.
const WRITE_BUFFER: u8 = 0x5b;
const READ_BUFFER: u8 = 0x5c;

/// What is told at the end.
const NEXT: &str = "
Try next:
  usbwright io gadget-zero --configuration 2 1out write --text hi then 1in read 64
  usbwright serve gadget-zero           export it at 127.0.0.1:3240, for `usbip attach` on any Linux
  usbwright show gadget-zero            every descriptor
  usbwright demo --kernel               a Linux kernel boots as a process, and its own driver uses the device";

/// Show what usbwright does: make a device, serve it, and use it through the USB/IP client, with no kernel.
///
/// It takes a few seconds, listens at this machine's own address only, and needs no root.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Boot a Linux kernel as a process (User-mode Linux), attach the device, and move data through the kernel's own driver. The
    /// kernel is built the first time, which takes some minutes.
    #[arg(long)]
    kernel: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.kernel {
        return kernel::run();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let (server, device) = serve(&runtime)?;
    let name = device.to_string();
    let device = RemotePort::open(&device)?;
    let device = Device::open(device)
        .wait()
        .with_context(|| format!("can't open {name}"))?;
    show(&device)?;
    greet(&device)?;
    stream(&device)?;
    drop(device);
    runtime.block_on(server.stop());
    print(NEXT)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the device, and exports it at a free port of this machine's own address.
fn serve(runtime: &Runtime) -> anyhow::Result<(Server, RemoteDevice)> {
    let bus = Bus::new();
    let made = DEVICE.parse::<Source>()?.open(Instant::now())?;
    bus.plug(made, None)?;
    let plugged = bus.devices();
    let plugged = plugged.first().context("the device was unplugged")?;
    let exported = &plugged.description;
    let summary = &exported.summary;
    print(&format!(
        "Made a device of the model {DEVICE}: {:04x}:{:04x}, {} speed",
        summary.vendor_id, summary.product_id, summary.speed
    ))?;
    let mut server = Server::new(bus.clone(), Limits::default());
    let address = "127.0.0.1:0".parse()?;
    let bound = runtime
        .block_on(server.listen(&address))
        .context("can't listen at 127.0.0.1")?;
    let device = RemoteDevice {
        remote: bound.to_string().parse::<Remote>()?,
        bus_id: exported.bus_id.to_string(),
    };
    print(&format!("Exported it over USB/IP: {device}"))?;
    Ok((server, device))
}

/// Shows what the device tells of itself.
fn show(device: &Device) -> anyhow::Result<()> {
    print("Imported it again, with no kernel, and read its descriptors:")?;
    let tree = tree::tree(&device.description(), &open::state(device), &UsbIds::load());
    for line in tree.lines().take(BRANCHES) {
        print(&format!("  {line}"))?;
    }
    let rest = tree.lines().count().saturating_sub(BRANCHES);
    print(&format!("  … {rest} more lines: `usbwright tree {DEVICE}`"))
}

/// Has the device keep a text, and reads it back.
fn greet(device: &Device) -> anyhow::Result<()> {
    let mut setup = Setup {
        request_type: 0x40,
        request: WRITE_BUFFER,
        length: GREETING.len() as u16,
        ..Setup::default()
    };
    let _ = device.control(setup, GREETING).wait().ok()?;
    (setup.request_type, setup.request) = (0xc0, READ_BUFFER);
    let kept = device.control(setup, Bytes::new()).wait().ok()?;
    let kept = kept.data.into_bytes();
    ensure!(kept == GREETING, "the device has kept {kept:?}");
    let told = String::from_utf8_lossy(&kept).into_owned();
    print(&format!(
        "Control transfers wrote a text to it and read it back: {told:?}"
    ))
}

/// Moves data both ways, and tells how fast.
fn stream(device: &Device) -> anyhow::Result<()> {
    let interface = device.interface(0).wait()?;
    let (sink, source) = (
        interface.first::<Bulk, Out>()?,
        interface.first::<Bulk, In>()?,
    );
    print(&format!(
        "Streaming, {IN_FLIGHT} transfers of {} KiB in flight:",
        TRANSFER >> 10
    ))?;
    let zeros = Bytes::from(vec![0; TRANSFER]);
    let rate = measure(sink.queue(), |queue| queue.write(zeros.clone()).map(drop))?;
    print(&format!(
        "  {} written: {rate:6.0} MB/s, each byte checked by the device",
        sink.address()
    ))?;
    let rate = measure(source.queue(), |queue| queue.read(TRANSFER).map(drop))?;
    print(&format!("  {} read:    {rate:6.0} MB/s", source.address()))
}

/// Keeps transfers in flight for a while, and tells how many megabytes moved in a second.
fn measure<K: MovesBytes, W: Way>(
    mut queue: Queue<K, W>,
    submit: impl Fn(&mut Queue<K, W>) -> Result<(), TransferError>,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut bytes = 0;
    loop {
        while queue.len() < IN_FLIGHT && began.elapsed() < STREAMING {
            submit(&mut queue)?;
        }
        let Some((_, ended)) = queue.next().wait() else {
            break;
        };
        bytes += ended.ok()?.length;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate is told to a few digits")]
    let megabytes = bytes as f64 / 1e6;
    Ok(megabytes / began.elapsed().as_secs_f64())
}
