//! The keys and values of a spec, taken one by one by the model that they are for.

use std::{collections::VecDeque, fmt::Display, str::FromStr};

use crate::{disk::Drive, nearest::did_you_mean};

/// What a user gave for a model, by key.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    given: Vec<(String, Option<String>)>,
    /// What a device had before, that is made anew.
    drives: VecDeque<Drive>,
}

/// A parameter that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// No such key.
    #[error(
        "there is no parameter `{key}`{}: it takes {}",
        did_you_mean(key, known.iter().map(String::as_str)),
        known.join(", ")
    )]
    Unknown {
        /// The key.
        key: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A key given twice.
    #[error("parameter `{0}` is given twice")]
    Twice(String),
    /// A key without a value that needs one.
    #[error("parameter `{0}` needs a value: write {0}=…")]
    NoValue(String),
    /// A value that does not do.
    #[error("`{value}` is no value for parameter `{key}`: {rule}")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What would do.
        rule: String,
    },
}

impl Parameters {
    /// Adds a key with its value, if it has one.
    ///
    /// # Errors
    /// Where the key is there already.
    pub fn add(&mut self, key: &str, value: Option<&str>) -> Result<(), ParameterError> {
        if self.given.iter().any(|(known, _)| known == key) {
            return Err(ParameterError::Twice(key.to_owned()));
        }
        self.add_again(key, value);
        Ok(())
    }

    /// Adds a key that may be there already. Each is taken by itself, in order.
    pub fn add_again(&mut self, key: &str, value: Option<&str>) {
        self.given.push((key.to_owned(), value.map(str::to_owned)));
    }

    /// Takes a key's value, as text.
    ///
    /// # Errors
    /// Where the key is there without a value.
    pub fn text(&mut self, key: &str) -> Result<Option<String>, ParameterError> {
        let Some(place) = self.given.iter().position(|(known, _)| known == key) else {
            return Ok(None);
        };
        match self.given.remove(place) {
            (_, Some(value)) => Ok(Some(value)),
            (key, None) => Err(ParameterError::NoValue(key)),
        }
    }

    /// Takes a key that may have a value: the outer `None` tells that it is not there.
    pub fn optional(&mut self, key: &str) -> Option<Option<String>> {
        let place = self.given.iter().position(|(known, _)| known == key)?;
        Some(self.given.remove(place).1)
    }

    /// Takes a key's value, a text that devices can tell of themselves.
    ///
    /// # Errors
    /// Where there is no value, or it is empty, too long or not ASCII.
    pub fn printable(&mut self, key: &str) -> Result<Option<String>, ParameterError> {
        let Some(value) = self.text(key)? else {
            return Ok(None);
        };
        let plain = |byte: u8| (b' '..=b'~').contains(&byte);
        match value.bytes().all(plain) && (1..=126).contains(&value.len()) {
            true => Ok(Some(value)),
            false => Err(ParameterError::Value {
                key: key.to_owned(),
                value,
                rule: "it takes 1 to 126 printable ASCII characters".to_owned(),
            }),
        }
    }

    /// Takes a key that has no value, and tells whether it was there.
    ///
    /// # Errors
    /// Where it has one.
    pub fn flag(&mut self, key: &str) -> Result<bool, ParameterError> {
        let Some(place) = self.given.iter().position(|(known, _)| known == key) else {
            return Ok(false);
        };
        match self.given.remove(place) {
            (_, None) => Ok(true),
            (key, Some(value)) => Err(ParameterError::Value {
                rule: format!("write {key} alone, or leave it out"),
                key,
                value,
            }),
        }
    }

    /// Takes a key's value, read as a `T`.
    ///
    /// # Errors
    /// Where there is no value or it is no `T`.
    pub fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        key: &str,
    ) -> Result<Option<T>, ParameterError> {
        let parse = |value: String| {
            value
                .parse()
                .map_err(|error: T::Err| ParameterError::Value {
                    key: key.to_owned(),
                    rule: error.to_string(),
                    value,
                })
        };
        self.text(key)?.map(parse).transpose()
    }

    /// Takes a key's value, a number within `range`; `default` where it is left out.
    ///
    /// # Errors
    /// Where there is no value or it is no such number.
    pub fn number(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<u32>,
        default: u32,
    ) -> Result<u32, ParameterError> {
        let Some(value) = self.text(key)? else {
            return Ok(default);
        };
        match value.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(ParameterError::Value {
                key: key.to_owned(),
                value,
                rule: format!(
                    "it takes a number from {} to {}",
                    range.start(),
                    range.end()
                ),
            }),
        }
    }

    /// Exchanges the drives that there are already, and that disks are made with, the first unit with the first of them.
    pub(crate) fn exchange_drives(&mut self, drives: &mut VecDeque<Drive>) {
        std::mem::swap(&mut self.drives, drives);
    }

    /// Takes the next drive that is kept.
    pub(crate) fn kept_drive(&mut self) -> Option<Drive> {
        self.drives.pop_front()
    }

    /// Takes the first key that is left.
    pub(crate) fn left_over(&mut self) -> Option<String> {
        self.given.pop().map(|(key, _)| key)
    }
}
