//! The ratios to the other server, as tables whose colours tell how near they are to 1.

use maud::{Markup, html};

use super::{figures::ratio, plot::depths};
use crate::bench::{Row, size_text};

/// The ratio of throughput that a server should reach.
pub(super) const MARK: f64 = 0.90;

/// Throughput and latency, of rows of one transport and direction.
pub(super) fn tables(rows: &[&Row]) -> Markup {
    let against = rows.iter().find_map(|row| row.against.as_deref());
    let against = against.unwrap_or("the other");
    let throughput = format!("Throughput, ratio to {against}");
    let latency = format!("Median latency, ratio to {against}");
    html! {
        div.figures.heat {
            (table(&throughput, &format!("marked: under {MARK:.2}"), rows, |row| row.throughput_ratio, |it| it))
            (table(&latency, &format!("marked: over {:.2}", 1.0 / MARK), rows, |row| row.latency_ratio, |it| 1.0 / it))
        }
    }
}

/// Whether a ratio of throughput, as it is written, reaches the mark.
pub(super) fn reaches_mark(value: f64) -> bool {
    rounded(value) >= MARK
}

fn rounded(ratio: f64) -> f64 {
    (ratio * 100.0).round() / 100.0
}

/// `goodness` of a ratio is 1 where the servers are equal, and more where ours is better.
fn table(
    title: &str,
    note: &str,
    rows: &[&Row],
    figure: impl Fn(&Row) -> Option<f64>,
    goodness: impl Fn(f64) -> f64,
) -> Markup {
    let depths = depths(rows);
    html! {
        figure {
            figcaption { (title) span.note { (note) } }
            table {
                thead { tr { th { "size" } @for depth in &depths { th { "× " (depth) } } } }
                tbody {
                    @for rows in rows.chunk_by(|one, next| one.size == next.size) {
                        tr {
                            th { (size_text(rows[0].size)) }
                            @for depth in &depths {
                                @match rows.iter().find(|row| row.depth == *depth).and_then(|row| figure(row)) {
                                    Some(value) => td class=(class(goodness(rounded(value)))) { (ratio(value)) },
                                    None => td {},
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn class(goodness: f64) -> &'static str {
    match goodness {
        _ if goodness >= 1.0 => "above",
        _ if goodness >= 0.95 => "near",
        _ if goodness >= MARK => "enough",
        _ if goodness >= 0.8 => "under",
        _ if goodness >= 0.6 => "far",
        _ => "bad",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_the_mark_looks_different() {
        assert_eq!(class(1.2), "above");
        assert_eq!(class(0.90), "enough");
        assert_eq!(class(0.899), "under");
        assert_eq!(class(f64::NAN), "bad");
        assert!(reaches_mark(0.896) && !reaches_mark(0.894));
    }
}
