//! What was measured through a kernel: a table, with each ratio drawn beside the others.

use maud::{Markup, html};

use super::{
    figures::{number, ratio},
    heat::MARK,
    scale::Scale,
};
use crate::bench::{KernelResults, KernelRow, size_text};

const WIDTH: f64 = 260.0;
const HEIGHT: f64 = 18.0;

pub(super) fn section(results: &KernelResults) -> Markup {
    html! {
        section {
            h2 { "Through " (results.kernel) }
            p {
                "The kernel's " code { "usbtest" } " driver drives our device and, in the same boot, the one that it is compared with. "
                "A bar is our device's throughput over the other's, the line on it from the lowest to the highest of the pairs."
            }
            div.scroll { table.numbers {
                thead {
                    tr {
                        th colspan="5" {} th.group colspan="2" { "ours" } th.group colspan="2" { "the other" } th {}
                        th { (axis(&scale(results))) }
                    }
                    tr {
                        th { "against" } th {} th { "case" } th { "size" } th { "depth" }
                        th.first { "MB/s" } th { "µs" } th.first { "MB/s" } th { "µs" }
                        th.first { "ratio" } th {}
                    }
                }
                tbody { @for row in &results.rows { (line(row, &scale(results))) } }
            } }
            @for lacking in &results.lacking { p.note { "Not compared with " (lacking) } }
        }
    }
}

fn line(row: &KernelRow, scale: &Scale) -> Markup {
    html! {
        tr {
            th { (row.against) } th { (row.direction.to_uppercase()) } th { (row.case) }
            th { (size_text(row.size)) } th { (row.depth) }
            td.first { (number(row.ours.mb_per_s)) } td { (number(row.ours.us_per_transfer)) }
            td.first { (number(row.theirs.mb_per_s)) } td { (number(row.theirs.us_per_transfer)) }
            td.first { (ratio(row.throughput_ratio)) }
            td { (bar(row, scale)) }
        }
    }
}

/// One on which every ratio of the results and 1 have a place.
fn scale(results: &KernelResults) -> Scale {
    let ratios = results
        .rows
        .iter()
        .flat_map(|row| [row.lowest_ratio, row.highest_ratio]);
    let drawable = ratios.filter(|it| it.is_normal() && *it > 0.0);
    let (low, high) = drawable.fold((0.8_f64, 1.25_f64), |(low, high), it| {
        (low.min(it), high.max(it))
    });
    Scale::new((low, high), (8.0, WIDTH - 8.0))
}

fn bar(row: &KernelRow, scale: &Scale) -> Markup {
    let at = |ratio: f64| if ratio > 0.0 { scale.at(ratio) } else { 0.0 };
    let (one, ours) = (scale.at(1.0), at(row.throughput_ratio));
    let class = match row.throughput_ratio < MARK {
        true => "short",
        false => "long",
    };
    let middle = HEIGHT / 2.0;
    html! {
        svg.bar viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(ratio(row.throughput_ratio)) {
            line.mark x1=(scale.at(MARK)) x2=(scale.at(MARK)) y1="0" y2=(HEIGHT) {}
            line.one x1=(one) x2=(one) y1="0" y2=(HEIGHT) {}
            rect class=(class) x=(one.min(ours)) y="4" width=((ours - one).abs()) height=(HEIGHT - 8.0) {}
            line.range x1=(at(row.lowest_ratio)) x2=(at(row.highest_ratio)) y1=(middle) y2=(middle) {}
        }
    }
}

fn axis(scale: &Scale) -> Markup {
    html! {
        svg.bar viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) aria-hidden="true" {
            text x=(scale.at(MARK)) y="14" text-anchor="end" { (ratio(MARK)) }
            text x=(scale.at(1.0)) y="14" text-anchor="start" { "1" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::KernelFigures;

    #[test]
    fn a_row_is_told_and_drawn_whatever_its_ratio() {
        let figures = |mb_per_s| KernelFigures {
            mb_per_s,
            us_per_transfer: 4096.0 / mb_per_s,
        };
        let row = |against: &str, throughput_ratio: f64| KernelRow {
            against: against.into(),
            case: 27,
            direction: "out".into(),
            size: 4096,
            depth: 32,
            ours: figures(120.0 * throughput_ratio),
            theirs: figures(120.0),
            throughput_ratio,
            lowest_ratio: throughput_ratio * 0.9,
            highest_ratio: throughput_ratio * 1.1,
        };
        let results = KernelResults {
            kernel: "Linux 6.12".into(),
            rows: vec![row("floor", 0.86), row("dummy_hcd", 2.0), row("<x>", 0.0)],
            lacking: vec!["usbip-vudc: there is none".into()],
        };
        let section = section(&results).into_string();
        for part in [
            "Linux 6.12",
            "dummy_hcd",
            "&lt;x&gt;",
            "0.86",
            "2.00",
            "Not compared with usbip-vudc",
        ] {
            assert!(section.contains(part), "{part}: {section}");
        }
        assert!(
            !section.contains("NaN") && !section.contains("inf"),
            "{section}"
        );
    }
}
