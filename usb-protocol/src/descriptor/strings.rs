//! Strings: handed out by index while a tree is built, UTF-16 on the wire (USB 2.0 §9.6.7).

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    DescriptorError, ParseError,
    error::{Rule, Site},
    kind,
};

/// Where Windows asks for the Microsoft OS 1.0 string; no other string gets this index.
pub(super) const MICROSOFT_INDEX: u8 = 0xee;

const UNITS: Rule = (
    "a string has at most 126 UTF-16 units",
    "USB 2.0 §9.6.7: bLength is one byte",
);
const COUNT: Rule = (
    "a device has at most 254 strings, 0xee being Microsoft's",
    "USB 2.0 §9.6.7: indices are one byte",
);
const LANGUAGES: Rule = (
    "a device with strings offers 1 to 126 languages, each once",
    "USB 2.0 §9.6.7",
);

/// The strings of a device while it is built. Equal strings share an index.
#[derive(Debug, Default)]
pub(super) struct StringTable {
    texts: Vec<(u8, String, Bytes)>,
}

impl StringTable {
    /// The index of `text`, 0 where there is none.
    pub(super) fn index(
        &mut self,
        text: Option<&String>,
        field: &'static str,
        site: Site,
    ) -> Result<u8, DescriptorError> {
        let Some(text) = text else { return Ok(0) };
        if let Some((index, ..)) = self.texts.iter().find(|(_, known, _)| known == text) {
            return Ok(*index);
        }
        let units = text.encode_utf16().count();
        site.require(units <= 126, field, format_args!("{units} units"), UNITS)?;
        let last = self.texts.last().map_or(0, |(index, ..)| *index);
        site.require(last < u8::MAX, field, "a 255th string", COUNT)?;
        let next = match last + 1 {
            MICROSOFT_INDEX => MICROSOFT_INDEX + 1,
            next => next,
        };
        let encoded = encode(text.encode_utf16());
        self.texts.push((next, text.clone(), encoded));
        Ok(next)
    }

    /// Ends the table: no string is added any more.
    pub(super) fn finish(
        self,
        languages: &[u16],
        microsoft: Option<Bytes>,
        site: Site,
    ) -> Result<Strings, DescriptorError> {
        let mut distinct = languages.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let fine = self.texts.is_empty()
            || (1..=126).contains(&languages.len()) && distinct.len() == languages.len();
        let found = format_args!("{languages:04x?}");
        site.require(fine, "wLANGID", found, LANGUAGES)?;
        Ok(Strings {
            language_table: (!self.texts.is_empty()).then(|| encode(languages.iter().copied())),
            languages: languages.to_vec(),
            texts: self.texts.into_iter().map(|(_, _, bytes)| bytes).collect(),
            microsoft,
        })
    }
}

/// The strings of a device, encoded.
#[derive(Debug)]
pub(super) struct Strings {
    language_table: Option<Bytes>,
    languages: Vec<u16>,
    texts: Vec<Bytes>,
    microsoft: Option<Bytes>,
}

impl Strings {
    /// The descriptor of a string.
    pub(super) fn get(&self, index: u8, language: u16) -> Option<Bytes> {
        let position = match index {
            0 => return self.language_table.clone(),
            MICROSOFT_INDEX => return self.microsoft.clone(),
            _ if index > MICROSOFT_INDEX => index - 2,
            _ => index - 1,
        };
        let spoken = self.languages.contains(&language);
        let text = self.texts.get(usize::from(position));
        text.filter(|_| spoken).cloned()
    }
}

/// A string descriptor of at most 126 units.
pub(super) fn encode(units: impl Iterator<Item = u16>) -> Bytes {
    let mut bytes = BytesMut::from(&[0, kind::STRING][..]);
    units.for_each(|unit| bytes.put_u16_le(unit));
    bytes[0] = u8::try_from(bytes.len()).expect("at most 126 units were let in");
    bytes.freeze()
}

/// The text of a string descriptor; what is no UTF-16 becomes U+FFFD.
pub fn decode_string(bytes: &[u8]) -> Result<String, ParseError> {
    let units: Vec<u16> = units(bytes)?.collect();
    Ok(String::from_utf16_lossy(&units))
}

/// The languages that string descriptor 0 lists.
#[doc(alias = "wLANGID")]
pub fn decode_languages(bytes: &[u8]) -> Result<Vec<u16>, ParseError> {
    Ok(units(bytes)?.collect())
}

fn units(bytes: &[u8]) -> Result<impl Iterator<Item = u16>, ParseError> {
    let error = |rule| ParseError {
        descriptor: "string descriptor",
        offset: 0,
        rule,
    };
    let [length, kind, ..] = *bytes else {
        return Err(error("a descriptor has at least 2 bytes"));
    };
    if kind != kind::STRING {
        return Err(error("bDescriptorType is 3"));
    }
    let body = bytes
        .get(2..usize::from(length))
        .ok_or_else(|| error("bLength is at least 2 and no more than there is"))?;
    let (pairs, rest) = body.as_chunks();
    if !rest.is_empty() {
        return Err(error("bLength is even"));
    }
    Ok(pairs.iter().copied().map(u16::from_le_bytes))
}
