//! `usbwright bench`: measures bulk I/O, against the least that any server has to do.

mod crowd;
mod floor;
mod kernel;
mod table;

use std::{
    env,
    ffi::OsString,
    io::{Write, stdout},
    path::PathBuf,
    process::ExitCode,
    str::FromStr,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use usbwright::{
    bench::{
        Cell, Device, DeviceError, Grid, Machine, Method, Results, Row, Started, Subject, compare,
        parse_size,
    },
    models::Spec,
    protocol::Direction,
};

/// What a paused client waits between transfers: a server that polls for up to 1 ms has gone to sleep by then.
const PAUSE: Duration = Duration::from_millis(3);

/// Measure bulk I/O: throughput, latency and CPU time, by direction, transfer size and transfers in flight.
///
/// It starts a server of its own, or drives any USB/IP server that exports a Gadget Zero. With --against, each cell is run on
/// both servers in turn, and the medians of the pairs' ratios are told.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
The floor is a server with no USB in it: one thread, large reads, one gathered write of canned replies. No server can do less
for a transfer, so the ratio to it tells what is lost. The cells named `asleep` have the client wait 3 ms after each transfer.

With --kernel the client is Linux' usbtest driver, in the lab: cases 1 and 2 at depth 1, and 27 and 28 at any other. The devices
are attached over a socket pair as `usbwright attach` does it, and compared in the same boot with the floor, attached in the same
way, with the kernel's dummy_hcd and with its usbip-vudc, both with the kernel's own Gadget Zero.

With --devices so many devices of one server are busy at once, and so are as many connections to the floor; a client thread for
each. `least` and `most` are what a device got of an equal share. The last ratio is to one connection to the floor that is alone.

Times are of this machine, which should do nothing else meanwhile; build with --release."
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
}

#[derive(Debug, Args)]
struct RunArguments {
    /// The device to measure, HOST:PORT/BUSID or unix:/PATH/BUSID [default: one of a server that is started]
    #[arg(value_name = "DEVICE")]
    device: Option<Device>,
    /// The device of the server that is started
    #[arg(
        long,
        value_name = "SPEC",
        default_value = "gadget-zero,pattern=2",
        conflicts_with = "device"
    )]
    spec: Spec,
    /// What to compare with: `floor`, or a device of another server
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
    /// Let the server go to sleep before each transfer (depth 1)
    #[arg(long, conflicts_with = "depth")]
    asleep: bool,
    /// How often each cell is run on each server
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// How long a run takes
    #[arg(long, value_name = "SECONDS", default_value_t = 0.2, value_parser = seconds)]
    seconds: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    crowd: crowd::Options,
    #[command(flatten)]
    kernel: kernel::Options,
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

#[derive(Clone, Debug)]
enum Against {
    Floor,
    Device(Device),
}

impl FromStr for Against {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text {
            "floor" => Ok(Self::Floor),
            text => text.parse().map(Self::Device),
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
        None if arguments.run.kernel.kernel => kernel::run(&arguments.run),
        None => match arguments.run.crowd.devices {
            Some(devices) => crowd::run(&arguments.run, devices),
            None => measure(&arguments.run),
        },
    }
}

fn measure(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let servers = Servers::start(arguments)?;
    let cells = arguments.cells();
    let transports = servers.transports(arguments);
    let machine = Machine::here();
    let bar = progress(arguments.runs(cells.len() * transports.len()));
    let mut rows = Vec::new();
    for transport in transports {
        let (mut ours, mut theirs) = servers.open(transport)?;
        for cell in &cells {
            bar.set_message(format!("{} {cell}", transport.name()));
            let duration = Duration::from_secs_f64(arguments.seconds);
            let comparison = compare(
                &mut ours,
                theirs.as_mut(),
                cell,
                arguments.pairs,
                duration,
                || bar.inc(1),
            )
            .with_context(|| format!("{} {cell}", transport.name()))?;
            rows.extend(Row::new(transport.name(), &comparison));
        }
    }
    bar.finish_and_clear();
    let results = Results {
        machine,
        method: arguments.method(),
        rows,
        kernel: None,
        crowd: None,
    };
    tell(&results, arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(results: &Results, json: bool) -> anyhow::Result<()> {
    if json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(results)?)?;
    } else {
        table::print(results)?;
    }
    Ok(())
}

fn progress(runs: u64) -> ProgressBar {
    let style = "{bar:40} {pos}/{len} runs, {eta} left  {msg}";
    ProgressBar::new(runs)
        .with_style(ProgressStyle::with_template(style).expect("the template is one"))
}

impl RunArguments {
    fn cells(&self) -> Vec<Cell> {
        let mut grid = Grid {
            directions: self.directions(),
            ..Grid::default()
        };
        if !self.size.is_empty() {
            grid.sizes.clone_from(&self.size);
        }
        if !self.depth.is_empty() {
            grid.depths.clone_from(&self.depth);
        }
        if self.asleep {
            grid.depths = vec![1];
        }
        let pause = if self.asleep { PAUSE } else { Duration::ZERO };
        grid.cells().map(|cell| Cell { pause, ..cell }).collect()
    }

    fn directions(&self) -> Vec<Direction> {
        match self.direction.as_slice() {
            [] => Grid::default().directions,
            chosen => chosen.iter().map(|it| (*it).into()).collect(),
        }
    }

    fn runs(&self, cells: usize) -> u64 {
        let servers = if self.against.is_some() { 2 } else { 1 };
        cells as u64 * u64::from(self.pairs) * servers
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
            }),
            pairs: self.pairs,
            seconds: self.seconds,
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
}

/// A server to measure.
enum Server {
    Started(Started),
    Given(Device),
}

impl Server {
    fn start(program: &PathBuf, arguments: &[&str]) -> anyhow::Result<Self> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        Ok(Self::Started(Started::new(program, &arguments)?))
    }

    fn open(&self, transport: Transport) -> anyhow::Result<Subject> {
        let (device, process) = match self {
            Self::Started(started) => {
                let remote = match transport {
                    Transport::Tcp => &started.tcp,
                    Transport::Unix => &started.unix,
                };
                let device = Device {
                    remote: remote.clone(),
                    bus_id: "1-1".into(),
                };
                (device, Some(started.process()))
            }
            Self::Given(device) => (device.clone(), None),
        };
        Subject::open(&device, process).with_context(|| format!("can't measure {device}"))
    }
}

struct Servers {
    ours: Server,
    theirs: Option<Server>,
}

impl Servers {
    fn start(arguments: &RunArguments) -> anyhow::Result<Self> {
        let program = env::current_exe().context("can't tell where this program is")?;
        let ours = match &arguments.device {
            Some(device) => Server::Given(device.clone()),
            None => Server::start(&program, &["serve", &arguments.spec.to_string()])?,
        };
        let theirs = match &arguments.against {
            Some(Against::Floor) => Some(Server::start(&program, &["bench", "floor"])?),
            Some(Against::Device(device)) => Some(Server::Given(device.clone())),
            None => None,
        };
        Ok(Self { ours, theirs })
    }

    /// How the servers are reached: as the user says or in both ways, and in the one way that there is where one is given.
    fn transports(&self, arguments: &RunArguments) -> Vec<Transport> {
        let given = [Some(&self.ours), self.theirs.as_ref()];
        let given = given.into_iter().flatten().find_map(|server| match server {
            Server::Given(device) => Some(device),
            Server::Started(_) => None,
        });
        match given {
            Some(device) if device.is_unix() => vec![Transport::Unix],
            Some(_) => vec![Transport::Tcp],
            None if arguments.transport.is_empty() => vec![Transport::Tcp, Transport::Unix],
            None => arguments.transport.clone(),
        }
    }

    fn open(&self, transport: Transport) -> anyhow::Result<(Subject, Option<Subject>)> {
        let theirs = self.theirs.as_ref().map(|theirs| theirs.open(transport));
        Ok((self.ours.open(transport)?, theirs.transpose()?))
    }
}
