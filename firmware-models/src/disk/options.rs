//! What a user writes for a disk, and the logical units that come of it.

use std::{fmt, path::PathBuf, str::FromStr};

use super::{
    BlockSize, Drive, Identity, MOST_UNITS, Unit,
    medium::{Access, FileMedium, Medium, Sparse},
};
use crate::{BuildError, Parameter, ParameterError, Parameters, Strings, words};

/// What a disk takes.
pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter::once(
        "image",
        "FILE",
        "none",
        "the file or block device that it is kept in; with size it is made where there is none",
    ),
    Parameter::once(
        "size",
        "N[K|M|G|T]",
        "the image's",
        "its size; without image it is in memory, where it takes what is written to it",
    ),
    Parameter::once("ro", "", "off", "it can't be written to"),
    Parameter::once(
        "snapshot",
        "",
        "off",
        "the image stays as it is: what is written is in memory, and thrown away",
    ),
    Parameter::once("block", "512|4096", "512", "bytes in a logical block"),
    Parameter::once(
        "removable",
        "",
        "off",
        "hosts may eject it and load it again",
    ),
    Parameter {
        repeats: true,
        ..Parameter::once(
            "lun",
            "KEY[=VALUE][,,KEY[=VALUE]]…",
            "none",
            "one more logical unit, with the parameters above; may be given up to 15 times",
        )
    },
    Parameter::once(
        "transport",
        "uas|bulk-only",
        "uas",
        "UAS beside Bulk-Only Transport, at high speed; or that alone",
    ),
    Parameter::once(
        "vendor",
        "TEXT",
        "usbwright",
        "who made it; SCSI tells the first 8 characters",
    ),
    Parameter::once(
        "product",
        "TEXT",
        "Disk",
        "what it is; SCSI tells the first 16 characters",
    ),
    Parameter::once(
        "serial",
        "TEXT",
        "from image and size",
        "its serial number: twelve or more hexadecimal digits, as some hosts ask for",
    ),
];

/// What a logical unit takes.
const OF_A_UNIT: [&str; 6] = ["image", "size", "ro", "snapshot", "block", "removable"];

/// A size in bytes, as users write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size(u64);

/// What a size looks like.
#[derive(Debug)]
struct SizeError;

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "it takes bytes, or a number with K, M, G or T (times 1024), up to 8388607T, such as 64M",
        )
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let split = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(split.unwrap_or(text.len()));
        let shift = match unit.to_ascii_uppercase().as_str() {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            "T" => 40,
            _ => return Err(SizeError),
        };
        let number: u64 = number.parse().map_err(|_| SizeError)?;
        let bytes = number.checked_mul(1 << shift).ok_or(SizeError)?;
        // No file is larger.
        match i64::try_from(bytes) {
            Ok(_) => Ok(Self(bytes)),
            Err(_) => Err(SizeError),
        }
    }
}

/// Takes whether UAS is offered.
pub(super) fn take_uas(parameters: &mut Parameters) -> Result<bool, ParameterError> {
    match parameters.text("transport")?.as_deref() {
        None | Some("uas") => Ok(true),
        Some("bulk-only") => Ok(false),
        Some(other) => Err(wrong(
            "transport",
            other.to_owned(),
            "it takes uas or bulk-only",
        )),
    }
}

/// Takes everything else that a disk takes, and makes its logical units.
pub(super) fn take(parameters: &mut Parameters) -> Result<(Strings, Vec<Unit>), BuildError> {
    let mut units = vec![UnitOptions::take(parameters)?];
    // Where nothing is said of a unit but in lun=, there is no other.
    if units[0] == UnitOptions::default() {
        units.clear();
    }
    while let Some(text) = parameters.text("lun")? {
        units.push(UnitOptions::parse(&text)?);
    }
    if !(1..=MOST_UNITS).contains(&units.len()) {
        let rule = match units.len() {
            0 => "image=FILE or size=N says what is on the disk".to_owned(),
            count => format!("a disk has up to {MOST_UNITS} logical units, and these are {count}"),
        };
        return Err(BuildError::Incomplete(rule));
    }
    let strings = Strings {
        serial: serial(&units),
        ..Strings::of("Disk")
    };
    let strings = strings.take(parameters)?;
    let identity = Identity {
        vendor: strings.vendor.clone(),
        product: strings.product.clone(),
        revision: "0100".to_owned(),
        serial: strings.serial.clone(),
    };
    let units = units
        .into_iter()
        .map(|unit| unit.make(&identity, parameters.kept_drive()));
    let units = units.collect::<Result<_, _>>()?;
    Ok((strings, units))
}

/// Twelve digits that are the same whenever a disk is made in the same way.
fn serial(units: &[UnitOptions]) -> String {
    let text: Vec<_> = units
        .iter()
        .map(|unit| format!("{:?}:{:?}", unit.image, unit.size))
        .collect();
    let hash = super::scsi::hash(text.concat().as_bytes());
    format!("{:012X}", hash >> 16)
}

fn wrong(key: &str, value: String, rule: impl Into<String>) -> ParameterError {
    ParameterError::Value {
        key: key.to_owned(),
        value,
        rule: rule.into(),
    }
}

/// What a user wants of a logical unit.
#[derive(Debug, Default, PartialEq, Eq)]
struct UnitOptions {
    image: Option<PathBuf>,
    size: Option<u64>,
    read_only: bool,
    snapshot: bool,
    block: BlockSize,
    removable: bool,
}

impl UnitOptions {
    fn take(parameters: &mut Parameters) -> Result<Self, ParameterError> {
        Ok(Self {
            image: parameters.text("image")?.map(PathBuf::from),
            size: parameters.parsed::<Size>("size")?.map(|size| size.0),
            read_only: parameters.flag("ro")?,
            snapshot: parameters.flag("snapshot")?,
            block: match parameters.text("block")?.as_deref() {
                None | Some("512") => BlockSize::B512,
                Some("4096") => BlockSize::B4096,
                Some(other) => {
                    return Err(wrong("block", other.to_owned(), "it takes 512 or 4096"));
                }
            },
            removable: parameters.flag("removable")?,
        })
    }

    /// Reads the value of `lun`.
    fn parse(text: &str) -> Result<Self, ParameterError> {
        let mut parameters = Parameters::default();
        for word in words(text) {
            let (key, value) = match word.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (word.as_str(), None),
            };
            if !OF_A_UNIT.contains(&key) {
                let known = OF_A_UNIT.join(", ");
                return Err(wrong(
                    "lun",
                    text.to_owned(),
                    format!("it takes {known}, with ,, between them, and not `{key}`"),
                ));
            }
            parameters.add(key, value)?;
        }
        Self::take(&mut parameters)
    }

    fn make(self, identity: &Identity, kept: Option<Drive>) -> Result<Unit, BuildError> {
        let drive = match kept {
            Some(drive) => drive,
            None => Drive::new(self.checked_medium()?),
        };
        let mut unit = Unit::new(drive, self.block, identity.clone());
        if self.read_only {
            unit = unit.read_only();
        }
        if self.removable {
            unit = unit.removable();
        }
        Ok(unit)
    }

    fn checked_medium(&self) -> Result<Option<Box<dyn Medium>>, BuildError> {
        let medium = self.medium()?;
        if let Some(medium) = &medium {
            let (size, block) = (medium.size(), self.block.bytes());
            if size == 0 || !size.is_multiple_of(block.into()) {
                return Err(BuildError::Incomplete(format!(
                    "a disk of {size} bytes has no whole number of blocks of {block} bytes: give it another size"
                )));
            }
        }
        Ok(medium)
    }

    fn medium(&self) -> Result<Option<Box<dyn Medium>>, BuildError> {
        let reads = self.read_only || self.snapshot;
        Ok(match (&self.image, self.size) {
            (Some(_), Some(size)) if reads => {
                return Err(wrong(
                    "size",
                    size.to_string(),
                    "an image that is not written to has its own: leave it out",
                )
                .into());
            }
            (Some(image), None) if self.snapshot => Some(Box::new(Sparse::over(FileMedium::open(
                image,
                Access::Read,
            )?))),
            (Some(image), None) if reads => Some(Box::new(FileMedium::open(image, Access::Read)?)),
            (Some(image), None) => Some(Box::new(FileMedium::open(image, Access::Write)?)),
            (Some(image), Some(size)) => Some(Box::new(FileMedium::open_or_create(image, size)?)),
            (None, _) if self.snapshot => {
                return Err(BuildError::Incomplete(
                    "snapshot is of an image: give image=FILE, or leave it out, as what is in memory is thrown away in any case".to_owned(),
                ));
            }
            (None, Some(size)) => Some(Box::new(Sparse::new(size))),
            (None, None) if self.removable => None,
            (None, None) => {
                return Err(BuildError::Incomplete(
                    "image=FILE or size=N says what is on a logical unit".to_owned(),
                ));
            }
        })
    }
}
