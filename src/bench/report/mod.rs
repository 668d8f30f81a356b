//! The report: one HTML page that needs no script and no network, and the figures as JSON beside it.

mod crowd;
mod figures;
mod heat;
mod kernel;
mod plot;
mod scale;
mod way;

use std::{fs, io, path::Path};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::{
    figures::{number, ratio},
    heat::{MARK, reaches_mark},
};
use super::{
    cell::size_text,
    results::{InterruptRow, Results, Row, Section},
    sample::median,
};

const STYLE: &str = include_str!("style.css");
/// Nothing is loaded and nothing is run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Writes `index.html` and `results.json` into a folder, which is made where there is none.
///
/// # Errors
/// Where they can't be written.
pub fn write(results: &Results, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let json = serde_json::to_string_pretty(results)?;
    fs::write(folder.join("results.json"), json + "\n")?;
    fs::write(folder.join("index.html"), page(results))
}

/// The page.
pub fn page(results: &Results) -> String {
    let of = |section| move |row: &&Row| row.section == section;
    let grid: Vec<_> = results.rows.iter().filter(of(Section::Grid)).collect();
    let asleep: Vec<_> = results.rows.iter().filter(of(Section::Asleep)).collect();
    let checking: Vec<_> = results.rows.iter().filter(of(Section::Checking)).collect();
    let pipes: Vec<_> = results.rows.iter().filter(of(Section::Pipes)).collect();
    let stack: Vec<_> = results.rows.iter().filter(of(Section::Stack)).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { "usbwright bench: " (results.method.subject) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(results))
                main {
                    @if !grid.is_empty() { (summary(&grid)) }
                    @for rows in grid.chunk_by(|one, next| same_way(one, next)) { (way(rows)) }
                    @if !asleep.is_empty() { (asleep_section(&asleep)) }
                    @if !checking.is_empty() { (checking_section(&checking)) }
                    @for rows in pipes.chunk_by(|one, next| same_way(one, next)) { (pipes_section(rows)) }
                    @for rows in stack.chunk_by(|one, next| same_way(one, next)) { (stack_section(rows)) }
                    @if !results.interrupts.is_empty() { (interrupt_section(&results.interrupts)) }
                    @if let Some(rows) = &results.crowd { (crowd::section(rows)) }
                    @if let Some(rows) = &results.way { (way::section(rows)) }
                    @match &results.kernel {
                        Some(kernel) => { (kernel::section(kernel)) (kernel_method(results)) },
                        None => (method(results)),
                    }
                }
            }
        }
    };
    page.into_string()
}

fn same_way(one: &Row, other: &Row) -> bool {
    (&one.transport, one.direction) == (&other.transport, other.direction)
}

fn header(results: &Results) -> Markup {
    let (machine, method) = (&results.machine, &results.method);
    html! {
        header {
            h1 { "Bulk I/O of " (method.subject) }
            @if let Some(against) = &method.against { p.lede { "measured against " (against) } }
            dl.facts {
                div { dt { "Machine" } dd { (machine.processors) " × " (machine.processor) } }
                div { dt { "Kernel" } dd { (machine.kernel) } }
                div { dt { "usbwright" } dd { (machine.version) } }
                div { dt { "Load as it began" } dd { (machine.load) } }
                div { dt { "Runs" } dd { (method.pairs) " × " (method.seconds) " s" } }
            }
            @if !machine.release_build {
                p.warning { "This is no release build: its figures say little." }
            }
            @if let Some(error) = &results.error {
                p.warning { "The run ended before its time, so that rows are missing: " (error) "." }
            }
        }
    }
}

/// What a reader wants to know first.
fn summary(grid: &[&Row]) -> Markup {
    let fastest = grid
        .iter()
        .max_by(|one, other| one.ours.mb_per_s.total_cmp(&other.ours.mb_per_s));
    let quickest = grid
        .iter()
        .min_by(|one, other| one.ours.p50_us.total_cmp(&other.ours.p50_us));
    let ratios = || {
        grid.iter()
            .filter_map(|row| Some((row, row.throughput_ratio?)))
    };
    let lowest = ratios().min_by(|one, other| one.1.total_cmp(&other.1));
    let above = ratios().filter(|(_, ratio)| reaches_mark(*ratio)).count();
    html! {
        div.tiles {
            @if let Some((row, lowest)) = lowest {
                (tile("Throughput, ratio", &ratio(median(ratios().map(|it| it.1))), "median of all cells"))
                (tile(&format!("Cells at {MARK:.2} or above"), &above.to_string(), &format!("of {}", ratios().count())))
                (tile("Lowest ratio", &ratio(lowest), &name(row)))
            }
            @if let Some(row) = fastest {
                (tile("Highest throughput", &format!("{} MB/s", number(row.ours.mb_per_s)), &name(row)))
            }
            @if let Some(row) = quickest {
                (tile("Lowest median latency", &format!("{} µs", number(row.ours.p50_us)), &name(row)))
            }
        }
    }
}

fn tile(title: &str, value: &str, note: &str) -> Markup {
    html! { div.tile { span.title { (title) } strong { (value) } span.note { (note) } } }
}

/// Which cell a row is of.
fn name(row: &Row) -> String {
    let (transport, direction) = (row.transport.to_uppercase(), row.direction.to_uppercase());
    format!(
        "{transport}, {direction}, {} × {}",
        size_text(row.size),
        row.depth
    )
}

/// The grid of one transport and direction.
fn way(rows: &[&Row]) -> Markup {
    let (transport, direction) = (rows[0].transport.to_uppercase(), rows[0].direction);
    let meaning = match direction {
        "in" => "from the device",
        _ => "to the device",
    };
    html! {
        section {
            h2 { (transport) ", " (direction.to_uppercase()) span.note { (meaning) } }
            (plot::legend(rows))
            div.figures {
                (plot::plot("Throughput", plot::Unit::Rate, rows, |it| it.mb_per_s))
                (plot::plot("Latency, p50", plot::Unit::Time, rows, |it| it.p50_us))
                (plot::plot("Latency, p99", plot::Unit::Time, rows, |it| it.p99_us))
            }
            @if rows.iter().any(|row| row.theirs.is_some()) { (heat::tables(rows)) }
            details { summary { "The figures" } (figures::table(rows)) }
        }
    }
}

fn asleep_section(rows: &[&Row]) -> Markup {
    html! {
        section {
            h2 { "A server that sleeps" }
            p { "One transfer at a time. After each the client waits 3 ms, so that a server which polls for a while has gone to sleep when the next comes." }
            (figures::table(rows))
        }
    }
}

fn pipes_section(rows: &[&Row]) -> Markup {
    html! {
        section {
            h2 { "A program's pipes, " (rows[0].transport.to_uppercase()) ", " (rows[0].direction.to_uppercase()) }
            p { "The pipes of usb-target, as a program uses them, against a client that does the least; both drive the floor." }
            (figures::table(rows))
        }
    }
}

fn stack_section(rows: &[&Row]) -> Markup {
    html! {
        section {
            h2 { "A host stack, " (rows[0].transport.to_uppercase()) ", " (rows[0].direction.to_uppercase()) }
            p { "The shortest driver above the device, as an application uses it, against " (rows[0].against.as_deref().unwrap_or_default()) "." }
            (figures::table(rows))
        }
    }
}

fn checking_section(rows: &[&Row]) -> Markup {
    html! {
        section {
            h2 { "What checking costs" }
            p {
                "A device that makes a pattern and checks what it is sent, in pairs with one that sends zeros and takes anything (" code { "pattern=2" } "), "
                (size_text(rows[0].size)) " × " (rows[0].depth) ": "
                code { "pattern=0" } " is zeros, " code { "pattern=1" } " counts to 62 again and again."
            }
            (figures::table(rows))
        }
    }
}

fn interrupt_section(rows: &[InterruptRow]) -> Markup {
    html! {
        section {
            h2 { "Interrupt endpoints" }
            p {
                "An interrupt endpoint ends one transfer in each of its periods; " (rows[0].depth) " are in flight. "
                "Jitter is how far the time between two completions, as the client reads them, is from the period, either way."
            }
            (figures::interrupts(rows))
        }
    }
}

fn method(results: &Results) -> Markup {
    let method = &results.method;
    html! {
        section.method {
            h2 { "Method" }
            @match &method.against {
                Some(against) => p {
                    "Each cell was run " (method.pairs) " times on each server, for " (method.seconds) " s after a fifth of that which is not counted, "
                    "in pairs: one server right after the other, and whose turn is first changes from pair to pair. "
                    "Figures are medians over the runs. A ratio is the median of the pairs' ratios, of " (method.subject) " to " (against) "."
                },
                None => p {
                    "Each cell was run " (method.pairs) " times, for " (method.seconds) " s after a fifth of that which is not counted. Figures are medians over the runs."
                },
            }
            p {
                "The floor is a server with no USB in it: one thread, large reads, and one gathered write of canned replies to all that came with a read. "
                "No server can do less for a transfer, so the ratio to it tells what is lost."
            }
            p {
                "The client is one thread that keeps so many transfers in flight (the depth) and submits a new one for each that ends. It does not look at the data. "
                "Latency is from before a transfer is sent until its reply has been read. MB are 10⁶ bytes, GB 10⁹; sizes are of powers of two. "
                "CPU time is that of the client's thread, and of the server's process where bench started it."
            }
            p { "Client and server share this machine, and its processors." }
        }
    }
}

fn kernel_method(results: &Results) -> Markup {
    let (pairs, seconds) = (results.method.pairs, results.method.seconds);
    html! {
        section.method {
            h2 { "Method" }
            p {
                "Each cell was run in " (pairs) " pairs, each run for about " (seconds) " s: one device right after the other, in the same boot. "
                "Figures are medians over the runs, and a ratio is the median of the pairs' ratios, ours to the other's. "
                "µs is the time of a run over its transfers: at depth 1, what one takes. MB are 10⁶ bytes; sizes are of powers of two."
            }
            p {
                code { "usbtest" } "'s cases 1 and 2 do one transfer at a time, 27 and 28 keep a queue. Our device and the floor are attached over USB/IP; "
                code { "dummy_hcd" } " is the kernel's own emulated controller, with no USB/IP, and " code { "usbip-vudc" } " its USB/IP device, both with the kernel's own Gadget Zero."
            }
        }
    }
}
