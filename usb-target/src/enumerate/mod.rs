//! Enumeration: what a device tells of itself, read by control transfers as a host reads it.

mod check;
mod defect;
mod description;
mod reader;
mod state;
mod strings;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use usbwright_protocol::{
    Setup, Speed, Status,
    descriptor::{BosDescriptor, DeviceDescriptor, ParseError, QualifierDescriptor, kind},
};

use self::reader::Reader;
pub use self::{
    defect::{Defect, DescriptorName, EnumerationError, Flaw},
    description::{Description, Fetched},
    state::{DeviceState, DeviceStatus, read_state},
    strings::read_string,
};

/// How a control transfer ended, and what came.
#[derive(Clone, Debug)]
pub struct ControlAnswer {
    /// How.
    pub status: Status,
    /// The data stage; what goes beyond the request's `wLength` is dropped.
    pub data: Bytes,
}

/// Reads every descriptor that a device at `speed` has, in the order in which Linux does.
///
/// `control` does one control transfer IN and tells how it ended. It is called for GET_DESCRIPTOR only, and for one transfer at
/// a time: it decides how long to wait for a device, and how often to ask again. The device need not be configured.
///
/// Nothing that the device says is trusted. What a host can do without (BOS, qualifier, other-speed configurations, strings) may be
/// missing or bad; that is told by [`Description::defects`]. A descriptor that nobody names is not asked for, nor are
/// Microsoft's. Of BOS and configurations together at most 1 MiB is read.
///
/// # Errors
/// Where the device descriptor or a configuration can't be read or is malformed; where the device is gone or the transfer is
/// taken back; each names the descriptor, the place in it and the rule.
#[doc(alias = "GET_DESCRIPTOR")]
pub async fn enumerate(
    speed: Speed,
    control: impl AsyncFnMut(Setup) -> ControlAnswer,
) -> Result<Description, EnumerationError> {
    let mut reader = Reader::new(control);
    let device = device(&mut reader).await?;
    let version = device.descriptor.usb_version;
    let bos = match version {
        0x0201.. => bos(&mut reader).await?,
        _ => None,
    };
    let other = description::other_speed(speed).filter(|_| version >= 0x0200);
    let qualifier = match other {
        Some(_) => qualifier(&mut reader, speed).await?,
        None => None,
    };
    let configurations = reader
        .configurations(device.descriptor.configurations, speed)
        .await?;
    let other_speed = match (other, &qualifier) {
        (Some(other), Some(qualifier)) => {
            reader
                .other_speed_configurations(qualifier.descriptor.configurations, other)
                .await?
        }
        _ => Vec::new(),
    };
    let mut description = Description {
        speed,
        device,
        configurations,
        bos,
        qualifier,
        other_speed,
        languages: Vec::new(),
        strings: Default::default(),
        defects: Vec::new(),
    };
    let named = description.named_strings();
    (description.languages, description.strings) = strings::read(&mut reader, &named).await?;
    description.defects = reader.into_defects();
    Ok(description)
}

async fn device(
    reader: &mut Reader<impl AsyncFnMut(Setup) -> ControlAnswer>,
) -> Result<Fetched<DeviceDescriptor>, EnumerationError> {
    let name = DescriptorName::Device;
    let bytes = reader.descriptor(name, 18).await?;
    let descriptor = DeviceDescriptor::parse(&bytes).map_err(|error| name.broken(error))?;
    if descriptor.configurations == 0 {
        return Err(name
            .broken(ParseError {
                descriptor: "device descriptor",
                offset: 0,
                rule: "bNumConfigurations is at least 1",
            })
            .into());
    }
    Ok(Fetched { descriptor, bytes })
}

async fn bos(
    reader: &mut Reader<impl AsyncFnMut(Setup) -> ControlAnswer>,
) -> Result<Option<Fetched<BosDescriptor>>, EnumerationError> {
    let name = DescriptorName::Bos;
    let bytes = reader.chain(name, 5).await;
    let parsed = bytes.and_then(|bytes| {
        let descriptor = BosDescriptor::parse(&bytes).map_err(|error| name.broken(error))?;
        Ok(Fetched { descriptor, bytes })
    });
    reader.tolerate(parsed)
}

async fn qualifier(
    reader: &mut Reader<impl AsyncFnMut(Setup) -> ControlAnswer>,
    speed: Speed,
) -> Result<Option<Fetched<QualifierDescriptor>>, EnumerationError> {
    let name = DescriptorName::Qualifier;
    let parsed = reader.descriptor(name, 10).await.and_then(|bytes| {
        let descriptor = QualifierDescriptor::parse(&bytes).map_err(|error| name.broken(error))?;
        Ok(Fetched { descriptor, bytes })
    });
    match parsed {
        // It runs at full speed only, and says so (USB 2.0 §9.6.2).
        Err(defect) if speed == Speed::Full && defect.flaw == Flaw::Refused => Ok(None),
        parsed => reader.tolerate(parsed),
    }
}

/// The GET_DESCRIPTOR for at most `length` bytes (USB 2.0 §9.4.3).
fn get_descriptor(name: DescriptorName, length: u16) -> Setup {
    let (kind, index, language) = match name {
        DescriptorName::Device => (kind::DEVICE, 0, 0),
        DescriptorName::Bos => (kind::BOS, 0, 0),
        DescriptorName::Qualifier => (kind::DEVICE_QUALIFIER, 0, 0),
        DescriptorName::Configuration(index) => (kind::CONFIGURATION, index, 0),
        DescriptorName::OtherSpeedConfiguration(index) => {
            (kind::OTHER_SPEED_CONFIGURATION, index, 0)
        }
        DescriptorName::Languages => (kind::STRING, 0, 0),
        DescriptorName::String { index, language } => (kind::STRING, index, language),
    };
    Setup {
        request_type: 0x80,
        request: usbwright_protocol::request::GET_DESCRIPTOR,
        value: u16::from_be_bytes([kind, index]),
        index: language,
        length,
    }
}
