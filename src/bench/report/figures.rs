//! The numbers as a table, and how numbers are written.

use maud::{Markup, html};

use crate::bench::{Figures, InterruptRow, Row, Section, size_text};

/// All figures of rows of one section.
pub(super) fn table(rows: &[&Row]) -> Markup {
    let section = rows[0].section;
    let compared = rows.iter().find_map(|row| row.against.as_deref());
    let device = match section {
        Section::Checking => "the device",
        _ => &rows[0].device,
    };
    html! {
        div.scroll {
            table.numbers {
                thead {
                    tr {
                        th colspan="2" {}
                        @if compared.is_some() { th.group colspan="2" { "ratio" } }
                        th.group colspan="7" { (device) }
                        @if let Some(against) = compared { th.group colspan="6" { (against) } }
                    }
                    tr {
                        @for name in lead_names(section) { th { (name) } }
                        @if compared.is_some() { th.first { "MB/s" } th { "p50" } }
                        (figure_names(true))
                        @if compared.is_some() { (figure_names(false)) }
                    }
                }
                tbody { @for row in rows { (line(row)) } }
            }
        }
    }
}

fn line(row: &Row) -> Markup {
    html! {
        tr {
            @for text in lead(row) { th { (text) } }
            @if row.theirs.is_some() {
                td.first { (row.throughput_ratio.map(ratio).unwrap_or_default()) }
                td { (row.latency_ratio.map(ratio).unwrap_or_default()) }
            }
            (figures(&row.ours, true))
            @if let Some(theirs) = &row.theirs { (figures(theirs, false)) }
        }
    }
}

fn lead_names(section: Section) -> [&'static str; 2] {
    match section {
        Section::Grid | Section::Pipes | Section::Stack => ["size", "depth"],
        Section::Asleep => ["", "size"],
        Section::Checking => ["", "device"],
    }
}

/// What tells a row from the others of its section, or of its transport and direction.
fn lead(row: &Row) -> [String; 2] {
    let size = size_text(row.size);
    let (transport, direction) = (row.transport.to_uppercase(), row.direction.to_uppercase());
    match row.section {
        Section::Grid | Section::Pipes | Section::Stack => [size, row.depth.to_string()],
        Section::Asleep => [format!("{transport}, {direction}"), size],
        Section::Checking => [
            format!("{transport}, {direction}"),
            row.device.replace("gadget-zero,", ""),
        ],
    }
}

fn figure_names(with_rate: bool) -> Markup {
    html! {
        th.first { "MB/s" } @if with_rate { th { "transfers/s" } }
        th { "p50 µs" } th { "p99 µs" } th { "p99.9 µs" }
        th { "client" br; "s/GB" } th { "server" br; "s/GB" }
    }
}

fn figures(figures: &Figures, with_rate: bool) -> Markup {
    let server = figures.server_cpu_s_per_gb;
    html! {
        td.first { (number(figures.mb_per_s)) }
        @if with_rate { td { (number(figures.transfers_per_s)) } }
        td { (number(figures.p50_us)) } td { (number(figures.p99_us)) } td { (number(figures.p999_us)) }
        td { (number(figures.client_cpu_s_per_gb)) } td { (server.map_or("–".into(), number)) }
    }
}

/// How interrupt endpoints keep their period.
pub(super) fn interrupts(rows: &[InterruptRow]) -> Markup {
    html! {
        div.scroll {
            table.numbers {
                thead {
                    tr { th colspan="4" {} th.group colspan="3" { "jitter" } }
                    tr {
                        th {} th { "device" } th { "period µs" } th { "completions/s" }
                        th.first { "p50 µs" } th { "p99 µs" } th { "p99.9 µs" }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            th { (row.transport.to_uppercase()) } th { (row.device) }
                            td { (number(row.period_us)) } td { (number(row.per_s)) }
                            td.first { (number(row.jitter_p50_us)) } td { (number(row.jitter_p99_us)) } td { (number(row.jitter_p999_us)) }
                        }
                    }
                }
            }
        }
    }
}

/// A number to three digits, with thin spaces between thousands.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".into(),
        size if size >= 1000.0 => {
            let digits = format!("{value:.0}");
            let from_end = |place: usize| (digits.len() - place).is_multiple_of(3);
            digits
                .char_indices()
                .flat_map(|(place, digit)| {
                    let space = (place > 0 && from_end(place)).then_some('\u{2009}');
                    space.into_iter().chain([digit])
                })
                .collect()
        }
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A ratio to two digits.
pub(super) fn ratio(value: f64) -> String {
    match value.is_finite() {
        true => format!("{value:.2}"),
        false => "–".into(),
    }
}

/// A size as it stands at an axis: `512`, `4k`, `1M`.
pub(super) fn short_size(size: u32) -> String {
    let text = size_text(size);
    text.replace(" KiB", "k")
        .replace(" MiB", "M")
        .replace(" B", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_short_as_they_can_be_read() {
        for (value, text) in [
            (0.0, "0"),
            (0.056, "0.06"),
            (9.876, "9.88"),
            (98.76, "98.8"),
            (987.6, "988"),
            (9876.4, "9\u{2009}876"),
            (1_234_567.0, "1\u{2009}234\u{2009}567"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn sizes_at_an_axis_are_short() {
        assert_eq!([512, 4096, 1 << 20].map(short_size), ["512", "4k", "1M"]);
    }
}
