//! The results as tables, of no more than 100 columns.

use std::io::Write;

use crate::cli::output::output;
use comfy_table::{CellAlignment, Table, presets};
use usbwright::bench::{
    Figures, InterruptRow, KernelResults, KernelRow, Results, Row, Section, size_text,
};

/// Prints the results.
pub(super) fn print(results: &Results) -> anyhow::Result<()> {
    write!(output(), "{}", text(results))?;
    Ok(())
}

fn text(results: &Results) -> String {
    let mut text = introduction(results);
    for rows in results.rows.chunk_by(|one, next| title(one) == title(next)) {
        text += &format!("\n{}\n", title(&rows[0]));
        push(&mut text, &table(rows));
    }
    if !results.interrupts.is_empty() {
        let depth = results.interrupts[0].depth;
        text += &format!("\nInterrupt endpoints, {depth} transfers in flight\n");
        push(&mut text, &interrupts(&results.interrupts));
    }
    if let Some(kernel) = &results.kernel {
        text += &kernel_text(kernel);
    }
    if let Some(rows) = &results.crowd {
        text += "\nMany devices at once, beside as many connections to the floor, and one\n";
        push(&mut text, &super::crowd::table(rows));
    }
    if let Some(rows) = &results.way {
        text += "\nThe whole way of requests, beside bare exchanges by as many sockets\n";
        push(&mut text, &super::way::table(rows));
    }
    text
}

fn push(text: &mut String, table: &Table) {
    for line in table.lines() {
        *text += line.trim_end();
        text.push('\n');
    }
}

fn introduction(results: &Results) -> String {
    let (machine, method) = (&results.machine, &results.method);
    let mut text = format!(
        "{} × {}, {}, load {}, usbwright {}\n",
        machine.processors, machine.processor, machine.kernel, machine.load, machine.version
    );
    if !machine.release_build {
        text += "This is no release build: its figures say little.\n";
    }
    let (subject, pairs, seconds) = (&method.subject, method.pairs, method.seconds);
    text += &match &method.against {
        Some(against) => {
            format!("{subject} against {against}\n{pairs} pairs of {seconds} s, medians\n")
        }
        None if results.kernel.is_some() => {
            format!("{subject} (left)\n{pairs} pairs of about {seconds} s, medians\n")
        }
        None => format!("{subject}\n{pairs} runs of {seconds} s, medians\n"),
    };
    text
}

/// What stands above the rows that belong together.
fn title(row: &Row) -> String {
    let (transport, size) = (row.transport.to_uppercase(), size_text(row.size));
    match row.section {
        Section::Grid => format!("{transport}, {}", row.direction.to_uppercase()),
        Section::Pipes | Section::Stack => {
            let ours = match row.section {
                Section::Stack => "a host stack",
                _ => "a program's pipes",
            };
            let theirs = match row.against.as_deref() {
                Some("bare client") => "the client that does the least",
                Some("pipes") => "a program's pipes",
                _ => "libusb's blocking calls",
            };
            let direction = row.direction.to_uppercase();
            format!("{transport}, {direction}, {ours} against {theirs}")
        }
        Section::Asleep => format!("{transport}, the server asleep before each transfer"),
        Section::Checking => format!(
            "{transport}, what making and checking a pattern costs, {size} × {}",
            row.depth
        ),
    }
}

/// What tells a row from the others under its title.
fn lead(row: &Row) -> [String; 2] {
    let size = size_text(row.size);
    match row.section {
        Section::Grid | Section::Pipes | Section::Stack => [size, row.depth.to_string()],
        Section::Asleep => [row.direction.into(), size],
        Section::Checking => [row.direction.into(), row.device.replace("gadget-zero,", "")],
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let lead_names = match rows[0].section {
        Section::Grid | Section::Pipes | Section::Stack => ["size", "depth"],
        Section::Asleep => ["", "size"],
        Section::Checking => ["", "device"],
    };
    let mut header: Vec<String> = lead_names.map(str::to_owned).into();
    header.extend(
        [
            "MB/s",
            "per s",
            "p50\nµs",
            "p99\nµs",
            "p99.9\nµs",
            "s/GB\nclient",
            "s/GB\nserver",
        ]
        .map(str::to_owned),
    );
    if let Some(against) = &rows[0].against {
        let other = match against.as_str() {
            "the floor" => "floor",
            "gadget-zero,pattern=2" => "unchecked",
            _ => "other",
        };
        header.push(format!("{other}\nMB/s"));
        header.extend(["ratio\nMB/s", "ratio\np50"].map(str::to_owned));
    }
    let columns = header.len();
    table.set_header(header);
    table.add_rows(rows.iter().map(cells));
    align(&mut table, columns);
    table
}

fn interrupts(rows: &[InterruptRow]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let header = [
        "",
        "device",
        "period\nµs",
        "per s",
        "jitter p50\nµs",
        "p99\nµs",
        "p99.9\nµs",
    ];
    table.set_header(header);
    table.add_rows(rows.iter().map(|row| {
        [
            row.transport.clone(),
            row.device.replace("gadget-zero,", ""),
            format!("{}", row.period_us),
            format!("{:.1}", row.per_s),
            format!("{:.1}", row.jitter_p50_us),
            format!("{:.1}", row.jitter_p99_us),
            format!("{:.1}", row.jitter_p999_us),
        ]
    }));
    align(&mut table, header.len());
    table
}

fn align(table: &mut Table, columns: usize) {
    for column in 0..columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn cells(row: &Row) -> Vec<String> {
    let ours = &row.ours;
    let mut cells: Vec<String> = lead(row).into();
    cells.extend([
        format!("{:.0}", ours.mb_per_s),
        format!("{:.0}", ours.transfers_per_s),
        format!("{:.1}", ours.p50_us),
        format!("{:.1}", ours.p99_us),
        format!("{:.1}", ours.p999_us),
        format!("{:.2}", ours.client_cpu_s_per_gb),
        server_cpu(ours),
    ]);
    if let Some(theirs) = &row.theirs {
        let ratio = |ratio: Option<f64>| ratio.map(|it| format!("{it:.2}")).unwrap_or_default();
        cells.extend([
            format!("{:.0}", theirs.mb_per_s),
            ratio(row.throughput_ratio),
            ratio(row.latency_ratio),
        ]);
    }
    cells
}

fn server_cpu(figures: &Figures) -> String {
    let known = figures.server_cpu_s_per_gb;
    known.map_or("–".into(), |seconds| format!("{seconds:.2}"))
}

fn kernel_text(kernel: &KernelResults) -> String {
    let mut text = format!("\nThrough {}\n", kernel.kernel);
    push(&mut text, &kernel_table(&kernel.rows));
    for lacking in &kernel.lacking {
        text += &format!("Not compared with {lacking}\n");
    }
    text
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
