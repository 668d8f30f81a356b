//! The results as a table.

use std::io::{Write, stdout};

use comfy_table::{CellAlignment, Table, presets};
use usbwright::bench::{Figures, KernelResults, KernelRow, Method, Results, Row, size_text};

/// Prints the results.
pub(super) fn print(results: &Results) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    let (machine, method) = (&results.machine, &results.method);
    writeln!(
        out,
        "{} × {}, {}, usbwright {}",
        machine.processors, machine.processor, machine.kernel, machine.version
    )?;
    if !machine.release_build {
        writeln!(out, "This is no release build: its figures say little.")?;
    }
    if let Some(kernel) = &results.kernel {
        return print_kernel(&mut out, method, kernel);
    }
    if let Some(rows) = &results.crowd {
        writeln!(
            out,
            "{} (left) against as many connections to the floor, and one: {} runs of {} s, medians",
            method.subject, method.pairs, method.seconds
        )?;
        writeln!(out, "{}", super::crowd::table(rows))?;
        return Ok(());
    }
    match &method.against {
        Some(against) => writeln!(
            out,
            "{} (left) against {against} (right): {} pairs of {} s, medians",
            method.subject, method.pairs, method.seconds
        )?,
        None => writeln!(
            out,
            "{}: {} runs of {} s, medians",
            method.subject, method.pairs, method.seconds
        )?,
    }
    writeln!(out, "{}", table(&results.rows, method.against.is_some()))?;
    Ok(())
}

fn table(rows: &[Row], compared: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut header = vec![
        "",
        "",
        "size",
        "depth",
        "MB/s",
        "transfers/s",
        "p50 µs",
        "p99",
        "p99.9",
        "CPU s/GB",
    ];
    if compared {
        header.extend(["MB/s", "p50 µs", "CPU s/GB", "MB/s ratio", "p50 ratio"]);
    }
    let numbers = 2..header.len();
    table.set_header(header);
    for row in rows {
        table.add_row(cells(row));
    }
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn cells(row: &Row) -> Vec<String> {
    let ours = &row.ours;
    let asleep = if row.asleep { ", asleep" } else { "" };
    let mut cells = vec![
        row.transport.clone(),
        row.direction.to_owned(),
        size_text(row.size),
        format!("{}{asleep}", row.depth),
        format!("{:.0}", ours.mb_per_s),
        format!("{:.0}", ours.transfers_per_s),
        format!("{:.1}", ours.p50_us),
        format!("{:.1}", ours.p99_us),
        format!("{:.1}", ours.p999_us),
        cpu(ours),
    ];
    if let Some(theirs) = &row.theirs {
        let ratio = |ratio: Option<f64>| ratio.map(|it| format!("{it:.2}")).unwrap_or_default();
        cells.extend([
            format!("{:.0}", theirs.mb_per_s),
            format!("{:.1}", theirs.p50_us),
            cpu(theirs),
            ratio(row.throughput_ratio),
            ratio(row.latency_ratio),
        ]);
    }
    cells
}

/// CPU seconds for a GB: the client's, and the server's where it is known.
fn cpu(figures: &Figures) -> String {
    match figures.server_cpu_s_per_gb {
        Some(server) => format!("{:.2} + {server:.2}", figures.client_cpu_s_per_gb),
        None => format!("{:.2}", figures.client_cpu_s_per_gb),
    }
}

fn print_kernel(
    out: &mut impl Write,
    method: &Method,
    kernel: &KernelResults,
) -> anyhow::Result<()> {
    writeln!(
        out,
        "{} (left) through {}: {} pairs of about {} s, medians",
        method.subject, kernel.kernel, method.pairs, method.seconds
    )?;
    writeln!(out, "{}", kernel_table(&kernel.rows))?;
    for lacking in &kernel.lacking {
        writeln!(out, "Not compared with {lacking}")?;
    }
    Ok(())
}

fn kernel_table(rows: &[KernelRow]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "against", "", "case", "size", "depth", "MB/s", "µs", "MB/s", "µs", "ratio", "from", "to",
    ]);
    for row in rows {
        table.add_row(kernel_cells(row));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn kernel_cells(row: &KernelRow) -> [String; 12] {
    let (ours, theirs) = (&row.ours, &row.theirs);
    [
        row.against.clone(),
        row.direction.clone(),
        row.case.to_string(),
        size_text(row.size),
        row.depth.to_string(),
        format!("{:.1}", ours.mb_per_s),
        format!("{:.1}", ours.us_per_transfer),
        format!("{:.1}", theirs.mb_per_s),
        format!("{:.1}", theirs.us_per_transfer),
        format!("{:.2}", row.throughput_ratio),
        format!("{:.2}", row.lowest_ratio),
        format!("{:.2}", row.highest_ratio),
    ]
}
