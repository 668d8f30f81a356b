//! Many devices that are busy at once, as a table.

use maud::{Markup, html};

use super::{
    super::{cell::size_text, crowd::CrowdRow},
    figures::{number, ratio},
};

/// The section, where many devices were measured.
pub(super) fn section(rows: &[CrowdRow]) -> Markup {
    html! {
        section {
            h2 { "Many devices at once" }
            p {
                "Every device of one server is busy, with a client thread of its own; beside it, as many connections to the floor, and one that is alone. "
                "Least and most are what a device got in any run, as parts of an equal share."
            }
            div.scroll {
                table.numbers {
                    thead {
                        tr {
                            th colspan="5" {} th.group colspan="3" { "ours" } th.group colspan="4" { "the floor" } th.group colspan="2" { "one connection" }
                        }
                        tr {
                            th {} th {} th { "size" } th { "depth" } th { "devices" }
                            th.first { "MB/s" } th { "least" } th { "most" }
                            th.first { "MB/s" } th { "least" } th { "most" } th { "ratio" }
                            th.first { "MB/s" } th { "ratio" }
                        }
                    }
                    tbody { @for row in rows { (line(row)) } }
                }
            }
        }
    }
}

fn line(row: &CrowdRow) -> Markup {
    html! {
        tr {
            th { (row.transport.to_uppercase()) } th { (row.direction.to_uppercase()) }
            td { (size_text(row.size)) } td { (row.depth) } td { (row.devices) }
            @for (figures, compared) in [(&row.ours, None), (&row.floor, Some(row.floor_ratio))] {
                td.first { (number(figures.mb_per_s)) }
                td { (ratio(figures.least_share)) } td { (ratio(figures.most_share)) }
                @if let Some(compared) = compared { td { (ratio(compared)) } }
            }
            td.first { (number(row.alone_mb_per_s)) } td { (ratio(row.alone_ratio)) }
        }
    }
}
