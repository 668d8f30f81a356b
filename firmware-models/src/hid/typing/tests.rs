//! Every character of every layout, typed and read back by a model of a host.

use super::{
    layout::LAYOUTS,
    table::{self, Symbol, Table},
    *,
};

/// A host that has a layout: what it makes of strokes.
struct Reader {
    table: Table,
    dead: Option<&'static str>,
}

impl Reader {
    fn new(text: &'static str) -> Self {
        Self {
            table: table::parse(text).unwrap(),
            dead: None,
        }
    }

    fn read(&mut self, strokes: &[Stroke]) -> String {
        strokes.iter().filter_map(|it| self.stroke(*it)).collect()
    }

    fn stroke(&mut self, stroke: Stroke) -> Option<char> {
        let Some((_, row)) = self.table.rows.iter().find(|(key, _)| *key == stroke.key) else {
            return match stroke.key {
                Key::ENTER => Some('\n'),
                Key::TAB => Some('\t'),
                Key::ESC => Some('\u{1b}'),
                Key::BACKSPACE => Some('\u{8}'),
                other => panic!("{other} types nothing"),
            };
        };
        let column = match stroke.modifiers {
            0 => 0,
            0x02 => 1,
            0x40 => 2,
            0x42 => 3,
            other => panic!("no character has the modifiers {other:#x}"),
        };
        let symbol = row[column].unwrap();
        match (self.dead.take(), symbol) {
            (Some(dead), symbol) => {
                let made = self.table.dead[dead]
                    .iter()
                    .find(|(base, _)| *base == symbol);
                Some(made.unwrap().1)
            }
            (None, Symbol::Dead(name)) => {
                self.dead = Some(name);
                None
            }
            (None, Symbol::Character(character)) => Some(character),
        }
    }
}

fn every_layout() -> impl Iterator<Item = (Layout, Reader)> {
    LAYOUTS.iter().flat_map(|row| {
        [(System::Linux, row.linux), (System::Windows, row.windows)]
            .map(|(system, text)| (Layout::new(row.name, system).unwrap(), Reader::new(text)))
    })
}

#[test]
fn every_character_of_every_layout_is_typed_and_read_back() {
    for (layout, mut reader) in every_layout() {
        for character in layout.characters().filter(|it| *it != '\r') {
            let text = character.to_string();
            let strokes = layout.strokes(&text, UnicodeInput::Off).unwrap();
            assert_eq!(reader.read(&strokes), text, "{}", layout.name());
        }
    }
}

#[test]
fn every_key_of_every_table_types_what_it_has() {
    for (layout, reader) in every_layout() {
        for symbol in reader.table.rows.iter().flat_map(|(_, row)| row).flatten() {
            match symbol {
                Symbol::Character(character) => {
                    assert!(layout.key_of(*character).is_some(), "{character}");
                }
                Symbol::Dead(name) => assert!(reader.table.dead.contains_key(name), "{name}"),
            }
        }
        assert!(reader.table.rows.len() >= 48, "{}", layout.name());
    }
}

#[test]
fn every_printable_character_of_ascii_is_on_every_layout() {
    let ascii: String = (' '..='~').collect();
    for (layout, mut reader) in every_layout() {
        let strokes = layout.strokes(&ascii, UnicodeInput::Off).unwrap();
        assert_eq!(reader.read(&strokes), ascii, "{}", layout.name());
    }
}

#[test]
fn texts_of_a_language_are_typed_on_its_layout() {
    for (name, text) in [
        (
            "de",
            "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich: 5 €, [a@b] {~\\|}\n",
        ),
        (
            "fr",
            "Dès Noël, où un zéphyr haï me vêt, l'Île déçoit à 5 € : {#~@}\t`exceptés`\n",
        ),
    ] {
        for (layout, mut reader) in every_layout().filter(|(it, _)| it.name() == name) {
            let strokes = layout.strokes(text, UnicodeInput::Off).unwrap();
            assert_eq!(reader.read(&strokes), text);
        }
    }
}

#[test]
fn a_line_ends_with_one_enter_however_it_is_written() {
    let layout = Layout::new("us", System::Linux).unwrap();
    let strokes = layout.strokes("\n\r\n\r\r\n", UnicodeInput::Off).unwrap();
    assert_eq!(strokes, [Stroke::plain(Key::ENTER); 4]);
}

#[test]
fn a_character_that_is_on_no_key_is_told_with_its_place_and_the_layout() {
    let layout = Layout::new("us", System::Windows).unwrap();
    let told = |text| {
        layout
            .strokes(text, UnicodeInput::Off)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        told("für"),
        "character 2, `ü` (U+00FC), is not on the layout us: choose another layout, or unicode=linux where the host understands Ctrl+Shift+U"
    );
    assert!(told("ab\0").starts_with("character 3, U+0000, is not on"));
    // No number helps with these.
    assert!(layout.strokes("\0", UnicodeInput::Linux).is_err());
}

#[test]
fn what_a_layout_lacks_is_typed_by_its_number_where_that_is_wanted() {
    let layout = Layout::new("fr", System::Linux).unwrap();
    let strokes = layout.strokes("a🦀", UnicodeInput::Linux).unwrap();
    let (begin, rest) = strokes[1..].split_first().unwrap();
    assert_eq!(
        (begin.key, begin.modifiers),
        (layout.key_of('u').unwrap(), 0x03)
    );
    let mut reader = Reader::new(LAYOUTS[2].linux);
    assert_eq!(reader.read(rest), "1f980\n");
}
