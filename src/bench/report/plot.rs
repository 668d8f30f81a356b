//! Plots of a figure by transfer size, with a line for each depth.

use maud::{Markup, html};

use super::{
    figures::{number, short_size},
    scale::{Scale, is_decade, ticks},
};
use crate::bench::{Figures, Row, size_text};

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = WIDTH - 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = HEIGHT - 36.0;

/// What a plot's values are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// MB/s.
    Rate,
    /// µs.
    Time,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Rate => "MB/s",
            Self::Time => "µs",
        }
    }
}

/// What the lines' colours and dashes are.
pub(super) fn legend(rows: &[&Row]) -> Markup {
    let depths = depths(rows);
    let against = rows.iter().find_map(|row| row.against.as_deref());
    html! {
        p.legend {
            "In flight: "
            @for (place, depth) in depths.iter().enumerate() {
                span.key style=(hue(place, depths.len())) { (depth) }
            }
            @if let Some(against) = against {
                span.dash { "dashed: " (against) }
            }
        }
    }
}

/// A figure of these rows, which are of one transport and direction.
pub(super) fn plot(
    title: &str,
    unit: Unit,
    rows: &[&Row],
    figure: impl Fn(&Figures) -> f64,
) -> Markup {
    let sizes: Vec<f64> = rows.iter().map(|row| row.size.into()).collect();
    let ends = |values: &[f64]| {
        let low = values.iter().copied().fold(f64::MAX, f64::min);
        (low, values.iter().copied().fold(0.0, f64::max))
    };
    let all = rows
        .iter()
        .flat_map(|row| [Some(&row.ours), row.theirs.as_ref()]);
    let ticks = ticks(all.flatten().map(&figure));
    let x = Scale::new(ends(&sizes), (LEFT + 12.0, RIGHT - 12.0));
    let y = Scale::new(ends(&ticks), (BOTTOM, TOP));
    let depths = depths(rows);
    html! {
        figure {
            figcaption { (title) span.note { (unit.name()) } }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("{title} by size, in {}", unit.name())) {
                (grid_lines(&x, &y, rows, &ticks))
                @for (place, depth) in depths.iter().enumerate() {
                    g.line style=(hue(place, depths.len())) {
                        @let of_depth = || rows.iter().filter(|row| row.depth == *depth);
                        @let theirs: Vec<_> = of_depth().filter_map(|row| Some((row.size, figure(row.theirs.as_ref()?)))).collect();
                        @let ours: Vec<_> = of_depth().map(|row| (row.size, figure(&row.ours))).collect();
                        polyline.theirs points=(path(&theirs, &x, &y)) {}
                        polyline points=(path(&ours, &x, &y)) {}
                        @for (size, value) in ours.iter().filter(|it| drawable(it.1)) {
                            circle cx=(place_text(x.at((*size).into()))) cy=(place_text(y.at(*value))) r="3" {
                                title { (size_text(*size)) " × " (depth) ": " (number(*value)) " " (unit.name()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn grid_lines(x: &Scale, y: &Scale, rows: &[&Row], ticks: &[f64]) -> Markup {
    let mut sizes: Vec<u32> = rows.iter().map(|row| row.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let all_named = ticks.len() <= 7;
    html! {
        g.axes {
            @for tick in ticks {
                @let at = place_text(y.at(*tick));
                line x1=(LEFT) x2=(RIGHT) y1=(at) y2=(at) class=(if is_decade(*tick) { "decade" } else { "minor" }) {}
                @if all_named || is_decade(*tick) {
                    text x=(LEFT - 6.0) y=(at) text-anchor="end" dominant-baseline="central" { (number(*tick)) }
                }
            }
            @for size in sizes {
                @let at = place_text(x.at(size.into()));
                line x1=(at) x2=(at) y1=(BOTTOM) y2=(BOTTOM + 4.0) {}
                text x=(at) y=(BOTTOM + 17.0) text-anchor="middle" { (short_size(size)) }
            }
            text x=((LEFT + RIGHT) / 2.0) y=(HEIGHT - 4.0) text-anchor="middle" { "bytes in a transfer" }
        }
    }
}

fn path(points: &[(u32, f64)], x: &Scale, y: &Scale) -> String {
    let drawable = points.iter().filter(|it| drawable(it.1));
    let text = drawable.map(|(size, value)| {
        let (x, y) = (x.at((*size).into()), y.at(*value));
        format!("{},{}", place_text(x), place_text(y))
    });
    text.collect::<Vec<_>>().join(" ")
}

fn drawable(value: f64) -> bool {
    value.is_normal() && value > 0.0
}

fn place_text(place: f64) -> String {
    format!("{place:.1}")
}

pub(super) fn depths(rows: &[&Row]) -> Vec<u32> {
    let mut depths: Vec<u32> = rows.iter().map(|row| row.depth).collect();
    depths.sort_unstable();
    depths.dedup();
    depths
}

/// The colour of one of so many lines: from blue over red to amber.
fn hue(place: usize, count: usize) -> String {
    let step = 180 / count.saturating_sub(1).max(1);
    format!("--hue: {}", 225 + place * step)
}
