//! The body of the message that has a stack built.

use serde::{Deserialize, Serialize};
use usbwright_host_stack::{Access, IoType, Retrieval};
use usbwright_protocol::usbip::operation::{DEVICE_SIZE, ExportedDevice};

use super::{Build, DriverEntry};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BuildBody {
    name: String,
    drivers: Vec<DriverBody>,
    copies_neither: bool,
    /// The record of an import, in hexadecimal.
    device: String,
    has_channels: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DriverBody {
    name: String,
    is_deferred: bool,
    read_write: Way,
    control: Way,
    direct_threshold: u32,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Way {
    Buffered,
    Direct,
    BufferedOrDirect,
}

impl From<Access> for Way {
    fn from(access: Access) -> Self {
        match access {
            Access::Buffered => Self::Buffered,
            Access::Direct => Self::Direct,
            Access::BufferedOrDirect => Self::BufferedOrDirect,
        }
    }
}

impl From<Way> for Access {
    fn from(way: Way) -> Self {
        match way {
            Way::Buffered => Self::Buffered,
            Way::Direct => Self::Direct,
            Way::BufferedOrDirect => Self::BufferedOrDirect,
        }
    }
}

impl From<&DriverEntry> for DriverBody {
    fn from(entry: &DriverEntry) -> Self {
        let it = entry.io_type;
        Self {
            name: entry.name.clone(),
            is_deferred: it.retrieval == Retrieval::Deferred,
            read_write: it.read_write.into(),
            control: it.control.into(),
            direct_threshold: u32::try_from(it.direct_threshold).unwrap_or(u32::MAX),
        }
    }
}

impl From<DriverBody> for DriverEntry {
    fn from(body: DriverBody) -> Self {
        Self {
            name: body.name,
            io_type: IoType {
                retrieval: match body.is_deferred {
                    true => Retrieval::Deferred,
                    false => Retrieval::Immediate,
                },
                read_write: body.read_write.into(),
                control: body.control.into(),
                direct_threshold: body.direct_threshold as usize,
            },
        }
    }
}

impl From<&Build> for BuildBody {
    fn from(build: &Build) -> Self {
        let mut record = Vec::new();
        build.device.encode(&mut record);
        Self {
            name: build.name.clone(),
            drivers: build.drivers.iter().map(DriverBody::from).collect(),
            copies_neither: build.copies_neither,
            device: record.iter().map(|it| format!("{it:02x}")).collect(),
            has_channels: build.has_channels,
        }
    }
}

impl BuildBody {
    pub(super) fn read(self, stack: u64) -> Result<Build, serde_json::Error> {
        let wrong = |why: String| <serde_json::Error as serde::de::Error>::custom(why);
        let record = bytes(&self.device)
            .ok_or_else(|| wrong(format!("device is not {DEVICE_SIZE} hexadecimal bytes")))?;
        let device = ExportedDevice::decode(&record).map_err(|it| wrong(it.to_string()))?;
        Ok(Build {
            stack,
            name: self.name,
            drivers: self.drivers.into_iter().map(DriverEntry::from).collect(),
            copies_neither: self.copies_neither,
            device,
            has_channels: self.has_channels,
        })
    }
}

/// The bytes of a record in hexadecimal.
fn bytes(text: &str) -> Option<[u8; DEVICE_SIZE]> {
    let digits = text.as_bytes();
    let mut record = [0; DEVICE_SIZE];
    if digits.len() != 2 * DEVICE_SIZE {
        return None;
    }
    for (byte, pair) in record.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |it: u8| char::from(it).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(record)
}
