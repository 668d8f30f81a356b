//! Strings: which language a host asks for, and what comes.

use std::collections::{BTreeMap, BTreeSet};

use usbwright_protocol::{
    Setup,
    descriptor::{ParseError, decode_languages, decode_string},
};

use super::{
    ControlAnswer, Defect, DescriptorName, EnumerationError, Flaw, Rigour, reader::Reader,
};

/// US English, which Linux asks for where the list of languages is malformed.
const ENGLISH: u16 = 0x0409;

/// As much as any string has, in bytes.
const LENGTH: u16 = 255;

/// The languages of a device, and its strings in the first of them, by their indices.
type Strings = (Vec<u16>, BTreeMap<u8, String>);

/// Reads the strings `named`, in this order. None is asked for twice, and none after one that got no answer at all: that may have
/// taken seconds.
pub(super) async fn read(
    reader: &mut Reader<impl AsyncFnMut(Setup) -> ControlAnswer>,
    named: &[u8],
) -> Result<Strings, EnumerationError> {
    let mut strings = BTreeMap::new();
    if named.is_empty() {
        return Ok((Vec::new(), strings));
    }
    let listed = languages(reader).await;
    let malformed = matches!(&listed, Err(defect) if matches!(defect.flaw, Flaw::Malformed(_)));
    let languages = reader.tolerate(listed)?;
    let language = match &languages {
        Some(languages) => languages[0],
        None if malformed => ENGLISH,
        None => return Ok((Vec::new(), strings)),
    };
    let mut asked = BTreeSet::new();
    for &index in named {
        if !asked.insert(index) {
            continue;
        }
        let read = string(reader, index, language).await;
        let silent = matches!(&read, Err(defect) if defect.flaw.is_silence());
        if let Some(text) = reader.tolerate(read)? {
            strings.insert(index, text);
        }
        if silent {
            break;
        }
    }
    Ok((languages.unwrap_or_default(), strings))
}

/// Reads one string of a device in a language of its list ([`Description::languages`](super::Description::languages)).
///
/// # Errors
/// Where the device refuses it, can't be asked, or answers something else than a string.
pub async fn read_string(
    control: impl AsyncFnMut(Setup) -> ControlAnswer,
    index: u8,
    language: u16,
) -> Result<String, Defect> {
    string(&mut Reader::new(control, Rigour::Strict), index, language).await
}

async fn languages(
    reader: &mut Reader<impl AsyncFnMut(Setup) -> ControlAnswer>,
) -> Result<Vec<u16>, Defect> {
    let name = DescriptorName::Languages;
    let bytes = reader.descriptor(name, LENGTH).await?;
    let languages = decode_languages(&bytes).map_err(|error| name.broken(error))?;
    if languages.is_empty() {
        return Err(name.broken(rule("a device with strings lists at least 1 language")));
    }
    Ok(languages)
}

async fn string(
    reader: &mut Reader<impl AsyncFnMut(Setup) -> ControlAnswer>,
    index: u8,
    language: u16,
) -> Result<String, Defect> {
    let name = DescriptorName::String { index, language };
    let bytes = reader.descriptor(name, LENGTH).await?;
    decode_string(&bytes).map_err(|error| name.broken(error))
}

fn rule(rule: &'static str) -> ParseError {
    ParseError {
        descriptor: "string descriptor",
        offset: 0,
        rule,
    }
}
