//! Keys, by their numbers on the Keyboard page (HID Usage Tables 1.5 §10) and by their names.

use std::{fmt, str::FromStr};

/// A key, at a place of the keyboard: its names are those of the layout us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u8);

/// A word that names no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no key: use a character of the layout, or a name such as enter, esc, tab, f1, del, left, ctrl, shift, alt, altgr, meta, kp1"
)]
pub struct NoSuchKey(pub String);

/// Keys that follow one another, from a number on.
const NAMES: &[(u8, &str)] = &[
    (0x04, "a b c d e f g h i j k l m n o p q r s t u v w x y z"),
    (0x1e, "1 2 3 4 5 6 7 8 9 0"),
    (
        0x28,
        "enter esc backspace tab space minus equal leftbracket rightbracket backslash",
    ),
    (0x32, "hash semicolon quote grave comma dot slash capslock"),
    (0x3a, "f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12"),
    (
        0x46,
        "print scrolllock pause insert home pageup delete end pagedown",
    ),
    (0x4f, "right left down up numlock"),
    (0x54, "kpslash kpasterisk kpminus kpplus kpenter"),
    (0x59, "kp1 kp2 kp3 kp4 kp5 kp6 kp7 kp8 kp9 kp0 kpdot"),
    (0x64, "102nd menu power kpequal"),
    (0x68, "f13 f14 f15 f16 f17 f18 f19 f20 f21 f22 f23 f24"),
    (0x7f, "mute volumeup volumedown"),
    (
        0xe0,
        "ctrl shift alt meta rightctrl rightshift altgr rightmeta",
    ),
];

/// Other names that are in use.
const ALIASES: &[(&str, &str)] = &[
    ("return", "enter"),
    ("escape", "esc"),
    ("del", "delete"),
    ("ins", "insert"),
    ("pgup", "pageup"),
    ("pgdn", "pagedown"),
    ("control", "ctrl"),
    ("leftctrl", "ctrl"),
    ("leftshift", "shift"),
    ("leftalt", "alt"),
    ("rightalt", "altgr"),
    ("leftmeta", "meta"),
    ("gui", "meta"),
    ("super", "meta"),
    ("win", "meta"),
    ("sysrq", "print"),
    ("caps", "capslock"),
    ("application", "menu"),
];

impl Key {
    /// A step between texts.
    pub const SPACE: Self = Self(0x2c);
    /// The key that ends a line.
    #[doc(alias = "Return")]
    pub const ENTER: Self = Self(0x28);
    /// Ends what was begun.
    pub const ESC: Self = Self(0x29);
    /// Takes the last character back.
    pub const BACKSPACE: Self = Self(0x2a);
    /// The next field or column.
    pub const TAB: Self = Self(0x2b);
    /// Turns capitals on and off.
    pub const CAPS_LOCK: Self = Self(0x39);
    /// The left Control key.
    pub const CTRL: Self = Self(0xe0);
    /// The left Shift key.
    pub const SHIFT: Self = Self(0xe1);
    /// The left Alt key.
    pub const ALT: Self = Self(0xe2);
    /// The right Alt key.
    pub const ALT_GR: Self = Self(0xe6);
    /// The largest number of a key that is no modifier.
    pub(super) const LAST: u8 = 0xdd;

    /// The key of a number of the Keyboard page: 0x04 to 0xdd, and 0xe0 to 0xe7, the modifiers.
    pub const fn from_usage(usage: u8) -> Option<Self> {
        match usage {
            0x04..=Self::LAST | 0xe0..=0xe7 => Some(Self(usage)),
            _ => None,
        }
    }

    /// Its number on the Keyboard page.
    pub const fn usage(self) -> u8 {
        self.0
    }

    /// The bit of a modifier in the first byte of a report.
    pub const fn modifier(self) -> Option<u8> {
        match self.0 {
            0xe0..=0xe7 => Some(1 << (self.0 - 0xe0)),
            _ => None,
        }
    }

    /// Every key that has a name, with it.
    fn named() -> impl Iterator<Item = (&'static str, Self)> {
        NAMES.iter().flat_map(|(first, names)| {
            let numbers = *first..=0xe7;
            names.split(' ').zip(numbers.map(Self))
        })
    }
}

impl FromStr for Key {
    type Err = NoSuchKey;

    fn from_str(name: &str) -> Result<Self, NoSuchKey> {
        let plain = name.to_ascii_lowercase();
        let alias = ALIASES.iter().find(|(alias, _)| *alias == plain);
        let plain = alias.map_or(plain.as_str(), |(_, known)| known);
        let mut named = Self::named().filter(|(known, _)| *known == plain);
        let key = named.next().map(|(_, key)| key);
        key.ok_or_else(|| NoSuchKey(name.to_owned()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::named().find(|(_, key)| key == self) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{:#04x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_key_and_a_key_tells_its_name() {
        for (name, key) in Key::named() {
            assert_eq!(name.parse(), Ok(key));
            assert_eq!(key.to_string(), name);
        }
        for (alias, name) in ALIASES {
            assert_eq!(alias.parse::<Key>(), name.parse());
        }
        assert_eq!("Del".parse(), Ok(Key(0x4c)));
        assert_eq!("rightmeta".parse(), Ok(Key(0xe7)));
        assert_eq!("kpdot".parse(), Ok(Key(0x63)));
        assert_eq!("volumedown".parse(), Ok(Key(0x81)));
        assert_eq!(Key(0x90).to_string(), "0x90");
        let told = "any".parse::<Key>().unwrap_err().to_string();
        assert!(told.starts_with("`any` names no key"), "{told}");
    }
}
