//! A driver of a package's stack: `[[driver]]`.

use std::{fmt, str::FromStr};

use usbwright_host_stack::IoType;

use super::{
    directives::Role,
    problem::{Problems, Span},
    table::{At, Table},
};

/// A driver in its stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagedDriver {
    /// Its name, by which the host executable knows it.
    #[doc(alias = "UmdfService")]
    pub name: String,
    /// Whether it is a filter.
    pub role: Role,
    /// How it would like to get at data.
    pub io_type: IoType,
    /// The framework that it was written for.
    pub library_version: Option<LibraryVersion>,
    /// Its class, where it was written for UMDF 1.
    pub class_id: Option<ClassId>,
}

impl From<&PackagedDriver> for IoType {
    fn from(driver: &PackagedDriver) -> Self {
        driver.io_type
    }
}

/// A version of the framework: `2.15.0`.
#[doc(alias = "UmdfLibraryVersion")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LibraryVersion {
    /// The first number; drivers of a stack agree on it.
    pub major: u16,
    /// The second one.
    pub minor: u16,
    /// The last one.
    pub service: u16,
}

impl FromStr for LibraryVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |it: &str| match it.bytes().all(|byte| byte.is_ascii_digit()) {
            true => it.parse::<u16>().map_err(drop),
            false => Err(()),
        };
        let parts = text.split('.').map(number).collect::<Result<Vec<_>, _>>()?;
        match parts[..] {
            [major, minor, service] => Ok(Self {
                major,
                minor,
                service,
            }),
            _ => Err(()),
        }
    }
}

/// The class of a driver: `{334D4F92-0C2F-4B7D-9A5B-7E2A5C1D0E11}`.
#[doc(alias = "DriverCLSID")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClassId(pub u128);

impl FromStr for ClassId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let inner = text.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        let groups: Vec<&str> = inner.ok_or(())?.split('-').collect();
        let is_hexadecimal = |it: &&str| it.bytes().all(|byte| byte.is_ascii_hexdigit());
        let are_well_formed = groups.iter().map(|it| it.len()).eq([8, 4, 4, 4, 12]);
        match are_well_formed && groups.iter().all(is_hexadecimal) {
            true => u128::from_str_radix(&groups.concat(), 16)
                .map(Self)
                .map_err(drop),
            false => Err(()),
        }
    }
}

impl fmt::Display for ClassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032X}", self.0);
        let [a, b, c, d, e] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|it| &digits[it]);
        write!(f, "{{{a}-{b}-{c}-{d}-{e}}}")
    }
}

/// A driver as it was read, and where its parts are.
pub(super) struct DriverDraft<'a> {
    pub(super) name: At<&'a str>,
    pub(super) driver: PackagedDriver,
    pub(super) role: Span,
    pub(super) retrieval: Span,
    pub(super) read_write: Span,
    pub(super) control: Span,
    pub(super) version: Span,
}

/// How many characters a name may have.
const LONGEST_NAME: usize = 31;

impl<'a> DriverDraft<'a> {
    /// Reads one `[[driver]]`; `None` where it has no name.
    pub(super) fn read(mut table: Table<'a>, problems: &mut Problems) -> Option<Self> {
        let has_name = table.has("UmdfService");
        let name = table.text("UmdfService", problems);
        let role = table.choice("filter", problems);
        let retrieval = table.choice("RetrievalMode", problems);
        let read_write = table.choice("RWPreference", problems);
        let control = table.choice("IoctlPreference", problems);
        let threshold = table.number("DirectTransferThreshold", 0..=1 << 30, problems);
        let version = table.parsed("UmdfLibraryVersion", "'2.15.0'", problems);
        let class = table.parsed(
            "DriverCLSID",
            "'{01234567-89AB-CDEF-0123-456789ABCDEF}'",
            problems,
        );
        if !has_name {
            let remedy = "write UmdfService = '…' below [[driver]]";
            problems.add(table.place.clone(), "this driver has no name", remedy);
        }
        let place = table.place.clone();
        table.finish(problems);
        let name = name?;
        check_name(&name, problems);
        Some(Self {
            driver: PackagedDriver {
                name: name.value.to_owned(),
                role: role.value,
                io_type: IoType {
                    retrieval: retrieval.value,
                    read_write: read_write.value,
                    control: control.value,
                    direct_threshold: threshold.unwrap_or_default() as usize,
                },
                library_version: version.as_ref().map(|it| it.value),
                class_id: class.map(|it| it.value),
            },
            name,
            role: role.place,
            retrieval: retrieval.place,
            read_write: read_write.place,
            control: control.place,
            version: version.map_or(place, |it| it.place),
        })
    }
}

fn check_name(name: &At<&str>, problems: &mut Problems) {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    if name.value.is_empty() || !name.value.chars().all(is_plain) {
        problems.add(
            name.place.clone(),
            format!("a driver can't be called {:?}", name.value),
            "a name has letters, digits, `-`, `_` and `.`",
        );
    }
    let length = name.value.chars().count();
    if length > LONGEST_NAME {
        problems.add(
            name.place.clone(),
            format!("the driver's name has {length} characters"),
            format!("a name has at most {LONGEST_NAME}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_classes_are_read_or_refused() {
        let version: LibraryVersion = "2.15.0".parse().unwrap();
        assert_eq!((version.major, version.minor, version.service), (2, 15, 0));
        for wrong in ["", "2", "2.15", "2.15.0.1", "+2.15.0", "2..0", "2.15.65536"] {
            assert_eq!(wrong.parse::<LibraryVersion>(), Err(()), "{wrong}");
        }
        let class = "{01234567-89AB-CDEF-0123-456789ABCDEF}";
        assert_eq!(class.parse::<ClassId>().unwrap().to_string(), class);
        for wrong in [
            "",
            "{}",
            &class[1..],
            "{0123456-789AB-CDEF-0123-456789ABCDEF}",
        ] {
            assert_eq!(wrong.parse::<ClassId>(), Err(()), "{wrong}");
        }
    }
}
