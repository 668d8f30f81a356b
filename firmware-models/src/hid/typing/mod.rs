//! Text as strokes of keys, by the layout that the host has: a table for each, in `layouts/`.

mod layout;
mod table;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use super::Key;
pub use layout::Layout;
pub(super) use layout::LayoutName;

/// One key that is pressed and released, with modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stroke {
    pub(super) key: Key,
    /// Bits of the report's first byte.
    pub(super) modifiers: u8,
}

impl Stroke {
    pub(super) fn plain(key: Key) -> Self {
        Self { key, modifiers: 0 }
    }
}

/// Whose layouts they are: hosts differ in what AltGr and dead keys give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum System {
    /// Linux and others with xkeyboard-config.
    #[default]
    Linux,
    /// Windows.
    Windows,
}

impl FromStr for System {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, &'static str> {
        match name {
            "linux" => Ok(Self::Linux),
            "windows" => Ok(Self::Windows),
            _ => Err("it takes linux or windows"),
        }
    }
}

/// How characters are typed that a layout lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnicodeInput {
    /// Not at all.
    #[default]
    Off,
    /// Control, Shift and U, the number in hexadecimal, Enter: what GTK and IBus on Linux understand.
    Linux,
}

impl FromStr for UnicodeInput {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, &'static str> {
        match name {
            "off" => Ok(Self::Off),
            "linux" => Ok(Self::Linux),
            _ => Err("it takes off or linux"),
        }
    }
}

/// A character that can't be typed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "character {position}, {}, is not on the layout {layout}: choose another layout, or unicode=linux where the host understands Ctrl+Shift+U",
    Named(*character)
)]
pub struct NotOnLayout {
    /// The character.
    pub character: char,
    /// Its place in the text, from 1, in characters.
    pub position: usize,
    /// The layout.
    pub layout: &'static str,
}

/// A character as errors tell it.
struct Named(char);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u32::from(self.0);
        match self.0.is_control() {
            true => write!(f, "U+{number:04X}"),
            false => write!(f, "`{}` (U+{number:04X})", self.0),
        }
    }
}
