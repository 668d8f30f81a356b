//! `usbwright bench --kernel`: measures through a kernel, the lab's or this machine's.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use usbwright::{
    bench::{
        Cell, Grid, KernelResults, Machine, Method, Results,
        kernel::{self, Event, Peer, Plan},
    },
    lab,
};

use super::{RunArguments, progress, tell};
use crate::cli::print;

/// The sizes that are measured one at a time, and in a queue.
const SIZES: (&[u32], &[u32]) = (&[4 << 10], &[4 << 10, 16 << 10, 64 << 10]);
/// How many transfers are in flight: one at a time, and a queue.
const DEPTHS: [u32; 2] = [1, 32];
/// What the lab may take for itself, and for each run besides what it should take.
const SPARE: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Measure through a kernel, in the lab [default: 4k at depth 1, and 4k,16k,64k at depth 32]
    #[arg(long, conflicts_with_all = ["device", "against", "transport", "section"])]
    pub(super) kernel: bool,
    /// What to compare with through the kernel; may be repeated [default: all]
    #[arg(long, value_enum, value_name = "NAME", requires = "kernel")]
    peer: Vec<PeerArg>,
    /// Use this machine's kernel rather than the lab's, as root
    #[arg(long, requires = "kernel")]
    here: bool,
    /// Tell what happens as it happens, for the process that has booted the lab.
    #[arg(long, requires = "here", hide = true)]
    events: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PeerArg {
    /// The floor, attached in the same way
    Floor,
    /// The kernel's emulated host controller: no USB/IP
    DummyHcd,
    /// The kernel's USB/IP device controller
    UsbipVudc,
}

impl From<PeerArg> for Peer {
    fn from(peer: PeerArg) -> Self {
        match peer {
            PeerArg::Floor => Self::Floor,
            PeerArg::DummyHcd => Self::DummyHcd,
            PeerArg::UsbipVudc => Self::UsbipVudc,
        }
    }
}

pub(super) fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let plan = plan(arguments)?;
    if arguments.kernel.events {
        let mut told = Ok(());
        kernel::measure(&plan, |event| {
            if told.is_ok() {
                told = tell_event(&event);
            }
        })?;
        told?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut collected = Collected::new(&plan);
    let machine = Machine::here();
    if arguments.kernel.here {
        kernel::measure(&plan, |event| collected.take(event))?;
    } else {
        in_lab(&plan, &mut collected)?;
    }
    collected.bar.finish_and_clear();
    let results = Results {
        machine,
        method: Method {
            subject: format!("usbwright attach {}", plan.spec),
            against: None,
            pairs: plan.pairs,
            seconds: plan.duration.as_secs_f64(),
        },
        rows: Vec::new(),
        interrupts: Vec::new(),
        kernel: Some(collected.results),
        error: None,
        crowd: None,
        way: None,
    };
    tell(arguments, &results)?;
    Ok(ExitCode::SUCCESS)
}

fn plan(arguments: &RunArguments) -> anyhow::Result<Plan> {
    let peers = &arguments.kernel.peer;
    Ok(Plan {
        program: env::current_exe().context("can't tell where this program is")?,
        spec: arguments.spec.to_string(),
        peers: match peers.as_slice() {
            [] => Peer::ALL.to_vec(),
            peers => peers.iter().map(|it| (*it).into()).collect(),
        },
        cells: cells(arguments),
        pairs: arguments.pairs,
        duration: Duration::from_secs_f64(arguments.seconds),
    })
}

/// The cells that were asked for, those that go one at a time first.
fn cells(arguments: &RunArguments) -> Vec<Cell> {
    let chosen = |chosen: &[u32], default: &[u32]| match chosen {
        [] => default.to_vec(),
        chosen => chosen.to_vec(),
    };
    let depths = chosen(&arguments.depth, &DEPTHS).into_iter();
    let grids = depths.map(|depth| Grid {
        directions: arguments.directions(),
        sizes: chosen(&arguments.size, if depth == 1 { SIZES.0 } else { SIZES.1 }),
        depths: vec![depth],
    });
    grids
        .flat_map(|it| it.cells().collect::<Vec<_>>())
        .collect()
}

fn tell_event(event: &Event) -> anyhow::Result<()> {
    print(&serde_json::to_string(event)?)
}

/// Boots the lab, has this command run in it, and takes the events that it tells.
fn in_lab(plan: &Plan, collected: &mut Collected) -> anyhow::Result<()> {
    let runs = u32::try_from(plan.runs()).unwrap_or(u32::MAX);
    let timeout = SPARE + (plan.duration + Duration::from_secs(2)).saturating_mul(runs);
    let child = Command::new(&plan.program)
        .args(["lab", "--timeout", &timeout.as_secs().to_string(), "--"])
        .arg(&plan.program)
        .args(env::args_os().skip(1))
        .args(["--here", "--events"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut lab = Killed(child.context("can't start `usbwright lab`")?);
    let output = lab.0.stdout.take().context("the lab has no output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        let event = serde_json::from_str(&line);
        collected.take(event.with_context(|| format!("the lab told `{line}`"))?);
    }
    let status = lab.0.wait()?;
    if status.code() == Some(lab::TIMED_OUT.into()) {
        bail!("the lab was ended after {} s", timeout.as_secs());
    }
    if !status.success() {
        bail!("the measurement in the lab failed ({status})");
    }
    Ok(())
}

/// A process that ends with this.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What has been told of so far.
struct Collected {
    bar: ProgressBar,
    results: KernelResults,
}

impl Collected {
    fn new(plan: &Plan) -> Self {
        Self {
            bar: progress(plan.runs()),
            results: KernelResults::default(),
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Kernel(kernel) => self.results.kernel = kernel,
            Event::Cell(cell) => self.bar.set_message(cell),
            Event::Run => self.bar.inc(1),
            Event::Row(row) => self.results.rows.push(row),
            Event::Lacking(reason) => self.results.lacking.push(reason),
        }
    }
}
