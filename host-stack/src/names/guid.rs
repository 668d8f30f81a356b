//! GUIDs, which name classes of interfaces.

use std::{fmt, str::FromStr};

/// A GUID: what names a class of device interfaces. It is written and parsed as `{573E8C73-0CB4-4471-A1BF-FAB26C31D384}`, with the braces or without.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[doc(alias = "GUID")]
#[doc(alias = "UUID")]
pub struct Guid(pub u128);

/// What does not have the form of a GUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no GUID, which is 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12, with hyphens between"
)]
pub struct NoGuid(String);

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |shift: u32, bits: u32| self.0 >> shift & ((1 << bits) - 1);
        write!(
            f,
            "{{{:08X}-{:04X}-{:04X}-{:04X}-{:012X}}}",
            part(96, 32),
            part(80, 16),
            part(64, 16),
            part(48, 16),
            part(0, 48),
        )
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Guid {
    type Err = NoGuid;

    fn from_str(text: &str) -> Result<Self, NoGuid> {
        let wrong = || NoGuid(text.to_owned());
        let bare = text.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        let groups: Vec<&str> = bare.unwrap_or(text).split('-').collect();
        let fits = |(group, length): (&&str, usize)| {
            group.len() == length && group.bytes().all(|it| it.is_ascii_hexdigit())
        };
        let lengths = [8, 4, 4, 4, 12];
        if groups.len() != lengths.len() || !groups.iter().zip(lengths).all(fits) {
            return Err(wrong());
        }
        u128::from_str_radix(&groups.concat(), 16)
            .map(Self)
            .map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_guid_of_the_fx2_kit_is_written_as_in_its_header() {
        let guid = Guid(0x573E_8C73_0CB4_4471_A1BF_FAB2_6C31_D384);
        let text = "{573E8C73-0CB4-4471-A1BF-FAB26C31D384}";
        assert_eq!(guid.to_string(), text);
        assert_eq!(text.parse(), Ok(guid));
        assert_eq!(
            text.trim_matches(['{', '}']).to_lowercase().parse(),
            Ok(guid)
        );
    }

    #[test]
    fn what_is_no_guid_is_told_so() {
        for text in [
            "",
            "{}",
            "573E8C73",
            "{573E8C73-0CB4-4471-A1BF-FAB26C31D384",
            "573E8C73-0CB4-4471-A1BF-FAB26C31D38",
            "573E8C7-30CB4-4471-A1BF-FAB26C31D384",
            "+73E8C73-0CB4-4471-A1BF-FAB26C31D384",
        ] {
            assert_eq!(text.parse::<Guid>(), Err(NoGuid(text.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn any_guid_is_parsed_as_it_is_written(number: u128) {
            prop_assert_eq!(Guid(number).to_string().parse(), Ok(Guid(number)));
        }

        #[test]
        fn no_text_makes_parsing_panic(text: String) {
            let _ = text.parse::<Guid>();
        }
    }
}
