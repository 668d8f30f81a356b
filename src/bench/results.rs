//! What a run of the benchmark has found, as it is printed, reported and kept.

use std::{fs, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    cell::Cell,
    crowd::CrowdRow,
    pacing::Pacing,
    pairs::Comparison,
    sample::{Sample, median},
    way::WayRow,
};

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Where it was run.
    pub machine: Machine,
    /// How it was run.
    pub method: Method,
    /// A row for each section, transport and cell.
    pub rows: Vec<Row>,
    /// How interrupt endpoints keep their period.
    pub interrupts: Vec<InterruptRow>,
    /// What was measured through a kernel, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelResults>,
    /// Why there are no more rows, where the run ended before its time.
    pub error: Option<String>,
    /// What many devices of one server reached at once, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crowd: Option<Vec<CrowdRow>>,
    /// The whole way of an application's requests, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<Vec<WayRow>>,
}

/// The machine of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many of them there are for this program.
    pub processors: usize,
    /// The kernel's name and release.
    pub kernel: String,
    /// This program's version.
    pub version: String,
    /// Whether this program was built with optimisation and without assertions.
    pub release_build: bool,
    /// How many processes wanted to run, on average over the last minute, as the run began.
    pub load: String,
}

impl Machine {
    /// The machine that this runs on.
    pub fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            ["model name", "Processor", "Model"]
                .contains(&key.trim())
                .then(|| value.trim().to_owned())
        });
        let system = rustix::system::uname();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            processor: model.unwrap_or_else(|| system.machine().to_string_lossy().into_owned()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: format!(
                "{} {}",
                system.sysname().to_string_lossy(),
                system.release().to_string_lossy()
            ),
            version: env!("CARGO_PKG_VERSION").into(),
            release_build: !cfg!(debug_assertions),
            load: load.split(' ').next().unwrap_or_default().into(),
        }
    }
}

/// How a run was done.
#[derive(Clone, Debug, Serialize)]
pub struct Method {
    /// What was measured.
    pub subject: String,
    /// What it was compared with.
    pub against: Option<String>,
    /// Runs of each cell on each server.
    pub pairs: u32,
    /// How long each of them took.
    pub seconds: f64,
}

/// What a row is there to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// Throughput and latency, by size and depth.
    Grid,
    /// Latency where the server has gone to sleep before each transfer.
    Asleep,
    /// What it costs that the device makes and checks a pattern.
    Checking,
    /// Through the pipes of `usb-target`, against a client that does the least.
    Pipes,
    /// Through the host stack's shortest driver, against the pipes of `usb-target`.
    Stack,
}

/// One cell's figures: medians over its runs.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What the row is there to show.
    pub section: Section,
    /// The device that was measured.
    pub device: String,
    /// The one that it was compared with.
    pub against: Option<String>,
    /// What carried the messages: `tcp`, `unix`.
    pub transport: String,
    /// `in` or `out`.
    pub direction: &'static str,
    /// Bytes in a transfer.
    pub size: u32,
    /// Transfers in flight.
    pub depth: u32,
    /// The server that was measured.
    pub ours: Figures,
    /// The one that it was compared with.
    pub theirs: Option<Figures>,
    /// The median over the pairs of the throughputs' ratio, ours to theirs.
    pub throughput_ratio: Option<f64>,
    /// The same of the median latencies.
    pub latency_ratio: Option<f64>,
}

/// What a server reached in a cell.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Payload, in 10⁶ bytes per second.
    pub mb_per_s: f64,
    /// Transfers per second.
    pub transfers_per_s: f64,
    /// Latency that half of the transfers stay under, in µs.
    pub p50_us: f64,
    /// That 99 of 100 do.
    pub p99_us: f64,
    /// That 999 of 1000 do.
    pub p999_us: f64,
    /// CPU seconds of the client for 10⁹ bytes.
    pub client_cpu_s_per_gb: f64,
    /// CPU seconds of the server for 10⁹ bytes, where it is on this machine and known.
    pub server_cpu_s_per_gb: Option<f64>,
}

impl Figures {
    fn of(samples: &[Sample]) -> Option<Self> {
        let of = |figure: &dyn Fn(&Sample) -> f64| median(samples.iter().map(figure));
        let server_cpu = samples.iter().all(|it| it.server_cpu.is_some());
        (!samples.is_empty()).then(|| Self {
            mb_per_s: of(&Sample::throughput) / 1e6,
            transfers_per_s: of(&Sample::rate),
            p50_us: of(&|it| us(it.latency.p50)),
            p99_us: of(&|it| us(it.latency.p99)),
            p999_us: of(&|it| us(it.latency.p999)),
            client_cpu_s_per_gb: of(&Sample::client_cpu_per_gb),
            server_cpu_s_per_gb: server_cpu
                .then(|| of(&|it| it.server_cpu_per_gb().unwrap_or_default())),
        })
    }
}

impl Row {
    /// A cell's figures, of at least one run, on the devices of these names.
    pub fn new(
        section: Section,
        transport: &str,
        names: (&str, Option<&str>),
        comparison: &Comparison,
    ) -> Option<Self> {
        let Cell { size, depth, .. } = comparison.cell;
        let theirs = Figures::of(&comparison.theirs);
        let compared = theirs.is_some();
        Some(Self {
            section,
            device: names.0.into(),
            against: names.1.map(str::to_owned),
            transport: transport.into(),
            direction: comparison.cell.direction_name(),
            size,
            depth,
            ours: Figures::of(&comparison.ours)?,
            theirs,
            throughput_ratio: compared.then(|| comparison.throughput_ratio()),
            latency_ratio: compared.then(|| comparison.latency_ratio()),
        })
    }
}

/// How an interrupt endpoint keeps its period.
#[derive(Clone, Debug, Serialize)]
pub struct InterruptRow {
    /// What carried the messages: `tcp`, `unix`.
    pub transport: String,
    /// The device that was measured.
    pub device: String,
    /// The endpoint's period, in µs.
    pub period_us: f64,
    /// Transfers in flight.
    pub depth: u32,
    /// Completions per second.
    pub per_s: f64,
    /// How far the time between two completions is from the period, either way: what half of them stay under, in µs.
    pub jitter_p50_us: f64,
    /// That 99 of 100 do.
    pub jitter_p99_us: f64,
    /// That 999 of 1000 do.
    pub jitter_p999_us: f64,
}

impl InterruptRow {
    /// What was seen of a device of this name.
    pub fn new(transport: &str, device: &str, pacing: &Pacing) -> Self {
        Self {
            transport: transport.into(),
            device: device.into(),
            period_us: us(pacing.period),
            depth: pacing.depth,
            per_s: pacing.per_s,
            jitter_p50_us: us(pacing.jitter.p50),
            jitter_p99_us: us(pacing.jitter.p99),
            jitter_p999_us: us(pacing.jitter.p999),
        }
    }
}

fn us(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// What was measured through a kernel: its `usbtest` driver drives the devices.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KernelResults {
    /// The kernel's name and release.
    pub kernel: String,
    /// A row for each cell and each device that ours was compared with.
    pub rows: Vec<KernelRow>,
    /// What could not be compared with, and why.
    pub lacking: Vec<String>,
}

/// One cell of `usbtest`, on our device and on another, in the same boot: medians over the pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelRow {
    /// What ours was compared with: `floor`, `dummy_hcd` or `usbip-vudc`.
    pub against: String,
    /// The number of `usbtest`'s case: 1 and 2 do one transfer at a time, 27 and 28 keep a queue.
    pub case: u8,
    /// `in` or `out`.
    pub direction: String,
    /// Bytes in a transfer.
    pub size: u32,
    /// Transfers in flight.
    pub depth: u32,
    /// Our device's figures.
    pub ours: KernelFigures,
    /// The other's.
    pub theirs: KernelFigures,
    /// The median over the pairs of the throughputs' ratio, ours to theirs.
    pub throughput_ratio: f64,
    /// The lowest of the pairs' ratios.
    pub lowest_ratio: f64,
    /// The highest of them.
    pub highest_ratio: f64,
}

/// What a device reached in a cell of `usbtest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelFigures {
    /// Payload, in 10⁶ bytes per second.
    pub mb_per_s: f64,
    /// The time of a run over its transfers, in µs: at depth 1 it is what a transfer takes.
    pub us_per_transfer: f64,
}
