//! Tables of a package's text. What is read of them is checked one by one, so that everything that is wrong is told at once.

use std::{ops::RangeInclusive, str::FromStr};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    directives::Choice,
    problem::{Problems, Span},
};

/// A value, and where it is.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Span,
}

/// A table, of which keys are read one after the other; [`finish`](Self::finish) tells of those that were not.
pub(super) struct Table<'a> {
    keys: &'a DeTable<'a>,
    known: Vec<&'static str>,
    pub(super) place: Span,
}

impl<'a> Table<'a> {
    pub(super) fn new(keys: &'a DeTable<'a>, place: Span) -> Self {
        Self {
            keys,
            known: Vec::new(),
            place,
        }
    }

    fn of(value: &'a Spanned<DeValue<'a>>) -> Option<Self> {
        let keys = value.get_ref().as_table()?;
        Some(Self::new(keys, value.span()))
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.keys.get(key)
    }

    /// Whether it has a key, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// A text.
    pub(super) fn text(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<At<&'a str>> {
        let value = self.value(key)?;
        text(key, value, problems)
    }

    /// A list of texts.
    pub(super) fn texts(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<At<Vec<At<&'a str>>>> {
        let value = self.value(key)?;
        let Some(values) = value.get_ref().as_array() else {
            is_no(key, "list of texts", "['…', '…']", value, problems);
            return None;
        };
        let texts = values.iter().filter_map(|it| text(key, it, problems));
        Some(At {
            value: texts.collect(),
            place: value.span(),
        })
    }

    /// A number in a range.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u32>,
        problems: &mut Problems,
    ) -> Option<u32> {
        let value = self.value(key)?;
        let (least, most) = (range.start(), range.end());
        let Some(number) = value.get_ref().as_integer() else {
            is_no(key, "whole number", &most.to_string(), value, problems);
            return None;
        };
        let number = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let number = number.and_then(|it| u32::try_from(it).ok());
        let number = number.filter(|it| range.contains(it));
        if number.is_none() {
            problems.add(
                value.span(),
                format!("`{key}` is out of range"),
                format!("write a number from {least} to {most}"),
            );
        }
        number
    }

    /// A text of a given form.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        key: &'static str,
        form: &str,
        problems: &mut Problems,
    ) -> Option<At<T>> {
        let found = self.text(key, problems)?;
        let Ok(value) = found.value.parse() else {
            let what = format!("`{key}` can't be {:?}", found.value);
            problems.add(found.place, what, format!("write it as {form}"));
            return None;
        };
        Some(At {
            value,
            place: found.place,
        })
    }

    /// One of several values, with its place; where it is missing or wrong, the default and the table's place.
    pub(super) fn choice<T: Choice>(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> At<T> {
        let default = At {
            value: T::default(),
            place: self.place.clone(),
        };
        let Some(found) = self.text(key, problems) else {
            return default;
        };
        let named = T::VALUES.iter().find(|(name, _)| *name == found.value);
        if let Some((_, value)) = named {
            return At {
                value: *value,
                place: found.place,
            };
        }
        let names: Vec<&str> = T::VALUES.iter().map(|(name, _)| *name).collect();
        problems.add(
            found.place,
            format!("`{key}` can't be {:?}", found.value),
            match nearest(found.value, &names) {
                Some(nearest) if names.len() > 1 => {
                    format!("did you mean {nearest:?}? It can be {}", listed(&names))
                }
                _ => format!("it can be {}", listed(&names)),
            },
        );
        default
    }

    /// A table.
    pub(super) fn table(&mut self, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let value = self.value(key)?;
        let table = Self::of(value);
        if table.is_none() {
            is_no(key, "table", &format!("[{key}]"), value, problems);
        }
        table
    }

    /// A list of tables.
    pub(super) fn tables(&mut self, key: &'static str, problems: &mut Problems) -> Vec<Self> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let form = format!("[[{key}]]");
        let Some(values) = value.get_ref().as_array() else {
            is_no(key, "list of tables", &form, value, problems);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for value in values {
            match Self::of(value) {
                Some(table) => tables.push(table),
                None => is_no(key, "list of tables", &form, value, problems),
            }
        }
        tables
    }

    /// Tells of keys that nobody has read.
    pub(super) fn finish(self, problems: &mut Problems) {
        for (key, _) in self.keys {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let remedy = match nearest(name, &self.known) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("the keys here are {}", self.known.join(", ")),
            };
            problems.add(key.span(), format!("there is no key {name:?} here"), remedy);
        }
    }
}

fn text<'a>(
    key: &str,
    value: &'a Spanned<DeValue<'a>>,
    problems: &mut Problems,
) -> Option<At<&'a str>> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        is_no(key, "text", "'…'", value, problems);
    }
    text.map(|text| At {
        value: text,
        place: value.span(),
    })
}

/// Tells of a value of a wrong type.
fn is_no(
    key: &str,
    wanted: &str,
    form: &str,
    value: &Spanned<DeValue<'_>>,
    problems: &mut Problems,
) {
    let found = value.get_ref().type_str();
    problems.add(
        value.span(),
        format!("`{key}` is no {wanted}: this is of type {found}"),
        format!("write a {wanted}, such as {form}"),
    );
}

/// Names in quotes.
pub(super) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|it| format!("{it:?}")).collect();
    quoted.join(", ")
}

/// The name that was meant, where one is near enough.
pub(super) fn nearest<'a>(found: &str, names: &[&'a str]) -> Option<&'a str> {
    let near = |name: &str| strsim::jaro_winkler(&found.to_lowercase(), &name.to_lowercase());
    let rated = names.iter().map(|name| (near(name), *name));
    let best = rated.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 > 0.8).then_some(best.1)
}
