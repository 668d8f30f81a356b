//! Lines in columns: names, values and what they mean, indented as the descriptors are nested.

use std::fmt::{Display, Write as _};

/// Spaces that each level is indented by.
const STEP: usize = 2;
/// The column in which values end.
const VALUE_END: usize = 40;
/// The column in which what they mean begins.
const MEANING: usize = 42;
/// The widest line, in columns.
pub(super) const WIDTH: usize = 100;
/// Bytes in a line of hexadecimal numbers.
const ROW: usize = 16;

/// A text that grows line by line.
#[derive(Default)]
pub(super) struct Page {
    text: String,
    depth: usize,
}

impl Page {
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// A line of words.
    pub(super) fn words(&mut self, words: &str) {
        let indent = self.depth * STEP;
        for part in wrapped(words, WIDTH - indent) {
            self.push(&format!("{:indent$}{part}", ""));
        }
    }

    /// What `write` writes, one level deeper under a line of words.
    pub(super) fn under(&mut self, heading: &str, write: impl FnOnce(&mut Self)) {
        self.words(heading);
        self.deeper(1, write);
    }

    /// What `write` writes, so many levels deeper.
    pub(super) fn deeper(&mut self, levels: usize, write: impl FnOnce(&mut Self)) {
        self.depth += levels;
        write(self);
        self.depth -= levels;
    }

    /// A name, a value and what it means.
    pub(super) fn line(&mut self, name: &str, value: impl Display, meaning: impl Display) {
        let indent = self.depth * STEP;
        let value = value.to_string();
        let width = (VALUE_END - indent).saturating_sub(name.len() + 1);
        let mut line = format!("{:indent$}{name} {value:>width$}", "");
        for part in wrapped(&meaning.to_string(), WIDTH - MEANING) {
            let _ = write!(
                line,
                "{:1$}{part}",
                "",
                MEANING.saturating_sub(columns(&line))
            );
            self.push(&line);
            line.clear();
        }
        if !line.is_empty() {
            self.push(&line);
        }
    }

    /// Bytes as hexadecimal numbers, in as many lines as they take.
    pub(super) fn hex(&mut self, name: &str, bytes: &[u8]) {
        let mut name = name;
        for row in bytes.chunks(ROW) {
            let row: Vec<_> = row.iter().map(|byte| format!("{byte:02x}")).collect();
            self.line(name, "", row.join(" "));
            name = "";
        }
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// The fields of a descriptor, taken one after the other. Those that it is too short for are left out.
pub(super) struct Fields<'p, 'b> {
    pub(super) page: &'p mut Page,
    rest: &'b [u8],
}

impl<'p, 'b> Fields<'p, 'b> {
    pub(super) fn new(page: &'p mut Page, bytes: &'b [u8]) -> Self {
        Self { page, rest: bytes }
    }

    /// Bytes that no field has taken yet.
    pub(super) fn left(&self) -> &'b [u8] {
        self.rest
    }

    /// A byte as a number, and what it means.
    pub(super) fn number<M: Display>(
        &mut self,
        name: &str,
        meaning: impl FnOnce(u8) -> M,
    ) -> Option<u8> {
        let [value] = self.take()?;
        self.page.line(name, value, meaning(value));
        Some(value)
    }

    /// A byte in hexadecimal, and what it means.
    pub(super) fn bits<M: Display>(
        &mut self,
        name: &str,
        meaning: impl FnOnce(u8) -> M,
    ) -> Option<u8> {
        let [value] = self.take()?;
        let shown = format!("{value:#04x}");
        self.page.line(name, shown, meaning(value));
        Some(value)
    }

    /// Two bytes as a number.
    pub(super) fn number_16<M: Display>(
        &mut self,
        name: &str,
        meaning: impl FnOnce(u16) -> M,
    ) -> Option<u16> {
        let value = u16::from_le_bytes(self.take()?);
        self.page.line(name, value, meaning(value));
        Some(value)
    }

    /// Two bytes in hexadecimal.
    pub(super) fn bits_16<M: Display>(
        &mut self,
        name: &str,
        meaning: impl FnOnce(u16) -> M,
    ) -> Option<u16> {
        let value = u16::from_le_bytes(self.take()?);
        let shown = format!("{value:#06x}");
        self.page.line(name, shown, meaning(value));
        Some(value)
    }

    /// Four bytes in hexadecimal.
    pub(super) fn bits_32<M: Display>(
        &mut self,
        name: &str,
        meaning: impl FnOnce(u32) -> M,
    ) -> Option<u32> {
        let value = u32::from_le_bytes(self.take()?);
        let shown = format!("{value:#010x}");
        self.page.line(name, shown, meaning(value));
        Some(value)
    }

    /// Two bytes that are a release in BCD.
    pub(super) fn release(&mut self, name: &str) {
        if let Some(value) = self.take() {
            let release = release(u16::from_le_bytes(value));
            self.page.line(name, release, "");
        }
    }

    /// Sixteen bytes that are a UUID, and what it is for.
    pub(super) fn uuid<M: Display>(
        &mut self,
        name: &str,
        meaning: impl FnOnce([u8; 16]) -> M,
    ) -> Option<[u8; 16]> {
        let value = self.take()?;
        self.page.line(name, "", uuid(value));
        let meaning = meaning(value).to_string();
        if !meaning.is_empty() {
            self.page.line("", "", meaning);
        }
        Some(value)
    }

    /// Everything that is left, as it is.
    pub(super) fn rest(&mut self, name: &str) {
        self.page.hex(name, self.rest);
        self.rest = &[];
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*value)
    }
}

/// For fields that say all there is to say.
pub(super) fn nothing<T>(_: T) -> &'static str {
    ""
}

/// The words of the bits that are set.
pub(super) fn words_of(bits: u32, words: &[(u32, &str)]) -> String {
    let set = words.iter().filter(|(bit, _)| bits & bit != 0);
    let set: Vec<_> = set.map(|(_, word)| *word).collect();
    set.join(", ")
}

/// A release in BCD, such as 3.20.
pub(super) fn release(bcd: u16) -> String {
    format!("{:x}.{:02x}", bcd >> 8, bcd & 0xff)
}

/// A UUID as Microsoft orders its bytes.
pub(super) fn uuid(bytes: [u8; 16]) -> String {
    let hex = |positions: &[usize]| -> String {
        let digits = positions.iter().map(|at| format!("{:02x}", bytes[*at]));
        digits.collect()
    };
    format!(
        "{{{}-{}-{}-{}-{}}}",
        hex(&[3, 2, 1, 0]),
        hex(&[5, 4]),
        hex(&[7, 6]),
        hex(&[8, 9]),
        hex(&[10, 11, 12, 13, 14, 15])
    )
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// The text in lines of at most `width` columns, cut at spaces where there are any. Nothing makes no line.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        if !line.is_empty() && columns(&line) + columns(word.trim_end()) > width {
            lines.push(std::mem::take(&mut line));
        }
        for char in word.chars() {
            if columns(&line) == width && char != ' ' {
                lines.push(std::mem::take(&mut line));
            }
            line.push(char);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}
