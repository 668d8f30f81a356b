//! What is measured, and on which servers.

use std::{env, ffi::OsString, path::Path, time::Duration};

use anyhow::{Context as _, bail, ensure};
use usbwright::bench::{Cell, Device, Grid, Section, Started};

use super::{Against, RunArguments, Transport};

/// What a paused client waits between transfers: a server that polls for up to 1 ms has gone to sleep by then.
const PAUSE: Duration = Duration::from_millis(3);
/// Bytes in a transfer where the server sleeps.
const ASLEEP: [u32; 2] = [512, 4 << 10];
/// Bytes in a transfer, and transfers in flight, where the cost of checking is measured.
const CHECKING: (u32, u32) = (64 << 10, 16);
/// The devices whose source and sink differ in what they do with the data, the one that does nothing last.
const PATTERNS: [&str; 3] = [
    "gadget-zero,pattern=0",
    "gadget-zero,pattern=1",
    "gadget-zero,pattern=2",
];

/// All that is measured. The servers that were started for it end with it.
pub(super) struct Plan {
    pub(super) series: Vec<Series>,
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
    pub(super) device: Device,
    pub(super) process: Option<u32>,
}

impl Plan {
    /// Starts the servers that are to be started.
    pub(super) fn new(arguments: &RunArguments) -> anyhow::Result<Self> {
        let transports = transports(arguments)?;
        let sections = sections(arguments)?;
        let ours = Server::ours(arguments)?;
        let theirs = arguments.against.as_ref().map(Server::against);
        let theirs = theirs.transpose()?;
        let patterns = sections.contains(&Section::Checking).then(Server::patterns);
        let patterns = patterns.transpose()?;
        let mut series = Vec::new();
        for transport in transports {
            for section in &sections {
                let compared = |cells| Series {
                    section: *section,
                    transport,
                    ours: ours.side(0, transport),
                    theirs: theirs.as_ref().map(|theirs| theirs.side(0, transport)),
                    cells,
                };
                match (section, &patterns) {
                    (Section::Grid, _) => series.push(compared(grid(arguments))),
                    (Section::Asleep, _) => series.push(compared(asleep(arguments))),
                    (Section::Checking, Some(patterns)) => series.extend(
                        (0..2).map(|pattern| checking(arguments, patterns, pattern, transport)),
                    ),
                    (Section::Checking, None) => {}
                }
            }
        }
        let servers = [Some(ours), theirs, patterns].into_iter().flatten();
        Ok(Self {
            series,
            _started: servers.filter_map(Server::into_started).collect(),
        })
    }

    /// How many runs it takes.
    pub(super) fn runs(&self, pairs: u32) -> u64 {
        let of = |series: &Series| series.cells.len() * (1 + usize::from(series.theirs.is_some()));
        let runs: usize = self.series.iter().map(of).sum();
        runs as u64 * u64::from(pairs)
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
fn sections(arguments: &RunArguments) -> anyhow::Result<Vec<Section>> {
    let asked: Vec<Section> = arguments.section.iter().map(|it| (*it).into()).collect();
    let narrowed = !arguments.size.is_empty() || !arguments.depth.is_empty();
    let foreign = arguments.device.is_some();
    ensure!(
        !foreign || !asked.contains(&Section::Checking),
        "what checking costs is measured on devices of usbwright's own: leave out DEVICE or `--section checking`"
    );
    Ok(match (asked.is_empty(), narrowed, foreign) {
        (false, ..) => asked,
        (_, true, _) => vec![Section::Grid],
        (_, _, true) => vec![Section::Grid, Section::Asleep],
        _ => vec![Section::Grid, Section::Asleep, Section::Checking],
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

/// One of the patterns that are checked, against none.
fn checking(
    arguments: &RunArguments,
    patterns: &Server,
    pattern: usize,
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
        ours: patterns.side(pattern, transport),
        theirs: Some(patterns.side(PATTERNS.len() - 1, transport)),
        cells: grid.cells().collect(),
    }
}

/// A server to measure, and its devices: each by its name and bus id.
enum Server {
    Started(Started, Vec<(String, String)>),
    Given(Device),
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

    fn against(against: &Against) -> anyhow::Result<Self> {
        match against {
            Against::Floor => {
                let device = ("the floor".into(), "1-1".into());
                Self::start(&["bench", "floor"], vec![device])
            }
            Against::Device(device) => Ok(Self::Given(device.clone())),
        }
    }

    /// A server with a device of each pattern.
    fn patterns() -> anyhow::Result<Self> {
        let devices = PATTERNS.iter().zip(1..);
        let devices = devices.map(|(name, number)| ((*name).to_owned(), format!("1-{number}")));
        Self::start(&[&["serve"], &PATTERNS[..]].concat(), devices.collect())
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
                    device: Device {
                        remote: remote.clone(),
                        bus_id: bus_id.clone(),
                    },
                    process: Some(started.process()),
                }
            }
            Self::Given(device) => Side {
                name: device.to_string(),
                device: device.clone(),
                process: None,
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
