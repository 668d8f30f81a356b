//! The whole way of an application's requests, as a table.

use maud::{Markup, html};

use super::{
    super::way::WayRow,
    figures::{number, ratio},
};

/// The section, where that was measured.
pub(super) fn section(rows: &[WayRow]) -> Markup {
    html! {
        section {
            h2 { "The whole way of requests" }
            p {
                "From an application through the reflector to a driver in a host process, and its device there; beside bare exchanges by as many sockets, processes and threads, "
                "and where data goes by shared memory a copy of as much."
            }
            div.scroll {
                table.numbers {
                    thead { tr { th {} th {} th { "ours" } th { "floor" } th { "ratio" } th { "aim" } th {} } }
                    tbody { @for row in rows { (line(row)) } }
                }
            }
        }
    }
}

fn line(row: &WayRow) -> Markup {
    html! {
        tr {
            th { (row.what) } td { (row.unit) }
            td { (number(row.ours)) } td { (number(row.floor)) } td { (ratio(row.ratio)) }
            td { (row.aim.to_string()) } td { @if !row.is_met { "missed" } }
        }
    }
}
