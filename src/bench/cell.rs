//! What is measured: a direction, a transfer's size, how many are in flight.

use std::{fmt, time::Duration};

use crate::protocol::Direction;

/// One measurement: transfers of one size in one direction, so many at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Which way the data goes.
    pub direction: Direction,
    /// Bytes in a transfer.
    pub size: u32,
    /// Transfers in flight.
    pub depth: u32,
    /// How long the client waits after a transfer before it submits the next, so that the server goes to sleep.
    pub pause: Duration,
}

impl Cell {
    /// Its direction in a result: `in` or `out`.
    pub(super) fn direction_name(&self) -> &'static str {
        match self.direction {
            Direction::In => "in",
            Direction::Out => "out",
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = self.direction_name().to_uppercase();
        write!(f, "{direction} {} × {}", size_text(self.size), self.depth)?;
        if !self.pause.is_zero() {
            f.write_str(", asleep")?;
        }
        Ok(())
    }
}

/// The cells of a run: every direction with every size at every depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Which ways the data goes.
    pub directions: Vec<Direction>,
    /// Bytes in a transfer.
    pub sizes: Vec<u32>,
    /// Transfers in flight.
    pub depths: Vec<u32>,
}

impl Default for Grid {
    fn default() -> Self {
        Self {
            directions: vec![Direction::In, Direction::Out],
            sizes: vec![512, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20],
            depths: vec![1, 2, 4, 16, 64],
        }
    }
}

impl Grid {
    /// The cells, in the order of a table: by direction, then size, then depth.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        self.directions.iter().flat_map(move |direction| {
            self.sizes.iter().flat_map(move |size| {
                self.depths.iter().map(move |depth| Cell {
                    direction: *direction,
                    size: *size,
                    depth: *depth,
                    pause: Duration::ZERO,
                })
            })
        })
    }
}

/// A text that is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size: use bytes, or KiB and MiB as 4k and 1M; from 1 byte to 64M")]
pub struct SizeError(String);

/// Reads a size such as `512`, `4k` or `1M`.
///
/// # Errors
/// Where it is none, or is over 64 MiB.
pub fn parse_size(text: &str) -> Result<u32, SizeError> {
    let wrong = || SizeError(text.to_owned());
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" | "KiB" => 1 << 10,
        "m" | "M" | "MiB" => 1 << 20,
        _ => return Err(wrong()),
    };
    let number: u32 = digits.parse().map_err(|_| wrong())?;
    let size = number.checked_mul(unit).ok_or_else(wrong)?;
    (1..=64 << 20)
        .contains(&size)
        .then_some(size)
        .ok_or_else(wrong)
}

/// A size as [`parse_size`] reads it, in words: `512 B`, `4 KiB`, `1 MiB`.
pub fn size_text(size: u32) -> String {
    match size {
        _ if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        _ if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        _ => format!("{size} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        for (text, size) in [
            ("1", 1),
            ("512", 512),
            ("4k", 4096),
            ("1M", 1 << 20),
            ("64MiB", 64 << 20),
        ] {
            assert_eq!(parse_size(text), Ok(size));
        }
        for text in ["", "k", "0", "65M", "4g", "-1", "4 k", "9999999999", "1.5k"] {
            assert_eq!(parse_size(text), Err(SizeError(text.to_owned())));
        }
    }

    #[test]
    fn a_grid_has_a_cell_for_each_combination() {
        let grid = Grid::default();
        let cells: Vec<_> = grid.cells().collect();
        assert_eq!(cells.len(), 60);
        assert_eq!(cells[0].to_string(), "IN 512 B × 1");
        assert_eq!(cells[59].to_string(), "OUT 1 MiB × 64");
    }
}
