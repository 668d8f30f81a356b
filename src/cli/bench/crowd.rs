//! `usbwright bench --devices N`: many devices of one server, busy at once.

use std::{env, ffi::OsString, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use usbwright::{
    bench::{Crowd, CrowdComparison, CrowdRow, Grid, Machine, Method, Results, Started, size_text},
    remote::RemoteDevice,
};

use super::{RunArguments, Transport, progress, tell};
use crate::cli::descriptors;

#[derive(Debug, Args)]
pub(super) struct CrowdOptions {
    /// Measure so many devices of one server, busy at once, against the floor [default: 4k at depth 16]
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = ["device", "against", "kernel", "section"],
        value_parser = clap::value_parser!(u32).range(1..=1000),
    )]
    pub(super) devices: Option<u32>,
}

pub(super) fn run(arguments: &RunArguments, devices: u32) -> anyhow::Result<ExitCode> {
    descriptors::raise_limit();
    let transports = match arguments.transport.as_slice() {
        [] => &[Transport::Tcp, Transport::Unix],
        some => some,
    };
    let grid = Grid {
        directions: arguments.directions(),
        sizes: or(&arguments.size, 4 << 10),
        depths: or(&arguments.depth, 16),
    };
    let machine = Machine::here();
    let cells = grid.cells().count() * transports.len();
    let bar = progress(3 * cells as u64 * u64::from(arguments.pairs));
    let mut rows = Vec::new();
    for transport in transports {
        let servers = Servers::start(arguments, devices)?;
        let mut crowds = servers.open(*transport)?;
        for cell in grid.cells() {
            bar.set_message(format!("{} {cell}", transport.name()));
            let duration = Duration::from_secs_f64(arguments.seconds);
            let comparison =
                CrowdComparison::measure(&mut crowds, &cell, arguments.pairs, duration, || {
                    bar.inc(1);
                })
                .with_context(|| format!("{} {cell}", transport.name()))?;
            rows.push(CrowdRow::new(transport.name(), &comparison));
        }
    }
    bar.finish_and_clear();
    let results = Results {
        machine,
        method: Method {
            subject: format!("{devices} devices of usbwright serve {}", arguments.spec),
            against: Some("the floor".into()),
            pairs: arguments.pairs,
            seconds: arguments.seconds,
        },
        rows: Vec::new(),
        kernel: None,
        crowd: Some(rows),
        way: None,
        interrupts: Vec::new(),
        error: None,
    };
    tell(arguments, &results)?;
    Ok(ExitCode::SUCCESS)
}

fn or(chosen: &[u32], default: u32) -> Vec<u32> {
    match chosen {
        [] => vec![default],
        some => some.to_vec(),
    }
}

struct Servers {
    ours: Started,
    floor: Started,
    devices: u32,
}

impl Servers {
    fn start(arguments: &RunArguments, devices: u32) -> anyhow::Result<Self> {
        let program = env::current_exe().context("can't tell where this program is")?;
        let spec = OsString::from(arguments.spec.to_string());
        let serve = [vec!["serve".into()], vec![spec; devices as usize]].concat();
        Ok(Self {
            ours: Started::new(&program, &serve)?,
            floor: Started::new(&program, &["bench".into(), "floor".into()])?,
            devices,
        })
    }

    /// Our devices, as many connections to the floor, and one that is alone once its turn comes.
    fn open(&self, transport: Transport) -> anyhow::Result<[Crowd; 3]> {
        let remote = |server: &Started| match transport {
            Transport::Tcp => server.tcp.clone(),
            Transport::Unix => server.unix.clone(),
        };
        let ours = remote(&self.ours);
        let listed = ours.list()?.into_iter();
        let devices = listed.map(|it| RemoteDevice {
            remote: ours.clone(),
            bus_id: it.bus_id,
        });
        let floor = RemoteDevice {
            remote: remote(&self.floor),
            bus_id: usbwright::bench::floor::BUS_ID.into(),
        };
        let connections = vec![floor; self.devices as usize];
        Ok([
            Crowd::open(&devices.collect::<Vec<_>>())?,
            Crowd::open(&connections)?,
            Crowd::open(&connections[..1])?,
        ])
    }
}

/// The rows as a table.
pub(super) fn table(rows: &[CrowdRow]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "", "", "size", "depth", "devices", "MB/s", "least", "most", "MB/s", "least", "most",
        "ratio", "1 alone", "ratio",
    ]);
    for row in rows {
        table.add_row(cells(row));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn cells(row: &CrowdRow) -> [String; 14] {
    let number = |value: f64| format!("{value:.2}");
    let (ours, floor) = (&row.ours, &row.floor);
    [
        row.transport.clone(),
        row.direction.to_uppercase(),
        size_text(row.size),
        row.depth.to_string(),
        row.devices.to_string(),
        format!("{:.0}", ours.mb_per_s),
        number(ours.least_share),
        number(ours.most_share),
        format!("{:.0}", floor.mb_per_s),
        number(floor.least_share),
        number(floor.most_share),
        number(row.floor_ratio),
        format!("{:.0}", row.alone_mb_per_s),
        number(row.alone_ratio),
    ]
}
