//! `usbwright bench --stack`: the whole way of an application's requests to a driver in a host process.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use usbwright::bench::{Machine, Method, Part, Passage, Results, WayRow, Ways};

use super::{RunArguments, progress, stop::Stop, tell};
use crate::cli::exit;

#[derive(Debug, Args)]
pub(super) struct WayOptions {
    /// Measure the whole way: application, reflector, host process, driver and device, and a port's messages with their replies
    #[arg(
        long,
        conflicts_with_all = ["device", "against", "kernel", "section", "devices", "size", "depth", "direction", "transport"],
    )]
    pub(super) stack: bool,
}

/// A process on the way that `bench --stack` measures.
#[derive(Debug, Args)]
pub(super) struct PartArguments {
    /// Which.
    part: Part,
    /// Where names are.
    directory: PathBuf,
}

pub(super) fn play(arguments: &PartArguments) -> anyhow::Result<ExitCode> {
    arguments.part.play(&arguments.directory)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let stop = Stop::watch()?;
    let mut results = Results {
        machine: Machine::here(),
        method: Method {
            subject: "requests through a reflector to a driver in a host process".to_owned(),
            against: Some("bare exchanges".to_owned()),
            pairs: arguments.pairs,
            seconds: arguments.seconds,
        },
        rows: Vec::new(),
        interrupts: Vec::new(),
        kernel: None,
        error: None,
        crowd: None,
        way: None,
    };
    let outcome = measure(arguments, &stop, results.way.insert(Vec::new()));
    let outcome = stop.or(outcome);
    results.error = outcome.as_ref().err().map(exit::told);
    if results.way.as_ref().is_some_and(|rows| !rows.is_empty()) {
        tell(arguments, &results)?;
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

fn measure(arguments: &RunArguments, stop: &Stop, rows: &mut Vec<WayRow>) -> anyhow::Result<()> {
    let bar = progress(2 * Passage::ALL.len() as u64 * u64::from(arguments.pairs));
    let mut ways = Ways::start()?;
    let duration = Duration::from_secs_f64(arguments.seconds);
    for passage in Passage::ALL {
        bar.set_message(passage.to_string());
        rows.push(ways.measure(passage, arguments.pairs, duration, || {
            bar.inc(1);
            stop.check()
        })?);
    }
    bar.finish_and_clear();
    Ok(())
}

/// The rows as a table.
pub(super) fn table(rows: &[WayRow]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "", "ours", "floor", "ratio", "aim", ""]);
    for row in rows {
        let missed = if row.is_met { "" } else { "missed" };
        table.add_row([
            row.what.clone(),
            row.unit.to_owned(),
            figure(row.ours),
            figure(row.floor),
            format!("{:.2}", row.ratio),
            row.aim.to_string(),
            missed.to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn figure(value: f64) -> String {
    match value {
        _ if value < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
