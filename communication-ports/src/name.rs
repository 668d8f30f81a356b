//! The names of ports.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The longest name, in bytes.
const LONGEST: usize = 64;

/// The name of a port, such as `ScannerPort`.
///
/// Up to 64 letters, digits, `-`, `_` and `.`, of ASCII; the first is no `.`. Capital and small letters differ. As a name of Windows'
/// object name space begins with a backslash (`\ScannerPort`), one at the beginning is left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortName(String);

/// A name that no port can have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is none.
    #[error("a name is empty")]
    Empty,
    /// There is too much of it.
    #[error("a name of {0} bytes, where 64 are the most")]
    Long(usize),
    /// A character may not be in it, or not there.
    #[error(
        "{character:?} at {at} in a name, which has letters, digits, '-', '_' and '.', and does not begin with '.'"
    )]
    Character {
        /// The character.
        character: char,
        /// Its place, in bytes.
        at: usize,
    },
}

impl FromStr for PortName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let name = name.strip_prefix('\\').unwrap_or(name);
        let allowed = |at, it: char| {
            it.is_ascii_alphanumeric() || matches!(it, '-' | '_') || (it == '.' && at > 0)
        };
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > LONGEST {
            return Err(NameError::Long(name.len()));
        }
        match name.char_indices().find(|&(at, it)| !allowed(at, it)) {
            Some((at, character)) => Err(NameError::Character { character, at }),
            None => Ok(Self(name.to_owned())),
        }
    }
}

impl PortName {
    /// The name, without a backslash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_with_and_without_a_backslash() {
        let name: PortName = r"\ScannerPort".parse().unwrap();
        assert_eq!(name, "ScannerPort".parse().unwrap());
        assert_eq!(name.to_string(), "ScannerPort");
        assert!("a-b_c.9".parse::<PortName>().is_ok());
    }

    #[test]
    fn a_name_that_could_lead_elsewhere_is_refused() {
        let parse = |name: &str| name.parse::<PortName>().unwrap_err();
        assert_eq!(parse(""), NameError::Empty);
        assert_eq!(parse("\\"), NameError::Empty);
        assert_eq!(parse(&"x".repeat(65)), NameError::Long(65));
        for (name, character, at) in [
            ("..", '.', 0),
            (".lock", '.', 0),
            ("a/b", '/', 1),
            ("a\0", '\0', 1),
            (r"\\a", '\\', 0),
            ("ä", 'ä', 0),
        ] {
            assert_eq!(parse(name), NameError::Character { character, at });
        }
    }
}
