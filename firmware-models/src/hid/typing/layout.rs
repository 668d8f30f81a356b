//! A layout, the other way round: for a character, the keys that type it.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    str::FromStr,
    sync::Arc,
};

use super::{
    NotOnLayout, Stroke, System, UnicodeInput,
    table::{self, Symbol, Table},
};
use crate::hid::Key;

/// A layout, with its tables.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) linux: &'static str,
    pub(super) windows: &'static str,
    /// The number of its country (HID 1.11 §6.2.1).
    country: u8,
}

/// All layouts.
pub(super) static LAYOUTS: [Row; 3] = [
    Row {
        name: "us",
        linux: include_str!("layouts/us.txt"),
        windows: include_str!("layouts/us.txt"),
        country: 33,
    },
    Row {
        name: "de",
        linux: include_str!("layouts/de-linux.txt"),
        windows: include_str!("layouts/de-windows.txt"),
        country: 9,
    },
    Row {
        name: "fr",
        linux: include_str!("layouts/fr-linux.txt"),
        windows: include_str!("layouts/fr-windows.txt"),
        country: 8,
    },
];

/// Shift, and AltGr, by the columns of a table.
const MODIFIERS: [u8; 4] = [0, SHIFT, ALT_GR, SHIFT | ALT_GR];
const CTRL: u8 = 0x01;
const SHIFT: u8 = 0x02;
const ALT_GR: u8 = 0x40;

/// What every layout has, whatever is printed on its keys.
const EVERYWHERE: [(char, Key); 6] = [
    ('\n', Key::ENTER),
    ('\r', Key::ENTER),
    ('\t', Key::TAB),
    ('\u{8}', Key::BACKSPACE),
    ('\u{1b}', Key::ESC),
    (' ', Key::SPACE),
];

/// A layout of keys, as a host has it. Clones share their tables.
#[derive(Clone, Debug)]
pub struct Layout(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    name: &'static str,
    country: u8,
    /// The strokes of each character.
    typed: BTreeMap<char, Vec<Stroke>>,
}

impl Layout {
    /// The layout of that name, as hosts of a system have it; `None` where there is none.
    pub fn new(name: &str, system: System) -> Option<Self> {
        let name: LayoutName = name.parse().ok()?;
        Some(name.on(system))
    }

    /// The names of all layouts.
    pub fn names() -> impl Iterator<Item = &'static str> {
        LAYOUTS.iter().map(|row| row.name)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// The characters that can be typed.
    pub fn characters(&self) -> impl Iterator<Item = char> {
        self.0.typed.keys().copied()
    }

    pub(in crate::hid) fn country(&self) -> u8 {
        self.0.country
    }

    /// The key that types a character by itself, alone or with Shift or AltGr.
    pub(in crate::hid) fn key_of(&self, character: char) -> Option<Key> {
        match self.0.typed.get(&character)?.as_slice() {
            [stroke] => Some(stroke.key),
            _ => None,
        }
    }

    /// The strokes that type a text. A line's end is one Enter, also where it is of two characters.
    ///
    /// # Errors
    /// Where a character can't be typed.
    pub(in crate::hid) fn strokes(
        &self,
        text: &str,
        unicode: UnicodeInput,
    ) -> Result<Vec<Stroke>, NotOnLayout> {
        let mut strokes = Vec::new();
        let mut before = None;
        for (place, character) in text.chars().enumerate() {
            if (before.replace(character), character) == (Some('\r'), '\n') {
                continue;
            }
            if let Some(typed) = self.0.typed.get(&character) {
                strokes.extend(typed);
            } else if unicode == UnicodeInput::Linux
                && !character.is_control()
                && let Some(typed) = self.by_number(character)
            {
                strokes.extend(typed);
            } else {
                return Err(NotOnLayout {
                    character,
                    position: place + 1,
                    layout: self.0.name,
                });
            }
        }
        Ok(strokes)
    }

    /// Control, Shift and U, the number, Enter.
    fn by_number(&self, character: char) -> Option<Vec<Stroke>> {
        let mut number = String::new();
        write!(number, "{:x}", u32::from(character)).ok()?;
        let begin = Stroke {
            key: self.key_of('u')?,
            modifiers: CTRL | SHIFT,
        };
        let mut strokes = vec![begin];
        for digit in number.chars() {
            strokes.extend(self.0.typed.get(&digit)?);
        }
        strokes.push(Stroke::plain(Key::ENTER));
        Some(strokes)
    }
}

/// Makes for each character the strokes that type it: the first key that has it, otherwise the first dead key that makes it.
fn invert(table: &Table) -> BTreeMap<char, Vec<Stroke>> {
    let mut symbols: BTreeMap<Symbol, Stroke> = BTreeMap::new();
    for (column, modifiers) in MODIFIERS.into_iter().enumerate() {
        for (key, row) in &table.rows {
            if let Some(Some(symbol)) = row.get(column) {
                let stroke = Stroke {
                    key: *key,
                    modifiers,
                };
                symbols.entry(*symbol).or_insert(stroke);
            }
        }
    }
    let mut typed: BTreeMap<_, _> = EVERYWHERE
        .into_iter()
        .map(|(character, key)| (character, vec![Stroke::plain(key)]))
        .collect();
    for (symbol, stroke) in &symbols {
        if let Symbol::Character(character) = symbol {
            typed.entry(*character).or_insert_with(|| vec![*stroke]);
        }
    }
    for (name, made) in &table.dead {
        for (base, character) in made {
            let strokes = (symbols.get(&Symbol::Dead(name)), symbols.get(base));
            if let (Some(dead), Some(base)) = strokes {
                typed
                    .entry(*character)
                    .or_insert_with(|| vec![*dead, *base]);
            }
        }
    }
    typed
}

/// A layout that there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hid) struct NoSuchLayout;

impl fmt::Display for NoSuchLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Layout::names().collect();
        write!(f, "it takes one of {}", names.join(", "))
    }
}

/// A layout's name, which there is.
#[derive(Clone, Copy, Debug)]
pub(in crate::hid) struct LayoutName(&'static Row);

impl LayoutName {
    pub(in crate::hid) const DEFAULT: Self = Self(&LAYOUTS[0]);

    /// The layout as hosts of a system have it.
    pub(in crate::hid) fn on(self, system: System) -> Layout {
        let text = match system {
            System::Linux => self.0.linux,
            System::Windows => self.0.windows,
        };
        let table = table::parse(text).expect("the tables are tested");
        Layout(Arc::new(Inside {
            name: self.0.name,
            country: self.0.country,
            typed: invert(&table),
        }))
    }
}

impl FromStr for LayoutName {
    type Err = NoSuchLayout;

    fn from_str(name: &str) -> Result<Self, NoSuchLayout> {
        let row = LAYOUTS.iter().find(|row| row.name == name);
        row.map(Self).ok_or(NoSuchLayout)
    }
}
