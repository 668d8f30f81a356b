//! What is measured, and on which servers.

use std::{env, ffi::OsString, ops::Range, path::Path, time::Duration};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum as _;
use usbwright::{
    bench::{Cell, Grid, Section, Started},
    remote::RemoteDevice,
    target::libusb::Selector,
};

use super::{Against, RunArguments, SectionArg, Transport};

/// What a paused client waits between transfers: a server that polls for up to 1 ms has gone to sleep by then.
const PAUSE: Duration = Duration::from_millis(3);
/// Bytes in a transfer where the server sleeps.
const ASLEEP: [u32; 2] = [512, 4 << 10];
/// Bytes in a transfer, and transfers in flight, where the cost of checking is measured.
const CHECKING: (u32, u32) = (64 << 10, 16);
/// Further devices that are measured: those that make and check a pattern, the one that they are compared with, and those
/// with an interrupt endpoint of 1 kHz and of 8 kHz.
const FURTHER: [&str; 5] = [
    "gadget-zero,pattern=0",
    "gadget-zero,pattern=1",
    "gadget-zero,pattern=2",
    "gadget-zero,speed=full,int_interval=1",
    "gadget-zero,speed=high,int_interval=1",
];
const CHECKED: Range<usize> = 0..2;
const UNCHECKED: usize = 2;
const INTERRUPTS: Range<usize> = 3..5;

/// All that is measured. The servers that were started for it end with it.
pub(super) struct Plan {
    pub(super) series: Vec<Series>,
    /// The devices whose interrupt endpoint is watched.
    pub(super) interrupts: Vec<(Transport, Side)>,
    _started: Vec<Started>,
}

/// Cells that are measured on the same devices.
pub(super) struct Series {
    pub(super) section: Section,
    pub(super) transport: Transport,
    pub(super) ours: Side,
    pub(super) theirs: Option<Side>,
    pub(super) cells: Vec<Cell>,
}

/// A device, and what is known of its server.
pub(super) struct Side {
    pub(super) name: String,
    pub(super) device: RemoteDevice,
    pub(super) process: Option<u32>,
    pub(super) drive: Drive,
}

/// How a device is driven.
pub(super) enum Drive {
    /// By the client that does the least.
    Bare,
    /// Through a program's pipes.
    Pipes,
    /// Through a host stack.
    Stack,
    /// Not this device, but one that the kernel has, by libusb.
    Libusb(Selector),
}

impl Plan {
    /// Starts the servers that are to be started.
    pub(super) fn new(arguments: &RunArguments) -> anyhow::Result<Self> {
        let transports = transports(arguments)?;
        let sections = sections(arguments)?;
        let ours = Server::ours(arguments)?;
        let theirs = arguments.against.as_ref().and_then(Server::against);
        let theirs = theirs.transpose()?;
        let own = [SectionArg::Checking, SectionArg::Interrupt];
        let further = sections.iter().any(|it| own.contains(it));
        let further = further.then(Server::further).transpose()?;
        let floors = sections.iter().any(is_programs) && arguments.device.is_none();
        let floors = floors.then(Server::floors).transpose()?;
        let mut series = Vec::new();
        let mut interrupts = Vec::new();
        for transport in transports {
            for what in &sections {
                let compared = |section, cells| Series {
                    section,
                    transport,
                    ours: ours.side(0, transport),
                    theirs: theirs.as_ref().map(|theirs| theirs.side(0, transport)),
                    cells,
                };
                match (what, &further) {
                    (SectionArg::Grid, _) => {
                        series.push(compared(Section::Grid, grid(arguments)));
                    }
                    (SectionArg::Asleep, _) => {
                        series.push(compared(Section::Asleep, asleep(arguments)));
                    }
                    (SectionArg::Checking, Some(further)) => {
                        let of = |it| checking(arguments, further, it, transport);
                        series.extend(CHECKED.map(of));
                    }
                    (SectionArg::Pipes | SectionArg::Stack, _) => {
                        let sides = match &floors {
                            Some(floors) => floors.each_ref().map(|it| it.side(0, transport)),
                            None => [ours.side(0, transport), ours.side(0, transport)],
                        };
                        series.push(programs(arguments, *what, sides, transport));
                    }
                    (SectionArg::Interrupt, Some(further)) => interrupts
                        .extend(INTERRUPTS.map(|it| (transport, further.side(it, transport)))),
                    (SectionArg::Checking | SectionArg::Interrupt, None) => {}
                }
            }
        }
        let servers = [Some(ours), theirs, further].into_iter().flatten();
        let servers = servers.chain(floors.into_iter().flatten());
        Ok(Self {
            series,
            interrupts,
            _started: servers.filter_map(Server::into_started).collect(),
        })
    }

    /// How many runs it takes.
    pub(super) fn runs(&self, pairs: u32) -> u64 {
        let of = |series: &Series| series.cells.len() * (1 + usize::from(series.theirs.is_some()));
        let runs: usize = self.series.iter().map(of).sum();
        (runs + self.interrupts.len()) as u64 * u64::from(pairs)
    }
}

/// How the servers are reached: as the user says or in both ways, and in the one way that there is where a device is given.
fn transports(arguments: &RunArguments) -> anyhow::Result<Vec<Transport>> {
    let against = arguments.against.as_ref().and_then(Against::device);
    let given: Vec<_> = arguments.device.iter().chain(against).collect();
    let Some(first) = given.first() else {
        return Ok(match arguments.transport.as_slice() {
            [] => vec![Transport::Tcp, Transport::Unix],
            some => some.to_vec(),
        });
    };
    let transport = Transport::of(first);
    for device in &given {
        ensure!(
            Transport::of(device) == transport,
            "{first} and {device} are not reached in the same way: name both by HOST:PORT or both by unix:/PATH"
        );
    }
    if let Some(other) = arguments.transport.iter().find(|it| **it != transport) {
        bail!(
            "{first} can't be reached by {}: leave out --transport",
            other.name()
        );
    }
    Ok(vec![transport])
}

/// What is measured: all that can be, and only the grid where the user has said what of it.
fn sections(arguments: &RunArguments) -> anyhow::Result<Vec<SectionArg>> {
    let asked = &arguments.section;
    let narrowed = !arguments.size.is_empty() || !arguments.depth.is_empty();
    let foreign = arguments.device.is_some();
    let by_libusb = matches!(arguments.against, Some(Against::Libusb(_)));
    let fits = match by_libusb {
        true => foreign && !asked.is_empty() && asked.iter().all(is_programs),
        false => !foreign || !asked.iter().any(is_programs),
    };
    ensure!(
        fits,
        "libusb is compared with the pipes of the same device, or the stack above it: name it as DEVICE, and use --against libusb:… --section pipes --section stack --depth 1"
    );
    let own = |it: &SectionArg| matches!(it, SectionArg::Checking | SectionArg::Interrupt);
    ensure!(
        !foreign || !asked.iter().any(own),
        "checking and interrupt endpoints are measured on devices of usbwright's own: leave out DEVICE or that --section"
    );
    Ok(match (asked.is_empty(), narrowed, foreign) {
        (false, ..) => asked.clone(),
        (_, true, _) => vec![SectionArg::Grid],
        (_, _, true) => vec![SectionArg::Grid, SectionArg::Asleep],
        _ => {
            let all = SectionArg::value_variants().iter().copied();
            all.filter(|it| !is_programs(it)).collect()
        }
    })
}

fn grid(arguments: &RunArguments) -> Vec<Cell> {
    let mut grid = Grid {
        directions: arguments.directions(),
        ..Grid::default()
    };
    if !arguments.size.is_empty() {
        grid.sizes.clone_from(&arguments.size);
    }
    if !arguments.depth.is_empty() {
        grid.depths.clone_from(&arguments.depth);
    }
    grid.cells().collect()
}

fn asleep(arguments: &RunArguments) -> Vec<Cell> {
    let grid = Grid {
        directions: arguments.directions(),
        sizes: match arguments.size.as_slice() {
            [] => ASLEEP.to_vec(),
            sizes => sizes.to_vec(),
        },
        depths: vec![1],
    };
    let asleep = |cell| Cell {
        pause: PAUSE,
        ..cell
    };
    grid.cells().map(asleep).collect()
}

/// A device that checks, against one that does not.
fn checking(
    arguments: &RunArguments,
    further: &Server,
    checked: usize,
    transport: Transport,
) -> Series {
    let (size, depth) = CHECKING;
    let grid = Grid {
        directions: arguments.directions(),
        sizes: vec![size],
        depths: vec![depth],
    };
    Series {
        section: Section::Checking,
        transport,
        ours: further.side(checked, transport),
        theirs: Some(further.side(UNCHECKED, transport)),
        cells: grid.cells().collect(),
    }
}

/// Whether it is what a program has of a device.
fn is_programs(section: &SectionArg) -> bool {
    matches!(section, SectionArg::Pipes | SectionArg::Stack)
}

/// The pipes of a program, against the client that does the least, or the host stack, against pipes; either against libusb's blocking calls.
fn programs(
    arguments: &RunArguments,
    section: SectionArg,
    [ours, theirs]: [Side; 2],
    transport: Transport,
) -> Series {
    let pipes = |side| Side {
        name: "pipes".to_owned(),
        drive: Drive::Pipes,
        ..side
    };
    let theirs = match (&arguments.against, section) {
        (Some(Against::Libusb(selector)), _) => Side {
            name: format!("libusb:{selector}"),
            process: None,
            drive: Drive::Libusb(selector.clone()),
            ..theirs
        },
        (_, SectionArg::Stack) => pipes(theirs),
        _ => Side {
            name: "bare client".to_owned(),
            ..theirs
        },
    };
    let (section, ours) = match section {
        SectionArg::Stack => {
            let name = "stack".to_owned();
            let drive = Drive::Stack;
            (
                Section::Stack,
                Side {
                    name,
                    drive,
                    ..ours
                },
            )
        }
        _ => (Section::Pipes, pipes(ours)),
    };
    Series {
        section,
        transport,
        ours,
        theirs: Some(theirs),
        cells: grid(arguments),
    }
}

/// A server to measure, and its devices: each by its name and bus id.
enum Server {
    Started(Started, Vec<(String, String)>),
    Given(RemoteDevice),
}

impl Server {
    fn start(arguments: &[&str], devices: Vec<(String, String)>) -> anyhow::Result<Self> {
        let program = env::current_exe().context("can't tell where this program is")?;
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let started = Started::new(Path::new(&program), &arguments)?;
        Ok(Self::Started(started, devices))
    }

    fn ours(arguments: &RunArguments) -> anyhow::Result<Self> {
        if let Some(device) = &arguments.device {
            return Ok(Self::Given(device.clone()));
        }
        let spec = arguments.spec.to_string();
        let bus_id = arguments.spec.bus_id().map(ToString::to_string);
        let device = (spec.clone(), bus_id.unwrap_or_else(|| "1-1".into()));
        Self::start(&["serve", &spec], vec![device])
    }

    fn against(against: &Against) -> Option<anyhow::Result<Self>> {
        match against {
            Against::Floor => Some(Self::floor()),
            Against::Device(device) => Some(Ok(Self::Given(device.clone()))),
            Against::Libusb(_) => None,
        }
    }

    fn floor() -> anyhow::Result<Self> {
        let device = ("the floor".into(), "1-1".into());
        Self::start(&["bench", "floor"], vec![device])
    }

    fn floors() -> anyhow::Result<[Self; 2]> {
        Ok([Self::floor()?, Self::floor()?])
    }

    fn further() -> anyhow::Result<Self> {
        let devices = FURTHER.iter().zip(1..);
        let devices = devices.map(|(name, number)| ((*name).to_owned(), format!("1-{number}")));
        Self::start(&[&["serve"], &FURTHER[..]].concat(), devices.collect())
    }

    fn side(&self, number: usize, transport: Transport) -> Side {
        match self {
            Self::Started(started, devices) => {
                let (name, bus_id) = &devices[number];
                let remote = match transport {
                    Transport::Tcp => &started.tcp,
                    Transport::Unix => &started.unix,
                };
                Side {
                    name: name.clone(),
                    device: RemoteDevice {
                        remote: remote.clone(),
                        bus_id: bus_id.clone(),
                    },
                    process: Some(started.process()),
                    drive: Drive::Bare,
                }
            }
            Self::Given(device) => Side {
                name: device.to_string(),
                device: device.clone(),
                process: None,
                drive: Drive::Bare,
            },
        }
    }

    fn into_started(self) -> Option<Started> {
        match self {
            Self::Started(started, _) => Some(started),
            Self::Given(_) => None,
        }
    }
}
