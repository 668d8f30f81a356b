//! `usbwright bench`: measures bulk I/O, against the least that any server has to do.

mod crowd;
mod floor;
mod kernel;
mod plan;
mod stop;
mod table;
mod way;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use usbwright::{
    bench::{
        InterruptRow, Machine, Method, Pacing, Results, Row, Subject, compare, parse_size,
        write_report,
    },
    protocol::Direction,
    remote::{RemoteDevice, RemoteDeviceError},
    source::Source,
    target::libusb::{Selector, SelectorError},
};

use self::{
    plan::{Drive, Plan, Series, Side},
    stop::Stop,
};
use crate::cli::{exit, output::output};

/// Transfers in flight at an interrupt endpoint.
const INTERRUPTS_IN_FLIGHT: u32 = 16;

/// Measure bulk I/O: throughput, latency and CPU time, by direction, transfer size and transfers in flight.
///
/// It starts a server of its own, or drives any USB/IP server that exports a Gadget Zero. With --against, each cell is run on
/// both servers in turn, and the medians of the pairs' ratios are told.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
The floor is a server with no USB in it: one thread, large reads, one gathered write of canned replies. No server can do less \
for a transfer, so the ratio to it tells what is lost. Where the server is to be asleep, the client waits 3 ms after each \
transfer. What a pattern costs is told by a device that makes and checks it, against one that takes anything.

With --kernel the client is Linux' usbtest driver, in the lab: cases 1 and 2 at depth 1, and 27 and 28 at any other. The \
devices are attached over a socket pair as `usbwright attach` does it, and compared in the same boot with the floor, attached in \
the same way, with the kernel's dummy_hcd and with its usbip-vudc, both with the kernel's own Gadget Zero.

With --devices so many devices of one server are busy at once, and so are as many connections to the floor; a client thread \
for each. `least` and `most` are what a device got of an equal share. The last ratio is to one connection to the floor that is \
alone.

With --stack an application reads, writes and sends messages to drivers in processes of their own. The floor has as many processes, \
sockets and threads, which hand packets on and look at nothing, and where data goes by shared memory it copies as much. The aims are \
those of docs/performance.md.

Times are of this machine, which should do nothing else meanwhile; build with --release. SIGINT ends it after the run that is \
under way, and what was measured until then is told."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<BenchCommand>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    Floor(floor::Arguments),
    #[command(hide = true)]
    Part(way::PartArguments),
}

#[derive(Debug, Args)]
struct RunArguments {
    /// The device to measure, HOST:PORT/BUSID or unix:/PATH/BUSID [default: one of a server that is started]
    #[arg(value_name = "DEVICE")]
    device: Option<RemoteDevice>,
    /// The device of the server that is started
    #[arg(
        long,
        value_name = "SPEC",
        default_value = "gadget-zero,pattern=2",
        conflicts_with = "device"
    )]
    spec: Source,
    /// What to compare with: `floor`, a device of another server, or with --section pipes or stack libusb:SELECTOR, a device that this
    /// machine's kernel has, by libusb's blocking calls
    #[arg(long, value_name = "floor|DEVICE")]
    against: Option<Against>,
    /// How to reach the servers that are started; may be repeated [default: both]
    #[arg(long, value_enum, value_name = "NAME")]
    transport: Vec<Transport>,
    /// Which way; may be repeated [default: both]
    #[arg(long, value_enum, value_name = "NAME")]
    direction: Vec<DirectionArg>,
    /// Bytes in a transfer, such as 512,4k,1M [default: 512,4k,16k,64k,256k,1M]
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = parse_size)]
    size: Vec<u32>,
    /// Transfers in flight [default: 1,2,4,16,64]
    #[arg(long, value_name = "DEPTHS", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=128))]
    depth: Vec<u32>,
    /// What to measure; may be repeated [default: all, and only the grid with --size or --depth]
    #[arg(long, value_enum, value_name = "NAME")]
    section: Vec<SectionArg>,
    /// How often each cell is run on each server
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// How long a run takes
    #[arg(long, value_name = "SECONDS", default_value_t = 0.2, value_parser = seconds)]
    seconds: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write a page with plots (index.html) and the figures (results.json) into a folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    #[command(flatten)]
    crowd: crowd::CrowdOptions,
    #[command(flatten)]
    kernel: kernel::Options,
    #[command(flatten)]
    way: way::WayOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum, PartialEq, Eq)]
enum Transport {
    /// TCP over loopback
    Tcp,
    /// A UNIX stream socket
    Unix,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DirectionArg {
    /// From the device
    In,
    /// To the device
    Out,
}

#[derive(Clone, Copy, Debug, ValueEnum, PartialEq, Eq)]
enum SectionArg {
    /// Throughput and latency, by size and depth
    Grid,
    /// Latency of a server that has gone to sleep before each transfer
    Asleep,
    /// What it costs that a device makes and checks a pattern
    Checking,
    /// How interrupt endpoints of 1 kHz and 8 kHz keep their period
    Interrupt,
    /// The pipes of a program, against a client that does the least; only where it is asked for
    Pipes,
    /// The host stack's shortest driver, against a program's pipes; only where it is asked for
    Stack,
}

#[derive(Clone, Debug)]
enum Against {
    Floor,
    Device(RemoteDevice),
    Libusb(Selector),
}

impl FromStr for Against {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "floor" => Ok(Self::Floor),
            text => match text.strip_prefix("libusb:") {
                Some(selector) => {
                    let selector = selector.parse().map(Self::Libusb);
                    selector.map_err(|error: SelectorError| error.to_string())
                }
                None => {
                    let device = text.parse().map(Self::Device);
                    let other =
                        "or `floor`, or with --section pipes or stack `libusb:id=VVVV:PPPP`";
                    device.map_err(|error: RemoteDeviceError| format!("{error}; {other}"))
                }
            },
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("it takes 0.01 to 60 seconds".into()),
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Some(BenchCommand::Floor(arguments)) => floor::run(arguments),
        Some(BenchCommand::Part(arguments)) => way::play(arguments),
        None if arguments.run.way.stack => way::run(&arguments.run),
        None if arguments.run.kernel.kernel => kernel::run(&arguments.run),
        None => match arguments.run.crowd.devices {
            Some(devices) => crowd::run(&arguments.run, devices),
            None => measure(&arguments.run),
        },
    }
}

/// Measures, and tells what was found; if something goes wrong, what was found until then.
fn measure(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &arguments.report {
        fs::create_dir_all(folder).with_context(|| unwritten(folder))?;
    }
    let stop = Stop::watch()?;
    let plan = Plan::new(arguments)?;
    let mut results = Results {
        machine: Machine::here(),
        method: arguments.method(),
        rows: Vec::new(),
        interrupts: Vec::new(),
        kernel: None,
        error: None,
        crowd: None,
        way: None,
    };
    let bar = progress(plan.runs(arguments.pairs));
    let outcome = measure_all(&plan, arguments, &stop, &bar, &mut results);
    let outcome = stop.or(outcome);
    bar.finish_and_clear();
    if results.rows.is_empty() && results.interrupts.is_empty() && outcome.is_err() {
        return outcome.map(|()| ExitCode::SUCCESS);
    }
    results.error = outcome.as_ref().err().map(exit::told);
    tell(arguments, &results)?;
    outcome.map(|()| ExitCode::SUCCESS)
}

fn measure_all(
    plan: &Plan,
    arguments: &RunArguments,
    stop: &Stop,
    bar: &ProgressBar,
    results: &mut Results,
) -> anyhow::Result<()> {
    for series in &plan.series {
        measure_series(series, arguments, stop, bar, &mut results.rows)?;
    }
    for (transport, side) in &plan.interrupts {
        let transport = transport.name();
        bar.set_message(format!("{transport} {}", side.name));
        let duration = Duration::from_secs_f64(arguments.seconds) * arguments.pairs;
        let pacing = Pacing::measure(&side.device, INTERRUPTS_IN_FLIGHT, duration)
            .with_context(|| format!("{transport} {}", side.name))?;
        let row = InterruptRow::new(transport, &side.name, &pacing);
        results.interrupts.push(row);
        bar.inc(arguments.pairs.into());
        stop.check()?;
    }
    Ok(())
}

fn measure_series(
    series: &Series,
    arguments: &RunArguments,
    stop: &Stop,
    bar: &ProgressBar,
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    let transport = series.transport.name();
    let mut ours = series.ours.open()?;
    let mut theirs = series.theirs.as_ref().map(Side::open).transpose()?;
    for cell in &series.cells {
        bar.set_message(format!("{transport} {cell}"));
        let progress = || {
            bar.inc(1);
            stop.check()
        };
        let duration = Duration::from_secs_f64(arguments.seconds);
        let pairs = arguments.pairs;
        let comparison = compare(&mut ours, theirs.as_mut(), cell, pairs, duration, progress);
        let comparison = comparison.with_context(|| format!("{transport} {cell}"))?;
        let against = series.theirs.as_ref().map(|side| side.name.as_str());
        let names = (series.ours.name.as_str(), against);
        rows.extend(Row::new(series.section, transport, names, &comparison));
    }
    Ok(())
}

impl Side {
    fn open(&self) -> anyhow::Result<Subject> {
        let opened = match &self.drive {
            Drive::Bare => Subject::open(&self.device, self.process),
            Drive::Pipes => Subject::open_pipes(&self.device, self.process),
            Drive::Stack => Subject::open_stack(&self.device, self.process),
            Drive::Libusb(selector) => Subject::open_blocking(selector),
        };
        opened.with_context(|| format!("can't measure {}", self.name))
    }
}

fn progress(runs: u64) -> ProgressBar {
    let style = "{bar:40} {pos}/{len} runs, {eta} left  {msg}";
    ProgressBar::new(runs)
        .with_style(ProgressStyle::with_template(style).expect("the template is one"))
}

fn tell(arguments: &RunArguments, results: &Results) -> anyhow::Result<()> {
    if let Some(folder) = &arguments.report {
        write_report(results, folder).with_context(|| unwritten(folder))?;
    }
    if arguments.json {
        writeln!(output(), "{}", serde_json::to_string_pretty(results)?)?;
        return Ok(());
    }
    table::print(results)
}

fn unwritten(folder: &Path) -> String {
    format!("can't write a report into {}", folder.display())
}

impl RunArguments {
    fn directions(&self) -> Vec<Direction> {
        match self.direction.as_slice() {
            [] => vec![Direction::In, Direction::Out],
            some => some.iter().map(|it| (*it).into()).collect(),
        }
    }

    fn method(&self) -> Method {
        Method {
            subject: match &self.device {
                Some(device) => device.to_string(),
                None => format!("usbwright serve {}", self.spec),
            },
            against: self.against.as_ref().map(|against| match against {
                Against::Floor => "the floor".into(),
                Against::Device(device) => device.to_string(),
                Against::Libusb(selector) => format!("libusb:{selector}"),
            }),
            pairs: self.pairs,
            seconds: self.seconds,
        }
    }
}

impl Against {
    fn device(&self) -> Option<&RemoteDevice> {
        match self {
            Self::Floor | Self::Libusb(_) => None,
            Self::Device(device) => Some(device),
        }
    }
}

impl From<DirectionArg> for Direction {
    fn from(direction: DirectionArg) -> Self {
        match direction {
            DirectionArg::In => Self::In,
            DirectionArg::Out => Self::Out,
        }
    }
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Unix => "unix",
        }
    }

    /// How a device is reached.
    fn of(device: &RemoteDevice) -> Self {
        if device.remote.is_unix() {
            Self::Unix
        } else {
            Self::Tcp
        }
    }
}
