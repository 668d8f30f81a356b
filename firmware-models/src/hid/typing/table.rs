//! The tables of the layouts, as they are written.

use std::collections::BTreeMap;

use crate::hid::Key;

/// A layout's table.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// What each key types alone, with Shift, with AltGr, with both.
    pub(super) rows: Vec<(Key, Vec<Option<Symbol>>)>,
    /// What each dead key makes of what follows it.
    pub(super) dead: BTreeMap<&'static str, Vec<(Symbol, char)>>,
}

/// What a key gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Symbol {
    Character(char),
    /// An accent for what follows.
    Dead(&'static str),
}

/// A row that can't be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` can't be understood")]
pub(super) struct RowError(&'static str);

impl Symbol {
    fn parse(word: &'static str) -> Option<Self> {
        let mut characters = word.chars();
        match (characters.next(), characters.next()) {
            (Some(only), None) => Some(Self::Character(only)),
            _ if word == "space" => Some(Self::Character(' ')),
            _ if word.starts_with("dead_") => Some(Self::Dead(word)),
            _ => None,
        }
    }
}

/// Reads a table.
pub(super) fn parse(text: &'static str) -> Result<Table, RowError> {
    let mut table = Table::default();
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        let mut words = line.split_whitespace();
        let name = words.next().ok_or(RowError(line))?;
        if name.starts_with("dead_") {
            let pairs = words.map(|word| composed(word).ok_or(RowError(line)));
            table.dead.insert(name, pairs.collect::<Result<_, _>>()?);
        } else {
            let key = name.parse().map_err(|_| RowError(line))?;
            let symbols = words.map(|word| match (word, Symbol::parse(word)) {
                ("none", _) => Ok(None),
                (_, Some(symbol)) => Ok(Some(symbol)),
                (_, None) => Err(RowError(line)),
            });
            table.rows.push((key, symbols.collect::<Result<_, _>>()?));
        }
    }
    Ok(table)
}

/// `aâ`, or `space:^`.
fn composed(word: &'static str) -> Option<(Symbol, char)> {
    let result = word.chars().next_back()?;
    let base = &word[..word.len() - result.len_utf8()];
    let base = match base.strip_suffix(':') {
        Some(name) if !name.is_empty() => name,
        _ => base,
    };
    Some((Symbol::parse(base)?, result))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_none_is_told() {
        for row in ["", "any a", "a bc", "dead_acute a", "dead_acute abc:d"] {
            let text = format!("# a comment\na a A\n{row}\n").leak();
            assert_eq!(parse(text).unwrap_err(), RowError(row), "{row}");
        }
    }
}
